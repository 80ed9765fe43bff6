//! SBU Kinect Interaction: `sAAsBB/CC/TTT/skeleton_pos.txt`, a line a frame: its number, then 2 bodies of 15 joints.
//!
//! # Source
//! Yun et al., CVPR workshops 2012. Its guide gives the way back from the normalised coordinates: `X = 1280 - 2560 x`,
//! `Y = 960 - 1920 y`, `Z = z * 10000 / 7.8125`. The results have the size of millimetres; a thousandth of them is what is
//! stored here. The subject is the pair: 102 for s01s02, who acts first.

use super::number::{coordinate, count, leading, text};
use super::{
    Clip, Fault, Format, Problem, ReadError, Scan, files, names, raw, scan_files, set_info,
};
use crate::split::Tags;
use std::path::Path;
use tendon_shared::topology::TopologyId;

/// Stated in its guide.
const FPS: f32 = 15.0;

const BODIES: usize = 2;
const JOINTS: usize = 15;

const CLASSES: [&str; 8] = [
    "approaching",
    "departing",
    "kicking",
    "pushing",
    "shaking hands",
    "hugging",
    "exchanging objects",
    "punching",
];

pub(super) fn scan(folder: &Path) -> Result<Scan, ReadError> {
    let info = set_info(
        Format::SbuText,
        TopologyId::Sbu15,
        names(&CLASSES),
        "SBU Kinect Interaction: for research; cite Yun et al., CVPR workshops 2012.",
    );
    scan_files(
        |_| info,
        files::find(folder, "skeleton_pos.txt")?,
        |path| {
            let pattern = "sAAsBB/CC/TTT/skeleton_pos.txt with CC in 01..=08";
            tags(path)
                .map(Some)
                .ok_or_else(|| Fault::file(Problem::Name { pattern }).at(path))
        },
    )
}

fn tags(path: &Path) -> Option<(String, Tags)> {
    let mut folders = path
        .ancestors()
        .skip(1)
        .map(|folder| folder.file_name().and_then(|name| name.to_str()));
    let (take, class, pair) = (folders.next()??, folders.next()??, folders.next()??);
    let (first, rest) = leading(pair.strip_prefix('s')?)?;
    let (second, rest) = leading(rest.strip_prefix('s')?)?;
    let number = |word: &str| {
        leading(word)
            .filter(|(_, rest)| rest.is_empty())
            .map(|(number, _)| number)
    };
    let (action, repetition) = (number(class)?, number(take)?);
    let known = rest.is_empty()
        && (1..=CLASSES.len()).contains(&usize::from(action))
        && first < 100
        && second < 100;
    let tags = || Tags {
        subject: first * 100 + second,
        camera: 1,
        setup: 0,
        repetition,
        label: action - 1,
    };
    known.then(|| (format!("{pair}/{class}/{take}"), tags()))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Clip, Fault> {
    let mut poses = Vec::new();
    for (line, number) in text(bytes)?
        .lines()
        .zip(1..)
        .filter(|(line, _)| !line.trim().is_empty())
    {
        let at = |problem| Fault::line(number, problem);
        let mut words = line.split(',').map(str::trim);
        count(words.next().unwrap_or_default(), "the number of a frame").map_err(at)?;
        let start = poses.len();
        for (word, axis) in words.zip([0, 1, 2].into_iter().cycle()) {
            if poses.len() - start == BODIES * JOINTS * 3 {
                let found = line.split(',').count() / 3;
                return Err(at(Problem::JointCount {
                    expected: BODIES * JOINTS,
                    found,
                }));
            }
            poses.push(metres(axis, coordinate(word).map_err(at)?));
        }
        if poses.len() - start != BODIES * JOINTS * 3 {
            return Err(at(Problem::JointCount {
                expected: BODIES * JOINTS,
                found: (poses.len() - start) / 3,
            }));
        }
        if poses.len() / (BODIES * JOINTS * 3) > raw::MAX_FRAMES {
            return Err(at(raw::too_large(
                "the number of frames",
                raw::MAX_FRAMES + 1,
                raw::MAX_FRAMES,
            )));
        }
    }
    let frames = poses.len() / (BODIES * JOINTS * 3);
    if frames == 0 {
        return Err(Fault::file(Problem::Empty));
    }
    Ok(Clip {
        poses,
        frames,
        bodies: BODIES,
        fps: FPS,
    })
}

fn metres(axis: usize, value: f32) -> f32 {
    match axis {
        0 => (1280.0 - 2560.0 * value) / 1000.0,
        1 => (960.0 - 1920.0 * value) / 1000.0,
        _ => value * 10.0 / 7.8125,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize, value: &str, values: usize) -> String {
        format!("{number}{}\r\n", format!(",{value}").repeat(values))
    }

    fn check(input: &str, expect: Result<usize, Fault>) {
        assert_eq!(
            parse(input.as_bytes()).map(|clip| clip.frames),
            expect,
            "{input}"
        );
    }

    #[test]
    fn coordinates_become_metres() {
        let clip = parse(format!("180,0.75,0.25,1.5625{}", ",0.5".repeat(87)).as_bytes()).unwrap();
        assert_eq!((clip.frames, clip.bodies, clip.poses.len()), (1, 2, 90));
        // X = 1280 - 1920, Y = 960 - 480, Z = 1.5625 * 1280, in thousandths.
        assert_eq!(clip.poses[..3], [-0.64, 0.48, 2.0]);
        assert_eq!(clip.poses[87..], [0.0, 0.0, 0.64]);
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        let good = line(1, "0.5", 90);
        check(&(good.clone() + &line(2, "0.5", 90)), Ok(2));
        check("", Err(Fault::file(Problem::Empty)));
        check(
            &(good.clone() + &line(2, "0.5", 87)),
            Err(Fault::line(
                2,
                Problem::JointCount {
                    expected: 30,
                    found: 29,
                },
            )),
        );
        check(
            &(good.clone() + &line(2, "0.5", 93)),
            Err(Fault::line(
                2,
                Problem::JointCount {
                    expected: 30,
                    found: 31,
                },
            )),
        );
        check(
            &(good.clone() + &line(2, "NaN", 90)),
            Err(Fault::line(2, Problem::NonFinite)),
        );
        check(
            &(good.clone() + &good[..20]),
            Err(Fault::line(
                2,
                Problem::JointCount {
                    expected: 30,
                    found: 1,
                },
            )),
        );
        assert!(matches!(
            parse(b"a,1,2"),
            Err(Fault {
                problem: Problem::NotANumber { .. },
                ..
            })
        ));
        assert!(parse(&[0xff, 0xfe]).is_err());
    }

    #[test]
    fn the_folders_hold_the_tags() {
        let (name, found) = tags(Path::new("x/s03s05/07/002/skeleton_pos.txt")).unwrap();
        assert_eq!(name, "s03s05/07/002");
        assert_eq!(
            found,
            Tags {
                subject: 305,
                camera: 1,
                setup: 0,
                repetition: 2,
                label: 6
            }
        );
        for foreign in [
            "skeleton_pos.txt",
            "s03s05/09/002/skeleton_pos.txt",
            "s03/01/001/skeleton_pos.txt",
        ] {
            assert_eq!(tags(Path::new(foreign)), None, "{foreign}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, text in "[0-9.,e\nN-]{0,200}") {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
