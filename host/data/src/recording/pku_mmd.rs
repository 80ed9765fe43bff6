//! PKU-MMD: a text file a video, a line a frame; and a label file of the same name with its intervals.
//!
//! # Source
//! Liu et al., 2017. A line has 150 numbers: 2 bodies of 25 joints; some lines have more, which are not read. A label line
//! is `class,start,end,confidence`, all from 1, the end included. Every interval becomes the recording `VIDEO#N`.
//! `-L`, `-M`, `-R` in a video's name are the cameras 1, 2, 3; persons are not in the names, the splits list videos.
//! Class names are not in the files, so they are numbers here.

use super::number::{coordinate, count, text};
use super::{Clip, Fault, Format, Item, Problem, ReadError, Scan, Sink, files, raw, set_info};
use crate::split::Tags;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tendon_shared::topology::TopologyId;

/// Kinect v2 runs at 30 Hz.
const FPS: f32 = 30.0;
const JOINTS: usize = 25;
const BODIES: usize = 2;
const POSE: usize = BODIES * JOINTS * 3;
const CLASSES: u16 = 51;
/// Labelled intervals of a video; real ones have about twenty.
const MAX_INTERVALS: usize = 1000;
/// An interval may end this many frames behind the last one: some label files do.
const SLACK: usize = 10;

pub(super) fn scan(folder: &Path) -> Result<Scan, ReadError> {
    let (mut videos, mut labels) = (Vec::new(), HashMap::new());
    for path in files::find(folder, ".txt")? {
        let parent = path
            .parent()
            .and_then(Path::file_name)
            .map(|name| name.to_string_lossy().to_lowercase());
        let Some(name) = files::stem(&path, ".txt").map(str::to_owned) else {
            continue;
        };
        match parent.unwrap_or_default() {
            parent if parent.contains("label") => drop(labels.insert(name, path)),
            parent if parent.contains("skeleton") => videos.push((name, path)),
            _ => {}
        }
    }
    let mut items = Vec::new();
    let mut left_out = Vec::new();
    for (name, path) in videos {
        let Some(label) = labels.remove(&name) else {
            left_out.push(name);
            continue;
        };
        let recordings = read_intervals(&label)?.len();
        let tags = Tags {
            camera: camera(&name),
            setup: part(&name),
            ..Tags::default()
        };
        items.push(Item {
            path,
            companion: Some(label),
            name,
            tags,
            recordings,
        });
    }
    let classes = (1..=CLASSES)
        .map(|class| format!("action {class}"))
        .collect();
    let terms = "PKU-MMD: non-commercial research only, coordinates may not be passed on; cite Liu et al., 2017.";
    Ok(Scan {
        info: set_info(Format::PkuMmd, TopologyId::Ntu25, classes, terms),
        items,
        left_out,
    })
}

fn camera(name: &str) -> u16 {
    match name.rsplit_once('-').map(|(_, camera)| camera) {
        Some("L") => 1,
        Some("M") => 2,
        Some("R") => 3,
        _ => 0,
    }
}

