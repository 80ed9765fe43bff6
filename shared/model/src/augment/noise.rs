//! Gaussian noise: a pose estimator's jitter from frame to frame.

use rand::Rng;

use super::View;
use super::random::normal;

/// Adds N(0, spread) to every coordinate of the bodies that are there.
pub(super) fn noise(view: &mut View<'_>, spread: f32, rng: &mut impl Rng) {
    for body in view.bodies() {
        for value in body {
            *value += spread * normal(rng);
        }
    }
}
