//! What a device makes of chunks and differences, on a storage that forgets.

use super::*;
use crate::slots::fragile::Fragile;
use proptest::prelude::*;
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{CHUNK_BYTES, CHUNKS_AHEAD};

const SIZE: usize = 40 * CHUNK_BYTES + 5;

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|i| (i / 7) as u8).collect()
}

fn offer() -> Offer {
    Offer {
        digest: Digest(Sha256::digest(bytes()).into()),
        size: SIZE as u32,
        model: 5,
        topology: TopologyId::Kinect20,
    }
}

fn receiver(storage: &Fragile) -> Receiver {
    let store = Store::open(Box::new(storage.clone())).unwrap();
    Receiver::open(store, Some(TopologyId::Kinect20), 4096).unwrap()
}

fn send(receiver: &mut Receiver, index: usize) -> Result<Progress, WireError> {
    let bytes = bytes();
    let data = &bytes[index * CHUNK_BYTES..SIZE.min((index + 1) * CHUNK_BYTES)];
    receiver.chunk(Chunk {
        offset: (index * CHUNK_BYTES) as u32,
        crc: crc32(data),
        data,
    })
}

proptest! {
    #[test]
    fn chunks_in_any_order_with_repeats_give_the_file(order in proptest::collection::vec(0usize..41, 0..200)) {
        let mut receiver = receiver(&Fragile::default());
        receiver.offer(offer()).unwrap();
        let mut there = std::collections::HashSet::new();
        for index in order.into_iter().chain(0..41) {
            let before = receiver.progress().unwrap();
            let after = send(&mut receiver, index).unwrap();
            if index <= before.next as usize / CHUNK_BYTES + usize::from(CHUNKS_AHEAD) {
                there.insert(index);
            }
            for index in 0..41 {
                let near = index * CHUNK_BYTES < after.next as usize + (usize::from(CHUNKS_AHEAD) + 1) * CHUNK_BYTES;
                prop_assert!(!near || after.has((index * CHUNK_BYTES) as u32) == there.contains(&index), "{index} {after:?}");
            }
        }
        prop_assert_eq!(receiver.finish(offer().digest).unwrap(), Some(bytes()));
    }
}

#[test]
fn a_killed_transfer_goes_on_from_what_is_durable() {
    let storage = Fragile::default();
    let mut first = receiver(&storage);
    first.offer(offer()).unwrap();
    for index in 0..10 {
        send(&mut first, index).unwrap();
    }
    storage.restart();
    let mut second = receiver(&storage);
    // Synced after every fourth chunk: chunks 0 to 7 are there.
    assert_eq!(
        second.offer(offer()).unwrap(),
        Progress {
            next: 8192,
            ahead: 0
        }
    );
    assert_eq!(second.finish(offer().digest), Err(WireError::Incomplete));
    for index in 8..41 {
        send(&mut second, index).unwrap();
    }
    assert_eq!(second.finish(offer().digest).unwrap(), Some(bytes()));
}

#[test]
fn refuses_what_it_would_refuse_after_the_transfer_anyway() {
    let mut receiver = receiver(&Fragile::default());
    let topology = Offer {
        topology: TopologyId::Ntu25,
        ..offer()
    };
    assert_eq!(receiver.offer(topology), Err(WireError::WrongTopology));
    let huge = Offer {
        size: MAX_BUNDLE_BYTES as u32 + 1,
        ..offer()
    };
    assert_eq!(receiver.offer(huge), Err(WireError::TooLarge));
    receiver.offer(offer()).unwrap();
    for index in 0..41 {
        send(&mut receiver, index).unwrap();
    }
    receiver.begin_trial().unwrap();
    let next = Offer {
        digest: Digest([1; 32]),
        ..offer()
    };
    assert_eq!(receiver.offer(next), Err(WireError::Busy));
    receiver.store_mut().apply(SlotEvent::Confirm).unwrap();
    let older = Offer { model: 4, ..next };
    assert_eq!(
        receiver.offer(older),
        Err(WireError::OlderVersion {
            floor: 5,
            offered: 4
        })
    );
    assert_eq!(receiver.offer(offer()).unwrap().next, SIZE as u32);
    assert_eq!(receiver.finish(offer().digest), Ok(None));
}

#[test]
fn corrupt_and_misplaced_chunks_change_nothing() {
    let mut receiver = receiver(&Fragile::default());
    let chunk = |offset, crc, data| Chunk { offset, crc, data };
    let data = &bytes()[..CHUNK_BYTES];
    assert_eq!(
        receiver.chunk(chunk(0, crc32(data), data)),
        Err(WireError::NoTransfer)
    );
    receiver.offer(offer()).unwrap();
    assert_eq!(
        receiver.chunk(chunk(0, 1, data)),
        Err(WireError::ChunkCorrupt)
    );
    for (offset, data) in [
        (5, data),
        (0, &data[..9]),
        (u32::MAX - 1023, data),
        (41 * 1024, &[]),
    ] {
        assert_eq!(
            receiver.chunk(chunk(offset, crc32(data), data)),
            Err(WireError::ChunkMisplaced)
        );
    }
    assert_eq!(receiver.progress(), Some(Progress::default()));
}

