//! Every path that this machine has computes the same bytes as the portable one.

use crate::{digest, run, window};
use proptest::prelude::*;
use tendon_bundle::blob::{EncoderTables, ResidualTables};
use tendon_bundle::testing::{Numbers, Shape, random_tables, usual_encoder};
use tendon_engine::{Encoder, Path};
use tendon_shared::pose::Presence;

fn available() -> impl Iterator<Item = Path> {
    Path::ALL.into_iter().filter(|path| path.is_available())
}

/// The activations after each block and the logits.
fn everything(encoder: &Encoder<'_>, window: &[f32]) -> (Vec<Vec<i8>>, Vec<i32>) {
    let spec = encoder.spec();
    let arena = &mut vec![0xa5; encoder.arena_len()];
    let one = &window[..spec.input_len()];
    let activations = spec
        .block_shapes()
        .iter()
        .enumerate()
        .map(|(block, shape)| {
            let mut out = vec![0; spec.joints * shape.frames_out * shape.output];
            encoder.partial(block + 1, one, arena, &mut out).unwrap();
            out
        });
    (
        activations.collect(),
        run(encoder, window, Presence(3), 0x5a),
    )
}

fn all_paths_agree(blob: &[u8], window: &[f32]) {
    let encoder = Encoder::parse(blob)
        .unwrap()
        .with_path(Path::Portable)
        .unwrap();
    let expect = everything(&encoder, window);
    for path in available() {
        let found = everything(&encoder.clone().with_path(path).unwrap(), window);
        assert!(
            found == expect,
            "{path} and portable differ on {:?}",
            encoder.spec()
        );
    }
}

/// Replaces numbers by any that the format allows, extremes included; the sums then saturate in every way.
fn distort(tables: &mut EncoderTables, numbers: &mut Numbers) {
    let wild = |numbers: &mut Numbers, limit: i32| match numbers.below(6) {
        0 => limit,
        1 => -limit,
        2 => 0,
        _ => (f64::from(limit) * f64::from(numbers.unit()).powi(5)) as i32,
    };
    for block in &mut tables.blocks {
        for edge in block.adjacency.edges.iter_mut().flatten() {
            edge.1 = wild(numbers, 32_767) as i16;
        }
        for bias in &mut block.adjacency.bias {
            *bias = wild(numbers, 1 << 22);
        }
        block.adjacency.shift = 1 + numbers.below(20) as u8;
        block.graph_shift = 1 + numbers.below(62) as u8;
        block.temporal_shift = 1 + numbers.below(62) as u8;
        let mut layers = vec![&mut block.graph, &mut block.temporal];
        match &mut block.residual {
            ResidualTables::None => {}
            ResidualTables::Identity(multipliers) => multipliers
                .iter_mut()
                .for_each(|multiplier| *multiplier = wild(numbers, i32::MAX)),
            ResidualTables::Convolution(layer) => layers.push(layer),
        }
        for layer in layers {
            let edge = numbers.below(3);
            for weight in &mut layer.weights {
                *weight = match (edge, numbers.below(4)) {
                    (0, _) => -128,
                    (1, 0) => -128,
                    (1, 1) => 127,
                    _ => numbers.draw() as i8,
                };
            }
            for bias in &mut layer.bias {
                *bias = wild(numbers, 1 << 28);
            }
            for multiplier in &mut layer.multiplier {
                *multiplier = wild(numbers, i32::MAX);
            }
        }
    }
}

/// Golden values of the encoder of the usual size. Do not change this test: a device in the field computes these numbers.
#[test]
fn golden_outputs_of_the_usual_size() {
    let shape = Shape {
        bodies: 2,
        ..Shape::usual(25, 16, 60)
    };
    let blob = usual_encoder(&shape, 3);
    let encoder = Encoder::parse(&blob).unwrap();
    let window = window(2 * encoder.spec().input_len(), 4);
    for path in available() {
        let encoder = encoder.clone().with_path(path).unwrap();
        let logits = run(&encoder, &window, Presence(3), 0);
        assert_eq!(digest(logits), 8_239_251_115_365_214_771, "{path}");
    }
}

#[test]
fn a_path_of_another_processor_is_refused() {
    let blob = usual_encoder(&Shape::small(3, 4, 2), 1);
    for path in Path::ALL {
        let encoder = Encoder::parse(&blob).unwrap().with_path(path);
        match encoder {
            Ok(encoder) => assert_eq!(encoder.path(), path),
            Err(error) => {
                assert!(!path.is_available());
                assert!(error.to_string().contains(path.name()));
            }
        }
    }
    assert_eq!(Encoder::parse(&blob).unwrap().path(), Path::best());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn all_paths_give_the_same_bytes(
        seed: u64,
        joints in 1_usize..8,
        frames in 1_usize..70,
        streams in 1_usize..4,
        outputs in proptest::collection::vec((1_usize..80, 1_usize..4), 2..4),
        twice: bool,
        round: bool,
        wild: bool,
    ) {
        let mut blocks: Vec<(usize, usize)> = outputs;
        if round {
            blocks.iter_mut().for_each(|block| block.0 = block.0.next_multiple_of(16));
        }
        if twice {
            // A block with an identity beside it.
            let (output, _) = blocks[0];
            blocks.insert(1, (output, 1));
        }
        let shape = Shape {
            channels: 3 * streams,
            bodies: 2,
            trunk_blocks: 1,
            blocks,
            ..Shape::small(joints, frames, 3)
        };
        let mut tables = random_tables(&shape, seed);
        if wild {
            distort(&mut tables, &mut Numbers::new(seed));
        }
        let window = window(2 * shape.channels * frames * joints, seed);
        all_paths_agree(&tables.to_blob(), &window);
        if !wild {
            all_paths_agree(&usual_encoder(&shape, seed), &window);
        }
    }
}
