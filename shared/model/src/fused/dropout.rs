//! Dropout as a function of a seed and a value's place, so that no mask has to be kept or sent.

use super::lanes::{wide, zip};

/// Which values of one tensor are dropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    /// The tensor's own seed.
    pub(crate) seed: u32,
    /// Share of values that become zero, 0..1; the others grow by `1 / (1 - rate)`.
    pub(crate) rate: f64,
}

impl Dropout {
    /// Multiplies values, of which the first is the tensor's `start`-th, by their factors.
    pub(crate) fn apply(&self, start: usize, values: &mut [f32]) {
        let threshold = (self.rate * f64::from(u32::MAX)) as u32;
        let keep = 1.0 / (1.0 - self.rate) as f32;
        let seed = self.seed;
        let mut place = start as u32;
        wide(
            #[inline(always)]
            || {
                let places = |place: u32| -> [f32; super::lanes::LANES] {
                    std::array::from_fn(|lane| {
                        let drawn = mixed(place.wrapping_add(lane as u32) ^ seed);
                        if drawn < threshold { 0.0 } else { keep }
                    })
                };
                for values in values.chunks_mut(super::lanes::LANES) {
                    let factors = places(place);
                    let factors = &factors[..values.len()];
                    zip!([values], [factors], {
                        *values *= factors;
                    });
                    place = place.wrapping_add(super::lanes::LANES as u32);
                }
            },
        );
    }
}

/// A bijection of 32 bits without visible pattern.
///
/// # Source
/// `lowbias32` of Chris Wellons's hash prospector (2018).
#[inline(always)]
fn mixed(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_dropped_and_the_mean_stays() {
        let mut values = vec![1.0_f32; 100_003];
        Dropout {
            seed: 7,
            rate: 0.25,
        }
        .apply(0, &mut values);
        let dropped = values.iter().filter(|value| **value == 0.0).count() as f64 / 100_003.0;
        let mean = values.iter().sum::<f32>() / 100_003.0;
        assert!((dropped - 0.25).abs() < 0.01 && (mean - 1.0).abs() < 0.02);
    }

    #[test]
    fn a_value_does_not_depend_on_where_a_part_begins() {
        let dropout = Dropout { seed: 3, rate: 0.5 };
        let mut whole = vec![1.0_f32; 200];
        dropout.apply(0, &mut whole);
        let mut part = vec![1.0_f32; 123];
        dropout.apply(77, &mut part);
        assert_eq!(part, whole[77..]);
    }
}
