//! The nearest-neighbour monitor: do features of some training subjects find their class among the others'?
//!
//! It uses labels of training windows, to report and never to choose; test windows never come here.

use burn::tensor::Device;
use std::collections::BTreeSet;
use tendon_data::windows::Windows;
use tendon_model::encoder::{EncoderConfig, StGcn};

use super::config::MonitorConfig;
use crate::evaluate::EvaluateError;
use crate::evaluate::features::embed;
use crate::evaluate::knn::{KnnConfig, knn};

/// Which windows are asked and which answer.
pub struct Monitor {
    knn: KnnConfig,
    bank: Vec<usize>,
    asked: Vec<usize>,
}

impl Monitor {
    /// A monitor of `windows`; nothing when it is off, or when there are no labels or too few subjects.
    pub fn new(config: MonitorConfig, windows: &dyn Windows) -> Option<Self> {
        let subjects: BTreeSet<u16> = windows.subjects().iter().copied().collect();
        if config.epochs == 0 || windows.classes().len() < 2 || subjects.len() <= config.subjects {
            return None;
        }
        let held: BTreeSet<u16> = subjects.into_iter().rev().take(config.subjects).collect();
        let (asked, bank): (Vec<usize>, Vec<usize>) =
            (0..windows.len()).partition(|index| held.contains(&windows.subjects()[*index]));
        let knn = KnnConfig {
            k: config.neighbours,
            ..KnnConfig::default()
        };
        (!asked.is_empty()).then_some(Self { knn, bank, asked })
    }

    /// Share of the asked windows that get the right class, 0..=1.
    ///
    /// # Errors
    /// The encoder's features are not finite.
    pub fn top1(
        &self,
        encoder: &StGcn,
        config: &EncoderConfig,
        windows: &dyn Windows,
        device: &Device,
    ) -> Result<f64, EvaluateError> {
        let features = embed(encoder, config, windows, device, |_| {})?;
        let (bank, asked) = (features.select(&self.bank), features.select(&self.asked));
        Ok(knn(&bank, &asked, self.knn, device).top1())
    }
}
