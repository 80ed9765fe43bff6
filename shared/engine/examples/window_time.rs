//! Prints the time that the encoder takes for a window of one body, trunk and tail apart, and its memory.
//!
//! `cargo run -p tendon-engine --example window_time` runs a random encoder of the usual size (width 16, 256 features,
//! 20 joints): the time does not depend on the weights.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints"
)]

use std::time::{Duration, Instant};
use tendon_bundle::testing::{Numbers, Shape, random_encoder};
use tendon_engine::Encoder;
use tendon_shared::pose::Presence;

/// Windows that are timed; the median is printed.
const RUNS: usize = 21;

fn median(mut run: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort();
    times[RUNS / 2]
}

fn main() {
    let widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 256];
    let blocks = widths
        .iter()
        .enumerate()
        .map(|(index, width)| (*width, if index == 4 || index == 7 { 2 } else { 1 }));
    let blocks: Vec<(usize, usize)> = blocks.collect();
    for frames in [32, 64] {
        let blob = random_encoder(
            &Shape {
                blocks: blocks.clone(),
                ..Shape::small(20, frames, 10)
            },
            1,
        );
        let encoder = Encoder::parse(&blob).unwrap();
        let spec = *encoder.spec();
        let mut numbers = Numbers::new(2);
        let window: Vec<f32> = (0..spec.input_len()).map(|_| numbers.unit()).collect();
        let mut arena = vec![0; encoder.arena_len()];
        let mut logits = vec![0; spec.classes];
        let mut features = vec![0; spec.trunk_len()];
        let mut pooled = vec![0; spec.dim];
        let whole = median(|| {
            encoder
                .run(&window, Presence::FIRST, &mut arena, &mut logits)
                .unwrap()
        });
        let trunk = median(|| encoder.trunk(&window, &mut arena, &mut features).unwrap());
        let tail = median(|| encoder.tail(&features, &mut arena, &mut pooled).unwrap());
        println!(
            "T={frames}: window {whole:.2?} (trunk {trunk:.2?}, tail {tail:.2?}), blob {} bytes, arena {} bytes",
            blob.len(),
            encoder.arena_len()
        );
    }
}
