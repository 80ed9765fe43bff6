//! Configurations in layers: what a file says, what it says `[for.NAME]` a split or set, what the command line changes.
//!
//! A layer names only what differs, as in `[for.ntu120-xsub]` with `epochs = 80` and `method.objective.from_epoch = 40`. A table of a layer is laid
//! over the file's, key by key; a table with a `kind` is a choice among several and replaces the file's whole. `unset` lists keys to leave out.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::{Table, Value};

use super::config::{PretrainConfig, PretrainConfigError};

/// What differs from the layer below.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Layer {
    /// Keys to leave out, with dots between the names of tables.
    #[serde(default)]
    pub unset: Vec<String>,
    /// Values, in tables as in the file.
    #[serde(flatten)]
    pub set: Table,
}

/// A change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LayerError {
    /// Not `key=value`.
    #[error("{0:?} is no change: write KEY=VALUE, such as method.temperature=0.2")]
    Change(String),
    /// A key below a value that is no table.
    #[error("{0:?} is no table, it has nothing below it")]
    NoTable(String),
    /// A key that is not there.
    #[error("{0:?} cannot be left out, it is not there")]
    Missing(String),
    /// The file says nothing for this name.
    #[error("there is no [for.{name}] here; there are: {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Names that are there.
        known: String,
    },
}

impl Layer {
    /// A layer of texts `key=value`, with dots between the names of tables and values as in the file; a value that is none of TOML's is
    /// a text.
    ///
    /// # Errors
    /// A text has another form, or two contradict each other.
    pub fn parse(set: &[String], unset: &[String]) -> Result<Self, LayerError> {
        let mut layer = Self {
            unset: unset.to_vec(),
            set: Table::new(),
        };
        for text in set {
            let wrong = || LayerError::Change(text.clone());
            let (key, value) = text.split_once('=').ok_or_else(wrong)?;
            let parsed = toml::from_str::<Table>(&format!("value = {value}"));
            let parsed = parsed.ok().filter(|table| table.len() == 1);
            let value = parsed.and_then(|mut table| table.remove("value"));
            let text = key_value(text);
            put(&mut layer.set, key.trim(), value.unwrap_or(text))?;
        }
        Ok(layer)
    }

    /// The layer as texts that [`Self::parse`] reads.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        flatten("", &self.set, &mut texts);
        texts
    }

    fn apply(&self, below: &mut Table) -> Result<(), LayerError> {
        for key in &self.unset {
            let missing = || LayerError::Missing(key.clone());
            let (path, last) = key.rsplit_once('.').unwrap_or(("", key));
            let mut table = &mut *below;
            for name in path.split('.').filter(|name| !name.is_empty()) {
                let next = table.get_mut(name).and_then(Value::as_table_mut);
                table = next.ok_or_else(missing)?;
            }
            table.remove(last).ok_or_else(missing)?;
        }
        merge(below, &self.set);
        Ok(())
    }
}

/// What stands behind the first `=`.
fn key_value(text: &str) -> Value {
    let value = text.split_once('=').map_or("", |(_, value)| value);
    Value::String(value.trim().to_owned())
}

/// Puts a value at the end of a path of tables.
fn put(table: &mut Table, key: &str, value: Value) -> Result<(), LayerError> {
    let wrong = || LayerError::Change(key.to_owned());
    let Some((first, rest)) = key.split_once('.') else {
        let fresh = !key.is_empty() && !table.contains_key(key);
        return match fresh {
            true => {
                table.insert(key.to_owned(), value);
                Ok(())
            }
            false => Err(wrong()),
        };
    };
    let below = table
        .entry(first.to_owned())
        .or_insert_with(|| Value::Table(Table::new()));
    let below = below.as_table_mut();
    put(
        below.ok_or_else(|| LayerError::NoTable(first.to_owned()))?,
        rest,
        value,
    )
}

/// Whether a table is a choice among several and not a group of values.
fn chooses(table: &Table) -> bool {
    table.contains_key("kind")
}

