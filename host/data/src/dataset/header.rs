//! The file's header: metadata as text, and room for it before the poses are known.

use super::{FORMAT_VERSION, StoreProblem};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use tendon_shared::normalize::PREPROCESSING_VERSION;
use tendon_shared::topology::TopologyId;

/// Largest header that is read, in bytes. Ten thousand classes fit.
pub(super) const MAX_HEADER_BYTES: u64 = 1 << 20;

/// What a set says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetInfo {
    /// The skeleton standard of every pose.
    pub topology: TopologyId,
    /// Names of the classes; a label is an index into them.
    pub classes: Vec<String>,
    /// The format that was imported, such as `nw_ucla_json`.
    pub source: String,
    /// Licence and citation of the recordings, in a sentence.
    pub terms: String,
}

/// The tensors after the poses, in file order: name, safetensors type, bytes an element.
pub(super) const COLUMNS: [(&str, &str, u64); 9] = [
    ("frames", "I32", 4),
    ("bodies", "I32", 4),
    ("labels", "I32", 4),
    ("subjects", "I32", 4),
    ("cameras", "I32", 4),
    ("setups", "I32", 4),
    ("repetitions", "I32", 4),
    ("fps", "F32", 4),
    ("names", "U8", 1),
];

/// How much of everything the file holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Rows of the pose tensor.
    pub(super) rows: u64,
    /// Recordings.
    pub(super) recordings: u64,
    /// Bytes of all names.
    pub(super) name_bytes: u64,
}

impl Extent {
    /// Larger than any file, to learn how long a header can become.
    const LARGEST: Self = Self {
        rows: 1 << 50,
        recordings: 1 << 50,
        name_bytes: 1 << 50,
    };
}

impl SetInfo {
    /// Bytes before the poses (length word included), enough for any extent; a multiple of 64 keeps the poses aligned.
    pub(super) fn reserved(&self) -> u64 {
        (8 + self.json(Extent::LARGEST, &"0".repeat(64)).len() as u64).next_multiple_of(64)
    }

    /// The length word and the JSON header, padded with spaces to [`Self::reserved`] bytes.
    pub(super) fn header(&self, extent: Extent, digest: &str) -> Vec<u8> {
        let reserved = self.reserved() as usize;
        let mut bytes = (reserved as u64 - 8).to_le_bytes().to_vec();
        bytes.extend_from_slice(self.json(extent, digest).as_bytes());
        bytes.resize(reserved, b' ');
        bytes
    }

    fn json(&self, extent: Extent, digest: &str) -> String {
        let classes = serde_json::Value::from(self.classes.clone()).to_string();
        let metadata: BTreeMap<&str, String> = BTreeMap::from([
            ("format", "tendon-set".to_owned()),
            ("format_version", FORMAT_VERSION.to_string()),
            ("preprocessing_version", PREPROCESSING_VERSION.to_string()),
            ("topology", self.topology.name().to_owned()),
            ("classes", classes),
            ("source", self.source.clone()),
            ("terms", self.terms.clone()),
            ("digest", digest.to_owned()),
        ]);
        let metadata = serde_json::json!(metadata);
        let joints = self.topology.topology().joint_count() as u64;
        let mut end = extent.rows * joints * 12;
        let mut json = format!(
            "{{\"__metadata__\":{metadata},\"poses\":{{\"dtype\":\"F32\",\"shape\":[{},{joints},3],\"data_offsets\":[0,{end}]}}",
            extent.rows
        );
        for (name, dtype, size) in COLUMNS {
            let count = if name == "names" {
                extent.name_bytes
            } else {
                extent.recordings
            };
            let start = end;
            end += count * size;
            // Writing to a String cannot fail.
            let _ = write!(
                json,
                ",\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":[{count}],\"data_offsets\":[{start},{end}]}}"
            );
        }
        json.push('}');
        json
    }

    /// Reads what [`Self::header`] wrote, and the digest.
    pub(super) fn from_metadata(
        metadata: &HashMap<String, String>,
    ) -> Result<(Self, String), StoreProblem> {
        let missing = |key: &str| StoreProblem::Contents(format!("its metadata has no {key:?}"));
        let text = |key: &'static str| metadata.get(key).ok_or_else(|| missing(key));
        if text("format")? != "tendon-set" {
            return Err(StoreProblem::Contents(
                "its metadata names another format".into(),
            ));
        }
        let number = |key: &'static str| -> Result<u32, StoreProblem> {
            text(key)?.parse().map_err(|_| missing(key))
        };
        let found = number("format_version")?;
        if found != FORMAT_VERSION {
            return Err(StoreProblem::Version { found });
        }
        let topology = text("topology")?;
        let topology = TopologyId::from_name(topology).ok_or_else(|| {
            StoreProblem::Contents(format!("the topology {topology:?} is not known"))
        })?;
        let classes: Vec<String> = serde_json::from_str(text("classes")?).map_err(|error| {
            StoreProblem::Contents(format!(
                "the list of classes is not a list of names ({error})"
            ))
        })?;
        let info = Self {
            topology,
            classes,
            source: text("source")?.clone(),
            terms: text("terms")?.clone(),
        };
        Ok((info, text("digest")?.clone()))
    }
}
