//! A whole update of a running device, with a disk that fails at every one of its writes in turn: a verified bundle always serves, and the
//! floor never falls.

use super::*;
use crate::agent::hub::lock;
use crate::update::keep::Kept;
use tendon_shared::protocol::Event;
use tendon_trust::floors::{Floors, Keeper};
use tendon_trust::metadata::Role;

/// How the update is shipped.
#[derive(Debug, Clone, Copy)]
enum Way {
    Whole,
    Delta,
    Pack,
}

impl Way {
    const ALL: [Self; 3] = [Self::Whole, Self::Delta, Self::Pack];
}

/// Does `work` with a device of its own; whatever the device had begun ends with it.
fn with_device<T>(storage: &Fragile, work: impl AsyncFnOnce(&mut Bench) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    runtime.block_on(async {
        let mut bench = Bench::start(storage).await;
        work(&mut bench).await
    })
}

/// Ships bundle 8, and plays windows until it is confirmed. Fails where the disk does.
async fn update(bench: &mut Bench, way: Way) -> Result<(), WireError> {
    // A file that was complete before the cut is being checked.
    let _ = bench.outcome().await;
    let (target, bytes) = bundle(8, GOOD);
    if bench.serving().map(|(model, _)| model) != Some(8) {
        match way {
            Way::Whole => bench.deploy((target, bytes)).await?,
            Way::Delta => {
                let (base, old) = bundle(7, GOOD);
                let delta = tendon_delta::make(&old, &bytes).unwrap();
                let offer = DeltaOffer {
                    target,
                    base: base.digest,
                    digest: Digest(Sha256::digest(&delta).into()),
                    size: delta.len() as u32,
                };
                bench.deploy_delta(offer, &delta).await?
            }
            Way::Pack => bench.deploy_pack(&packs::leading_to(8).pack()).await?,
        };
    }
    for _ in 0..4 {
        let end = Capture::End {
            track: 1,
            time_ms: 1,
        };
        bench.send(Message::Event(Event::Capture(end))).await;
    }
    let confirmed = InstallStatus::Confirmed { model: 8 };
    // A failed write is not waited for forever.
    for _ in 0..3_000 {
        if bench.hub.status() == confirmed {
            return Ok(());
        }
        bench.hub.pipeline().count().await;
    }
    Err(WireError::Storage)
}

/// A device that serves bundle 7.
fn delivered() -> Fragile {
    let storage = Fragile::default();
    with_device(&storage, async |bench| {
        bench.deploy(bundle(7, GOOD)).await.unwrap();
        let confirmed = InstallStatus::Confirmed { model: 7 };
        bench.windows(&[true, true, true], confirmed).await;
    });
    storage
}

/// The model that serves after a start, and the floor.
fn started(storage: &Fragile) -> (u64, u64) {
    with_device(storage, async |bench| {
        let (model, _) = bench.serving().expect("something serves");
        let floor = lock(&bench.hub.receiver).store().record().floor;
        (model, floor)
    })
}

/// The floors of the repository's files.
fn floors(storage: &Fragile) -> Floors {
    let mut storage = storage.clone();
    let mut kept = Kept(&mut storage);
    Keeper::open(&mut kept).unwrap().floors().clone()
}

/// Writes of an undisturbed update.
fn writes(way: Way) -> usize {
    let storage = delivered();
    let before = storage.writes();
    with_device(&storage, async |bench| update(bench, way).await.unwrap());
    storage.writes() - before
}

#[test]
fn the_power_may_go_at_any_write_of_an_update() {
    for way in Way::ALL {
        let writes = writes(way);
        println!("{way:?}: {writes} writes");
        assert!(writes >= 12, "{way:?} has {writes} writes");
        for cut in 1..writes {
            let storage = delivered();
            // The first write counts the start.
            storage.cut_after(cut);
            let done = with_device(&storage, async |bench| update(bench, way).await);
            assert!(done.is_err(), "{way:?}, cut {cut}");
            storage.restart();
            let (model, floor) = started(&storage);
            assert!(
                (7..=8).contains(&model) && floor >= 7 && floor <= model,
                "{way:?}, cut {cut}: {model} {floor}"
            );
            let had = floors(&storage);
            with_device(&storage, async |bench| update(bench, way).await)
                .unwrap_or_else(|error| panic!("{way:?}, after cut {cut}: {error}"));
            assert_eq!(started(&storage), (8, 8), "{way:?}, cut {cut}");
            let now = floors(&storage);
            for role in Role::ALL {
                assert!(now.of(role) >= had.of(role), "{way:?}, cut {cut}: {role}");
            }
            if matches!(way, Way::Pack) {
                // Whatever was torn: the repository of before is an old one now.
                let replayed = packs::leading_to(7).pack();
                let replayed =
                    with_device(&storage, async |bench| bench.deploy_pack(&replayed).await);
                assert!(
                    matches!(replayed, Err(WireError::RolledBack { .. })),
                    "cut {cut}: {replayed:?}"
                );
            }
        }
    }
}

#[test]
fn a_disk_that_is_full_for_a_while_costs_the_update_and_nothing_else() {
    for way in Way::ALL {
        for full in 1..writes(way) {
            let storage = delivered();
            storage.fill_after(full);
            with_device(&storage, async |bench| {
                let done = update(bench, way).await;
                assert!(done.is_err(), "{way:?}, full at {full}");
                let (model, _) = bench.serving().expect("something serves");
                assert!((7..=8).contains(&model));
                storage.restart();
                update(bench, way)
                    .await
                    .unwrap_or_else(|error| panic!("{way:?}, full at {full}: {error}"));
            });
            assert_eq!(started(&storage), (8, 8), "{way:?}, full at {full}");
        }
    }
}

#[test]
fn a_byte_that_rots_in_any_file_leaves_a_verified_bundle_serving() {
    // A pack leaves more and longer files behind.
    for (way, step) in [(Way::Delta, 97), (Way::Pack, 499)] {
        let whole = delivered();
        with_device(&whole, async |bench| update(bench, way).await.unwrap());
        for (name, length) in whole.files() {
            for at in (0..length).step_by(step) {
                let storage = delivered();
                with_device(&storage, async |bench| update(bench, way).await.unwrap());
                storage.rot(&name, at);
                let (model, floor) = started(&storage);
                assert!((7..=8).contains(&model), "{way:?}, {name} at {at}");
                assert!(floor >= 7, "{way:?}, {name} at {at}");
            }
        }
    }
}