#[test]
fn a_wrong_digest_starts_over() {
    let mut receiver = receiver(&Fragile::default());
    let wrong = Offer {
        digest: Digest([7; 32]),
        ..offer()
    };
    receiver.offer(wrong).unwrap();
    for index in 0..41 {
        send(&mut receiver, index).unwrap();
    }
    assert_eq!(
        receiver.finish(wrong.digest),
        Err(WireError::DigestMismatch)
    );
    assert_eq!(receiver.offer(wrong).unwrap(), Progress::default());
}

/// A device that serves the bundle of [`bytes`], and another bundle with the delta that leads there.
fn confirmed() -> (Receiver, Vec<u8>, Vec<u8>, DeltaOffer) {
    let mut receiver = receiver(&Fragile::default());
    receiver.offer(offer()).unwrap();
    for index in 0..41 {
        send(&mut receiver, index).unwrap();
    }
    receiver.begin_trial().unwrap();
    receiver.store_mut().apply(SlotEvent::Confirm).unwrap();
    let target: Vec<u8> = bytes().iter().map(|byte| byte.wrapping_mul(3)).collect();
    let delta = tendon_delta::make(&bytes(), &target).unwrap();
    let digest = |bytes: &[u8]| Digest(Sha256::digest(bytes).into());
    let announced = DeltaOffer {
        target: Offer {
            digest: digest(&target),
            model: 6,
            ..offer()
        },
        base: offer().digest,
        digest: digest(&delta),
        size: delta.len() as u32,
    };
    (receiver, target, delta, announced)
}

fn send_all(receiver: &mut Receiver, bytes: &[u8]) {
    for (index, data) in bytes.chunks(CHUNK_BYTES).enumerate() {
        let chunk = Chunk {
            offset: (index * CHUNK_BYTES) as u32,
            crc: crc32(data),
            data,
        };
        receiver.chunk(chunk).unwrap();
    }
}

#[test]
fn a_delta_leads_to_the_bundle_and_is_not_asked_for_again() {
    let (mut receiver, target, delta, announced) = confirmed();
    assert_eq!(receiver.offer_delta(announced).unwrap().next, 0);
    let digest = announced.target.digest;
    assert_eq!(receiver.finish(digest), Err(WireError::Incomplete));
    send_all(&mut receiver, &delta);
    assert_eq!(receiver.finish(digest).unwrap(), Some(target));
    let again = receiver.offer_delta(announced).unwrap();
    assert_eq!(again.next, announced.size);
}

#[test]
fn a_delta_from_another_bundle_is_refused_before_it_is_sent() {
    let (mut receiver, _, _, announced) = confirmed();
    let other = DeltaOffer {
        base: Digest([1; 32]),
        ..announced
    };
    assert_eq!(receiver.offer_delta(other), Err(WireError::OtherBase));
    let older = DeltaOffer {
        target: Offer {
            model: 4,
            ..announced.target
        },
        ..announced
    };
    assert!(matches!(
        receiver.offer_delta(older),
        Err(WireError::OlderVersion { .. })
    ));
}

#[test]
fn a_delta_that_does_not_lead_to_what_was_announced_makes_way_for_the_whole_bundle() {
    let (mut receiver, target, delta, announced) = confirmed();
    let forged = DeltaOffer {
        target: Offer {
            digest: Digest([9; 32]),
            ..announced.target
        },
        ..announced
    };
    receiver.offer_delta(forged).unwrap();
    send_all(&mut receiver, &delta);
    assert_eq!(
        receiver.finish(forged.target.digest),
        Err(WireError::OtherBase)
    );
    assert_eq!(receiver.offer(announced.target).unwrap().next, 0);
    send_all(&mut receiver, &target);
    assert_eq!(
        receiver.finish(announced.target.digest).unwrap(),
        Some(target)
    );
}

#[test]
fn a_damaged_delta_starts_over() {
    let (mut receiver, _, mut delta, announced) = confirmed();
    receiver.offer_delta(announced).unwrap();
    delta[70] ^= 1;
    send_all(&mut receiver, &delta);
    assert_eq!(
        receiver.finish(announced.target.digest),
        Err(WireError::DigestMismatch)
    );
    assert_eq!(receiver.offer_delta(announced).unwrap().next, 0);
}
