//! Kinder-Gator: `POSE-pNNN_NN-Motion-name-NNN.csv`, a line a frame: milliseconds, then 20 joints in metres.
//!
//! # Source
//! Aloba et al., Eurographics 2018. The class is the motion's name: the two digits before it only say in which order that
//! person performed it. Some frames carry the time of the frame before; poses differ, so every frame is kept, in file
//! order, and the frame rate is that of the whole recording.

use super::number::{coordinate, leading, not_a, text};
use super::{Clip, Fault, Format, Problem, ReadError, Scan, files, scan_files, set_info};
use crate::split::Tags;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tendon_shared::topology::TopologyId;

const JOINTS: usize = 20;

/// Column names of the joints, in the order of [`TopologyId::Kinect20`].
const COLUMNS: [&str; JOINTS] = [
    "HipCenter",
    "Spine",
    "ShoulderCenter",
    "Head",
    "ShoulderLeft",
    "ElbowLeft",
    "WristLeft",
    "HandLeft",
    "ShoulderRight",
    "ElbowRight",
    "WristRight",
    "HandRight",
    "HipLeft",
    "KneeLeft",
    "AnkleLeft",
    "FootLeft",
    "HipRight",
    "KneeRight",
    "AnkleRight",
    "FootRight",
];

const PATTERN: &str = "POSE-pNNN_NN-Motion-name-NNN.csv";

pub(super) fn scan(folder: &Path) -> Result<Scan, ReadError> {
    let mut paths = Vec::new();
    let mut motions = BTreeSet::new();
    for path in files::find(folder, ".csv")? {
        let name = files::stem(&path, ".csv").unwrap_or_default();
        if !name.starts_with("POSE-") {
            continue;
        }
        let parts =
            parts(name).ok_or_else(|| Fault::file(Problem::Name { pattern: PATTERN }).at(&path))?;
        motions.insert(parts.motion);
        paths.push(path);
    }
    let classes: Vec<String> = motions.into_iter().collect();
    let labels: BTreeMap<String, u16> = classes.iter().cloned().zip(0_u16..).collect();
    let terms = "Kinder-Gator: for research; cite Aloba et al., Eurographics 2018.";
    scan_files(
        |_| set_info(Format::KinderGatorCsv, TopologyId::Kinect20, classes, terms),
        paths,
        |path| {
            let name = files::stem(path, ".csv").unwrap_or_default();
            Ok(parts(name).map(|parts| {
                let label = labels[&parts.motion];
                (
                    name.to_owned(),
                    Tags {
                        subject: parts.person,
                        camera: 1,
                        setup: 0,
                        repetition: parts.order,
                        label,
                    },
                )
            }))
        },
    )
}

struct Parts {
    person: u16,
    /// Place in that person's session.
    order: u16,
    /// Lower-case words.
    motion: String,
}

fn parts(name: &str) -> Option<Parts> {
    let (person, rest) = leading(name.strip_prefix("POSE-p")?)?;
    let (order, rest) = leading(rest.strip_prefix('_')?)?;
    let (words, time) = rest.strip_prefix('-')?.rsplit_once('-')?;
    let words: Vec<&str> = words.split('-').filter(|word| !word.is_empty()).collect();
    let valid =
        !words.is_empty() && !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| Parts {
        person,
        order,
        motion: words.join(" ").to_lowercase(),
    })
}

pub(super) fn parse(bytes: &[u8]) -> Result<Clip, Fault> {
    let mut lines = text(bytes)?.lines().zip(1..);
    let header = lines.next().map(|(line, _)| line).unwrap_or_default();
    check_header(header)?;
    let mut poses = Vec::new();
    let (mut first, mut last) = (None, 0.0_f64);
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let at = |problem| Fault::line(number, problem);
        let mut words = line.split(',').map(str::trim);
        let time = words.next().unwrap_or_default();
        let time: f64 = time
            .parse()
            .map_err(|_| at(not_a("a time in milliseconds", time)))?;
        if !time.is_finite() {
            return Err(at(Problem::NonFinite));
        }
        first.get_or_insert(time);
        last = last.max(time);
        let start = poses.len();
        for word in words.by_ref().take(JOINTS * 3) {
            poses.push(coordinate(word).map_err(at)?);
        }
        let found = (poses.len() - start) / 3;
        if poses.len() - start != JOINTS * 3 {
            return Err(at(Problem::JointCount {
                expected: JOINTS,
                found,
            }));
        }
    }
    let frames = poses.len() / (JOINTS * 3);
    let Some(first) = first else {
        return Err(Fault::file(Problem::Empty));
    };
    let seconds = (last - first) / 1000.0;
    if frames < 2 || seconds <= 0.0 {
        return Err(Fault::file(Problem::malformed(
            "its times do not advance, so it has no frame rate",
        )));
    }
    Ok(Clip {
        poses,
        frames,
        bodies: 1,
        fps: ((frames - 1) as f64 / seconds) as f32,
    })
}

