//! InfoNCE whose negatives are of other classes, as far as classes are known.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

use super::InfoNce;

/// Takes a logit out of a softmax.
const AWAY: f64 = -1e9;

/// Where an anchor and an entry of the queue are known to have the same class: 1, otherwise 0.
///
/// # Shapes
/// `[anchor, entry]`
pub fn same_class(anchors: &[Option<u16>], entries: &[Option<u16>], device: &Device) -> Tensor<2> {
    let same = |anchor: &Option<u16>| {
        let anchor = *anchor;
        let entries = entries.iter().copied();
        entries.map(move |entry| {
            if anchor.is_some() && anchor == entry {
                1.0
            } else {
                0.0
            }
        })
    };
    let values: Vec<f32> = anchors.iter().flat_map(same).collect();
    let shape = [anchors.len(), entries.len()];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Mean loss in which entries of the anchor's class are no negatives. With `positives` they are to be found like the own key:
/// the mean over all of them counts, as in SupCon.
///
/// # Shapes
/// - `nce`: `[anchor, 1 + entry]`
/// - `same`: `[anchor, entry]`, ones and zeros, see [`same_class`]
pub fn class_aware_loss(nce: &InfoNce, same: Tensor<2>, positives: bool) -> Tensor<1> {
    let logits = nce.logits.clone();
    let [anchors, columns] = logits.dims();
    let same = match logits.is_autodiff() {
        true => Tensor::from_inner(same),
        false => same,
    };
    let (own, others) = (
        logits.clone().narrow(1, 0, 1),
        logits.clone().narrow(1, 1, columns - 1),
    );
    if !positives {
        let logits = Tensor::cat(vec![own, others + same * AWAY], 1);
        return InfoNce { logits }.loss();
    }
    let ones = Tensor::ones([anchors, 1], &same.device());
    let wanted = Tensor::cat(vec![ones, same], 1);
    let count = wanted.clone().sum_dim(1);
    let sum = (log_softmax(logits, 1) * wanted).sum_dim(1);
    (sum / count).neg().mean()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(logits: [f32; 4], anchor: Option<u16>, positives: bool) -> f32 {
        let device = Device::flex();
        let nce = InfoNce {
            logits: Tensor::from_floats([logits], &device),
        };
        let same = same_class(&[anchor], &[Some(1), None, Some(2)], &device);
        class_aware_loss(&nce, same, positives).into_scalar()
    }

    fn check(found: f32, expect: f32) {
        assert!((found - expect).abs() < 1e-6, "{found} v {expect}");
    }

    #[test]
    fn entries_of_the_own_class_are_no_negatives() {
        // Four equal logits; the anchor's class takes one away, an unknown anchor none.
        check(loss([1.0; 4], Some(1), false), 3.0_f32.ln());
        check(loss([1.0; 4], Some(3), false), 4.0_f32.ln());
        check(loss([1.0; 4], None, false), 4.0_f32.ln());
        check(loss([1.0, 80.0, 1.0, 1.0], Some(1), false), 3.0_f32.ln());
    }

    #[test]
    fn entries_of_the_own_class_may_be_positives() {
        // Probabilities 1/8 (own key), 4/8 (same class), 1/8, 2/8: the mean of ln 8 and ln 2.
        let logits = [0.0, 4.0_f32.ln(), 0.0, 2.0_f32.ln()];
        check(
            loss(logits, Some(1), true),
            0.5 * (8.0_f32.ln() + 2.0_f32.ln()),
        );
        check(loss(logits, None, true), 8.0_f32.ln());
    }
}
