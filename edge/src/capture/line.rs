//! Reads one JSON line of a pose stream.
//!
//! `{"hello":"...","topology":"kinect20"}` names the joints, `{"t":ms,"track":1,"joints":[[x,y,z],...],"confidence":[...]}`
//! is a pose (metres, camera frame), `{"end":1,"t":ms,"label":3}` closes a track. A joint may be `null`. Fields that are not
//! known are ignored, so that sources may say more. `NaN` and `Infinity`, which Python writes although JSON has no such numbers, are
//! read as joints that are not there.

use super::Event;
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use std::fmt;
use tendon_shared::limits::MAX_JOINTS;
use tendon_shared::pose::Pose;
use tendon_shared::topology::TopologyId;

/// Farthest coordinate that is believed, metres. Depth cameras and pose lifters see less than 20 m.
pub const MAX_METRES: f32 = 100.0;
/// Latest time that is read exactly from a JSON number, milliseconds.
const MAX_TIME_MS: f64 = 9_007_199_254_740_991.0;

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or a field has another type than the format says.
    #[error("column {column}: {what}; send one JSON object a line")]
    Malformed {
        /// Where, bytes from the line's start.
        column: usize,
        /// What the parser expected.
        what: String,
    },
    /// A field that this kind of line needs is not there.
    #[error("the line has no `{0}`")]
    Missing(&'static str),
    /// The time is negative or not exact.
    #[error("`t` is not a time in milliseconds")]
    Time,
    /// Another number of joints than the source's topology has.
    #[error("{found} joints, but {topology} has {expected}")]
    JointCount {
        /// Joints in the line.
        found: usize,
        /// Joints of the topology.
        expected: usize,
        /// The topology's name.
        topology: &'static str,
    },
    /// Confidences and joints differ in number.
    #[error("{found} confidences for {joints} joints")]
    ConfidenceCount {
        /// Confidences in the line.
        found: usize,
        /// Joints in the line.
        joints: usize,
    },
    /// A skeleton standard that this build does not know.
    #[error("topology `{0}` is not known; see `tendon topologies`")]
    Topology(String),
}

/// Reads the lines of one connection and remembers the topology that it announced.
#[derive(Debug, Clone)]
pub struct LineReader {
    topology: TopologyId,
    not_finite: u64,
    absurd: u64,
}

impl LineReader {
    /// A reader for poses of `topology`, until the source announces another one.
    #[must_use]
    pub fn new(topology: TopologyId) -> Self {
        Self {
            topology,
            not_finite: 0,
            absurd: 0,
        }
    }

    /// Joints so far that were not finite and are read as absent.
    #[must_use]
    pub fn not_finite(&self) -> u64 {
        self.not_finite
    }

    /// Joints so far that were farther away than [`MAX_METRES`] and are read as absent.
    #[must_use]
    pub fn absurd(&self) -> u64 {
        self.absurd
    }

    /// Reads one line.
    ///
    /// # Errors
    /// [`LineError`] when the line does not follow the format; the caller counts it and goes on with the next.
    pub fn read(&mut self, line: &[u8]) -> Result<Event, LineError> {
        let raw: Raw = serde_json::from_slice(line)
            .or_else(|error| {
                let numbers = without_nan(line).ok_or(error)?;
                serde_json::from_slice(&numbers)
            })
            .map_err(|error| LineError::Malformed {
                column: error.column(),
                what: error.to_string(),
            })?;
        if raw.hello.is_some() {
            if let Some(name) = raw.topology {
                self.topology = TopologyId::from_name(&name).ok_or(LineError::Topology(name))?;
            }
            return Ok(Event::Hello {
                topology: self.topology,
            });
        }
        let time_ms = time(raw.t)?;
        if let Some(track) = raw.end {
            return Ok(Event::End {
                track,
                time_ms,
                label: raw.label,
            });
        }
        let track = raw.track.ok_or(LineError::Missing("track"))?;
        let joints = raw.joints.ok_or(LineError::Missing("joints"))?.0;
        self.pose(
            time_ms,
            track,
            joints,
            raw.confidence.map(|list| list.0).unwrap_or_default(),
        )
    }

    fn pose(
        &mut self,
        time_ms: u64,
        track: u64,
        mut joints: heapless::Vec<[f32; 3], MAX_JOINTS>,
        confidence: heapless::Vec<f32, MAX_JOINTS>,
    ) -> Result<Event, LineError> {
        let topology = self.topology.topology();
        if joints.len() != topology.joint_count() {
            return Err(LineError::JointCount {
                found: joints.len(),
                expected: topology.joint_count(),
                topology: topology.name,
            });
        }
        if !confidence.is_empty() && confidence.len() != joints.len() {
            return Err(LineError::ConfidenceCount {
                found: confidence.len(),
                joints: joints.len(),
            });
        }
        for joint in &mut joints {
            if !joint.iter().all(|value| value.is_finite()) {
                *joint = [0.0; 3];
                self.not_finite += 1;
            } else if !joint.iter().all(|value| value.abs() <= MAX_METRES) {
                *joint = [0.0; 3];
                self.absurd += 1;
            }
        }
        Ok(Event::Pose(Box::new(Pose {
            time_ms,
            track,
            joints,
            confidence,
        })))
    }
}

