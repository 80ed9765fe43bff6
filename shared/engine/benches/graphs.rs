//! Sparse sums over the skeleton: a block with many channels going in and one coming out, which leaves little else to do.
//!
//! An element is one gathered activation: three subsets of every joint, frame and channel.

use criterion::{Criterion, criterion_group, criterion_main};
use tendon_engine_benches::{tail, two_blocks};

/// Joints of every encoder here.
const JOINTS: usize = 25;

fn graphs(criterion: &mut Criterion) {
    for (channels, frames) in [(16, 64), (64, 16), (256, 16), (9, 64)] {
        let gathered = 3 * JOINTS * frames * channels;
        let name = format!("sparse sums of {channels} channels, {frames} frames");
        let blob = two_blocks(channels, 1, frames);
        tail(criterion, &name, &blob, gathered, false);
    }
}

criterion_group!(benches, graphs);
criterion_main!(benches);
