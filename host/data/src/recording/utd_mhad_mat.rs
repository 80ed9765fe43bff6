//! UTD-MHAD: `aA_sS_tT_skeleton.mat` with the MATLAB variable `d_skel` `[20, 3, T]` in metres.
//!
//! # Source
//! Chen, Jafari, Kehtarnavaz, ICIP 2015. Its joints stand in another order than the Kinect SDK's (head, shoulder centre,
//! spine, hip centre first); they are brought to [`TopologyId::Kinect20`] here.

use super::number::leading;
use super::{
    Clip, Fault, Format, Problem, ReadError, Scan, files, mat5, names, scan_files, set_info,
};
use crate::split::Tags;
use std::path::Path;
use tendon_shared::topology::TopologyId;

/// "About 30 frames per second", says its guide.
const FPS: f32 = 30.0;

const JOINTS: usize = 20;

/// `ORDER[j]` is the file's number of joint `j` of the Kinect SDK.
const ORDER: [usize; JOINTS] = [
    3, 2, 1, 0, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
];

const CLASSES: [&str; 27] = [
    "swipe left",
    "swipe right",
    "wave",
    "clap",
    "throw",
    "cross arms",
    "basketball shoot",
    "draw x",
    "draw circle clockwise",
    "draw circle counter-clockwise",
    "draw triangle",
    "bowling",
    "boxing",
    "baseball swing",
    "tennis swing",
    "arm curl",
    "tennis serve",
    "push",
    "knock",
    "catch",
    "pick up and throw",
    "jog",
    "walk",
    "sit to stand",
    "stand to sit",
    "lunge",
    "squat",
];

pub(super) fn scan(folder: &Path) -> Result<Scan, ReadError> {
    let info = set_info(
        Format::UtdMhadMat,
        TopologyId::Kinect20,
        names(&CLASSES),
        "UTD-MHAD: for research; cite Chen, Jafari, Kehtarnavaz, ICIP 2015.",
    );
    const ENDING: &str = "_skeleton.mat";
    scan_files(
        |_| info,
        files::find(folder, ENDING)?,
        |path| {
            let name = files::stem(path, ENDING).unwrap_or_default();
            let pattern = "aA_sS_tT_skeleton.mat with A in 1..=27";
            let tags = tags(name).ok_or_else(|| Fault::file(Problem::Name { pattern }).at(path))?;
            Ok(Some((name.to_owned(), tags)))
        },
    )
}

fn tags(name: &str) -> Option<Tags> {
    let (action, rest) = leading(name.strip_prefix('a')?)?;
    let (subject, rest) = leading(rest.strip_prefix("_s")?)?;
    let (repetition, rest) = leading(rest.strip_prefix("_t")?)?;
    let known = (1..=CLASSES.len()).contains(&usize::from(action));
    (known && rest.is_empty()).then(|| Tags {
        subject,
        camera: 1,
        setup: 0,
        repetition,
        label: action - 1,
    })
}

pub(super) fn parse(bytes: &[u8]) -> Result<Clip, Fault> {
    let array = mat5::array(bytes, "d_skel")?;
    let frames = match *array.shape.as_slice() {
        [JOINTS, 3] => 1,
        [JOINTS, 3, frames] => frames,
        [joints, 3] | [joints, 3, _] => {
            return Err(Fault::file(Problem::JointCount {
                expected: JOINTS,
                found: joints,
            }));
        }
        ref other => {
            return Err(Fault::file(Problem::malformed(format!(
                "d_skel has the shape {other:?}, not [20, 3, T]"
            ))));
        }
    };
    let mut poses = Vec::with_capacity(array.values.len());
    // MATLAB runs through the first index fastest.
    for (index, frame) in array.values.chunks_exact(JOINTS * 3).enumerate() {
        poses.extend(
            ORDER
                .iter()
                .flat_map(|&joint| [0, 1, 2].map(|axis| frame[axis * JOINTS + joint] as f32)),
        );
        if !poses[index * JOINTS * 3..]
            .iter()
            .all(|value| value.is_finite())
        {
            return Err(Fault::frame(index + 1, Problem::NonFinite));
        }
    }
    if frames == 0 {
        return Err(Fault::file(Problem::Empty));
    }
    Ok(Clip {
        poses,
        frames,
        bodies: 1,
        fps: FPS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by `fixtures/make.py`: 3 frames; joint j of the file at frame t is (j, t, j + t / 10).
    const TINY: &[u8] = include_bytes!("fixtures/a3_s2_t1_skeleton.mat");
    /// The same with 19 joints, with a NaN in frame 2, without frames, uncompressed, and with another variable.
    const NINETEEN: &[u8] = include_bytes!("fixtures/nineteen_joints.mat");
    const NAN: &[u8] = include_bytes!("fixtures/nan.mat");
    const NO_FRAMES: &[u8] = include_bytes!("fixtures/no_frames.mat");
    const PLAIN: &[u8] = include_bytes!("fixtures/plain.mat");
    const OTHER: &[u8] = include_bytes!("fixtures/other_variable.mat");

    fn check(input: &[u8], expect: Result<usize, Fault>) {
        assert_eq!(parse(input).map(|clip| clip.frames), expect);
    }

    #[test]
    fn joints_come_in_the_order_of_the_kinect() {
        let clip = parse(TINY).unwrap();
        assert_eq!((clip.frames, clip.bodies), (3, 1));
        // Frame 1, joint 0 (hip centre) is the file's joint 3; joint 3 (head) its joint 0; joint 19 stays.
        assert_eq!(clip.poses[60..63], [3.0, 1.0, 3.1]);
        assert_eq!(clip.poses[69..72], [0.0, 1.0, 0.1]);
        assert_eq!(clip.poses[117..120], [19.0, 1.0, 19.1]);
        assert_eq!(parse(PLAIN), Ok(clip));
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        check(
            NINETEEN,
            Err(Fault::file(Problem::JointCount {
                expected: 20,
                found: 19,
            })),
        );
        check(NAN, Err(Fault::frame(2, Problem::NonFinite)));
        check(NO_FRAMES, Err(Fault::file(Problem::Empty)));
        check(
            OTHER,
            Err(Fault::file(Problem::malformed(
                "it has no variable \"d_skel\"",
            ))),
        );
        check(
            b"",
            Err(Fault::byte(
                0,
                Problem::Truncated {
                    expected: "the 128 bytes of a MATLAB 5 header",
                },
            )),
        );
        assert!(matches!(
            parse(&TINY[..TINY.len() / 2]),
            Err(Fault {
                problem: Problem::Truncated { .. },
                ..
            })
        ));
        assert!(matches!(
            parse(&PLAIN[..PLAIN.len() / 2]),
            Err(Fault {
                problem: Problem::Truncated { .. },
                ..
            })
        ));
    }

    #[test]
    fn the_name_holds_the_tags() {
        let expect = Tags {
            subject: 8,
            camera: 1,
            setup: 0,
            repetition: 4,
            label: 26,
        };
        assert_eq!(tags("a27_s8_t4"), Some(expect));
        for foreign in ["a28_s1_t1", "a0_s1_t1", "a1_s1_t1b", "a1"] {
            assert_eq!(tags(foreign), None, "{foreign}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, changes in proptest::collection::vec((0_usize..4096, 0_u8..), 1..6)) {
            let _ = parse(&bytes);
            for fixture in [TINY, PLAIN] {
                let mut damaged = fixture.to_vec();
                for &(at, byte) in &changes {
                    let at = at % damaged.len();
                    damaged[at] = byte;
                }
                let _ = parse(&damaged);
            }
        }
    }
}
