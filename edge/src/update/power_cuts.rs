//! The promise of updates: whichever write the power cut hits, a working bundle remains, no floor is lost, and nothing runs that
//! was not verified.

use super::course::{Outcome, UpdateError, update};
use super::deliver::Slots;
use super::keep::Kept;
use super::tests::{bundle, install, offer, receiver, terms, verifier};
use crate::slots::fragile::Fragile;
use crate::slots::store::Store;
use tendon_bundle::{Bundle, Floor};
use tendon_trust::TrustError;
use tendon_trust::floors::{Floors, Keeper};
use tendon_trust::metadata::Role;
use tendon_trust::testing::Repository;

/// A whole update, from the repository to a confirmed bundle, wherever an earlier attempt stopped. Fails where the power is cut.
fn whole(storage: &Fragile, source: &mut Repository, model: u64) -> Option<()> {
    let root = source.factory_root().to_vec();
    let outcome = {
        let store = Store::open(Box::new(storage.clone())).ok()?;
        let mut receiver =
            crate::install::receiver::Receiver::open(store, terms(&root).topology, 2048).ok()?;
        // The agent's start, which ends a trial that was cut off or goes on with it.
        receiver.store_mut().boot().ok()?;
        if receiver.store().slots().trial().is_some() {
            receiver
                .store_mut()
                .apply(tendon_shared::slot::SlotEvent::Confirm)
                .ok()?;
        }
        let mut kept = storage.clone();
        update(
            &mut Kept(&mut kept),
            source,
            &mut Slots(&mut receiver),
            &verifier(),
            terms(&root),
        )
        .ok()?
    };
    match outcome {
        Outcome::Staged { .. } => install(storage),
        Outcome::NothingNewer { floor, .. } => (floor == model).then_some(()),
        _ => None,
    }
}

fn floors(storage: &Fragile) -> Floors {
    let mut kept = storage.clone();
    let mut kept = Kept(&mut kept);
    Keeper::open(&mut kept).unwrap().floors().clone()
}

/// What serves, which must be whole and signed.
fn works(storage: &Fragile) -> u64 {
    let receiver = receiver(storage);
    let (side, offer) = receiver.store().serving().expect("a slot serves");
    let bytes = receiver.store().read(side).unwrap();
    let bundle = Bundle::verify(bytes, &verifier().keys, Floor::default()).unwrap();
    assert_eq!(bundle.manifest().model_version, offer.model);
    offer.model
}

/// A device that serves model 1, what it has seen, and the repository as it is later: another root, another bundle.
fn before_and_after() -> (Fragile, Repository, Repository) {
    let mut before = Repository::new();
    offer(&mut before, 1, &bundle(1, 90));
    let storage = Fragile::default();
    whole(&storage, &mut before, 1).unwrap();
    assert_eq!(works(&storage), 1);
    let mut after = before.clone();
    after.publish_root();
    offer(&mut after, 2, &bundle(2, 90));
    (storage, before, after)
}

#[test]
fn a_cut_at_any_write_of_an_update_loses_no_bundle_and_no_floor() {
    let (storage, before, mut after) = before_and_after();
    let start = storage.writes();
    whole(&storage, &mut after, 2).unwrap();
    let writes = storage.writes() - start;
    println!("{writes} writes, each torn once");
    assert!(writes > 20, "{writes}");
    for cut in 0..writes {
        let (storage, _, mut after) = before_and_after();
        let had = floors(&storage);
        storage.cut_after(cut);
        assert_eq!(whole(&storage, &mut after, 2), None, "cut {cut}");
        storage.restart();
        works(&storage);
        let now = floors(&storage);
        for role in Role::ALL {
            assert!(now.of(role) >= had.of(role), "cut {cut}: {role}");
        }
        assert!(now.bundle >= had.bundle, "cut {cut}");
        // The first repository, which offered nothing, is refused whatever was torn.
        let root = before.factory_root().to_vec();
        let mut receiver = receiver(&storage);
        let mut kept = storage.clone();
        let replayed = update(
            &mut Kept(&mut kept),
            &mut Repository::new(),
            &mut Slots(&mut receiver),
            &verifier(),
            terms(&root),
        );
        assert!(
            matches!(
                replayed,
                Err(UpdateError::Trust(TrustError::RolledBack { .. }))
            ),
            "cut {cut}: {replayed:?}"
        );
        whole(&storage, &mut after, 2).unwrap_or_else(|| panic!("cannot go on after cut {cut}"));
        assert_eq!(works(&storage), 2, "cut {cut}");
        assert_eq!(floors(&storage).of(Role::Root), 2, "cut {cut}");
    }
}
