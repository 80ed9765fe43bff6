//! The nearest-neighbour monitor: do features of some training subjects find their class among the others'?
//!
//! It uses labels of training windows, to report and never to choose; test windows never come here.

use burn::tensor::Device;
use std::collections::BTreeSet;
use std::ops::Range;
use tendon_data::windows::Windows;
use tendon_model::encoder::{Encoder, EncoderConfig};

use super::config::MonitorConfig;
use crate::evaluate::EvaluateError;
use crate::evaluate::features::embed;
use crate::evaluate::knn::{KnnConfig, knn};

/// Which windows are asked and which answer.
pub struct Monitor {
    knn: KnnConfig,
    parts: Vec<Part>,
}

/// The questions of one set; sets do not answer each other's.
struct Part {
    bank: Vec<usize>,
    asked: Vec<usize>,
}

impl Monitor {
    /// A monitor of `windows`; nothing when it is off, or when there are no labels or too few subjects in every set.
    pub fn new(config: MonitorConfig, windows: &dyn Windows) -> Option<Self> {
        if config.epochs == 0 {
            return None;
        }
        let parts = windows.parts().into_iter();
        let parts: Vec<Part> = parts
            .filter_map(|part| Part::new(config.subjects, windows, part))
            .collect();
        let knn = KnnConfig {
            k: config.neighbours,
            ..KnnConfig::default()
        };
        (!parts.is_empty()).then_some(Self { knn, parts })
    }

    /// Share of the asked windows that get the right class, 0..=1; the mean over the sets.
    ///
    /// # Errors
    /// The encoder's features are not finite.
    pub fn top1(
        &self,
        encoder: &Encoder,
        config: &EncoderConfig,
        windows: &dyn Windows,
        device: &Device,
    ) -> Result<f64, EvaluateError> {
        let features = embed(encoder, config, self.knn.pooling, windows, device, |_| {})?;
        let shares = self.parts.iter().map(|part| {
            let (bank, asked) = (features.select(&part.bank), features.select(&part.asked));
            knn(&bank, &asked, self.knn, device).top1()
        });
        Ok(shares.sum::<f64>() / self.parts.len() as f64)
    }
}

impl Part {
    fn new(held: usize, windows: &dyn Windows, part: Range<usize>) -> Option<Self> {
        let of = |index: usize| windows.subjects()[index];
        let subjects: BTreeSet<u16> = part.clone().map(of).collect();
        let labels: BTreeSet<u16> = part.clone().map(|index| windows.labels()[index]).collect();
        if labels.len() < 2 || subjects.len() <= held {
            return None;
        }
        let held: BTreeSet<u16> = subjects.into_iter().rev().take(held).collect();
        let (asked, bank): (Vec<usize>, Vec<usize>) =
            part.partition(|index| held.contains(&of(*index)));
        (!asked.is_empty()).then_some(Self { bank, asked })
    }
}