/// Part I names videos by numbers, part II starts with a letter.
fn part(name: &str) -> u16 {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        1
    } else {
        2
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Interval {
    label: u16,
    /// The first frame, from 0.
    start: usize,
    /// Behind the last frame.
    end: usize,
}

fn read_intervals(path: &Path) -> Result<Vec<Interval>, ReadError> {
    files::read_file(path).and_then(|bytes| intervals(&bytes).map_err(|fault| fault.at(path)))
}

fn intervals(bytes: &[u8]) -> Result<Vec<Interval>, Fault> {
    let mut intervals = Vec::new();
    for (line, number) in text(bytes)?
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
    {
        let at = |problem| Fault::line(number, problem);
        let mut words = line.split(',').map(str::trim);
        let mut next = |expected| count(words.next().unwrap_or_default(), expected).map_err(at);
        let (class, start, end) = (
            next("a class")?,
            next("a first frame")?,
            next("a last frame")?,
        );
        let label = u16::try_from(class)
            .ok()
            .filter(|class| (1..=CLASSES).contains(class));
        let label = label.ok_or_else(|| {
            at(Problem::Malformed(format!(
                "class {class} is not in 1..={CLASSES}"
            )))
        })? - 1;
        if start == 0 || end < start || end > raw::MAX_FRAMES {
            return Err(at(Problem::Malformed(format!(
                "frames {start} to {end} are not an interval"
            ))));
        }
        if intervals.len() == MAX_INTERVALS {
            return Err(at(raw::too_large(
                "the number of intervals",
                MAX_INTERVALS + 1,
                MAX_INTERVALS,
            )));
        }
        intervals.push(Interval {
            label,
            start: start - 1,
            end,
        });
    }
    Ok(intervals)
}

/// All frames of a video, `[frame, body, joint, 3]`.
fn frames(bytes: &[u8]) -> Result<Vec<f32>, Fault> {
    let mut poses = Vec::new();
    for (line, number) in text(bytes)?
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
    {
        let at = |problem| Fault::line(number, problem);
        let start = poses.len();
        for word in line.split_ascii_whitespace().take(POSE) {
            poses.push(coordinate(word).map_err(at)?);
        }
        if poses.len() - start != POSE {
            return Err(at(Problem::JointCount {
                expected: BODIES * JOINTS,
                found: (poses.len() - start) / 3,
            }));
        }
        if poses.len() / POSE > raw::MAX_FRAMES {
            return Err(at(raw::too_large(
                "the number of frames",
                raw::MAX_FRAMES + 1,
                raw::MAX_FRAMES,
            )));
        }
    }
    if poses.is_empty() {
        Err(Fault::file(Problem::Empty))
    } else {
        Ok(poses)
    }
}

pub(super) fn read(item: &Item, sink: &mut Sink<'_>) {
    let label_path: PathBuf = item.companion.clone().unwrap_or_default();
    let video = files::read_file(&item.path)
        .and_then(|bytes| frames(&bytes).map_err(|fault| fault.at(&item.path)));
    let (video, intervals) = match (video, read_intervals(&label_path)) {
        (Ok(video), Ok(intervals)) => (video, intervals),
        (Err(error), _) | (_, Err(error)) => {
            // Nothing follows this error, so the answer does not matter.
            let _ = sink(Err(error));
            return;
        }
    };
    for (number, interval) in intervals.into_iter().enumerate() {
        let tags = Tags {
            label: interval.label,
            repetition: number as u16 + 1,
            ..item.tags
        };
        let name = format!("{}#{}", item.name, number + 1);
        let clip = cut(&video, interval).map(|clip| clip.named(name, tags));
        if sink(clip.map_err(|problem| Fault::line(number + 1, problem).at(&label_path))).is_break()
        {
            return;
        }
    }
}

/// The frames of an interval; a second body that is never there is dropped.
fn cut(video: &[f32], interval: Interval) -> Result<Clip, Problem> {
    let length = video.len() / POSE;
    if interval.start >= length || interval.end > length + SLACK {
        let (first, last) = (interval.start + 1, interval.end);
        return Err(Problem::Malformed(format!(
            "frames {first} to {last} are not all in the video, which has {length}"
        )));
    }
    let poses = &video[interval.start * POSE..interval.end.min(length) * POSE];
    let frames = poses.len() / POSE;
    let alone = poses
        .chunks_exact(POSE)
        .all(|pose| pose[POSE / 2..].iter().all(|value| *value == 0.0));
    let (poses, bodies) = match alone {
        true => (
            poses
                .chunks_exact(POSE)
                .flat_map(|pose| pose[..POSE / 2].iter().copied())
                .collect(),
            1,
        ),
        false => (poses.to_vec(), BODIES),
    };
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
    use crate::recording::{RawRecording, ScanOptions};
    use std::ops::ControlFlow;

    fn line(first: f32, second: f32) -> String {
        format!(
            "{}{} \n",
            format!("{first} ").repeat(75),
            format!("{second} ").repeat(75)
        )
    }

    fn run(video: &str, label: &str) -> Result<Vec<RawRecording>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("PKU_Skeleton_Renew", video),
            ("Train_Label_PKU_final", label),
        ] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("0002-L.txt"), text).unwrap();
        }
        let text = |error: ReadError| {
            error
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
        };
        let scan = Format::PkuMmd
            .scan(folder.path(), &ScanOptions::default())
            .map_err(text)?;
        let mut found = Vec::new();
        read(&scan.items[0], &mut |recording| {
            found.push(recording.map_err(text));
            ControlFlow::Continue(())
        });
        found.into_iter().collect()
    }

    #[test]
    fn every_labelled_interval_becomes_a_recording() {
        let video = line(1.0, 0.0) + &line(2.0, 0.0) + &line(3.0, 0.5) + &line(4.0, 0.0);
        let found = run(&video, "51,1,2,2\n\n3,2,3,1\n").unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|r| (r.name.as_str(), r.frames, r.bodies, r.label, r.camera))
            .collect();
        assert_eq!(shown, [("0002-L#1", 2, 1, 50, 1), ("0002-L#2", 2, 2, 2, 1)]);
        assert_eq!(
            (
                found[0].poses[0],
                found[0].poses[75],
                found[1].poses[0],
                found[1].poses[225]
            ),
            (1.0, 2.0, 2.0, 0.5)
        );
    }

    #[test]
    fn longer_lines_are_cut() {
        let video = format!("{} 7 8 9\n", line(1.0, 0.0).trim_end());
        assert_eq!(run(&video, "1,1,1,1").unwrap()[0].poses.len(), 75);
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        let check = |video: &str, label: &str, expect: &str| {
            assert_eq!(run(video, label).unwrap_err(), expect)
        };
        let good = line(1.0, 0.0);
        let (video, label) = (
            "PKU_Skeleton_Renew/0002-L.txt",
            "Train_Label_PKU_final/0002-L.txt",
        );
        check("", "1,1,1,1", &format!("{video}: {}", Problem::Empty));
        let short = good.clone() + &good[..20];
        check(
            &short,
            "1,1,1,1",
            &format!("{video}, line 2: 3 joints where 50 belong; is this the right format?"),
        );
        check(
            &good.replacen('1', "NaN", 1),
            "1,1,1,1",
            &format!("{video}, line 1: a coordinate is not a finite number"),
        );
        check(
            &good,
            "52,1,1,1",
            &format!("{label}, line 1: class 52 is not in 1..=51"),
        );
        check(
            &good,
            "1,0,1,1",
            &format!("{label}, line 1: frames 0 to 1 are not an interval"),
        );
        check(
            &good,
            "1,1,1,1\n1,5,6,1",
            &format!("{label}, line 2: frames 5 to 6 are not all in the video, which has 1"),
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, text in "[0-9., \n-]{0,200}") {
            let _ = frames(&bytes);
            let _ = intervals(&bytes);
            let _ = frames(text.as_bytes());
            if let (Ok(video), Ok(found)) = (frames(line(1.0, 2.0).as_bytes()), intervals(text.as_bytes())) {
                for interval in found {
                    let _ = cut(&video, interval);
                }
            }
        }
    }
}
