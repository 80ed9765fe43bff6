//! The file that describes a comparison.

use crate::evaluate::labels::{self, AmountError};
use crate::pretrain::config::PretrainConfig;
use crate::pretrain::layers::{Layer, Layers};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toml::Table;

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
    /// Another set with the same training side: nothing is pretrained for this one, that one's encoders are judged on it, too.
    pub like: Option<String>,
}

/// An encoder to pretrain.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    /// Values of the configuration that are otherwise, in tables as there.
    #[serde(default)]
    pub set: Table,
    /// Keys of the configuration to leave out, with dots between the names of tables.
    #[serde(default)]
    pub unset: Vec<String>,
    /// An encoder before this one in the plan, on whose first network this one starts.
    pub from: Option<String>,
    /// Amounts of labels for a method that uses labels, such as `["5", "10%"]`: a pretraining for each amount and draw, whose own
    /// classifier is judged.
    #[serde(default)]
    pub labelled: Vec<Amount>,
    /// Draws of each of these amounts; one without a number.
    #[serde(default = "one")]
    pub draws: u64,
    /// A file of a teacher's embeddings in the folder of the sets, for the method that learns from one.
    pub teacher: Option<PathBuf>,
    /// Names of its networks, for methods that train several, such as `["joint", "motion", "bone"]`: protocols judge the first one,
    /// fusion all of them.
    #[serde(default)]
    pub networks: Vec<String>,
}

/// As many draws as an amount has when nobody says otherwise.
fn one() -> u64 {
    1
}

/// An amount of labels as it is written on the command line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Amount(pub String);

impl TryFrom<String> for Amount {
    type Error = AmountError;

    fn try_from(text: String) -> Result<Self, AmountError> {
        text.parse::<labels::Amount>().map(|_| Self(text))
    }
}

impl Amount {
    /// As tables name it.
    #[must_use]
    pub fn title(&self) -> String {
        let read = self.0.parse::<labels::Amount>();
        read.map_or_else(|_| self.0.clone(), |amount| amount.to_string())
    }
}

impl EncoderPlan {
    /// Reads its configuration with what it changes there. `folder` is that of the plan.
    ///
    /// # Errors
    /// The file cannot be read, or a change does not fit it.
    pub fn configuration(&self, folder: &Path) -> Result<PretrainConfig, PlanError> {
        let wrong = |why: &dyn ToString| PlanError::Encoder {
            name: self.name.clone(),
            why: why.to_string(),
        };
        let path = folder.join(&self.config);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| wrong(&format!("{}: {error}", path.display())))?;
        let layers = Layers::parse(&text).map_err(|error| wrong(&error))?;
        let config = layers.config(None, &self.changes());
        config.map_err(|error| wrong(&error))
    }

    /// What differs from the configuration's file.
    #[must_use]
    pub fn changes(&self) -> Layer {
        Layer {
            unset: self.unset.clone(),
            set: self.set.clone(),
        }
    }

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
    /// The name of its figures in the tables instead of its own: protocols with the same one share columns.
    pub column: Option<String>,
}

impl ProtocolPlan {
    /// The name of its figures in the tables.
    #[must_use]
    pub fn title(&self) -> &str {
        self.column.as_ref().unwrap_or(&self.name)
    }
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
    /// The classifier that pretraining has made; only for encoders with `labelled`, and the only one for these.
    Classifier,
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
            Self::Classifier => "classifier",
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
    /// A configuration that cannot be used.
    #[error("the encoder {name:?}: {why}")]
    Encoder {
        /// The encoder.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// An encoder that another cannot start from.
    #[error(
        "{by:?} starts from {from:?}, which is no encoder before it in the plan, on the same sets and without `labelled`"
    )]
    From {
        /// Who names it.
        by: String,
        /// The name.
        from: String,
    },
    /// A set that another cannot be like.
    #[error(
        "the set {by:?} is like {set:?}, which is no set of the same file with encoders of its own"
    )]
    Like {
        /// Which set says so.
        by: String,
        /// The name.
        set: String,
    },
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
        for set in &plan.sets {
            let Some(like) = &set.like else { continue };
            let own = |other: &SetPlan| other.like.is_none() && other.data == set.data;
            if !plan.set(like).is_some_and(own) {
                return Err(PlanError::Like {
                    by: set.name.clone(),
                    set: like.clone(),
                });
            }
        }
        for (number, encoder) in plan.encoders.iter().enumerate() {
            let Some(from) = &encoder.from else { continue };
            let fits = |other: &EncoderPlan| {
                other.name == *from && other.on == encoder.on && other.labelled.is_empty()
            };
            if !plan.encoders[..number].iter().any(fits) {
                return Err(PlanError::From {
                    by: encoder.name.clone(),
                    from: from.clone(),
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
        let like = "split = \"cameras=1 / cameras=2\"\nlike = \"a\"";
        let found = error("split = \"cameras=1 / cameras=2\"", like);
        assert!(found.contains("with encoders of its own"), "{found}");
        assert!(error("\"untrained\"", "\"../up\"").contains("not a name"));
        assert!(error("kind = \"probe\"", "kind = \"probe\"\non = [\"b\"]").contains("\"b\""));
        assert!(error("epochs = 0", "epoch = 0").contains("epoch"));
        assert!(error("epochs = 0", "from = \"untrained\"").contains("no encoder before it"));
        assert!(error("epochs = 0", "labelled = [\"0%\"]").contains("no amount of labels"));
    }

    // Every switch of an ablation, and every file that a plan names.
    #[test]
    fn shipped_plans_fit_the_configurations_that_they_change() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/compare");
        let mut plans = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let plan = Plan::parse(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let mut seen = Vec::new();
            for encoder in &plan.encoders {
                let config = encoder.configuration(&folder);
                let config = config.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                // No two encoders of a plan are the same.
                let own = (config.digest(), encoder.epochs, encoder.from.clone());
                assert!(!seen.contains(&own), "{}: {}", path.display(), encoder.name);
                seen.push(own);
            }
            for protocol in &plan.protocols {
                for file in [&protocol.config, &protocol.finetune].into_iter().flatten() {
                    assert!(folder.join(file).exists(), "{}", file.display());
                }
            }
            plans += 1;
        }
        assert!(plans >= 4);
    }

    #[test]
    fn a_switch_that_the_configuration_does_not_have_is_named_with_its_encoder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/compare");
        let mut plan = Plan::parse(TEXT).unwrap();
        let encoder = &mut plan.encoders[0];
        encoder.config = "../pretrain/msmclr-small.toml".into();
        encoder.set = toml::from_str("method.attention.motoin = false").unwrap();
        let error = encoder.configuration(&folder).unwrap_err().to_string();
        assert!(
            error.contains("\"untrained\"") && error.contains("motoin"),
            "{error}"
        );
        encoder.set.clear();
        encoder.unset = vec!["method.attention".to_owned()];
        encoder.configuration(&folder).unwrap();
    }
}
