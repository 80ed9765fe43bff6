//! The file that describes a measurement of adaptation.

use crate::replay::shift::Shift;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tendon_adapt::AdaptConfig;
use tendon_adapt::config::ConfigError;
use tendon_data::dataset::Dataset;
use tendon_data::split::{Selection, Split, SplitError};
use toml::Table;

/// Every source in each of its domains, in every stream, with every method and seed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Seeds of the streams.
    pub seeds: Vec<u64>,
    /// Source windows on which accuracy before and afterwards is measured, at most.
    #[serde(default = "source_windows")]
    pub source_windows: usize,
    /// What is shipped.
    #[serde(rename = "source")]
    pub sources: Vec<SourcePlan>,
    /// Where it has to work.
    #[serde(rename = "domain")]
    pub domains: Vec<DomainPlan>,
    /// In which order windows come.
    #[serde(rename = "stream")]
    pub streams: Vec<StreamPlan>,
    /// Who adapts.
    #[serde(rename = "method")]
    pub methods: Vec<MethodPlan>,
}

fn source_windows() -> usize {
    200
}

fn one() -> usize {
    1
}

/// A signed bundle and what it was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcePlan {
    /// Its name in the tables.
    pub name: String,
    /// Its file in the folder of the bundles.
    pub bundle: PathBuf,
    /// The float classifier that it was made from, in the folder of the bundles: for methods that normalise anew.
    pub classifier: Option<PathBuf>,
    /// The set that it learnt from, in the folder of the sets.
    pub data: PathBuf,
    /// The split whose training side it learnt from.
    pub split: String,
}

/// Windows that a source has not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainPlan {
    /// Its name in the tables.
    pub name: String,
    /// Names of the sources that meet it.
    pub sources: Vec<String>,
    /// The set, in the folder of the sets.
    pub data: PathBuf,
    /// Which of its recordings.
    pub windows: Choice,
    /// What is changed on them.
    #[serde(default)]
    pub shift: Shift,
    /// Names of the set's classes with the source's name for each; without it both have the same names.
    #[serde(default)]
    pub classes: BTreeMap<String, String>,
    /// Whether recordings of other classes are played, as actions that nobody knows; else they are left out.
    #[serde(default)]
    pub unknown: bool,
}

/// Recordings of a set: a selection such as `subjects=2`, or a split, of which the test side is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Choice(String);

impl TryFrom<String> for Choice {
    type Error = SplitError;

    fn try_from(text: String) -> Result<Self, SplitError> {
        if is_selection(&text) {
            text.parse::<Selection>()?;
        } else {
            Split::parse(&text)?;
        }
        Ok(Self(text))
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.0
    }
}

/// A split is a name or has two sides.
fn is_selection(text: &str) -> bool {
    !text.contains('/') && (text.contains('=') || text.trim() == "all" || text.trim().is_empty())
}

impl Choice {
    /// Numbers of the recordings.
    ///
    /// # Errors
    /// The split does not fit the set.
    pub fn indices(&self, dataset: &Dataset) -> Result<Vec<usize>, SplitError> {
        if is_selection(&self.0) {
            return Ok(self.0.parse::<Selection>()?.indices(dataset));
        }
        Ok(Split::parse(&self.0)?.apply(dataset)?.1)
    }
}

/// An order of windows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamPlan {
    /// Its name in the tables.
    pub name: String,
    /// Its order.
    pub order: Order,
    /// How many times everything is played, each time in a new order.
    #[serde(default = "one")]
    pub repeat: usize,
    /// Idle passes over the memory after the stream, before accuracy afterwards is measured; only `ours` has idle work.
    #[serde(default)]
    pub idle_passes: usize,
}

/// Orders of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Every class at any time.
    Iid,
    /// One activity at a time: Dirichlet 0.1 over time.
    Correlated,
    /// Source, domain, source, domain.
    Recurring,
}

/// Who adapts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodPlan {
    /// Its name in the tables.
    pub name: String,
    /// The recipe.
    pub kind: MethodKind,
    /// Windows that come together; the device's own adaptation takes one.
    #[serde(default = "one")]
    pub batch: usize,
    /// Names of the streams that it is measured on; all of them without any.
    #[serde(default)]
    pub streams: Vec<String>,
    /// For `ours`: an `edge.toml`, of which the part `adapt` counts; relative to the plan's folder.
    pub config: Option<PathBuf>,
    /// For `ours`: switches that are otherwise, in tables as below `adapt`.
    #[serde(default)]
    pub set: Table,
}

/// Recipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodKind {
    /// The bundle as shipped.
    None,
    /// What the device does.
    Ours,
    /// What labels of the domain would give: no method, a bound.
    Oracle,
    /// BatchNorm by the statistics of the batch.
    Bn,
    /// BatchNorm by statistics that move with the stream.
    BnEma,
    /// Tent.
    Tent,
    /// CoTTA.
    Cotta,
    /// RoTTA.
    Rotta,
    /// RDumb.
    Rdumb,
    /// T3A.
    T3a,
    /// LAME.
    Lame,
    /// Label propagation over the windows seen.
    LabelPropagation,
    /// OFTTA.
    Oftta,
}

impl MethodKind {
    /// Whether it needs the float classifier.
    #[must_use]
    pub fn is_float(self) -> bool {
        match self {
            Self::None | Self::Ours | Self::Oracle => false,
            Self::T3a | Self::Lame | Self::LabelPropagation => false,
            Self::Bn | Self::BnEma | Self::Tent | Self::Cotta => true,
            Self::Rotta | Self::Rdumb | Self::Oftta => true,
        }
    }

    /// Whether windows come to it one at a time whatever the plan says.
    fn is_single(self) -> bool {
        matches!(self, Self::None | Self::Ours | Self::Oracle)
    }
}

/// A plan that cannot be meant.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not what it should be.
    #[error("{}: {source}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Which key.
        source: Box<toml::de::Error>,
    },
    /// A key that cannot be meant.
    #[error("{}: {key}: {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong.
        why: String,
    },
}

