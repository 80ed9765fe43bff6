//! What labels of the domain would give: a logistic regression on the shipped encoder's pooled features.
//!
//! Two folds: each half of the domain's windows is answered by a regression on the other half and the source's windows. It is no
//! method but a bound that tells domains with headroom from those without.

use super::measure::{Accuracy, Outcome};
use super::script::{Item, Script};
use crate::evaluate::matrix::Features;
use crate::evaluate::probe::{Probe, ProbeConfig};
use burn::tensor::Device;
use tendon_adapt::softmax::top;
use tendon_bundle::VerifiedBundle;

/// Accuracy of the bound on the domain's windows, as accuracy on the stream and afterwards.
///
/// # Errors
/// Why there are no features, in words.
pub fn oracle(bundle: &VerifiedBundle, script: &Script, seed: u64) -> Result<Outcome, String> {
    let encoder = bundle.encoder().map_err(|error| error.to_string())?;
    let of = |items: &[Item]| -> Vec<(Vec<f32>, u16, u16)> {
        let known = items.iter().map(Item::labelled);
        known
            .filter_map(|one| Some((one, one.label?)))
            .map(|(one, label)| (one.window.pooled.clone(), label, top(&one.window.base).0))
            .collect()
    };
    let (domain, source) = (of(&script.afterwards), of(&script.source));
    let (classes, dim) = (encoder.spec().classes, encoder.spec().dim);
    let table = |rows: &[&(Vec<f32>, u16, u16)]| {
        let values = rows.iter().flat_map(|row| row.0.iter().copied()).collect();
        let labels = rows.iter().map(|row| row.1).collect();
        Features::new(dim, values, labels, classes).map_err(|error| error.to_string())
    };
    let device = Device::flex();
    let mut right = 0.0;
    for fold in 0..2 {
        let half = |own: usize| domain.iter().skip(own).step_by(2);
        let test: Vec<_> = half(fold).collect();
        if test.is_empty() {
            continue;
        }
        let train: Vec<_> = half(1 - fold).chain(&source).collect();
        let config = ProbeConfig::logistic();
        let probe = Probe::fit(&table(&train)?, None, &config, seed, &device, |_, _| {});
        right += probe.predict(&table(&test)?, &device).top1() * test.len() as f64;
    }
    let count = domain.len().max(1) as f64;
    let base = domain
        .iter()
        .filter(|(_, label, base)| label == base)
        .count() as f64
        / count;
    let found = Accuracy {
        windows: domain.len(),
        base,
        method: right / count,
        unguarded: right / count,
    };
    Ok(Outcome {
        online: found,
        afterwards: found,
        ..Outcome::default()
    })
}
