//! The promise of the slots: whichever write the power cut hits, a working bundle remains, and installing goes on.

use super::fragile::Fragile;
use crate::install::receiver::Receiver;
use sha2::{Digest as _, Sha256};
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{CHUNK_BYTES, Chunk, Digest, Offer};
use tendon_shared::slot::{SlotEvent, SlotState};
use tendon_shared::topology::TopologyId;

use super::store::Store;

fn bundle(model: u64, size: usize) -> (Offer, Vec<u8>) {
    let bytes: Vec<u8> = (0..size)
        .map(|i| (i as u64 * 31 + model * 7) as u8)
        .collect();
    let offer = Offer {
        digest: Digest(Sha256::digest(&bytes).into()),
        size: size as u32,
        model,
        topology: TopologyId::Kinect20,
    };
    (offer, bytes)
}

/// Ships, verifies, tries and confirms a bundle, wherever an earlier attempt stopped. Fails where the power is cut.
fn install(storage: &Fragile, model: u64) -> Option<()> {
    let (offer, bytes) = bundle(model, 5 * CHUNK_BYTES + 100 - model as usize);
    let mut receiver =
        Receiver::open(Store::open(Box::new(storage.clone())).ok()?, None, 2048).ok()?;
    receiver.store_mut().boot().ok()?;
    if receiver.store().slots().trial().is_none() {
        let mut progress = receiver.offer(offer).ok()?;
        while progress.next < offer.size {
            let at = progress.next as usize;
            let data = &bytes[at..bytes.len().min(at + CHUNK_BYTES)];
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
    let whole = Fragile::default();
    install(&whole, 1).unwrap();
    let before = whole.writes();
    install(&whole, 2).unwrap();
    let writes = whole.writes() - before;
    assert!(writes > 10, "{writes}");
    for cut in 0..writes {
        let storage = Fragile::default();
        install(&storage, 1).unwrap();
        storage.cut_after(cut);
        assert_eq!(install(&storage, 2), None, "cut {cut}");
        storage.restart();
        assert_works(&storage);
        install(&storage, 2).unwrap_or_else(|| panic!("cannot go on after cut {cut}"));
        assert_eq!(assert_works(&storage), 2, "cut {cut}");
        let store = Store::open(Box::new(storage.clone())).unwrap();
        assert_eq!(store.record().floor, 2);
    }
}

#[test]
fn two_cuts_in_a_row_do_no_harm_either() {
    for first in 0..14 {
        for second in 0..14 {
            let storage = Fragile::default();
            install(&storage, 1).unwrap();
            for cut in [first, second] {
                storage.cut_after(cut);
                let _ = install(&storage, 2);
                storage.restart();
                assert_works(&storage);
            }
            install(&storage, 2).unwrap();
            assert_eq!(assert_works(&storage), 2);
        }
    }
}
