//! NTU RGB+D 60 and 120: `SsssCcccPpppRrrrAaaa.skeleton`, text with every joint of every body of every frame.
//!
//! # Source
//! Shahroudy et al., CVPR 2016; Liu et al., TPAMI 2019. Words are separated by spaces or lines: frames; then for each
//! frame the bodies, and for each body its id, nine values, the number of joints (25) and twelve values a joint, of which
//! the first three are metres. A coordinate that is no number (damaged captures have `-1.#IND`) makes its joint absent.

use super::ntu_bodies::{Track, choose};
use super::ntu_name::NtuName;
use super::number::{not_a, text};
use super::{
    Clip, Fault, Format, Item, Problem, ReadError, Scan, ScanOptions, files, names, raw,
    scan_files, set_info,
};
use crate::split::Tags;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use tendon_shared::topology::TopologyId;

/// Kinect v2 runs at 30 Hz.
const FPS: f32 = 30.0;
const JOINTS: usize = 25;
/// Values of a joint after x, y and z: depth and colour pixels, orientation, tracking state.
const MORE_OF_A_JOINT: usize = 9;
/// Values of a body after its id.
const MORE_OF_A_BODY: usize = 9;
/// The Kinect tracks six bodies at once; ids may change, but not this often.
const MAX_BODIES_A_FRAME: usize = 16;
const MAX_TRACKS: usize = 64;

const ENDING: &str = ".skeleton";

pub(super) fn scan(folder: &Path, options: &ScanOptions) -> Result<Scan, ReadError> {
    let missing = match missing_list(folder, options) {
        Some(path) => read_list(&path)?,
        None => HashSet::new(),
    };
    let mut left_out = Vec::new();
    let mut scan = scan_files(info, files::find(folder, ENDING)?, |path| {
        let name = files::stem(path, ENDING).unwrap_or_default();
        let ntu = NtuName::parse(name).map_err(|fault| fault.at(path))?;
        if missing.contains(name) {
            left_out.push(name.to_owned());
            return Ok(None);
        }
        Ok(Some((name.to_owned(), tags(ntu))))
    })?;
    scan.left_out = left_out;
    Ok(scan)
}

/// The 120 classes when an action above 60 is there, otherwise the 60.
fn info(items: &[Item]) -> crate::dataset::SetInfo {
    let classes = if items.iter().any(|item| item.tags.label >= 60) {
        &CLASSES[..]
    } else {
        &CLASSES[..60]
    };
    let terms = "NTU RGB+D: non-commercial research only, coordinates may not be passed on; cite Shahroudy et al., CVPR 2016, and Liu et al., TPAMI 2019.";
    set_info(
        Format::NtuSkeleton,
        TopologyId::Ntu25,
        names(classes),
        terms,
    )
}

pub(super) fn tags(name: NtuName) -> Tags {
    Tags {
        subject: name.performer,
        camera: name.camera,
        setup: name.setup,
        repetition: name.replication,
        label: name.action - 1,
    }
}

/// The list that was named, or one beside or in the folder whose name says what it is.
fn missing_list(folder: &Path, options: &ScanOptions) -> Option<PathBuf> {
    options.missing.clone().or_else(|| {
        let near = [Some(folder), folder.parent()].into_iter().flatten();
        let mut lists: Vec<PathBuf> = near
            .filter_map(|near| std::fs::read_dir(near).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                files::stem(path, ".txt")
                    .is_some_and(|name| name.to_lowercase().ends_with("missing_skeletons"))
            })
            .collect();
        // NTU 120's list holds the names of NTU 60's.
        lists.sort_by_key(|path| std::fs::metadata(path).map_or(0, |data| data.len()));
        lists.pop()
    })
}

/// Lines that are no NTU name are headings.
fn read_list(path: &Path) -> Result<HashSet<String>, ReadError> {
    let bytes = files::read_file(path)?;
    let text = text(&bytes).map_err(|fault| fault.at(path))?;
    let names = text
        .lines()
        .map(str::trim)
        .filter(|line| NtuName::parse(line).is_ok());
    Ok(names.map(|line| line.chars().take(20).collect()).collect())
}

