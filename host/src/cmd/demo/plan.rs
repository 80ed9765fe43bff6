//! How much the demo does, and the configuration files that its commands use.

use anyhow::Context as _;
use std::path::Path;

const PRETRAIN: &str = include_str!("../../../../configs/demo/pretrain.toml");
const FINETUNE: &str = include_str!("../../../../configs/demo/finetune.toml");
const EDGE: &str = include_str!("../../../../configs/demo/edge.toml");

/// Sizes of the demo.
pub(super) struct Plan {
    /// Generated persons.
    pub(super) subjects: u16,
    /// Performances of every action by every person.
    pub(super) repetitions: u16,
    /// Speed of the stream over real time.
    pub(super) speed: f64,
    /// Whether to train for seconds only.
    quick: bool,
}

impl Plan {
    pub(super) fn new(quick: bool) -> Self {
        if quick {
            Self {
                subjects: 4,
                repetitions: 1,
                speed: 24.0,
                quick,
            }
        } else {
            Self {
                subjects: 8,
                repetitions: 2,
                speed: 24.0,
                quick,
            }
        }
    }

    /// Writes the configuration files into the demo's folder, where the user can read and change them.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, text) in [
            ("pretrain.toml", PRETRAIN),
            ("finetune.toml", FINETUNE),
            ("edge.toml", EDGE),
        ] {
            let text = if self.quick {
                shortened(text)
            } else {
                text.to_owned()
            };
            let path = folder.join(name);
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The same configuration with a single epoch.
fn shortened(text: &str) -> String {
    text.lines()
        .map(|line| {
            if line.starts_with("epochs =") {
                "epochs = 1  # --quick\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_runs_one_epoch_of_the_same_recipe() {
        for text in [PRETRAIN, FINETUNE] {
            let short = shortened(text);
            assert!(short.contains("epochs = 1  # --quick"));
            assert_eq!(short.lines().count(), text.lines().count());
        }
    }
}
