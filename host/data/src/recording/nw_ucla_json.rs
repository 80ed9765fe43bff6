//! Northwestern-UCLA Multiview 3D: `aAA_sSS_eEE_vVV.json` with `skeletons` `[T][20][3]` in metres.
//!
//! # Source
//! Wang et al., CVPR 2014; the JSON form is the one that CTR-GCN's users pass on. A file's own `label` (1..=10) must
//! agree with the action in its name.

use super::number::leading;
use super::{
    Clip, Fault, Format, Place, Problem, ReadError, Scan, files, names, scan_files, set_info,
};
use crate::split::Tags;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use std::path::Path;
use tendon_shared::topology::TopologyId;

/// Kinect v1 runs at 30 Hz.
const FPS: f32 = 30.0;

/// Action codes in the order of the labels, and their names.
const CLASSES: [(u16, &str); 10] = [
    (1, "pick up with one hand"),
    (2, "pick up with two hands"),
    (3, "drop trash"),
    (4, "walk around"),
    (5, "sit down"),
    (6, "stand up"),
    (8, "donning"),
    (9, "doffing"),
    (11, "throw"),
    (12, "carry"),
];

const PATTERN: &str = "aAA_sSS_eEE_vVV.json with one of the actions 1-6, 8, 9, 11, 12";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    file_name: Option<String>,
    skeletons: Skeletons,
    #[serde(default)]
    label: Option<u16>,
}

pub(super) fn scan(folder: &Path) -> Result<Scan, ReadError> {
    let classes = names(&CLASSES.map(|(_, name)| name));
    let info = set_info(
        Format::NwUclaJson,
        TopologyId::Kinect20,
        classes,
        "Northwestern-UCLA Multiview 3D: for research; cite Wang, Nie, Xia, Wu, Zhu, CVPR 2014.",
    );
    scan_files(
        |_| info,
        files::find(folder, ".json")?,
        |path| {
            let name = files::stem(path, ".json").unwrap_or_default();
            match tags(name) {
                Some(tags) => Ok(Some((name.to_owned(), tags))),
                None if name.starts_with('a') => {
                    Err(Fault::file(Problem::Name { pattern: PATTERN }).at(path))
                }
                None => Ok(None),
            }
        },
    )
}

fn tags(name: &str) -> Option<Tags> {
    let (action, rest) = leading(name.strip_prefix('a')?)?;
    let (subject, rest) = leading(rest.strip_prefix("_s")?)?;
    let (repetition, rest) = leading(rest.strip_prefix("_e")?)?;
    let (camera, rest) = leading(rest.strip_prefix("_v")?)?;
    let label = CLASSES.iter().position(|(code, _)| *code == action)? as u16;
    rest.is_empty().then_some(Tags {
        subject,
        camera,
        setup: 0,
        repetition,
        label,
    })
}

pub(super) fn parse(bytes: &[u8]) -> Result<Clip, Fault> {
    let file: File = serde_json::from_slice(bytes).map_err(|error| fault(bytes, &error))?;
    let named = file
        .file_name
        .as_deref()
        .and_then(tags)
        .map(|tags| tags.label + 1);
    if let (Some(label), Some(named)) = (file.label, named)
        && label != named
    {
        let text = format!("its label is {label}, its name says {named}");
        return Err(Fault::file(Problem::Malformed(text)));
    }
    let Skeletons {
        poses,
        frames,
        wrong,
    } = file.skeletons;
    if let Some((frame, problem)) = wrong {
        return Err(Fault::frame(frame, problem));
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

/// `[T][20][3]`, put flat while it is read: lists of lists of lists take twice as long.
#[derive(Default)]
struct Skeletons {
    poses: Vec<f32>,
    frames: usize,
    /// The first frame, counted from 1, that breaks a rule.
    wrong: Option<(usize, Problem)>,
}

impl Skeletons {
    fn note(&mut self, problem: Problem) {
        self.wrong.get_or_insert((self.frames, problem));
    }
}

impl<'de> Deserialize<'de> for Skeletons {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Skeletons;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of frames")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut frames: A) -> Result<Skeletons, A::Error> {
                let mut all = Skeletons::default();
                loop {
                    all.frames += 1;
                    if frames.next_element_seed(Frame(&mut all))?.is_none() {
                        all.frames -= 1;
                        return Ok(all);
                    }
                }
            }
        }
        deserializer.deserialize_seq(All)
    }
}

/// Reads one frame.
struct Frame<'a>(&'a mut Skeletons);

