//! Prints the time of one window on every path that this machine has, with the memory that it needs.
//!
//! `cargo run --release -p tendon-engine --example window_time` runs random encoders of the usual size (width 16, 256 features):
//! the time does not depend on the weights. One thread; the fastest and the middle run of each path, the paths taking turns.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "an example prints"
)]

use std::time::{Duration, Instant};
use tendon_bundle::testing::{Numbers, Shape, usual_encoder};
use tendon_engine::{Encoder, Path};
use tendon_shared::pose::Presence;

/// Windows that are timed on each path.
const RUNS: usize = 51;

fn main() {
    for (frames, joints, bodies) in [(32, 20, 1), (64, 25, 1), (64, 25, 2)] {
        let blob = usual_encoder(
            &Shape {
                bodies,
                ..Shape::usual(joints, frames, 60)
            },
            1,
        );
        let encoders: Vec<Encoder<'_>> = Path::ALL
            .into_iter()
            .filter_map(|path| Encoder::parse(&blob).unwrap().with_path(path).ok())
            .collect();
        let spec = *encoders[0].spec();
        let mut numbers = Numbers::new(2);
        let window: Vec<f32> = (0..bodies * spec.input_len())
            .map(|_| numbers.unit())
            .collect();
        let mut arena = vec![0; encoders[0].arena_len()];
        let mut logits = vec![0; spec.classes];
        let mut times = vec![Vec::new(); encoders.len()];
        for _ in 0..RUNS {
            for (encoder, times) in encoders.iter().zip(&mut times) {
                let start = Instant::now();
                encoder
                    .run(&window, Presence(3), &mut arena, &mut logits)
                    .unwrap();
                times.push(start.elapsed());
            }
        }
        println!(
            "T={frames} V={joints} bodies={bodies}: {} M multiplications, blob {} bytes, arena {} bytes",
            bodies * spec.multiplications() / 1_000_000,
            blob.len(),
            arena.len()
        );
        for (encoder, times) in encoders.iter().zip(&mut times) {
            times.sort();
            let rate = |time: Duration| {
                bodies as f64 * spec.multiplications() as f64 / time.as_secs_f64() / 1e9
            };
            println!(
                "  {:12} fastest {:9.1?}, median {:9.1?}, {:6.1} GMAC/s",
                encoder.path().name(),
                times[0],
                times[RUNS / 2],
                rate(times[RUNS / 2])
            );
        }
    }
}