pub(super) fn parse(bytes: &[u8]) -> Result<Clip, Fault> {
    let text = text(bytes)?;
    let mut words = Words {
        lines: text.lines().zip(1..),
        line: 1,
        words: "".split_ascii_whitespace(),
    };
    let frames = words.count("the number of frames", raw::MAX_FRAMES)?;
    let mut tracks: BTreeMap<u64, Track> = BTreeMap::new();
    for frame in 0..frames {
        for _ in 0..words.count("the number of bodies", MAX_BODIES_A_FRAME)? {
            let id = words.next("the id of a body")?;
            let id: u64 = id
                .parse()
                .map_err(|_| words.fault(not_a("the id of a body", id)))?;
            for _ in 0..MORE_OF_A_BODY {
                words.next("the values of a body")?;
            }
            let joints = words.count("the number of joints", usize::from(u16::MAX))?;
            if joints != JOINTS {
                return Err(words.fault(Problem::JointCount {
                    expected: JOINTS,
                    found: joints,
                }));
            }
            let mut pose = [[0.0_f32; 3]; JOINTS];
            for joint in &mut pose {
                for axis in &mut *joint {
                    // Damaged captures have words such as -1.#IND here.
                    let word = words.next("the coordinates of a joint")?;
                    *axis = match word.parse() {
                        Ok(value) => value,
                        Err(_) if word.contains('#') => f32::NAN,
                        Err(_) => return Err(words.fault(not_a("a coordinate", word))),
                    };
                }
                if !joint.iter().all(|value| value.is_finite()) {
                    *joint = [0.0; 3];
                }
                for _ in 0..MORE_OF_A_JOINT {
                    words.next("the values of a joint")?;
                }
            }
            if tracks.len() == MAX_TRACKS && !tracks.contains_key(&id) {
                return Err(words.fault(raw::too_large(
                    "the number of different bodies",
                    MAX_TRACKS + 1,
                    MAX_TRACKS,
                )));
            }
            tracks.entry(id).or_default().push(frame, &pose);
        }
    }
    let bodies = choose(tracks.into_values().collect());
    if bodies.is_empty() {
        return Err(Fault::file(Problem::Empty));
    }
    let mut poses = vec![0.0; frames * bodies.len() * JOINTS * 3];
    for (body, track) in bodies.iter().enumerate() {
        for (frame, pose) in track.frames() {
            let start = (frame * bodies.len() + body) * JOINTS * 3;
            poses[start..start + JOINTS * 3].copy_from_slice(pose.as_flattened());
        }
    }
    Ok(Clip {
        poses,
        frames,
        bodies: bodies.len(),
        fps: FPS,
    })
}

struct Words<'a> {
    lines: std::iter::Zip<std::str::Lines<'a>, std::ops::RangeFrom<usize>>,
    line: usize,
    words: std::str::SplitAsciiWhitespace<'a>,
}

