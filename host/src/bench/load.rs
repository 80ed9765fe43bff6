//! Training input of a set that is not held in memory: one batch with its views, from the store.

use super::serve::Work;
use crate::method::{Draw, Moment, Pool, ViewSpec};
use crate::pretrain::batch::Batches;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tendon_data::dataset::Dataset;
use tendon_data::windows::{StoredWindows, Windows as _};
use tendon_model::augment::Recipe;
use tendon_shared::normalize::NormalizeSpec;
use tendon_shared::stream::Stream;

/// The file of the specification.
pub const SPEC: &str = "load.json";

/// What is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadSpec {
    /// The set.
    pub set: PathBuf,
    /// How its recordings become windows.
    pub normalize: NormalizeSpec,
    /// Stacked streams.
    pub streams: Vec<Stream>,
    /// Windows of a batch; each is loaded in two views.
    pub batch: usize,
    /// Seed of order and augmentation.
    pub seed: u64,
}

/// Batches in the order of training.
pub struct Load<'a> {
    spec: LoadSpec,
    windows: StoredWindows<'a>,
    steps: u64,
}

impl LoadSpec {
    /// Reads the specification in `folder`.
    ///
    /// # Errors
    /// The text says what is wrong with the folder.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join(SPEC);
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        serde_json::from_slice(&text).map_err(|error| error.to_string())
    }
}

impl<'a> Load<'a> {
    /// Loads from `set`, which the specification names.
    ///
    /// # Errors
    /// A recording cannot become a window, or there are fewer than a batch.
    pub fn new(spec: LoadSpec, set: &'a Dataset) -> Result<Self, String> {
        let all: Vec<usize> = (0..set.len()).collect();
        if all.len() < spec.batch {
            return Err(format!(
                "the set has {} recordings, a batch {}",
                all.len(),
                spec.batch
            ));
        }
        let windows = StoredWindows::prepare(set, &all, &spec.normalize);
        Ok(Self {
            windows: windows.map_err(|error| error.to_string())?,
            spec,
            steps: 0,
        })
    }
}

impl Work for Load<'_> {
    fn about(&self) -> String {
        format!(
            "{} recordings; normalised, augmented and stacked in two views",
            self.windows.len()
        )
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), String> {
        let per_epoch = (self.windows.len() / self.spec.batch) as u64;
        let moment = Moment {
            seed: self.spec.seed,
            epoch: self.steps / per_epoch,
            step: self.steps,
        };
        let view = ViewSpec {
            recipe: Recipe::normal(),
            inputs: vec![self.spec.streams.clone()],
            partner: false,
        };
        let draws = [Draw {
            pool: Pool::Unlabelled,
            count: self.spec.batch,
            views: vec![view.clone(), view],
        }];
        let position = self.steps % per_epoch;
        self.steps += 1;
        Batches::new(&self.windows, self.spec.seed)
            .draw(&draws, &moment, position, &Device::flex())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    fn output(&mut self, _: usize) -> Result<Vec<Vec<f32>>, String> {
        Err("a loader has no output".to_owned())
    }
}
