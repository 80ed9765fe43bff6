//! What the engine promises: the documented arithmetic, the same bytes everywhere, and no panic on any blob.
#![allow(
    clippy::unwrap_used,
    clippy::needless_range_loop,
    reason = "tests; the reference reads like the format"
)]

mod paths;
mod reference;
mod reuse;

use proptest::prelude::*;
use tendon_bundle::testing::{Numbers, Shape, random_encoder, random_tables};
use tendon_engine::{BufferError, Encoder, ParseError};
use tendon_shared::pose::Presence;

fn window(len: usize, seed: u64) -> Vec<f32> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| 2.5 * numbers.unit()).collect()
}

fn run(encoder: &Encoder<'_>, window: &[f32], presence: Presence, fill: u8) -> Vec<i32> {
    let mut logits = vec![0; encoder.spec().classes];
    encoder
        .run(
            window,
            presence,
            &mut vec![fill; encoder.arena_len()],
            &mut logits,
        )
        .unwrap();
    logits
}

/// FNV-1a over the little-endian bytes.
fn digest(values: impl IntoIterator<Item = i32>) -> u64 {
    let bytes = values.into_iter().flat_map(i32::to_le_bytes);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn the_engine_computes_the_documented_arithmetic() {
    for (seed, frames, joints, channels) in
        [(1, 16, 5, 3), (2, 13, 20, 9), (3, 1, 1, 6), (4, 30, 3, 3)]
    {
        let shape = Shape {
            channels,
            ..Shape::small(joints, frames, 4)
        };
        let tables = random_tables(&shape, seed);
        let blob = tables.to_blob();
        let encoder = Encoder::parse(&blob).unwrap();
        let window = window(encoder.spec().input_len(), seed + 100);
        let reference::Computed {
            trunk,
            hidden,
            last,
            pooled,
            logits,
        } = reference::run(&tables, &window);
        assert_eq!(
            run(&encoder, &window, Presence::FIRST, 0),
            logits,
            "seed {seed}"
        );

        let arena = &mut vec![0; encoder.arena_len()];
        let mut found = vec![0; encoder.spec().trunk_len()];
        encoder.trunk(&window, arena, &mut found).unwrap();
        assert_eq!(found, trunk, "seed {seed}");
        let mut sums = vec![0; encoder.spec().dim];
        encoder.tail(&trunk, arena, &mut sums).unwrap();
        assert_eq!(sums, pooled, "seed {seed}");
        let mut between = vec![0; encoder.spec().hidden_len()];
        let mut after = vec![0; encoder.spec().output_len()];
        encoder
            .tail_activations(&trunk, arena, &mut between, &mut after)
            .unwrap();
        assert_eq!((between, after), (hidden, last), "seed {seed}");
        let mut again = vec![0; 4];
        encoder.classify(&sums, &mut again).unwrap();
        assert_eq!(again, logits, "seed {seed}");
        let spread = trunk
            .iter()
            .collect::<std::collections::BTreeSet<_>>()
            .len();
        assert!(
            frames == 1 || spread > 20,
            "random encoders use the range of an activation, not {spread} values"
        );
    }
}

/// Golden values, the same since format version 1. Do not change this test: a device in the field computes these numbers.
#[test]
fn golden_outputs_since_version_1() {
    let blob = random_encoder(
        &Shape {
            bodies: 2,
            ..Shape::small(20, 32, 10)
        },
        7,
    );
    let encoder = Encoder::parse(&blob).unwrap();
    let window = window(2 * encoder.spec().input_len(), 8);
    let both = run(&encoder, &window, Presence(3), 0);
    let second = run(&encoder, &window, Presence(2), 0);
    let none = run(&encoder, &window, Presence(0), 0);
    assert_eq!([digest(both), digest(second), digest(none)], GOLDEN);
}

const GOLDEN: [u64; 3] = [
    2_385_740_183_112_794_689,
    11_604_582_475_664_405_568,
    17_023_123_989_104_498_650,
];

#[test]
fn the_result_depends_on_neither_the_arena_nor_its_address() {
    let blob = random_encoder(
        &Shape {
            bodies: 2,
            ..Shape::small(7, 12, 3)
        },
        5,
    );
    let encoder = Encoder::parse(&blob).unwrap();
    let window = window(2 * encoder.spec().input_len(), 6);
    let expect = run(&encoder, &window, Presence(3), 0);
    assert_eq!(run(&encoder, &window, Presence(3), 0xa5), expect);
    let len = encoder.arena_len();
    for shift in 0..70 {
        let mut memory = vec![0x5a; len + shift];
        let mut logits = vec![1; 3];
        encoder
            .run(&window, Presence(3), &mut memory[shift..], &mut logits)
            .unwrap();
        assert_eq!(logits, expect, "arena {shift} bytes further");
    }
}

#[test]
fn absent_bodies_are_left_out_only_with_the_body_mask() {
    let shape = Shape {
        bodies: 2,
        ..Shape::small(6, 8, 3)
    };
    for body_mask in [true, false] {
        let blob = random_encoder(
            &Shape {
                body_mask,
                ..shape.clone()
            },
            9,
        );
        let encoder = Encoder::parse(&blob).unwrap();
        let mut window = window(2 * encoder.spec().input_len(), 10);
        let one = run(&encoder, &window, Presence(1), 0);
        window[encoder.spec().input_len()..].fill(0.0);
        assert_eq!(run(&encoder, &window, Presence(1), 0) == one, body_mask);
    }
}

#[test]
fn values_that_are_no_numbers_are_read_as_zero() {
    let blob = random_encoder(&Shape::small(6, 8, 3), 9);
    let encoder = Encoder::parse(&blob).unwrap();
    let mut out = vec![0; encoder.spec().input_len()];
    let window = vec![f32::NAN; encoder.spec().input_len()];
    encoder
        .partial(0, &window, &mut vec![0; encoder.arena_len()], &mut out)
        .unwrap();
    assert!(out.iter().all(|value| *value == 0));
}

#[test]
fn buffers_of_the_wrong_length_are_refused() {
    let blob = random_encoder(&Shape::small(6, 8, 3), 9);
    let encoder = Encoder::parse(&blob).unwrap();
    let input = vec![0.0; encoder.spec().input_len()];
    let arena = &mut vec![0; encoder.arena_len()];
    let logits = &mut [0; 3];
    let short = encoder.run(&input[1..], Presence::FIRST, arena, logits);
    assert_eq!(
        short,
        Err(BufferError {
            buffer: "window",
            found: input.len() - 1,
            needed: input.len()
        })
    );
    assert!(
        encoder
            .run(&input, Presence::FIRST, &mut arena[..100], logits)
            .is_err()
    );
    assert!(
        encoder
            .run(&input, Presence::FIRST, arena, &mut [0; 2])
            .is_err()
    );
    assert!(encoder.classify(&[0; 31], logits).is_err());
    assert!(encoder.classify(&[0; 64], logits).is_err());
}

#[test]
fn broken_blobs_are_refused_with_the_reason() {
    let blob = random_encoder(&Shape::small(6, 8, 3), 9);
    let check = |change: &dyn Fn(&mut Vec<u8>), expect: ParseError| {
        let mut changed = blob.clone();
        change(&mut changed);
        assert_eq!(Encoder::parse(&changed).err(), Some(expect));
    };
    check(&|blob| blob.clear(), ParseError::NotAnEncoder);
    check(&|blob| blob[0] = 0, ParseError::NotAnEncoder);
    check(
        &|blob| blob[8] = 1,
        ParseError::UnsupportedVersion { found: 1 },
    );
    check(
        &|blob| blob.truncate(1000),
        ParseError::Truncated { at: 1000 },
    );
    check(
        &|blob| blob.push(0),
        ParseError::TrailingBytes { at: blob.len() },
    );
    check(
        &|blob| blob[12] = 34,
        ParseError::OutOfRange {
            field: "joint count",
        },
    );
    check(
        &|blob| blob[16] = 10,
        ParseError::OutOfRange {
            field: "trunk block count",
        },
    );
    check(
        &|blob| blob[48 + 5] = 2,
        ParseError::OutOfRange {
            field: "first block's residual",
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), header: bool) {
        let mut blob = if header { random_encoder(&Shape::small(2, 2, 2), 1)[..64].to_vec() } else { Vec::new() };
        blob.extend_from_slice(&bytes);
        let length = (blob.len() as u32).to_le_bytes();
        if let Some(field) = blob.get_mut(28..32) {
            field.copy_from_slice(&length);
        }
        let _ = Encoder::parse(&blob);
    }

    #[test]
    fn whatever_parses_runs(seed in 0_u64..4, changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40)) {
        let shape = Shape {
            blocks: vec![(4, 1), (4, 1), (8, 2), (5, 1)],
            trunk_blocks: 2,
            bodies: 2,
            ..Shape::small(3, 5, 2)
        };
        let mut blob = random_encoder(&shape, seed);
        let len = blob.len();
        for (at, value) in changes {
            blob[at.index(len)] = value;
        }
        if let Ok(encoder) = Encoder::parse(&blob) {
            let window = window(2 * encoder.spec().input_len(), seed);
            let logits = run(&encoder, &window, Presence(3), 0);
            prop_assert_eq!(run(&encoder, &window, Presence(3), 0xff), logits);
            let tail = encoder.tail_weights();
            std::hint::black_box(tail.hidden_scale(0) + tail.class_weight(0, 0) + tail.class_bias(0));
        }
    }
}
