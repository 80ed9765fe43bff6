//! `[N, C, T, V, M]` in a `.npy` file and `(names, labels)` in a `.pkl` file, as ST-GCN and its descendants keep NTU.
//!
//! Names that follow NTU's pattern give persons, cameras and setups. Frames behind the last one with a body are padding
//! and are cut off. The array is read as a stream, one sample in memory at a time.

use super::npy::Npy;
use super::ntu_name::NtuName;
use super::{
    Clip, Fault, Format, Item, Problem, ReadError, Scan, Sink, files, ntu_skeleton, pickle, raw,
    set_info,
};
use crate::split::Tags;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tendon_shared::limits::MAX_BODIES;
use tendon_shared::topology::TopologyId;

/// All sets that are passed on in this form were recorded at 30 Hz.
pub(super) const FPS: f32 = 30.0;

pub(super) fn scan(path: &Path) -> Result<Scan, ReadError> {
    let fail = |fault: Fault| fault.at(path);
    let shape = open(path)?.shape;
    let (samples, layout) = layout(&shape).map_err(fail)?;
    let companion = companion(path).ok_or_else(|| {
        fail(Fault::file(Problem::NotFound {
            what: "the labels in NAME_label.pkl or NAME.pkl beside the array",
        }))
    })?;
    let labels = read_labels(&companion, samples)?;
    let ntu: Option<Vec<NtuName>> = labels
        .names
        .iter()
        .map(|name| NtuName::parse(name).ok())
        .collect();
    let highest = labels.labels.iter().copied().max().unwrap_or_default();
    let item = Item {
        path: path.to_path_buf(),
        companion: Some(companion),
        name: files::stem(path, ".npy").unwrap_or("array").to_owned(),
        tags: Tags::default(),
        recordings: samples,
    };
    let terms = "As the recordings that the array was made from.";
    let info = set_info(
        Format::NpyPkl,
        layout.topology,
        ntu_skeleton::class_names(highest, ntu.is_some()),
        terms,
    );
    Ok(Scan {
        info,
        items: vec![item],
        left_out: Vec::new(),
    })
}

/// Axes of a sample `[C, T, V, M]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    topology: TopologyId,
    frames: usize,
    bodies: usize,
}

fn open(path: &Path) -> Result<Npy<BufReader<File>>, ReadError> {
    let file = File::open(path).map_err(|error| Fault::from(error).at(path))?;
    Npy::open(BufReader::with_capacity(1 << 16, file)).map_err(|fault| fault.at(path))
}

fn layout(shape: &[usize]) -> Result<(usize, Layout), Fault> {
    let &[samples, 3, frames, joints, bodies] = shape else {
        return Err(Fault::file(Problem::Malformed(format!(
            "its shape is {shape:?}, not [N, 3, T, V, M]"
        ))));
    };
    let topology = TopologyId::ALL
        .into_iter()
        .find(|id| id.topology().joint_count() == joints);
    let topology = topology.ok_or_else(|| {
        Fault::file(Problem::JointCount {
            expected: 25,
            found: joints,
        })
    })?;
    if !(1..=MAX_BODIES).contains(&bodies) {
        return Err(Fault::file(raw::too_large(
            "the number of bodies",
            bodies,
            MAX_BODIES,
        )));
    }
    if frames > raw::MAX_FRAMES {
        return Err(Fault::file(raw::too_large(
            "the number of frames",
            frames,
            raw::MAX_FRAMES,
        )));
    }
    Ok((
        samples,
        Layout {
            topology,
            frames,
            bodies,
        },
    ))
}

/// `train_data.npy` has `train_label.pkl` (ST-GCN); otherwise the name stays.
fn companion(path: &Path) -> Option<PathBuf> {
    let stem = files::stem(path, ".npy")?;
    let base = ["_data_joint", "_data", "_position"]
        .iter()
        .find_map(|ending| stem.strip_suffix(ending))
        .unwrap_or(stem);
    let candidates = [format!("{base}_label.pkl"), format!("{stem}.pkl")];
    candidates
        .iter()
        .map(|name| path.with_file_name(name))
        .find(|path| path.is_file())
}

fn read_labels(path: &Path, samples: usize) -> Result<pickle::Labels, ReadError> {
    let labels = files::read_file(path)
        .and_then(|bytes| pickle::labels(&bytes).map_err(|fault| fault.at(path)))?;
    if labels.labels.len() != samples {
        let text = format!("{} labels for {samples} samples", labels.labels.len());
        return Err(Fault::file(Problem::Malformed(text)).at(path));
    }
    Ok(labels)
}

pub(super) fn read(item: &Item, sink: &mut Sink<'_>) {
    if let Err(error) = try_read(item, sink) {
        // Nothing follows this error, so the answer does not matter.
        let _ = sink(Err(error));
    }
}

