//! Views of trunk features, in the place of the papers' views of images: the trunk is frozen, so views begin behind it.

use super::float::Input;
use rand::{Rng, RngExt as _};
use tendon_model::augment::random::normal;

/// Spread of the noise, as a share of the features' own.
const NOISE: f32 = 0.1;
/// Share of joints whose features are set to zero.
const LOST: f32 = 0.1;
/// Frames that a window is moved by, at most.
const MOVED: i64 = 1;

/// A view of each body: moved by up to a frame (its ends repeated), a tenth of the joints lost, with noise.
pub fn view(input: &Input, rng: &mut impl Rng) -> Input {
    let [bodies, joints, frames, channels] = input.shape;
    let count = input.values.len().max(1) as f32;
    let mean = input.values.iter().sum::<f32>() / count;
    let square = input
        .values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f32>();
    let spread = NOISE * (square / count).sqrt();
    let mut values = Vec::with_capacity(input.values.len());
    for body in 0..bodies {
        let moved = rng.random_range(-MOVED..=MOVED);
        for joint in 0..joints {
            let lost = rng.random::<f32>() < LOST;
            for frame in 0..frames as i64 {
                let from = (frame + moved).clamp(0, frames as i64 - 1) as usize;
                let start = ((body * joints + joint) * frames + from) * channels;
                for value in &input.values[start..start + channels] {
                    // Features are behind a ReLU.
                    let noisy = (value + spread * normal(rng)).max(0.0);
                    values.push(if lost { 0.0 } else { noisy });
                }
            }
        }
    }
    Input {
        values,
        shape: input.shape,
    }
}

#[cfg(test)]
mod tests {
    use super::super::float::tests::input;
    use super::*;
    use tendon_model::augment::random::generator;

    #[test]
    fn a_view_is_like_the_window_but_not_the_same() {
        let window = input(6, 1);
        let mut rng = generator(1, 0, 0, 0);
        let (one, other) = (view(&window, &mut rng), view(&window, &mut rng));
        assert_eq!(one.shape, window.shape);
        assert_ne!(one, other);
        assert!(one.values.iter().all(|value| *value >= 0.0));
        let sum = |input: &Input| input.values.iter().sum::<f32>();
        // A tenth of the joints is lost.
        let kept = sum(&one) / sum(&window);
        assert!((0.8..1.05).contains(&kept), "{kept}");
    }
}