/// The joints are where their names are; another order would go unnoticed.
fn check_header(header: &str) -> Result<(), Fault> {
    let at = |problem| Fault::line(1, problem);
    let mut words = header.split(',').map(str::trim);
    if words.next() != Some("Timestamp") {
        return Err(at(Problem::malformed(
            "the first column is not Timestamp: is this the right format?",
        )));
    }
    let joints: Vec<&str> = words.filter_map(|word| word.strip_suffix('X')).collect();
    if joints.len() != JOINTS {
        return Err(at(Problem::JointCount {
            expected: JOINTS,
            found: joints.len(),
        }));
    }
    match joints
        .iter()
        .zip(COLUMNS)
        .find(|(found, expected)| *found != expected)
    {
        Some((found, expected)) => Err(at(Problem::malformed(format!(
            "column {found:?} stands where {expected:?} belongs"
        )))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> String {
        let columns: String = COLUMNS
            .iter()
            .map(|name| format!("{name}X,{name}Y,{name}Z,"))
            .collect();
        format!("Timestamp,{columns}User-ID,Action,\r\n")
    }

    fn line(time: &str, value: &str, values: usize) -> String {
        format!("{time},{}565,Bow,\r\n", format!("{value},").repeat(values))
    }

    fn check(lines: &[String], expect: Result<(usize, f32), Fault>) {
        let input = header() + &lines.concat();
        assert_eq!(
            parse(input.as_bytes()).map(|clip| (clip.frames, clip.fps)),
            expect,
            "{input}"
        );
    }

    #[test]
    fn frames_keep_their_order_and_the_rate_is_that_of_the_whole() {
        // Three steps in 100 ms although the second time is repeated.
        let good: Vec<String> = ["100.5", "130.5", "130.5", "200.5"]
            .map(|time| line(time, "0.25", 60))
            .into();
        check(&good, Ok((4, 30.0)));
        let clip =
            parse((header() + &line("0", "1.5", 60) + &line("50", "-2", 60)).as_bytes()).unwrap();
        assert_eq!((clip.poses[0], clip.poses[60], clip.bodies), (1.5, -2.0, 1));
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        let good = || line("100", "0.25", 60);
        check(&[], Err(Fault::file(Problem::Empty)));
        check(
            &[good()],
            Err(Fault::file(Problem::malformed(
                "its times do not advance, so it has no frame rate",
            ))),
        );
        check(
            &[good(), line("x", "1", 60)],
            Err(Fault::line(3, not_a("a time in milliseconds", "x"))),
        );
        check(
            &[good(), line("130", "nan", 60)],
            Err(Fault::line(3, Problem::NonFinite)),
        );
        check(
            &[good(), line("130", "1,a", 59)],
            Err(Fault::line(3, not_a("a coordinate", "a"))),
        );
        let cut = "130,1,2,3,4\n".to_owned();
        check(
            &[good(), cut],
            Err(Fault::line(
                3,
                Problem::JointCount {
                    expected: 20,
                    found: 1,
                },
            )),
        );
        let error = parse(header().replace("HeadX,HeadY,HeadZ,", "").as_bytes()).unwrap_err();
        assert_eq!(
            error,
            Fault::line(
                1,
                Problem::JointCount {
                    expected: 20,
                    found: 19
                }
            )
        );
        let swapped = parse(header().replace("HeadX", "NeckX").as_bytes()).unwrap_err();
        assert_eq!(
            swapped,
            Fault::line(
                1,
                Problem::malformed("column \"Neck\" stands where \"Head\" belongs")
            )
        );
        assert!(parse(b"").is_err());
    }

    #[test]
    fn the_motion_is_the_class_not_its_number() {
        let check = |name: &str, expect: Option<(u16, u16, &str)>| {
            let parts = parts(name).map(|parts| (parts.person, parts.order, parts.motion));
            assert_eq!(
                parts,
                expect.map(|(person, order, motion)| (person, order, motion.to_owned())),
                "{name}"
            );
        };
        check(
            "POSE-p970_34-Throw-a-ball--1455123020773",
            Some((970, 34, "throw a ball")),
        );
        check(
            "POSE-p565_01-Raise-your-hand-1469182402284",
            Some((565, 1, "raise your hand")),
        );
        check("POSE-p565_01-1469182402284", None);
        check("POSE-p565-Bow-1", None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, text in "[0-9.,e\nna-]{0,200}") {
            let _ = parse(&bytes);
            let _ = parse(format!("{}{text}", header()).as_bytes());
            let _ = parts(&text);
        }
    }
}
