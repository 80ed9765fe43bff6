//! Prototypes that take in what was answered surely: the memory of T3A, which OFTTA took over.

use super::vector::{add, dot, entropy, largest, softmax, unit};

/// Supports of a class (T3A: `M = 20`).
pub(super) const MOST: usize = 20;
/// What makes cosines logits.
const SHARPNESS: f32 = 10.0;

/// For each class, entropy and unit vector of its supports, surest first.
#[derive(Debug, Clone)]
pub(super) struct Supports(pub(super) Vec<Vec<(f32, Vec<f32>)>>);

impl Supports {
    /// Takes a window in under the class that it was given.
    pub(super) fn take(&mut self, pooled: &[f32], probabilities: &[f32]) {
        let supports = &mut self.0[largest(probabilities)];
        supports.push((entropy(probabilities), unit(pooled)));
        supports.sort_by(|a, b| a.0.total_cmp(&b.0));
        supports.truncate(MOST);
    }

    /// Probabilities of a window: by its cosine to the mean of each class's supports.
    pub(super) fn ask(&self, pooled: &[f32]) -> Vec<f32> {
        let pooled = unit(pooled);
        let logits: Vec<f32> = self
            .0
            .iter()
            .map(|supports| {
                let mut sum = vec![0.0; pooled.len()];
                for (_, support) in supports {
                    add(&mut sum, support, 1.0);
                }
                SHARPNESS * dot(&pooled, &unit(&sum))
            })
            .collect();
        softmax(&logits)
    }
}
