//! Convolutions: one block with as many channels going in as coming out, at the widths of the usual encoder.
//!
//! The temporal convolution has three quarters of a block's multiplications; what remains is the graph convolution, rounding and
//! the sparse sums, whose share is the smaller the wider the block is.

use criterion::{Criterion, criterion_group, criterion_main};
use tendon_engine_benches::{tail, two_blocks};

/// Joints of every encoder here.
const JOINTS: usize = 25;

fn blocks(criterion: &mut Criterion) {
    for (channels, frames) in [(16, 64), (32, 32), (64, 16), (256, 16)] {
        let multiplications = JOINTS * frames * channels * channels * (3 + 9);
        let name = format!("block of {channels} channels, {frames} frames");
        let blob = two_blocks(channels, channels, frames);
        tail(criterion, &name, &blob, multiplications, true);
    }
}

criterion_group!(benches, blocks);
criterion_main!(benches);