impl<'de> DeserializeSeed<'de> for Frame<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Frame<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of joints")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut joints: A) -> Result<(), A::Error> {
        let (expected, mut found) = (TopologyId::Kinect20.topology().joint_count(), 0);
        while joints.next_element_seed(Joint(self.0))?.is_some() {
            found += 1;
        }
        if found != expected {
            self.0.note(Problem::JointCount { expected, found });
        }
        Ok(())
    }
}

/// Reads one joint.
struct Joint<'a>(&'a mut Skeletons);

impl<'de> DeserializeSeed<'de> for Joint<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Joint<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of three coordinates")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut coordinates: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(value) = coordinates.next_element::<f64>()? {
            let value = value as f32;
            if !value.is_finite() {
                self.0.note(Problem::NonFinite);
            }
            // A joint that has too many is refused, so what is kept of it does not matter.
            if count < 3 {
                self.0.poses.push(value);
            }
            count += 1;
        }
        if count != 3 {
            self.0.note(Problem::malformed(format!(
                "a joint has {count} coordinates, not 3"
            )));
        }
        Ok(())
    }
}

/// Python writes NaN and Infinity, which JSON does not know: they get their own problem.
fn fault(bytes: &[u8], error: &serde_json::Error) -> Fault {
    let line_start = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    let offset = line_start + error.column().saturating_sub(1);
    let place = Place::Byte(offset as u64);
    let near = bytes
        .get(offset.saturating_sub(2)..bytes.len().min(offset + 9))
        .unwrap_or_default();
    if near.windows(3).any(|word| word == b"NaN" || word == b"Inf") {
        return Fault {
            place,
            problem: Problem::NonFinite,
        };
    }
    if error.is_eof() {
        return Fault {
            place,
            problem: Problem::Truncated {
                expected: "the rest of the JSON text",
            },
        };
    }
    Fault {
        place,
        problem: Problem::malformed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expect: Result<usize, Fault>) {
        assert_eq!(
            parse(input.as_bytes()).map(|clip| clip.frames),
            expect,
            "{input}"
        );
    }

    fn file(frames: &[&str]) -> String {
        format!(
            r#"{{"file_name": "a08_s02_e01_v02", "skeletons": [{}], "label": 7}}"#,
            frames.join(",")
        )
    }

    fn frame(joint: &str, count: usize) -> String {
        format!("[{}]", vec![joint; count].join(","))
    }

    #[test]
    fn reads_every_frame_and_joint() {
        let good = frame("[0.5, -1, 2]", 20);
        let clip = parse(file(&[&good, &good]).as_bytes()).unwrap();
        assert_eq!((clip.frames, clip.bodies, clip.poses.len()), (2, 1, 120));
        assert_eq!(clip.poses[117..], [0.5, -1.0, 2.0]);
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        let good = frame("[0.5, -1, 2]", 20);
        check(
            "",
            Err(Fault::byte(
                0,
                Problem::Truncated {
                    expected: "the rest of the JSON text",
                },
            )),
        );
        check(&file(&[]), Err(Fault::file(Problem::Empty)));
        check(
            &file(&[&good, &frame("[1,2,3]", 19)]),
            Err(Fault::frame(
                2,
                Problem::JointCount {
                    expected: 20,
                    found: 19,
                },
            )),
        );
        check(
            &file(&[&frame("[1,2]", 20)]),
            Err(Fault::frame(
                1,
                Problem::malformed("a joint has 2 coordinates, not 3"),
            )),
        );
        check(
            &file(&[&good, &frame("[1e39,2,3]", 20)]),
            Err(Fault::frame(2, Problem::NonFinite)),
        );
        let whole = file(&[&good]);
        let cut = &whole[..100];
        check(
            cut,
            Err(Fault::byte(
                99,
                Problem::Truncated {
                    expected: "the rest of the JSON text",
                },
            )),
        );
        let nan = parse(file(&[&frame("[NaN,2,3]", 20)]).as_bytes()).unwrap_err();
        assert_eq!(nan.problem, Problem::NonFinite);
        let label = whole.replace("\"label\": 7", "\"label\": 8");
        check(
            &label,
            Err(Fault::file(Problem::malformed(
                "its label is 8, its name says 7",
            ))),
        );
    }

    #[test]
    fn the_name_holds_the_tags() {
        let expect = Tags {
            subject: 10,
            camera: 2,
            setup: 0,
            repetition: 4,
            label: 9,
        };
        assert_eq!(tags("a12_s10_e04_v02"), Some(expect));
        for foreign in ["a07_s01_e00_v01", "a01_s01_e00_v01x", "b01", "a01_s01"] {
            assert_eq!(tags(foreign), None, "{foreign}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, text in "[\\[\\]{}:,\"a-z0-9.NIe-]{0,80}") {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
            let _ = parse(format!("{{\"skeletons\":{text}").as_bytes());
            let _ = tags(&text);
        }
    }
}
