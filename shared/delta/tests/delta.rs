//! What a delta promises.
#![allow(clippy::unwrap_used, reason = "test helpers")]

use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize};
use tendon_delta::{ApplyError, Header, MAGIC, Piece, apply, make};

const MOST: u64 = 1 << 20;

/// A file with a tensor of int8 weights, one of other numbers, and a table of contents of its own length.
fn file(weights: &[u8], other: &[u8], note: &str) -> Vec<u8> {
    let view = |bytes| TensorView::new(Dtype::U8, vec![<[u8]>::len(bytes)], bytes).unwrap();
    let metadata = std::collections::HashMap::from([("note".to_owned(), note.to_owned())]);
    let tensors = [("weights", view(weights)), ("other", view(other))];
    serialize(tensors, Some(metadata)).unwrap()
}

/// Bytes without order.
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(step).take(count).collect()
}

/// Every weight moved by one step at most.
fn retrained(weights: &[u8]) -> Vec<u8> {
    let steps = noise(weights.len(), 7);
    let pairs = weights.iter().zip(steps);
    pairs
        .map(|(weight, step)| weight.wrapping_add(step % 3).wrapping_sub(1))
        .collect()
}

#[test]
fn weights_that_moved_a_little_take_little() {
    let old = noise(50_000, 1);
    let base = file(&old, &noise(100, 2), "first");
    let target = file(&retrained(&old), &noise(100, 3), "a longer second one");
    let delta = make(&base, &target).unwrap();
    assert!(delta.len() < target.len() / 3, "{}", delta.len());
    assert_eq!(apply(&base, &delta, MOST).unwrap(), target);
}

#[test]
fn files_without_anything_in_common_have_a_delta_too() {
    for (base, target) in [
        (noise(0, 1), noise(500, 2)),
        (noise(500, 1), noise(0, 2)),
        (file(&noise(90, 1), &[], ""), noise(300, 3)),
    ] {
        let delta = make(&base, &target).unwrap();
        assert_eq!(apply(&base, &delta, MOST).unwrap(), target);
    }
}

#[test]
fn another_old_file_is_refused() {
    let (base, target) = (file(&noise(90, 1), &[], ""), file(&noise(90, 2), &[], ""));
    let delta = make(&base, &target).unwrap();
    assert_eq!(apply(&target, &delta, MOST), Err(ApplyError::OtherBase));
}

#[test]
fn a_new_file_that_is_too_large_is_refused_before_anything_is_unpacked() {
    let target = vec![0; 5_000];
    let delta = make(&[], &target).unwrap();
    assert!(delta.len() < 200);
    let error = apply(&[], &delta, 4_999).unwrap_err();
    assert_eq!(
        error,
        ApplyError::TooLarge {
            length: 5_000,
            most: 4_999
        }
    );
}

#[test]
fn pieces_outside_the_old_file_are_refused() {
    let base = noise(10, 1);
    let delta = make(&base, &base).unwrap();
    let (mut header, frame) = Header::read(&delta).unwrap();
    for at in [1, 10, u32::MAX] {
        header.pieces = vec![Piece::Difference { at, length: 10 }];
        let forged = [&header.write().unwrap(), frame].concat();
        assert!(matches!(
            apply(&base, &forged, MOST),
            Err(ApplyError::Frame(_))
        ));
    }
}

#[test]
fn every_flipped_byte_and_every_cut_leads_to_the_file_or_to_an_error() {
    let base = file(&noise(60, 1), &noise(20, 2), "a");
    let target = file(&retrained(&noise(60, 1)), &noise(20, 3), "b");
    let delta = make(&base, &target).unwrap();
    for at in 0..delta.len() {
        assert!(apply(&base, &delta[..at], MOST).is_err(), "cut {at}");
        for bit in 0..8 {
            let mut flipped = delta.clone();
            flipped[at] ^= 1 << bit;
            // The frame's own description has bits that change nothing.
            let led = apply(&base, &flipped, MOST);
            assert!(led.is_err() || led == Ok(target.clone()), "{at} {bit}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = apply(&[], &bytes, MOST);
        let _ = apply(&[], &[MAGIC, &bytes[..]].concat(), MOST);
    }

    #[test]
    fn what_is_made_is_applied(base in proptest::collection::vec(any::<u8>(), 0..300), target in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (base, target) = (file(&base, &target, "x"), file(&target, &base, "yy"));
        let delta = make(&base, &target).unwrap();
        prop_assert_eq!(apply(&base, &delta, MOST).unwrap(), target);
    }
}
