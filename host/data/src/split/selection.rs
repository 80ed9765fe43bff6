//! A choice of recordings, as text, as TOML or as code.

use super::SplitError;
use crate::dataset::{Dataset, Recording};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    /// The person.
    Subject,
    /// The camera.
    Camera,
    /// The setup, or the part of a set that comes already split.
    Setup,
    /// The take.
    Repetition,
    /// The class, by index.
    Label,
}

/// Everything a recording says about itself in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tags {
    /// The person.
    pub subject: u16,
    /// The camera.
    pub camera: u16,
    /// The setup.
    pub setup: u16,
    /// The take.
    pub repetition: u16,
    /// The class.
    pub label: u16,
}

/// The recordings that pass every rule; without rules, all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "String")]
pub struct Selection {
    rules: BTreeMap<Axis, Rule>,
    sources: Option<BTreeSet<String>>,
    not_sources: BTreeSet<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rule {
    only: Option<BTreeSet<u16>>,
    not: BTreeSet<u16>,
}

/// How a selection stands in a configuration: as text or as a table of lists.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Table(BTreeMap<String, Vec<u16>>),
}

impl Axis {
    /// Every axis.
    pub const ALL: [Self; 5] = [
        Self::Subject,
        Self::Camera,
        Self::Setup,
        Self::Repetition,
        Self::Label,
    ];

    /// The word for it in a selection's text.
    pub fn word(self) -> &'static str {
        match self {
            Self::Subject => "subjects",
            Self::Camera => "cameras",
            Self::Setup => "setups",
            Self::Repetition => "repetitions",
            Self::Label => "labels",
        }
    }

    fn of(self, tags: Tags) -> u16 {
        match self {
            Self::Subject => tags.subject,
            Self::Camera => tags.camera,
            Self::Setup => tags.setup,
            Self::Repetition => tags.repetition,
            Self::Label => tags.label,
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|axis| axis.word() == word)
    }
}

impl Recording<'_> {
    /// The numbers that selections look at.
    pub fn tags(&self) -> Tags {
        Tags {
            subject: self.subject,
            camera: self.camera,
            setup: self.setup,
            repetition: self.repetition,
            label: self.label,
        }
    }
}

impl Selection {
    /// Every recording.
    pub fn all() -> Self {
        Self::default()
    }

    /// Of these, only the recordings with one of the values.
    #[must_use]
    pub fn only(mut self, axis: Axis, values: impl IntoIterator<Item = u16>) -> Self {
        let values: BTreeSet<u16> = values.into_iter().collect();
        let rule = self.rules.entry(axis).or_default();
        rule.only = Some(match rule.only.take() {
            Some(before) => &before & &values,
            None => values,
        });
        self
    }

    /// Of these, the recordings with none of the values.
    #[must_use]
    pub fn without(mut self, axis: Axis, values: impl IntoIterator<Item = u16>) -> Self {
        self.rules.entry(axis).or_default().not.extend(values);
        self
    }

    /// Of these, the recordings that come from one of the named files: the recording's name up to `#`.
    #[must_use]
    pub fn from_sources(mut self, names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        self.sources = Some(match self.sources.take() {
            Some(before) => &before & &names,
            None => names,
        });
        self
    }

    /// Of these, the recordings that come from none of the named files.
    #[must_use]
    pub fn without_sources(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.not_sources.extend(names);
        self
    }

    /// Whether a recording with this name and these tags is selected.
    pub fn matches(&self, name: &str, tags: Tags) -> bool {
        let source = name.split_once('#').map_or(name, |(source, _)| source);
        self.sources
            .as_ref()
            .is_none_or(|sources| sources.contains(source))
            && !self.not_sources.contains(source)
            && self.rules.iter().all(|(axis, rule)| {
                let value = axis.of(tags);
                rule.only.as_ref().is_none_or(|only| only.contains(&value))
                    && !rule.not.contains(&value)
            })
    }

    /// The numbers of the selected recordings, in the set's order.
    pub fn indices(&self, dataset: &Dataset) -> Vec<usize> {
        let recordings = dataset.recordings().enumerate();
        recordings
            .filter(|(_, recording)| self.matches(recording.name, recording.tags()))
            .map(|(number, _)| number)
            .collect()
    }
}

impl FromStr for Selection {
    type Err = SplitError;

    /// Reads `subjects=1-7,9;not-cameras=2`; the empty text and `all` select everything.
    fn from_str(text: &str) -> Result<Self, SplitError> {
        let mut selection = Self::all();
        for part in text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty() && *part != "all")
        {
            let syntax = |reason| SplitError::Syntax {
                text: part.chars().take(60).collect(),
                reason,
            };
            let (key, values) = part
                .split_once('=')
                .ok_or_else(|| syntax("a rule is a word, an equals sign and values"))?;
            let key = key.trim();
            if key == "sources" || key == "not-sources" {
                let names = values.split(',').map(|name| name.trim().to_owned());
                selection = match key {
                    "sources" => selection.from_sources(names),
                    _ => selection.without_sources(names),
                };
                continue;
            }
            let values = ranges(values)
                .ok_or_else(|| syntax("values are numbers up to 65535 and ranges such as 1-7"))?;
            selection = selection.with(key, values).ok_or_else(|| {
                syntax("the word is one of subjects, cameras, setups, repetitions, labels, sources, or one of them with not- before it")
            })?;
        }
        Ok(selection)
    }
}

impl Selection {
    fn with(self, key: &str, values: BTreeSet<u16>) -> Option<Self> {
        Some(match key.strip_prefix("not-") {
            Some(word) => self.without(Axis::from_word(word)?, values),
            None => self.only(Axis::from_word(key)?, values),
        })
    }
}

fn ranges(text: &str) -> Option<BTreeSet<u16>> {
    let mut values = BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last {
            return None;
        }
        values.extend(first..=last);
    }
    Some(values)
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (axis, rule) in &self.rules {
            if let Some(only) = &rule.only {
                parts.push(format!("{}={}", axis.word(), join(only)));
            }
            if !rule.not.is_empty() {
                parts.push(format!("not-{}={}", axis.word(), join(&rule.not)));
            }
        }
        let join_names =
            |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(",");
        if let Some(sources) = &self.sources {
            parts.push(format!("sources={}", join_names(sources)));
        }
        if !self.not_sources.is_empty() {
            parts.push(format!("not-sources={}", join_names(&self.not_sources)));
        }
        if parts.is_empty() {
            f.write_str("all")
        } else {
            f.write_str(&parts.join(";"))
        }
    }
}

/// Runs of three and more become ranges.
fn join(values: &BTreeSet<u16>) -> String {
    let mut parts = Vec::new();
    let mut rest = values.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if(|&next| next == last + 1) {
            last = next;
        }
        match last - first {
            0 => parts.push(first.to_string()),
            1 => parts.push(format!("{first},{last}")),
            _ => parts.push(format!("{first}-{last}")),
        }
    }
    parts.join(",")
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}

impl TryFrom<Written> for Selection {
    type Error = SplitError;

    fn try_from(written: Written) -> Result<Self, SplitError> {
        match written {
            Written::Text(text) => text.parse(),
            Written::Table(rules) => rules.into_iter().try_fold(Self::all(), |selection, (key, values)| {
                let reason = "the key is one of subjects, cameras, setups, repetitions, labels, or one of them with not- before it";
                selection.with(&key, values.into_iter().collect()).ok_or(SplitError::Syntax { text: key, reason })
            }),
        }
    }
}
