//! What the benchmarks share: random encoders, and the machine's peak to compare with.
//!
//! Times are of one thread. Multiplications and sums count as one operation here (MAC); GOP/s are twice these figures.

pub mod peak;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use std::time::{Duration, Instant};
use tendon_bundle::testing::{Numbers, Shape, usual_encoder};
use tendon_engine::{Encoder, Path};

/// Runs of which the fastest counts for the share of the peak.
const RUNS: usize = 200;

/// Returns the paths that this machine has.
pub fn paths() -> impl Iterator<Item = Path> {
    Path::ALL.into_iter().filter(|path| path.is_available())
}

/// Returns a blob whose trunk is one block of `input` channels and whose tail is one block from `input` to `output` channels.
pub fn two_blocks(input: usize, output: usize, frames: usize) -> Vec<u8> {
    let shape = Shape {
        blocks: vec![(input, 1), (output, 1)],
        trunk_blocks: 1,
        ..Shape::small(25, frames, 2)
    };
    usual_encoder(&shape, 1)
}

/// Benchmarks the tail of a blob on every path.
///
/// `operations` is what a run computes, and `unit` its name; the share of the peak is printed for multiplications only.
pub fn tail(criterion: &mut Criterion, name: &str, blob: &[u8], operations: usize, of_peak: bool) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(operations as u64));
    for path in paths() {
        let encoder = encoder(blob, path);
        let spec = *encoder.spec();
        let mut numbers = Numbers::new(2);
        let trunk: Vec<i8> = (0..spec.trunk_len())
            .map(|_| numbers.below(256) as u8 as i8)
            .collect();
        let mut arena = vec![0; encoder.arena_len()];
        let mut pooled = vec![0; spec.dim];
        let mut run = || {
            if encoder.tail(&trunk, &mut arena, &mut pooled).is_err() {
                unreachable!("buffers have the lengths that the encoder names");
            }
        };
        if of_peak {
            share(name, path, operations, &mut run);
        }
        bench(&mut group, path, run);
    }
    group.finish();
}

/// Returns the encoder of a blob on a path that this machine has.
pub fn encoder(blob: &[u8], path: Path) -> Encoder<'_> {
    match Encoder::parse(blob).map(|encoder| encoder.with_path(path)) {
        Ok(Ok(encoder)) => encoder,
        Ok(Err(error)) => unreachable!("{error}"),
        Err(error) => unreachable!("{error}"),
    }
}

/// Benchmarks one function under a path's name.
pub fn bench(group: &mut BenchmarkGroup<'_, WallTime>, path: Path, mut run: impl FnMut()) {
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .bench_function(BenchmarkId::from_parameter(path), |b| b.iter(&mut run));
}

/// Prints the share of the path's peak that the fastest of some runs reaches.
pub fn share(name: &str, path: Path, multiplications: usize, mut run: impl FnMut()) {
    let fastest = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    let rate = multiplications as f64 / fastest.as_secs_f64() / 1e9;
    match peak::of(path) {
        Some(peak) => println!(
            "{name}, {path}: {rate:.1} GMAC/s, {:.0} % of the measured peak of {peak:.0} GMAC/s",
            100.0 * rate / peak
        ),
        None => println!("{name}, {path}: {rate:.1} GMAC/s"),
    }
}
