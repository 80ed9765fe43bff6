//! Whole windows of the usual encoder (width 16, 256 features), with one body and with two.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tendon_bundle::testing::{Numbers, Shape, usual_encoder};
use tendon_engine_benches::{bench, encoder, paths, share};
use tendon_shared::pose::Presence;

fn windows(criterion: &mut Criterion) {
    for (frames, joints, bodies) in [(32, 20, 1), (64, 25, 1), (64, 25, 2)] {
        let shape = Shape {
            bodies,
            ..Shape::usual(joints, frames, 60)
        };
        let blob = usual_encoder(&shape, 1);
        let name = format!("window of {frames} frames, {joints} joints, bodies {bodies}");
        let mut group = criterion.benchmark_group(&name);
        for path in paths() {
            let encoder = encoder(&blob, path);
            let spec = *encoder.spec();
            let multiplications = bodies * spec.multiplications();
            let mut numbers = Numbers::new(2);
            let window: Vec<f32> = (0..bodies * spec.input_len())
                .map(|_| numbers.unit())
                .collect();
            let mut arena = vec![0; encoder.arena_len()];
            let mut logits = vec![0; spec.classes];
            let mut run = || {
                let presence = Presence((1 << bodies) - 1);
                if encoder
                    .run(&window, presence, &mut arena, &mut logits)
                    .is_err()
                {
                    unreachable!("buffers have the lengths that the encoder names");
                }
            };
            share(&name, path, multiplications, &mut run);
            group.throughput(Throughput::Elements(multiplications as u64));
            bench(&mut group, path, run);
        }
        group.finish();
    }
}

criterion_group!(benches, windows);
criterion_main!(benches);