fn try_read(item: &Item, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    let fail = |fault: Fault| fault.at(&item.path);
    let mut npy = open(&item.path)?;
    let (samples, layout) = layout(&npy.shape).map_err(fail)?;
    let companion = item.companion.as_deref().unwrap_or(&item.path);
    let labels = read_labels(companion, samples)?;
    let Layout {
        topology,
        frames,
        bodies,
    } = layout;
    let joints = topology.topology().joint_count();
    let mut values = vec![0.0; 3 * frames * joints * bodies];
    for (number, (name, label)) in labels.names.iter().zip(labels.labels).enumerate() {
        npy.read(&mut values).map_err(fail)?;
        let mut poses = vec![0.0; values.len()];
        for (at, &value) in values.iter().enumerate() {
            let (body, at) = (at % bodies, at / bodies);
            let (joint, at) = (at % joints, at / joints);
            let (frame, axis) = (at % frames, at / frames);
            poses[((frame * bodies + body) * joints + joint) * 3 + axis] = value;
        }
        let name = name.strip_suffix(".skeleton").unwrap_or(name);
        let tags = NtuName::parse(name)
            .map(ntu_skeleton::tags)
            .unwrap_or_default();
        let clip = trim(poses, bodies, bodies * joints * 3, number);
        let recording = clip
            .map(|clip| clip.named(name.to_owned(), Tags { label, ..tags }))
            .map_err(fail);
        if sink(recording).is_break() {
            break;
        }
    }
    Ok(())
}

/// Cuts the padding off; a pose has `pose` numbers.
pub(super) fn trim(
    mut poses: Vec<f32>,
    bodies: usize,
    pose: usize,
    sample: usize,
) -> Result<Clip, Fault> {
    let at = |problem| Fault::sample(sample + 1, problem);
    if poses.iter().any(|value| !value.is_finite()) {
        return Err(at(Problem::NonFinite));
    }
    let last = poses
        .iter()
        .rposition(|value| *value != 0.0)
        .ok_or_else(|| at(Problem::Empty))?;
    let frames = last / pose + 1;
    poses.truncate(frames * pose);
    Ok(Clip {
        poses,
        frames,
        bodies,
        fps: FPS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::RawRecording;
    use std::ops::ControlFlow;

    const DATA: &[u8] = include_bytes!("fixtures/tiny_data.npy");
    const LABEL: &[u8] = include_bytes!("fixtures/tiny_label_4.pkl");

    fn run(data: &[u8], label: &[u8]) -> Result<(Scan, Vec<Result<RawRecording, String>>), String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny_data.npy");
        std::fs::write(&path, data).unwrap();
        std::fs::write(folder.path().join("tiny_label.pkl"), label).unwrap();
        let text = |error: ReadError| {
            error
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
        };
        let scan = scan(&path).map_err(text)?;
        let mut found = Vec::new();
        read(&scan.items[0], &mut |recording| {
            found.push(recording.map_err(text));
            ControlFlow::Continue(())
        });
        Ok((scan, found))
    }

    #[test]
    fn axes_are_turned_and_padding_is_cut() {
        let (scan, found) = run(DATA, LABEL).unwrap();
        assert_eq!(
            (
                scan.info.topology,
                scan.info.classes.len(),
                scan.items[0].recordings
            ),
            (TopologyId::Ntu25, 60, 2)
        );
        let first = found[0].as_ref().unwrap();
        assert_eq!(
            (first.name.as_str(), first.frames, first.bodies),
            ("S001C002P003R002A013", 4, 2)
        );
        let tags = (
            first.subject,
            first.camera,
            first.setup,
            first.repetition,
            first.label,
        );
        assert_eq!(tags, (3, 2, 1, 2, 12));
        // Frame 2, body 1, joint 7, axis 1: 1 + 0.1 + 0.02 + 0.007 + 5.
        assert!((first.poses[((2 * 2 + 1) * 25 + 7) * 3 + 1] - 6.127).abs() < 1e-5);
        assert_eq!(found[1].as_ref().unwrap().frames, 3);
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        let check = |data: &[u8], label: &[u8], expect: &str| {
            let found = run(data, label)
                .map(|(_, found)| found.into_iter().find_map(Result::err).unwrap_or_default());
            let error = found.unwrap_or_else(|error| error);
            assert_eq!(error, expect);
        };
        check(
            &DATA[..DATA.len() - 4],
            LABEL,
            "tiny_data.npy, byte 2528: it ends too early: the rest of the array expected; copy the file again",
        );
        let three = b"\x80\x02](U\x01aU\x01bU\x01ce](K\x01K\x01K\x01e\x86.";
        check(DATA, three, "tiny_label.pkl: 3 labels for 2 samples");
        let mut nan = DATA.to_vec();
        let end = nan.len();
        nan[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        check(
            &nan,
            LABEL,
            "tiny_data.npy, sample 2: a coordinate is not a finite number",
        );
        nan[128 + 2400..].fill(0);
        check(
            &nan,
            LABEL,
            "tiny_data.npy, sample 2: it holds no frame of any body",
        );
        let text = String::from_utf8_lossy(&DATA[10..128]).replace("25", "24");
        let joints = [&DATA[..10], text.as_bytes(), &DATA[128..]].concat();
        check(
            &joints,
            LABEL,
            "tiny_data.npy: 24 joints where 25 belong; is this the right format?",
        );
        check(
            b"",
            LABEL,
            "tiny_data.npy, byte 0: it ends too early: the rest of the array expected; copy the file again",
        );
    }
}
