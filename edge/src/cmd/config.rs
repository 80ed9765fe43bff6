//! The agent's configuration: a TOML file, and single values from the command line over it.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use tendon_edge::capture::bridge::BridgeConfig;
use tendon_edge::live::ShadowConfig;
use tendon_edge::runner::PipelineConfig;

/// Everything that `configs/edge.toml` says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    /// Windows, reports, adaptation.
    #[serde(flatten)]
    pub(crate) pipeline: PipelineConfig,
    /// New bundles.
    pub(crate) trial: Trial,
    /// A pose bridge at the end of a serial line.
    pub(crate) bridge: BridgeConfig,
}

/// How a new bundle proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Trial {
    /// Windows that must go well until a new bundle is confirmed.
    pub(crate) windows: u32,
    /// How it is watched before it serves.
    pub(crate) shadow: ShadowConfig,
}

impl Default for Trial {
    fn default() -> Self {
        Self {
            windows: 8,
            shadow: ShadowConfig::default(),
        }
    }
}

/// Reads the file, if there is one, and sets single values such as `adapt.enabled=false`.
pub(crate) fn read(path: Option<&Path>, settings: &[String]) -> anyhow::Result<Config> {
    let mut table = match path {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            text.parse::<toml::Table>()
                .with_context(|| format!("{} is no TOML", path.display()))?
        }
        None => toml::Table::new(),
    };
    for setting in settings {
        let (key, value) = setting
            .split_once('=')
            .with_context(|| format!("--set {setting}: write KEY=VALUE"))?;
        let value = format!("value = {value}")
            .parse::<toml::Table>()
            .ok()
            .and_then(|mut table| table.remove("value"));
        // A word without quotes is text.
        let value = value.unwrap_or_else(|| {
            toml::Value::String(setting.split_once('=').map_or("", |pair| pair.1).into())
        });
        let mut place = &mut table;
        let mut names: Vec<&str> = key.split('.').collect();
        let last = names.pop().unwrap_or_default();
        ensure!(!last.is_empty(), "--set {setting}: the key is empty");
        for name in names {
            let inner = place
                .entry(name)
                .or_insert_with(|| toml::Table::new().into());
            place = inner
                .as_table_mut()
                .with_context(|| format!("--set {setting}: {name} is a value, not a section"))?;
        }
        place.insert(last.into(), value);
    }
    toml::Value::Table(table)
        .try_into()
        .context("the configuration is not one of tendon-edge's")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_says_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/edge.toml");
        assert_eq!(read(Some(&path), &[]).unwrap(), Config::default());
    }

    #[test]
    fn single_values_win() {
        let config = read(
            None,
            &["trial.windows=3".into(), "adapt.enabled=false".into()],
        )
        .unwrap();
        assert_eq!(
            (config.trial.windows, config.pipeline.adapt.enabled),
            (3, false)
        );
        assert!(read(None, &["trial.window=3".into()]).is_err());
        assert!(read(None, &["trial".into()]).is_err());
    }

    #[test]
    fn single_values_replace_those_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge.toml");
        std::fs::write(&path, "[adapt]\nmemory = 32\n").unwrap();
        let settings = [
            "adapt.student.rule=adam".to_owned(),
            "adapt.gate.threshold=0.9".to_owned(),
        ];
        let config = read(Some(&path), &settings).unwrap().pipeline;
        assert_eq!(
            (config.adapt.memory, config.adapt.gate.threshold),
            (32, 0.9)
        );
        assert_eq!(config.adapt.student.rule, tendon_adapt::config::Rule::Adam);
    }

    #[test]
    fn a_wrong_name_is_an_error() {
        assert!(read(None, &["adapt.lernrate=1".to_owned()]).is_err());
        assert!(read(None, &["adapt".to_owned()]).is_err());
    }
}
