//! Writes a recording as an NTU RGB+D `.skeleton` text file.
//!
//! For fixtures: what is not generated (hand states, pixel positions, orientations) is written as zeros.

use crate::recording::RawRecording;
use std::fmt::Write as _;

/// Joints of a body in this format.
const JOINTS: usize = 25;

/// The recording is not one of `ntu25` skeletons.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name}: .skeleton files hold skeletons of {JOINTS} joints; generate with topology ntu25")]
pub struct NotNtu {
    name: String,
}

/// The file's name for a recording, such as `S001C002P003R001A004.skeleton`.
#[must_use]
pub fn file_name(recording: &RawRecording) -> String {
    format!(
        "S{:03}C{:03}P{:03}R{:03}A{:03}.skeleton",
        recording.setup,
        recording.camera,
        recording.subject,
        recording.repetition,
        recording.label + 1
    )
}

/// The file's text. An absent body (all zeros) is left out of its frame, so a frame may have none.
///
/// # Errors
/// [`NotNtu`] for any other topology.
pub fn text(recording: &RawRecording) -> Result<String, NotNtu> {
    let body_len = JOINTS * 3;
    if recording.poses.len() != recording.frames * recording.bodies * body_len
        || recording.bodies == 0
    {
        return Err(NotNtu {
            name: recording.name.clone(),
        });
    }
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{}", recording.frames);
    for frame in recording.poses.chunks_exact(recording.bodies * body_len) {
        let present = |body: &&[f32]| body.iter().any(|value| *value != 0.0);
        let _ = writeln!(
            out,
            "{}",
            frame.chunks_exact(body_len).filter(present).count()
        );
        for (number, body) in frame
            .chunks_exact(body_len)
            .enumerate()
            .filter(|(_, body)| present(body))
        {
            // Seventeen digits, as in the original: they do not survive being read as floating point.
            let id = 72_057_594_037_930_000 + u64::from(recording.subject) * 16 + number as u64;
            let _ = writeln!(out, "{id} 0 1 1 1 1 0 0 0 2\n{JOINTS}");
            for joint in body.chunks_exact(3) {
                let _ = writeln!(
                    out,
                    "{} {} {} 0 0 0 0 0 0 0 0 2",
                    joint[0], joint[1], joint[2]
                );
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::SynthSpec;
    use tendon_shared::topology::TopologyId;

    #[test]
    fn an_empty_frame_keeps_its_place_and_has_no_body() {
        let spec = SynthSpec {
            topology: TopologyId::Ntu25,
            ..SynthSpec::default()
        };
        let mut recording = spec.recording(0);
        recording.poses.truncate(3 * 75);
        recording.frames = 3;
        recording.poses[75..150].fill(0.0);
        let text = text(&recording).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[1], lines[3]), ("3", "1", "25"));
        assert_eq!((lines[29], lines[30]), ("0", "1"));
        assert_eq!(lines.len(), 1 + 28 + 1 + 28);
    }

    #[test]
    fn names_follow_the_data_set() {
        let spec = SynthSpec {
            topology: TopologyId::Ntu25,
            ..SynthSpec::default()
        };
        assert_eq!(
            file_name(&spec.recording(1)),
            "S001C002P001R001A001.skeleton"
        );
    }

    #[test]
    fn refuses_other_topologies() {
        assert!(text(&SynthSpec::default().recording(0)).is_err());
    }
}
