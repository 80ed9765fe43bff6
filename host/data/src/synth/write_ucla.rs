//! Writes a recording as an NW-UCLA JSON file, in the layout that CTR-GCN distributes.

use crate::recording::RawRecording;

/// Joints of a body in this format.
const JOINTS: usize = 20;

/// Action codes of the data set, by label.
const CODES: [u16; 10] = [1, 2, 3, 4, 5, 6, 8, 9, 11, 12];

/// The recording does not fit the format.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotUcla {
    /// Another topology or more than one body.
    #[error(
        "{name}: NW-UCLA files hold one skeleton of {JOINTS} joints; generate with topology kinect20"
    )]
    Skeleton {
        /// The recording's name.
        name: String,
    },
    /// The data set has ten actions.
    #[error("{name}: NW-UCLA has {} actions, there is no code for label {label}", CODES.len())]
    Label {
        /// The recording's name.
        name: String,
        /// The recording's label.
        label: u16,
    },
}

#[derive(serde::Serialize)]
struct File<'a> {
    file_name: &'a str,
    skeletons: Vec<&'a [[f32; 3]]>,
    label: u16,
}

/// The file's name without its ending, such as `a08_s03_e01_v02`, or nothing when there is no code for the label.
#[must_use]
pub fn file_stem(recording: &RawRecording) -> Option<String> {
    let code = CODES.get(usize::from(recording.label))?;
    let (subject, camera) = (recording.subject, recording.camera);
    Some(format!(
        "a{code:02}_s{subject:02}_e{:02}_v{camera:02}",
        recording.repetition.saturating_sub(1)
    ))
}

/// The file's text.
///
/// # Errors
/// [`NotUcla`] for another topology, two bodies, or a label above 9.
pub fn json(recording: &RawRecording) -> Result<String, NotUcla> {
    let skeleton = || NotUcla::Skeleton {
        name: recording.name.clone(),
    };
    let (joints, rest) = recording.poses.as_chunks::<3>();
    if recording.bodies != 1 || !rest.is_empty() || joints.len() != recording.frames * JOINTS {
        return Err(skeleton());
    }
    let label = recording.label;
    let stem = file_stem(recording).ok_or_else(|| NotUcla::Label {
        name: recording.name.clone(),
        label,
    })?;
    let file = File {
        file_name: &stem,
        skeletons: joints.chunks_exact(JOINTS).collect(),
        label: label + 1,
    };
    // Only numbers and a plain string: there is nothing that could fail.
    serde_json::to_string(&file).map_err(|_| skeleton())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::SynthSpec;

    #[test]
    fn numbers_survive_exactly() {
        let recording = SynthSpec::default().recording(7);
        let value: serde_json::Value = serde_json::from_str(&json(&recording).unwrap()).unwrap();
        let read: Vec<f32> = value["skeletons"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|frame| frame.as_array().unwrap())
            .flat_map(|joint| joint.as_array().unwrap())
            .map(|value| value.as_f64().unwrap() as f32)
            .collect();
        assert_eq!(read, recording.poses);
        assert_eq!(value["label"], 1);
    }

    #[test]
    fn action_codes_have_the_data_set_s_gaps() {
        let mut recording = SynthSpec::default().recording(0);
        recording.label = 6;
        assert_eq!(file_stem(&recording).unwrap(), "a08_s01_e00_v01");
        recording.label = 10;
        assert!(matches!(
            json(&recording),
            Err(NotUcla::Label { label: 10, .. })
        ));
    }
}