/// The line with the numbers that JSON lacks written as ones that no `f32` holds; `None` when there are none of them.
fn without_nan(line: &[u8]) -> Option<Vec<u8>> {
    const HUGE: &[u8] = b"1e99";
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    let mut found = false;
    while let Some((first, tail)) = rest.split_first() {
        let word = [&b"Infinity"[..], b"NaN"]
            .into_iter()
            .find_map(|word| rest.strip_prefix(word));
        if let Some(tail) = word {
            out.extend_from_slice(HUGE);
            (rest, found) = (tail, true);
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    found.then_some(out)
}

fn time(t: Option<f64>) -> Result<u64, LineError> {
    let t = t.ok_or(LineError::Missing("t"))?;
    if (0.0..=MAX_TIME_MS).contains(&t) {
        Ok(t as u64)
    } else {
        Err(LineError::Time)
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    hello: Option<IgnoredAny>,
    #[serde(default)]
    topology: Option<String>,
    #[serde(default)]
    t: Option<f64>,
    #[serde(default)]
    track: Option<u64>,
    #[serde(default)]
    joints: Option<Bounded<[f32; 3]>>,
    #[serde(default)]
    confidence: Option<Bounded<f32>>,
    #[serde(default)]
    end: Option<u64>,
    #[serde(default)]
    label: Option<u16>,
}

/// A JSON list of at most [`MAX_JOINTS`] items; `null` items take the default.
struct Bounded<T>(heapless::Vec<T, MAX_JOINTS>);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for List<T> {
            type Value = Bounded<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MAX_JOINTS} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = heapless::Vec::new();
                while let Some(item) = items.next_element::<Option<T>>()? {
                    list.push(item.unwrap_or_default())
                        .map_err(|_| serde::de::Error::invalid_length(MAX_JOINTS + 1, &self))?;
                }
                Ok(Bounded(list))
            }
        }
        deserializer.deserialize_seq(List(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Event, LineError> {
        LineReader::new(TopologyId::Kinect20).read(line.as_bytes())
    }

    fn pose_line(joint: &str, count: usize) -> String {
        format!(
            r#"{{"t":12.7,"track":18446744073709551615,"joints":[{}],"more":1}}"#,
            vec![joint; count].join(",")
        )
    }

    #[test]
    fn reads_a_pose_with_a_full_width_track() {
        let Ok(Event::Pose(pose)) = read(&pose_line("[1,2.5,-3]", 20)) else {
            panic!("no pose")
        };
        assert_eq!(
            (pose.time_ms, pose.track, pose.joints.len()),
            (12, u64::MAX, 20)
        );
        assert_eq!(pose.joints[0], [1.0, 2.5, -3.0]);
    }

    #[test]
    fn reads_end_marks_and_hellos() {
        assert_eq!(
            read(r#"{"end":4,"t":9,"label":3}"#),
            Ok(Event::End {
                track: 4,
                time_ms: 9,
                label: Some(3)
            })
        );
        assert_eq!(
            read(r#"{"hello":{},"topology":"ntu25"}"#),
            Ok(Event::Hello {
                topology: TopologyId::Ntu25
            })
        );
    }

    #[test]
    fn an_announced_topology_holds_for_the_connection() {
        let mut reader = LineReader::new(TopologyId::Kinect20);
        reader.read(br#"{"hello":1,"topology":"ntu25"}"#).unwrap();
        assert!(matches!(
            reader.read(pose_line("[0,0,1]", 25).as_bytes()),
            Ok(Event::Pose(_))
        ));
    }

    #[test]
    fn null_huge_and_overflowing_joints_are_absent() {
        for joint in ["null", "[1e30,0,0]", "[3e38,1e38,-3e38]"] {
            let Ok(Event::Pose(pose)) = read(&pose_line(joint, 20)) else {
                panic!("{joint}")
            };
            assert_eq!(pose.joints[0], [0.0; 3]);
        }
    }

    #[test]
    fn each_kind_of_bad_joint_has_its_own_counter() {
        let mut reader = LineReader::new(TopologyId::Kinect20);
        for joint in ["[NaN,0,1]", "[0,-Infinity,1]", "[1e39,0,0]"] {
            let Ok(Event::Pose(pose)) = reader.read(pose_line(joint, 20).as_bytes()) else {
                panic!("{joint}")
            };
            assert_eq!(pose.joints[7], [0.0; 3]);
        }
        reader.read(pose_line("[0,101,0]", 20).as_bytes()).unwrap();
        assert_eq!((reader.not_finite(), reader.absurd()), (60, 20));
        assert!(reader.read(b"NaN").is_err() && reader.read(br#"{"t":NaN}"#).is_err());
    }

    #[test]
    fn refuses_what_the_format_does_not_allow() {
        let wrong = pose_line("[0,0,0]", 19);
        assert!(matches!(
            read(&wrong),
            Err(LineError::JointCount {
                found: 19,
                expected: 20,
                ..
            })
        ));
        assert!(matches!(
            read(&pose_line("[0,0,0]", 500)),
            Err(LineError::Malformed { .. })
        ));
        assert!(matches!(
            read(&pose_line("[0,0]", 20)),
            Err(LineError::Malformed { .. })
        ));
        assert_eq!(read(r#"{"t":-1,"track":1}"#), Err(LineError::Time));
        assert_eq!(read(r#"{"t":1}"#), Err(LineError::Missing("track")));
        assert_eq!(
            read(r#"{"hello":1,"topology":"dog"}"#),
            Err(LineError::Topology("dog".into()))
        );
        assert!(read("").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = LineReader::new(TopologyId::Kinect20).read(&bytes);
        }

        #[test]
        fn any_near_miss_never_panics(line in r#"\{("(t|track|joints|end|label|hello|confidence)":(null|-?[0-9]{1,25}|[0-9]e[0-9]{1,3}|\[(\[[0-9],[0-9],[0-9]\],?){0,40}\]),?){0,5}\}"#) {
            let _ = LineReader::new(TopologyId::Kinect20).read(line.as_bytes());
        }
    }
}
