//! What a device reports about itself in a signed [`statement`](crate::statement): what runs, what was taken, what was counted.
//!
//! Invariant: no type here can hold a coordinate. Everything is a whole number, a name or a digest; a test reads this file and holds
//! it to that. Fields are only ever added, as options, so that an older reader reads a newer report and the other way round.

use serde::{Deserialize, Serialize};
use tendon_shared::protocol::adapt::AdaptReport;
use tendon_shared::protocol::deploy::InstallStatus;
use tendon_shared::protocol::telemetry::{Counters, InputCounts};

/// Bytes of the longest nonce.
pub const NONCE_BYTES: usize = 128;
/// Characters of the longest outcome of an update that is kept.
pub const OUTCOME_CHARS: usize = 400;

/// What a device says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the asker gave, so that an old report cannot pass for a new one.
    pub nonce: Option<String>,
    /// Id of the device on links.
    pub device_id: String,
    /// Version of the device's software.
    pub software: String,
    /// When the report was made.
    pub time: Time,
    /// The bundle that serves.
    pub serving: Option<Bundle>,
    /// The slots.
    pub slots: Slots,
    /// Starts of the agent over the device's life.
    pub boots: u32,
    /// The lowest versions that are still accepted.
    pub floors: Floors,
    /// What the last update from a repository or a pack came to; none before the first.
    pub update: Option<Update>,
    /// What a running agent says; none when none runs.
    pub agent: Option<Agent>,
}

/// A moment by the device's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Time {
    /// Seconds after 1970.
    pub seconds: u64,
    /// Whether something that knows has set the clock; otherwise it may say anything.
    pub trusted: bool,
}

/// A bundle in a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// Model version.
    pub model: u64,
    /// Skeleton standard.
    pub topology: String,
    /// Length in bytes.
    pub bytes: u32,
    /// SHA-256, in hexadecimal.
    pub digest: String,
}

/// Both slots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// The first.
    pub a: Slot,
    /// The second.
    pub b: Slot,
}

/// A slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Empty, receiving, verified, trial, confirmed or rejected.
    pub state: String,
    /// Starts since the trial began, during one.
    pub trial_boots: Option<u8>,
    /// What it holds or is being filled with.
    pub bundle: Option<Bundle>,
}

/// The lowest versions that are still accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    /// Model version that was confirmed.
    pub model: u64,
    /// Of the repository's root file; zeroes where no repository was ever read.
    pub root: u64,
    /// Of its timestamp.
    pub timestamp: u64,
    /// Of its snapshot.
    pub snapshot: u64,
    /// Of its list of targets.
    pub targets: u64,
}

/// What an update came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// When.
    pub time: Time,
    /// Whether the repository was believed and nothing failed.
    pub well: bool,
    /// What was said about it, at most [`OUTCOME_CHARS`] characters.
    pub outcome: String,
}

impl Update {
    /// What was said about an update, cut to what is kept.
    #[must_use]
    pub fn new(time: Time, well: bool, outcome: &str) -> Self {
        Self {
            time,
            well,
            outcome: outcome.chars().take(OUTCOME_CHARS).collect(),
        }
    }
}

/// What a running agent says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// How the installation stands.
    pub install: Option<InstallStatus>,
    /// Counters since it started.
    pub counters: Counters,
    /// What the input was like.
    pub inputs: Option<InputCounts>,
    /// The state of adaptation; none without a bundle.
    pub adapt: Option<AdaptReport>,
}

impl Report {
    /// The text of the statement.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// Reads the text of a statement; none when it is no report.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_type_here_can_hold_a_coordinate() {
        let (types, _) = include_str!("report.rs")
            .split_once("#[cfg(test)]")
            .unwrap();
        let kinds = [
            "f32",
            "f64",
            "[i",
            "[u",
            "Vec<",
            "WirePose",
            "pose::",
            "capture::",
            "Value",
        ];
        for fractional in kinds {
            assert!(!types.contains(fractional), "{fractional}");
        }
    }

    #[test]
    fn a_report_is_read_as_it_was_written_also_with_fields_of_later() {
        let report = Report {
            nonce: Some("n".into()),
            serving: Some(Bundle {
                model: u64::MAX,
                topology: "kinect20".into(),
                bytes: 7,
                digest: "ab".into(),
            }),
            update: Some(Update::new(Time::default(), true, &"ä".repeat(1_000))),
            agent: Some(Agent {
                install: Some(InstallStatus::Confirmed { model: 3 }),
                counters: Counters::default(),
                inputs: Some(InputCounts::default()),
                adapt: None,
            }),
            ..Report::default()
        };
        assert_eq!(Report::parse(&report.text()), Some(report.clone()));
        let later = report.text().replacen('{', "{\"later\": [1], ", 1);
        assert_eq!(Report::parse(&later), Some(report));
        assert_eq!(Report::parse("{}"), None);
    }
}
