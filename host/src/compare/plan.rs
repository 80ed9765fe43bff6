//! The file that describes a comparison.

use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A grid of runs. Paths are relative to the folder of the file, those of sets to the folder of the sets.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Every encoder is pretrained with each of these.
    pub seeds: Vec<u64>,
    /// Passes over the training windows instead of each configuration's own, so that all make equal steps.
    pub epochs: Option<u64>,
    /// Sets of recordings.
    #[serde(rename = "set")]
    pub sets: Vec<SetPlan>,
    /// What is pretrained.
    #[serde(rename = "encoder")]
    pub encoders: Vec<EncoderPlan>,
    /// How it is judged.
    #[serde(rename = "protocol")]
    pub protocols: Vec<ProtocolPlan>,
}

/// A set with its split.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPlan {
    /// Its name in the tables.
    pub name: String,
    /// The file, made by `tendon import`.
    pub data: PathBuf,
    /// The split.
    pub split: String,
}

/// An encoder to pretrain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderPlan {
    /// Its name in the tables.
    pub name: String,
    /// The pretraining configuration.
    pub config: PathBuf,
    /// Names of the sets whose training sides it learns from, together; without any, it is pretrained for each set by itself.
    #[serde(default)]
    pub on: Vec<String>,
    /// Passes instead of the plan's; 0 for an untrained encoder.
    pub epochs: Option<u64>,
    /// Names of its networks, for methods that train several, such as `["joint", "motion", "bone"]`: protocols judge the first one,
    /// fusion all of them.
    #[serde(default)]
    pub networks: Vec<String>,
}

impl EncoderPlan {
    /// Files of its networks in the folder of its pretraining, at least one.
    #[must_use]
    pub fn weights(&self, folder: &Path) -> Vec<PathBuf> {
        if self.networks.is_empty() {
            return vec![folder.join("encoder.safetensors")];
        }
        let file = |name: &String| folder.join(format!("encoder-{name}.safetensors"));
        self.networks.iter().map(file).collect()
    }
}

/// A way to judge encoders.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtocolPlan {
    /// Its name in the tables.
    pub name: String,
    /// The subcommand of `tendon eval`.
    pub kind: ProtocolKind,
    /// Its settings.
    pub config: Option<PathBuf>,
    /// Settings of finetuning, for few labels.
    pub finetune: Option<PathBuf>,
    /// Names of the sets on which it is used; all of them without any.
    #[serde(default)]
    pub on: Vec<String>,
}

/// Subcommands of `tendon eval` that judge an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolKind {
    /// A linear classifier.
    Probe,
    /// Nearest neighbours.
    Knn,
    /// Few labels.
    Semi,
    /// Finetuning.
    Finetune,
    /// Linear classifiers on all networks, fused; only for encoders that have several.
    Fuse,
}

impl ProtocolKind {
    /// The subcommand.
    #[must_use]
    pub fn command(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Knn => "knn",
            Self::Semi => "semi",
            Self::Finetune => "finetune",
            Self::Fuse => "fuse",
        }
    }
}

/// A plan that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The text is not a plan.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A part is missing.
    #[error("the plan has no {0}")]
    Nothing(&'static str),
    /// Two things have one name, or a name that cannot be a folder's.
    #[error(
        "{0:?} is not a name of its own: use letters, digits, '-', '+', '.' and '_', each name once"
    )]
    Name(String),
    /// A set that is not there.
    #[error("{by:?} names the set {set:?}, which the plan does not have")]
    Unknown {
        /// Who names it.
        by: String,
        /// The name.
        set: String,
    },
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text)?;
        for (missing, what) in [
            (plan.seeds.is_empty(), "seed"),
            (plan.sets.is_empty(), "set"),
            (plan.encoders.is_empty(), "encoder"),
            (plan.protocols.is_empty(), "protocol"),
        ] {
            if missing {
                return Err(PlanError::Nothing(what));
            }
        }
        names(plan.sets.iter().map(|set| &set.name))?;
        names(plan.encoders.iter().map(|encoder| &encoder.name))?;
        names(plan.protocols.iter().map(|protocol| &protocol.name))?;
        let encoders = plan.encoders.iter().map(|one| (&one.name, &one.on));
        let protocols = plan.protocols.iter().map(|one| (&one.name, &one.on));
        for (by, on) in encoders.chain(protocols) {
            if let Some(set) = on.iter().find(|name| plan.set(name).is_none()) {
                return Err(PlanError::Unknown {
                    by: by.clone(),
                    set: set.clone(),
                });
            }
        }
        Ok(plan)
    }

    /// Files of an encoder's networks in the folder of its pretraining; nothing for an unknown encoder.
    #[must_use]
    pub fn weights(&self, encoder: &str, folder: &Path) -> Vec<PathBuf> {
        let known = self.encoders.iter().find(|one| one.name == encoder);
        known.map_or_else(Vec::new, |encoder| encoder.weights(folder))
    }

    /// A set by name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&SetPlan> {
        self.sets.iter().find(|set| set.name == name)
    }
}

/// Names become folders, so they must be plain and differ.
fn names<'n>(names: impl Iterator<Item = &'n String>) -> Result<(), PlanError> {
    let mut known = BTreeSet::new();
    for name in names {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-+._".contains(c);
        let usable = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
        if !usable || !known.insert(name) {
            return Err(PlanError::Name(name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const TEXT: &str = r#"
        seeds = [0, 1]
        [[set]]
        name = "a"
        data = "a.safetensors"
        split = "cameras=1 / cameras=2"
        [[encoder]]
        name = "untrained"
        config = "x.toml"
        epochs = 0
        [[protocol]]
        name = "probe"
        kind = "probe"
    "#;

    #[test]
    fn reads_a_plan() {
        let plan = Plan::parse(TEXT).unwrap();
        assert_eq!((plan.seeds.len(), plan.encoders[0].epochs), (2, Some(0)));
    }

    #[test]
    fn says_what_cannot_be_meant() {
        let error = |from: &str, to: &str| {
            let text = TEXT.replacen(from, to, 1);
            assert_ne!(text, TEXT);
            Plan::parse(&text).unwrap_err().to_string()
        };
        assert!(error("[0, 1]", "[]").contains("no seed"));
        assert!(error("\"untrained\"", "\"../up\"").contains("not a name"));
        assert!(error("kind = \"probe\"", "kind = \"probe\"\non = [\"b\"]").contains("\"b\""));
        assert!(error("epochs = 0", "epoch = 0").contains("epoch"));
    }

    #[test]
    fn the_shipped_plan_is_read() {
        Plan::parse(include_str!("../../../configs/compare/small.toml")).unwrap();
    }
}