/// A key of a plan with what is wrong about it.
type Wrong = (String, String);

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError`] names the file and the key.
    pub fn read(path: &Path) -> Result<Self, PlanError> {
        let text = std::fs::read_to_string(path).map_err(|source| PlanError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads a plan's text; `path` is only named in errors.
    ///
    /// # Errors
    /// [`PlanError`] names the file and the key.
    pub fn parse(text: &str, path: &Path) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text).map_err(|source| PlanError::Toml {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        plan.check().map_err(|(key, why)| PlanError::Key {
            path: path.to_path_buf(),
            key,
            why,
        })?;
        Ok(plan)
    }

    /// A source by name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&SourcePlan> {
        self.sources.iter().find(|source| source.name == name)
    }

    fn check(&self) -> Result<(), Wrong> {
        let wrong = |key: &str, why: &str| Err((key.to_owned(), why.to_owned()));
        if self.seeds.is_empty() {
            return wrong("seeds", "at least one is needed");
        }
        if self.source_windows == 0 {
            return wrong("source_windows", "at least one is needed");
        }
        names("source", self.sources.iter().map(|one| &one.name))?;
        names("domain", self.domains.iter().map(|one| &one.name))?;
        names("stream", self.streams.iter().map(|one| &one.name))?;
        names("method", self.methods.iter().map(|one| &one.name))?;
        for domain in &self.domains {
            domain.check(self)?;
        }
        for stream in &self.streams {
            if stream.repeat == 0 {
                return wrong(
                    &format!("stream {}.repeat", stream.name),
                    "must be at least 1",
                );
            }
        }
        for method in &self.methods {
            method.check(self)?;
        }
        Ok(())
    }
}

impl DomainPlan {
    fn check(&self, plan: &Plan) -> Result<(), Wrong> {
        let wrong = |key: &str, why: String| Err((format!("domain {}.{key}", self.name), why));
        if self.sources.is_empty() {
            return wrong("sources", "at least one is needed".to_owned());
        }
        for name in &self.sources {
            if plan.source(name).is_none() {
                return wrong("sources", format!("there is no source {name:?}"));
            }
        }
        if self.unknown && self.classes.is_empty() {
            return wrong(
                "unknown",
                "needs `classes`, which says what is known".to_owned(),
            );
        }
        let Shift {
            limbs,
            keypoints: _,
            tilt_degrees,
            roll_degrees,
            noise_metres,
            absent,
            keep,
        } = self.shift;
        for (key, value, low, high) in [
            ("tilt_degrees", tilt_degrees, -180.0, 180.0),
            ("roll_degrees", roll_degrees, -180.0, 180.0),
            ("noise_metres", noise_metres, 0.0, 1.0),
            ("absent", absent, 0.0, 1.0),
            ("keep", keep as f32, 1.0, 1_000.0),
            ("limbs.arms", limbs.arms, 0.1, 10.0),
            ("limbs.legs", limbs.legs, 0.1, 10.0),
            ("limbs.trunk", limbs.trunk, 0.1, 10.0),
        ] {
            // NaN is outside, too.
            if !(low..=high).contains(&value) {
                return wrong(
                    &format!("shift.{key}"),
                    format!("{value} is not between {low} and {high}"),
                );
            }
        }
        Ok(())
    }
}

impl MethodPlan {
    fn check(&self, plan: &Plan) -> Result<(), Wrong> {
        let wrong = |key: &str, why: String| Err((format!("method {}.{key}", self.name), why));
        if self.batch == 0 || self.batch > 256 {
            return wrong("batch", "must be between 1 and 256 windows".to_owned());
        }
        let known = |name: &&String| plan.streams.iter().any(|stream| stream.name == **name);
        if let Some(name) = self.streams.iter().find(|name| !known(name)) {
            return wrong("streams", format!("there is no stream {name:?}"));
        }
        if self.kind.is_single() && self.batch != 1 {
            return wrong("batch", "takes one window at a time".to_owned());
        }
        if self.kind != MethodKind::Ours && !self.set.is_empty() {
            return wrong("set", "only `ours` has switches".to_owned());
        }
        if self.kind != MethodKind::Ours && self.config.is_some() {
            return wrong("config", "only `ours` has a configuration".to_owned());
        }
        let without = plan
            .sources
            .iter()
            .find(|source| source.classifier.is_none());
        if let Some(source) = without.filter(|_| self.kind.is_float()) {
            return wrong(
                "kind",
                format!("needs the `classifier` of the source {}", source.name),
            );
        }
        Ok(())
    }

    /// The configuration of `ours`: the defaults, then the file's part `adapt`, then `set`. `folder` is the plan's.
    ///
    /// # Errors
    /// [`PlanError`] names the file and the key.
    pub fn configuration(&self, plan: &Path) -> Result<AdaptConfig, PlanError> {
        let key = |key: &str, why: String| PlanError::Key {
            path: plan.to_path_buf(),
            key: format!("method {}.{key}", self.name),
            why,
        };
        let mut merged = Table::new();
        if let Some(file) = &self.config {
            let path = plan.parent().unwrap_or(Path::new("")).join(file);
            let text = std::fs::read_to_string(&path)
                .map_err(|error| key("config", format!("{}: {error}", path.display())))?;
            let mut whole: Table = toml::from_str(&text).map_err(|source| PlanError::Toml {
                path: path.clone(),
                source: Box::new(source),
            })?;
            if let Some(toml::Value::Table(adapt)) = whole.remove("adapt") {
                merged = adapt;
            }
        }
        merge(&mut merged, &self.set);
        let config: AdaptConfig = merged
            .try_into()
            .map_err(|error: toml::de::Error| key("set", error.message().to_owned()))?;
        config
            .check()
            .map_err(|error: ConfigError| key("set", error.to_string()))?;
        Ok(config)
    }
}

/// Puts `changes` over `table`, table by table.
fn merge(table: &mut Table, changes: &Table) {
    for (key, change) in changes {
        match (table.get_mut(key), change) {
            (Some(toml::Value::Table(own)), toml::Value::Table(change)) => merge(own, change),
            _ => {
                table.insert(key.clone(), change.clone());
            }
        }
    }
}

/// Names become folders, so they must be plain and differ.
fn names<'n>(what: &str, names: impl Iterator<Item = &'n String>) -> Result<(), Wrong> {
    let mut known = BTreeSet::new();
    for name in names {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-+._".contains(c);
        let usable = !name.is_empty() && !name.starts_with('.') && name.chars().all(plain);
        if !usable || !known.insert(name) {
            return Err((
                format!("{what}.name"),
                format!(
                    "{name:?} is not a name of its own: letters, digits, '-', '+', '.' and '_', each name once"
                ),
            ));
        }
    }
    match known.is_empty() {
        true => Err((what.to_owned(), "at least one is needed".to_owned())),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