impl<'a> Words<'a> {
    fn next(&mut self, expected: &'static str) -> Result<&'a str, Fault> {
        loop {
            if let Some(word) = self.words.next() {
                return Ok(word);
            }
            let (line, number) = self
                .lines
                .next()
                .ok_or_else(|| self.fault(Problem::Truncated { expected }))?;
            (self.line, self.words) = (number, line.split_ascii_whitespace());
        }
    }

    fn count(&mut self, expected: &'static str, limit: usize) -> Result<usize, Fault> {
        let word = self.next(expected)?;
        let count = super::number::count(word, expected).map_err(|problem| self.fault(problem))?;
        if count > limit {
            Err(self.fault(raw::too_large(expected, count, limit)))
        } else {
            Ok(count)
        }
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault::line(self.line, problem)
    }
}

/// Names for labels up to `highest`: NTU's when the labels are NTU's, numbers otherwise.
pub(super) fn class_names(highest: u16, ntu: bool) -> Vec<String> {
    match highest {
        0..60 if ntu => names(&CLASSES[..60]),
        60..120 if ntu => names(&CLASSES),
        _ => (1..=highest + 1)
            .map(|class| format!("action {class}"))
            .collect(),
    }
}

/// The published names, shortened. The first sixty are NTU RGB+D 60's.
const CLASSES: [&str; 120] = [
    "drink water",
    "eat meal",
    "brush teeth",
    "brush hair",
    "drop",
    "pick up",
    "throw",
    "sit down",
    "stand up",
    "clapping",
    "reading",
    "writing",
    "tear up paper",
    "put on jacket",
    "take off jacket",
    "put on a shoe",
    "take off a shoe",
    "put on glasses",
    "take off glasses",
    "put on a hat",
    "take off a hat",
    "cheer up",
    "hand waving",
    "kicking something",
    "reach into pocket",
    "hopping",
    "jump up",
    "phone call",
    "play with phone",
    "type on a keyboard",
    "point to something",
    "taking a selfie",
    "check time",
    "rub two hands",
    "nod head",
    "shake head",
    "wipe face",
    "salute",
    "put palms together",
    "cross hands in front",
    "sneeze or cough",
    "staggering",
    "falling down",
    "headache",
    "chest pain",
    "back pain",
    "neck pain",
    "nausea",
    "fan self",
    "punch or slap",
    "kicking",
    "pushing",
    "pat on back",
    "point finger",
    "hugging",
    "giving object",
    "touch pocket",
    "shaking hands",
    "walking towards",
    "walking apart",
    "put on headphone",
    "take off headphone",
    "shoot at basket",
    "bounce ball",
    "tennis bat swing",
    "juggle table tennis ball",
    "hush",
    "flick hair",
    "thumb up",
    "thumb down",
    "make OK sign",
    "make victory sign",
    "staple book",
    "counting money",
    "cutting nails",
    "cutting paper",
    "snap fingers",
    "open bottle",
    "sniff",
    "squat down",
    "toss a coin",
    "fold paper",
    "ball up paper",
    "play magic cube",
    "apply cream on face",
    "apply cream on hand",
    "put on bag",
    "take off bag",
    "put object into bag",
    "take object out of bag",
    "open a box",
    "move heavy objects",
    "shake fist",
    "throw up cap",
    "capitulate",
    "cross arms",
    "arm circles",
    "arm swings",
    "run on the spot",
    "butt kicks",
    "cross toe touch",
    "side kick",
    "yawn",
    "stretch oneself",
    "blow nose",
    "hit with object",
    "wield knife",
    "knock over",
    "grab stuff",
    "shoot with gun",
    "step on foot",
    "high-five",
    "cheers and drink",
    "carry object",
    "take a photo",
    "follow",
    "whisper",
    "exchange things",
    "support somebody",
    "rock-paper-scissors",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// One body whose joints all stand at `(at, at / 2 + joint / 50, 3)`: tall and narrow, as people are.
    fn body(id: u64, at: f32) -> String {
        let joints: String = (0..JOINTS)
            .map(|j| format!("{at} {} 3 0 0 0 0 0 0 0 0 2\n", at / 2.0 + j as f32 / 50.0))
            .collect();
        format!("{id} 0 1 1 1 1 0 0.1 0.2 2\n25\n{joints}")
    }

    fn file(frames: &[&[String]]) -> String {
        let frames: Vec<String> = frames
            .iter()
            .map(|bodies| format!("{}\n{}", bodies.len(), bodies.concat()))
            .collect();
        format!("{}\n{}", frames.len(), frames.concat())
    }

    fn check(input: &str, expect: Result<(usize, usize), Fault>) {
        assert_eq!(
            parse(input.as_bytes()).map(|clip| (clip.frames, clip.bodies)),
            expect
        );
    }

    #[test]
    fn an_empty_frame_keeps_its_place_in_time() {
        let input = file(&[&[body(7, 0.1)], &[], &[body(7, 0.3)]]);
        let clip = parse(input.as_bytes()).unwrap();
        assert_eq!((clip.frames, clip.bodies), (3, 1));
        assert_eq!(clip.poses[..3], [0.1, 0.05, 3.0]);
        assert!(clip.poses[75..150].iter().all(|value| *value == 0.0));
        assert_eq!(clip.poses[150..153], [0.3, 0.15, 3.0]);
    }

    #[test]
    fn long_ids_that_differ_in_the_last_digit_are_two_people() {
        let ids = [72_057_594_037_931_101, 72_057_594_037_931_102];
        let both = |at: f32| ids.map(|id| body(id, at + (id % 10) as f32)).to_vec();
        let frames: Vec<Vec<String>> = (0..14).map(|t| both(t as f32 / 10.0)).collect();
        let frames: Vec<&[String]> = frames.iter().map(Vec::as_slice).collect();
        check(&file(&frames), Ok((14, 2)));
    }

    // The first two bodies in the order of the file would be half the one and half the other.
    #[test]
    fn people_who_change_places_in_the_file_stay_themselves() {
        let frame = |t: usize| {
            let both = [(7, 0.0), (8, 10.0)].map(|(id, at)| body(id, at + t as f32 / 10.0));
            let [first, second] = both;
            match t % 2 {
                0 => vec![first, second],
                _ => vec![second, first],
            }
        };
        let frames: Vec<Vec<String>> = (0..14).map(frame).collect();
        let frames: Vec<&[String]> = frames.iter().map(Vec::as_slice).collect();
        let clip = parse(file(&frames).as_bytes()).unwrap();
        let at = |t: usize, person: usize| clip.poses[(2 * t + person) * 75];
        for person in 0..2 {
            for t in 1..14 {
                assert!(
                    (at(t, person) - at(t - 1, person) - 0.1).abs() < 1e-3,
                    "{t}"
                );
            }
        }
    }

    #[test]
    fn a_damaged_number_makes_the_joint_absent() {
        let input =
            file(&[&[body(7, 0.1)], &[body(7, 0.1)]]).replacen("0.1 0.05 3", "-1.#IND 0.05 3", 1);
        let clip = parse(input.as_bytes()).unwrap();
        assert_eq!(clip.poses[..3], [0.0; 3]);
        assert_eq!(clip.poses[75..78], [0.1, 0.05, 3.0]);
    }

    #[test]
    fn names_what_is_wrong_and_where() {
        let good = file(&[&[body(7, 0.1)]]);
        check(
            "",
            Err(Fault::line(
                1,
                Problem::Truncated {
                    expected: "the number of frames",
                },
            )),
        );
        check("0\n", Err(Fault::file(Problem::Empty)));
        check("2\n0\n0\n", Err(Fault::file(Problem::Empty)));
        check(
            "9999999\n",
            Err(Fault::line(
                1,
                raw::too_large("the number of frames", 9_999_999, raw::MAX_FRAMES),
            )),
        );
        check(
            &good[..good.len() - 20],
            Err(Fault::line(
                29,
                Problem::Truncated {
                    expected: "the coordinates of a joint",
                },
            )),
        );
        check(
            &good.replace("\n25\n", "\n24\n"),
            Err(Fault::line(
                4,
                Problem::JointCount {
                    expected: 25,
                    found: 24,
                },
            )),
        );
        check(
            &good.replacen("0.1 0.05", "0.1 x", 1),
            Err(Fault::line(5, not_a("a coordinate", "x"))),
        );
        check(
            &good.replacen("\n7 ", "\n7e16 ", 1),
            Err(Fault::line(3, not_a("the id of a body", "7e16"))),
        );
    }

    #[test]
    fn listed_recordings_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("nturgb+d_skeletons");
        std::fs::create_dir(&data).unwrap();
        for name in ["S001C001P001R001A001", "S001C002P005R002A008"] {
            std::fs::write(
                data.join(format!("{name}.skeleton")),
                file(&[&[body(7, 0.1)]]),
            )
            .unwrap();
        }
        assert_eq!(scan(&data, &ScanOptions::default()).unwrap().items.len(), 2);
        let list = folder.path().join("samples_with_missing_skeletons.txt");
        std::fs::write(list, "Missing:\nS001C002P005R002A008\n").unwrap();
        let found = scan(&data, &ScanOptions::default()).unwrap();
        assert_eq!(
            (found.items.len(), found.left_out.as_slice()),
            (1, &["S001C002P005R002A008".to_owned()][..])
        );
        assert_eq!(found.info.classes.len(), 60);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>, text in "[0-9. \n#-]{0,200}", cut in 0_usize..2000) {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
            let good = file(&[&[body(7, 0.1)]]);
            let _ = parse(&[&good.as_bytes()[..cut.min(good.len())], text.as_bytes()].concat());
        }
    }
}
