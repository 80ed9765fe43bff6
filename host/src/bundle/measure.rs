//! Measuring: what quantization costs, in accuracy and block by block.

use super::calibrate::{Method, Observations};
use super::equalize::equalize;
use super::inputs::Inputs;
use super::quantize::{Options, UnseenError, quantize};
use crate::evaluate::metrics::{Predictions, argmax};
use rayon::prelude::*;
use tendon_engine::{BufferError, Encoder, ParseError};
use tendon_model::folded::{Folded, Site};

/// Why an encoder cannot be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// The engine refuses the blob.
    #[error("the quantized encoder is invalid; the network may be outside the engine's limits")]
    Encoder(#[from] ParseError),
    /// The windows do not fit the encoder.
    #[error("the windows do not fit the encoder")]
    Window(#[from] BufferError),
    /// Calibration saw no window.
    #[error(transparent)]
    Unseen(#[from] UnseenError),
}

/// Logits of the folded network for the windows `chosen`, row after row.
#[must_use]
pub fn float_logits(
    network: &Folded,
    inputs: &Inputs,
    chosen: &[usize],
    done: &(dyn Fn() + Sync),
) -> Vec<f32> {
    let row = |number: &usize| {
        let logits = network.logits(inputs.window(*number), &inputs.bodies(*number));
        done();
        logits
    };
    chosen.par_iter().flat_map_iter(row).collect()
}

/// Logits of the int8 encoder for the windows `chosen`, row after row.
///
/// # Errors
/// [`MeasureError`].
pub fn int8_logits(
    encoder: &Encoder<'_>,
    inputs: &Inputs,
    chosen: &[usize],
    done: &(dyn Fn() + Sync),
) -> Result<Vec<f32>, MeasureError> {
    let rows = chosen.par_iter().map_init(
        || vec![0; encoder.arena_len()],
        |arena, number| {
            let mut logits = vec![0; encoder.spec().classes];
            encoder.run(
                inputs.window(*number),
                inputs.presence[*number],
                arena,
                &mut logits,
            )?;
            done();
            Ok::<_, MeasureError>(logits)
        },
    );
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(rows
        .into_iter()
        .flatten()
        .map(|logit| logit as f32 * encoder.logit_scale())
        .collect())
}

/// Predictions of the windows `chosen` from their logits.
#[must_use]
pub fn predictions(
    classes: usize,
    logits: Vec<f32>,
    inputs: &Inputs,
    chosen: &[usize],
) -> Predictions {
    Predictions::new(
        classes,
        logits,
        chosen.iter().map(|number| inputs.labels[*number]).collect(),
    )
}

/// Share of rows whose largest logit is the same class, 0..=1.
#[must_use]
pub fn agreement(a: &[f32], b: &[f32], classes: usize) -> f64 {
    let rows = a.chunks_exact(classes).zip(b.chunks_exact(classes));
    let same = rows.filter(|(a, b)| argmax(a) == argmax(b)).count();
    same as f64 / (a.len() / classes).max(1) as f64
}

/// Root mean square of the difference of two lists over that of the second.
#[must_use]
pub fn relative_error(found: &[f32], expect: &[f32]) -> f64 {
    let square = |values: &mut dyn Iterator<Item = f32>| {
        values.map(|value| f64::from(value).powi(2)).sum::<f64>()
    };
    let wrong = square(&mut found.iter().zip(expect).map(|(a, b)| a - b));
    (wrong / square(&mut expect.iter().copied()).max(1e-30)).sqrt()
}

/// Relative error of every block's output, of the embedding and nothing else, over the windows `chosen`.
///
/// # Errors
/// [`MeasureError`].
pub fn block_errors(
    network: &Folded,
    encoder: &Encoder<'_>,
    inputs: &Inputs,
    chosen: &[usize],
) -> Result<Vec<f64>, MeasureError> {
    let count = network.blocks.len();
    let mut found = vec![Vec::new(); count];
    let mut expect = vec![Vec::new(); count];
    let mut arena = vec![0; encoder.arena_len()];
    for number in chosen {
        for body in inputs.bodies(*number) {
            let window = inputs.body(*number, body);
            network.embed(window, &mut |site, _, values| {
                if let Site::Output(block) = site {
                    expect[block].extend_from_slice(values);
                }
            });
            for (block, found) in found.iter_mut().enumerate() {
                let mut out = vec![0; expect[block].len() - found.len()];
                encoder.partial(block + 1, window, &mut arena, &mut out)?;
                let scale = encoder.output_scale(block + 1);
                found.extend(out.iter().map(|value| (f32::from(*value) + 128.0) * scale));
            }
        }
    }
    Ok(found
        .iter()
        .zip(&expect)
        .map(|(found, expect)| relative_error(found, expect))
        .collect())
}

/// One way to quantize and what it costs on calibration windows.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// How ranges were cut.
    pub method: Method,
    /// Whether hidden channels had their own scales.
    pub hidden_channels: bool,
    /// How far the channels of each block were brought to like ranges, 0..=1.
    pub equalized: f32,
    /// Relative error of the logits.
    pub error: f64,
    /// Share of windows with the same class as in float, 0..=1.
    pub agreement: f64,
    /// The engine's blob.
    pub blob: Vec<u8>,
}

/// Strengths of equalization that are tried.
pub const STRENGTHS: [f32; 3] = [0.0, 0.5, 1.0];

/// Tries every method on calibration windows and returns the trials, the least error first.
///
/// # Errors
/// [`MeasureError`].
pub fn choose(
    network: &Folded,
    seen: &Observations,
    options: Options,
    inputs: &Inputs,
    chosen: &[usize],
    done: &(dyn Fn() + Sync),
) -> Result<Vec<Trial>, MeasureError> {
    let float = float_logits(network, inputs, chosen, done);
    let mut trials = Vec::new();
    for equalized in STRENGTHS {
        let (network, seen) = equalize(network, seen, equalized);
        let ways = Method::ALL.map(|method| [(method, false), (method, true)]);
        for (method, hidden_channels) in ways.into_iter().flatten() {
            let options = Options {
                method,
                hidden_channels,
                ..options
            };
            let blob = quantize(&network, &seen, options)?.to_blob();
            let encoder = Encoder::parse(&blob)?;
            let int8 = int8_logits(&encoder, inputs, chosen, done)?;
            let error = relative_error(&int8, &float);
            let agreement = agreement(&int8, &float, network.classes());
            drop(encoder);
            trials.push(Trial {
                method,
                hidden_channels,
                equalized,
                error,
                agreement,
                blob,
            });
        }
    }
    trials.sort_by(|a, b| a.error.total_cmp(&b.error));
    Ok(trials)
}

#[cfg(test)]
mod tests {
    use super::super::calibrate::observe;
    use super::super::fold::{
        fold,
        tests::{names, random_classifier},
    };
    use super::*;
    use tendon_bundle::testing::Numbers;
    use tendon_data::windows::WindowSet;
    use tendon_model::encoder::EncoderConfig;
    use tendon_shared::normalize::{Mode, NormalizeSpec};
    use tendon_shared::pose::Presence;
    use tendon_shared::topology::TopologyId;

    #[test]
    fn the_int8_encoder_follows_the_float_one() {
        let config = EncoderConfig {
            width: 16,
            dim: 48,
            ..EncoderConfig::small(TopologyId::Kinect20, 16, 2)
        };
        let network = fold(&config, 6, &names(&random_classifier(&config, 6, 3))).unwrap();
        let mut numbers = Numbers::new(4);
        let mut data = Vec::new();
        for _ in 0..2 * 32 {
            let drift = 2.0 * numbers.unit();
            data.extend((0..3 * 16 * 20).map(|_| drift + numbers.unit()));
        }
        let windows = WindowSet {
            topology: TopologyId::Kinect20,
            spec: NormalizeSpec {
                mode: Mode::Product,
                frames: 16,
                bodies: 2,
            },
            data,
            presence: (0..32).map(|window| Presence(1 + window % 3)).collect(),
            labels: (0..32).map(|window| window % 6).collect(),
            subjects: vec![1; 32],
            cameras: vec![1; 32],
            classes: vec![String::new(); 6],
            digests: Vec::new(),
        };
        let inputs = Inputs::new(&windows, &config.streams, true).unwrap();
        let chosen: Vec<usize> = (0..32).collect();
        let bodies: Vec<&[f32]> = chosen
            .iter()
            .flat_map(|number| {
                inputs
                    .bodies(*number)
                    .into_iter()
                    .map(|body| inputs.body(*number, body))
            })
            .collect();
        let seen = observe(&network, &bodies, &|| {});
        let options = Options {
            bodies: 2,
            body_mask: true,
            trunk_blocks: 8,
            method: Method::Extremes,
            hidden_channels: false,
        };
        let trials = choose(&network, &seen, options, &inputs, &chosen, &|| {}).unwrap();
        assert_eq!(trials.len(), 8 * STRENGTHS.len());
        assert!(
            trials[0].error < 0.06 && trials[0].agreement > 0.9,
            "{} {}",
            trials[0].error,
            trials[0].agreement
        );
        let encoder = Encoder::parse(&trials[0].blob).unwrap();
        let (equal, _) = equalize(&network, &seen, trials[0].equalized);
        let blocks = block_errors(&equal, &encoder, &inputs, &chosen[..8]).unwrap();
        assert!(blocks.iter().all(|error| *error < 0.06), "{blocks:?}");
    }
}