fn merge(below: &mut Table, over: &Table) {
    for (key, value) in over {
        match (below.get_mut(key), value) {
            (Some(Value::Table(below)), Value::Table(over)) if !chooses(over) => merge(below, over),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}

fn flatten(path: &str, table: &Table, texts: &mut Vec<String>) {
    for (key, value) in table {
        let path = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        match value {
            Value::Table(table) if !chooses(table) => flatten(&path, table, texts),
            value => texts.push(format!("{path}={value}")),
        }
    }
}

/// A configuration file with its layers.
#[derive(Debug, Clone)]
pub struct Layers {
    values: Table,
    layers: BTreeMap<String, Layer>,
}

impl Layers {
    /// Reads a file and checks it with each of its layers.
    ///
    /// # Errors
    /// The text is no configuration, or one of its layers makes none of it; the message names line or field.
    pub fn parse(text: &str) -> Result<Self, PretrainConfigError> {
        let mut values: Table = toml::from_str(text)?;
        let layers = match values.remove("for") {
            Some(layers) => layers.try_into()?,
            None => BTreeMap::new(),
        };
        let all = Self { values, layers };
        let plain = all.config(None, &Layer::default());
        if let Err(error) = plain {
            // Of the text itself, without the layers at its end, the message has the line.
            let own = text.split("\n[for.").next().unwrap_or(text);
            return Err(match toml::from_str::<PretrainConfig>(own) {
                Err(with_line) => with_line.into(),
                Ok(_) => error,
            });
        }
        for name in all.layers.keys() {
            all.config(Some(name), &Layer::default())?;
        }
        Ok(all)
    }

    /// Names that the file says something for.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.layers.keys().map(String::as_str)
    }

    /// The configuration for a name, with some changes on top.
    ///
    /// # Errors
    /// The file says nothing for this name, or the values make no configuration.
    pub fn config(
        &self,
        name: Option<&str>,
        changes: &Layer,
    ) -> Result<PretrainConfig, PretrainConfigError> {
        let mut values = self.values.clone();
        let mut whose = String::new();
        if let Some(name) = name {
            let unknown = || LayerError::Unknown {
                name: name.to_owned(),
                known: self.names().collect::<Vec<_>>().join(", "),
            };
            let layer = self.layers.get(name).ok_or_else(unknown)?;
            layer.apply(&mut values)?;
            whose = format!("for {name}: ");
        }
        changes.apply(&mut values)?;
        let read = || {
            let config: PretrainConfig = values.try_into()?;
            config.validate()?;
            Ok::<_, PretrainConfigError>(config)
        };
        read().map_err(|error| match whose.as_str() {
            "" => error,
            _ => PretrainConfigError::Layer(whose, Box::new(error)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::CmcsConfig;
    use crate::pretrain::config::MethodConfig;
    use crate::pretrain::schedule::Shape;
    use proptest::prelude::*;

    const TEXT: &str = include_str!("../../../configs/pretrain/cmcs-paper.toml");

    fn layer(set: &[&str], unset: &[&str]) -> Result<Layer, LayerError> {
        let owned = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.to_string())
                .collect::<Vec<_>>()
        };
        Layer::parse(&owned(set), &owned(unset))
    }

    fn changed(set: &[&str], unset: &[&str]) -> Result<PretrainConfig, PretrainConfigError> {
        let text = TEXT.split("\n[for.").next().unwrap();
        let layers = Layers::parse(text).unwrap();
        layers.config(None, &layer(set, unset)?)
    }

    fn method(config: &PretrainConfig) -> &CmcsConfig {
        let MethodConfig::Cmcs(method) = &config.method else {
            panic!("it is CMCS's configuration");
        };
        method
    }

    #[test]
    fn changes_reach_any_depth_and_leave_the_rest() {
        let plain = PretrainConfig::parse(TEXT).unwrap();
        let config = changed(
            &["method.ema_decay=0.5", "seed = 7", "window.mode=product"],
            &[],
        );
        let config = config.unwrap();
        assert_eq!((config.seed, method(&config).ema_decay), (7, 0.5));
        assert_eq!(method(&config).views, method(&plain).views);
        assert_eq!(config.window.frames, plain.window.frames);
        assert_ne!(config.window.mode, plain.window.mode);
    }

    #[test]
    fn a_choice_is_replaced_whole() {
        let steps = "schedule.shape={ kind = \"steps\", epochs = [3.0] }";
        let config = changed(&[steps], &[]).unwrap();
        assert_eq!(config.schedule.shape, Shape::Steps { epochs: vec![3.0] });
        let config = changed(&["method.objective={ kind = \"byol\" }"], &[]).unwrap();
        assert_eq!(method(&config).objective, crate::method::Objective::Byol);
    }

    fn refused(set: &[&str], unset: &[&str], expect: &str) {
        let error = changed(set, unset).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn what_cannot_be_changed_is_named() {
        refused(&["epocs=3"], &[], "epocs");
        refused(&["method.objective.pusch=3"], &[], "pusch");
        refused(&["epochs=many"], &[], "many");
        refused(&["batch=1"], &[], "batch is 1, it must be at least 2");
        refused(&["batch"], &[], "\"batch\" is no change");
        refused(&["batch=4", "batch=5"], &[], "\"batch\" is no change");
        refused(&["batch=4", "batch.size=5"], &[], "\"batch\" is no table");
        refused(
            &[],
            &["method.attention"],
            "\"method.attention\" cannot be left out",
        );
        refused(&[], &["batch"], "batch");
    }

    #[test]
    fn a_layer_is_read_from_its_own_texts() {
        let text = "a = 1\nb.c = \"x y\"\nb.d = [1.5, { e = true }]\nf = { kind = \"k\", g = 2 }\n";
        let layer: Layer = toml::from_str(text).unwrap();
        let texts = layer.texts();
        assert_eq!(texts.len(), 4);
        assert_eq!(Layer::parse(&texts, &[]).unwrap(), layer);
    }

    #[test]
    fn a_mistake_in_a_layer_is_found_whoever_it_is_for() {
        let error = |layer: &str| {
            let error = Layers::parse(&format!("{TEXT}\n[for.other]\n{layer}\n"));
            error.unwrap_err().to_string()
        };
        let found = error("epocs = 3");
        assert!(
            found.contains("for other: ") && found.contains("epocs"),
            "{found}"
        );
        assert!(error("batch = 0").contains("for other: batch is 0"));
        let layers = Layers::parse(TEXT).unwrap();
        let error = layers
            .config(Some("nothing"), &Layer::default())
            .unwrap_err();
        assert!(error.to_string().contains("ntu60-xview"), "{error}");
    }

    #[test]
    fn a_mistake_in_the_file_itself_is_named_with_its_line() {
        let error = Layers::parse(&TEXT.replacen("epochs =", "epocs =", 1)).unwrap_err();
        assert!(error.to_string().contains("line 7"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "\\PC{0,60}", key in "[a-z.=]{0,12}") {
            let _ = Layers::parse(&text);
            let _ = Layer::parse(&[text], std::slice::from_ref(&key));
            let _ = changed(&[&key], &[&key]);
        }
    }
}
