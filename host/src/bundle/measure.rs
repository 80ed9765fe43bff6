//! Measuring: what quantization costs, in accuracy and block by block.

use super::calibrate::UnseenError;
use super::inputs::Inputs;
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
