//! The promise of the slots: whichever write the power cut hits, a working bundle remains, and installing goes on.

use super::fragile::Fragile;
use crate::install::receiver::Receiver;
use sha2::{Digest as _, Sha256};
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{CHUNK_BYTES, Chunk, DeltaOffer, Digest, Offer};
use tendon_shared::slot::{SlotEvent, SlotState};
use tendon_shared::topology::TopologyId;

use super::store::Store;

fn bundle(model: u64, size: usize) -> (Offer, Vec<u8>) {
    // Without order, so that a delta is as long as the bundle.
    let block =
        |number: usize| Sha256::digest([model, number as u64].map(u64::to_le_bytes).concat());
    let mut bytes: Vec<u8> = (0..size.div_ceil(32)).flat_map(block).collect();
    bytes.truncate(size);
    let offer = Offer {
        digest: Digest(Sha256::digest(&bytes).into()),
        size: size as u32,
        model,
        topology: TopologyId::Kinect20,
    };
    (offer, bytes)
}

fn size(model: u64) -> usize {
    5 * CHUNK_BYTES + 100 - model as usize
}

/// How a bundle is shipped.
#[derive(Debug, Clone, Copy)]
enum Way {
    Whole,
    /// By its difference from the bundle before.
    Delta,
}

/// The delta from the bundle before `model`, and its offer.
fn delta(model: u64) -> (DeltaOffer, Vec<u8>) {
    let (base, old) = bundle(model - 1, size(model - 1));
    let (target, new) = bundle(model, size(model));
    let bytes = tendon_delta::make(&old, &new).unwrap();
    let offer = DeltaOffer {
        target,
        base: base.digest,
        digest: Digest(Sha256::digest(&bytes).into()),
        size: bytes.len() as u32,
    };
    (offer, bytes)
}

/// Ships, verifies, tries and confirms a bundle, wherever an earlier attempt stopped. Fails where the power is cut.
fn install(storage: &Fragile, model: u64, way: Way) -> Option<()> {
    let (offer, bytes) = bundle(model, size(model));
    let mut receiver =
        Receiver::open(Store::open(Box::new(storage.clone())).ok()?, None, 2048).ok()?;
    receiver.store_mut().boot().ok()?;
    if receiver.store().slots().trial().is_none() {
        let (mut progress, sent) = match way {
            Way::Whole => (receiver.offer(offer).ok()?, bytes.clone()),
            Way::Delta => {
                let (offer, bytes) = delta(model);
                (receiver.offer_delta(offer).ok()?, bytes)
            }
        };
        while (progress.next as usize) < sent.len() {
            let at = progress.next as usize;
            let data = &sent[at..sent.len().min(at + CHUNK_BYTES)];
            progress = receiver
                .chunk(Chunk {
                    offset: progress.next,
                    crc: crc32(data),
                    data,
                })
                .ok()?;
        }
        if receiver.store().record().holding(offer.digest) != receiver.store().slots().confirmed() {
            assert_eq!(receiver.finish(offer.digest).ok()?, Some(bytes));
            let store = receiver.store_mut();
            if store
                .slots()
                .incoming()
                .map(|side| store.slots().state(side))
                == Some(SlotState::Receiving)
            {
                store.apply(SlotEvent::Verify).ok()?;
            }
            store.apply(SlotEvent::Try).ok()?;
        }
    }
    if receiver.store().slots().trial().is_some() {
        receiver.store_mut().apply(SlotEvent::Confirm).ok()?;
    }
    Some(())
}

/// What serves must be whole, and one of the two bundles.
fn assert_works(storage: &Fragile) -> u64 {
    let store = Store::open(Box::new(storage.clone())).unwrap();
    let (side, offer) = store.serving().expect("a slot serves");
    assert_eq!(
        store.read(side).unwrap(),
        bundle(offer.model, offer.size as usize).1
    );
    offer.model
}

#[test]
fn whichever_write_is_torn_a_working_slot_remains() {
    for way in [Way::Whole, Way::Delta] {
        let whole = Fragile::default();
        install(&whole, 1, Way::Whole).unwrap();
        let before = whole.writes();
        install(&whole, 2, way).unwrap();
        let writes = whole.writes() - before;
        assert!(writes > 10, "{writes}");
        for cut in 0..writes {
            let storage = Fragile::default();
            install(&storage, 1, Way::Whole).unwrap();
            storage.cut_after(cut);
            assert_eq!(install(&storage, 2, way), None, "{way:?}, cut {cut}");
            storage.restart();
            assert_works(&storage);
            install(&storage, 2, way)
                .unwrap_or_else(|| panic!("cannot go on after {way:?}, cut {cut}"));
            assert_eq!(assert_works(&storage), 2, "{way:?}, cut {cut}");
            let store = Store::open(Box::new(storage.clone())).unwrap();
            assert_eq!(store.record().floor, 2);
        }
    }
}

#[test]
fn two_cuts_in_a_row_do_no_harm_either_whatever_way_is_tried_then() {
    for first in 0..18 {
        for second in 0..18 {
            let storage = Fragile::default();
            install(&storage, 1, Way::Whole).unwrap();
            for (cut, way) in [(first, Way::Delta), (second, Way::Whole)] {
                storage.cut_after(cut);
                let _ = install(&storage, 2, way);
                storage.restart();
                assert_works(&storage);
            }
            install(&storage, 2, Way::Delta).unwrap();
            assert_eq!(assert_works(&storage), 2);
        }
    }
}
