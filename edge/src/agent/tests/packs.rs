//! A repository in one file, sent to a running device.

use super::*;
use crate::agent::hub::lock;
use crate::update::keep::Vault;
use std::collections::BTreeSet;
use tendon_shared::protocol::deploy::{Kept, PackOffer, Progress};
use tendon_shared::protocol::error::PackRole;
use tendon_trust::archive::MAX_PACK_BYTES;
use tendon_trust::json::Json;
use tendon_trust::testing::Repository;

/// What judges packs by the root of [`Repository::new`], with floors on the device's own storage.
pub(super) fn judged(storage: &Fragile, clock: Clock) -> Packs {
    let storage = storage.clone();
    Packs {
        root: Repository::new().factory_root().into(),
        vault: Arc::new(move || Ok(Vault::of(storage.clone()))),
        clock: Arc::new(move || clock),
    }
}

pub(super) fn offer(pack: &[u8]) -> PackOffer {
    PackOffer {
        digest: Digest(Sha256::digest(pack).into()),
        size: pack.len() as u32,
    }
}

/// Offers a pretended bundle.
fn add(repository: &mut Repository, model: u64, flaw: u8) {
    let about = Json::object([
        ("model", model.into()),
        ("topology", "kinect20".into()),
        ("engine", u64::from(tendon_engine::format::VERSION).into()),
        (
            "preprocessing",
            u64::from(tendon_shared::normalize::PREPROCESSING_VERSION).into(),
        ),
    ]);
    let (_, bytes) = bundle(model, flaw);
    let custom = Json::object([("tendon", about)]);
    repository.offer(&format!("{model}.tendon"), &bytes, custom);
    repository.publish();
}

/// A repository that offers all bundles up to this one, one release after another.
pub(super) fn leading_to(model: u64) -> Repository {
    let mut repository = Repository::new();
    for model in 6..=model {
        add(&mut repository, model, GOOD);
    }
    repository
}

const CONFIRMED: InstallStatus = InstallStatus::Confirmed { model: 7 };

/// A device that has confirmed bundle 7 out of a pack.
async fn delivered(storage: &Fragile) -> Bench {
    let mut bench = Bench::start(storage).await;
    bench.deploy_pack(&leading_to(7).pack()).await.unwrap();
    bench.windows(&[true, true, true], CONFIRMED).await;
    bench
}

/// Every file of the device but what belongs to transfers and what is kept for reports.
fn lasting(storage: &Fragile) -> BTreeSet<(String, usize)> {
    let passing = |name: &str| name.contains("pack") || name == "last-update.json";
    let files = storage.files().into_iter();
    files.filter(|(name, _)| !passing(name)).collect()
}

#[tokio::test]
async fn a_packs_bundle_goes_the_way_of_a_shipped_one() {
    let storage = Fragile::default();
    let mut bench = Bench::start(&storage).await;
    let pack = leading_to(7).pack();
    assert_eq!(bench.deploy_pack(&pack).await, Ok(trial(7, 0)));
    bench.windows(&[true, true], trial(7, 2)).await;
    bench.windows(&[true], CONFIRMED).await;
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
    let left: Vec<_> = storage.files();
    assert!(left.contains(&("incoming.pack".into(), 0)), "{left:?}");
    // Again: nothing needs to be sent, nothing changes, also after a restart.
    for _ in 0..2 {
        let answer = bench.ask(Request::OfferPack(offer(&pack))).await;
        let Ok(Response::Progress(progress)) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!(progress.next as usize, pack.len());
        let answer = bench.ask(Request::Finish(offer(&pack).digest)).await;
        assert_eq!(answer, Ok(Response::Install(CONFIRMED)));
        bench = Bench::start(&storage).await;
    }
    // Another pack that leads to the same bundle.
    let mut again = leading_to(7);
    again.publish_timestamp();
    let nothing = Kept::NothingNewer {
        offered: 7,
        floor: 7,
    };
    let outcome = bench.deploy_pack(&again.pack()).await;
    assert_eq!(outcome, Ok(InstallStatus::Kept(nothing)));
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
}

#[tokio::test]
async fn a_cut_in_the_middle_costs_what_was_not_durable() {
    let storage = Fragile::default();
    let pack = leading_to(7).pack();
    let announced = offer(&pack);
    let mut bench = Bench::start(&storage).await;
    bench.ask(Request::OfferPack(announced)).await.unwrap();
    for (index, data) in pack.chunks(CHUNK_BYTES).enumerate().take(7) {
        let chunk = Chunk {
            offset: (index * CHUNK_BYTES) as u32,
            crc: crc32(data),
            data,
        };
        bench.ask(Request::Chunk(chunk)).await.unwrap();
    }
    let early = bench.ask(Request::Finish(announced.digest)).await;
    assert_eq!(early, Err(WireError::Incomplete));
    storage.restart();
    let mut bench = Bench::start(&storage).await;
    let answer = bench.ask(Request::OfferPack(announced)).await;
    let Ok(Response::Progress(progress)) = answer else {
        panic!("{answer:?}")
    };
    // Synced every 2048 bytes.
    assert_eq!(progress.next as usize, 6 * CHUNK_BYTES);
    assert_eq!(bench.deploy_pack(&pack).await, Ok(trial(7, 0)));
}

#[tokio::test]
async fn a_pack_that_was_complete_before_a_crash_is_opened_without_a_host() {
    let storage = Fragile::default();
    let pack = leading_to(7).pack();
    let mut bench = Bench::start(&storage).await;
    bench.ask(Request::OfferPack(offer(&pack))).await.unwrap();
    for (index, data) in pack.chunks(CHUNK_BYTES).enumerate() {
        let chunk = Chunk {
            offset: (index * CHUNK_BYTES) as u32,
            crc: crc32(data),
            data,
        };
        bench.ask(Request::Chunk(chunk)).await.unwrap();
    }
    storage.restart();
    let mut bench = Bench::start(&storage).await;
    assert_eq!(bench.outcome().await, Ok(trial(7, 0)));
}

#[tokio::test]
async fn a_pack_that_is_being_looked_at_can_be_waited_for() {
    let mut bench = Bench::start(&Fragile::default()).await;
    let pack = leading_to(7).pack();
    let announced = offer(&pack);
    bench.ask(Request::OfferPack(announced)).await.unwrap();
    for (index, data) in pack.chunks(CHUNK_BYTES).enumerate() {
        let chunk = Chunk {
            offset: (index * CHUNK_BYTES) as u32,
            crc: crc32(data),
            data,
        };
        bench.ask(Request::Chunk(chunk)).await.unwrap();
    }
    bench.hub.set_status(InstallStatus::Verifying);
    let again = bench.ask(Request::OfferPack(announced)).await;
    let all = Progress {
        next: announced.size,
        ahead: 0,
    };
    assert_eq!(again, Ok(Response::Progress(all)));
    let other = bench.ask(Request::OfferPack(offer(b"another"))).await;
    assert_eq!(other, Err(WireError::Busy));
}

#[tokio::test]
async fn an_older_pack_is_refused_by_name_and_nothing_changes() {
    let storage = Fragile::default();
    let old = leading_to(7);
    let mut bench = delivered(&storage).await;
    let mut newer = leading_to(7);
    newer.publish_timestamp();
    bench.deploy_pack(&newer.pack()).await.unwrap();
    let before = lasting(&storage);
    let refused = WireError::RolledBack {
        role: PackRole::Timestamp,
        floor: 4,
        found: 3,
    };
    assert_eq!(bench.deploy_pack(&old.pack()).await, Err(refused));
    assert_eq!(lasting(&storage), before);
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
    assert_eq!(bench.hub.counters().await.rejected, 1);
    // The list may be newer and still offer less than was confirmed.
    let mut less = leading_to(7);
    less.publish_timestamp();
    less.targets.remove("7.tendon");
    less.publish();
    let nothing = Kept::NothingNewer {
        offered: 6,
        floor: 7,
    };
    let outcome = bench.deploy_pack(&less.pack()).await;
    assert_eq!(outcome, Ok(InstallStatus::Kept(nothing)));
}

#[tokio::test]
async fn without_the_time_a_bundle_is_verified_and_not_installed() {
    let storage = Fragile::default();
    let pack = leading_to(7).pack();
    let unset = Some(judged(&storage, Clock::Unset));
    let mut bench = Bench::start_with(&storage, unset.clone()).await;
    let kept = InstallStatus::Kept(Kept::ClockUnset { model: 7 });
    assert_eq!(bench.deploy_pack(&pack).await, Ok(kept));
    assert_eq!(bench.serving(), None);
    assert_eq!(lock(&bench.hub.receiver).store().slots().incoming(), None);
    // The floors count already.
    let older = bench.deploy_pack(&Repository::new().pack()).await;
    assert!(
        matches!(older, Err(WireError::RolledBack { .. })),
        "{older:?}"
    );
    assert_eq!(bench.deploy_pack(&pack).await, Ok(kept));
    // With the time nothing needs to be sent again, not even from a host.
    let mut bench = Bench::start(&storage).await;
    assert_eq!(bench.outcome().await, Ok(trial(7, 0)));
    // With a clock that says a later time the pack has expired.
    let storage = Fragile::default();
    let late = judged(&storage, Clock::Set(NOW.plus_days(20)));
    let mut bench = Bench::start_with(&storage, Some(late)).await;
    let expired = WireError::Expired {
        role: PackRole::Timestamp,
    };
    assert_eq!(bench.deploy_pack(&pack).await, Err(expired));
}

#[tokio::test]
async fn a_device_without_a_root_file_takes_no_pack_and_says_so() {
    let mut bench = Bench::start_with(&Fragile::default(), None).await;
    let pack = leading_to(7).pack();
    assert_eq!(bench.deploy_pack(&pack).await, Err(WireError::NoRoot));
    assert!(WireError::NoRoot.to_string().contains("--root"));
    bench.deploy(bundle(7, GOOD)).await.unwrap();
}

#[tokio::test]
async fn each_kind_of_bad_pack_has_its_own_error_and_changes_nothing() {
    let storage = Fragile::default();
    let mut bench = delivered(&storage).await;
    let before = storage.files().len();
    let mut forged = leading_to(7);
    add(&mut forged, 8, FORGED);
    let mut mislabelled = leading_to(7);
    add(&mut mislabelled, 9, GOOD);
    let (nine, eight) = (bundle(9, GOOD).1, bundle(8, GOOD).1);
    let listed = mislabelled.targets["9.tendon"].custom.clone();
    assert_ne!(nine, eight);
    mislabelled.offer("9.tendon", &eight, listed);
    mislabelled.publish();
    let mut exchanged = mislabelled.clone();
    exchanged.files.values_mut().for_each(|file| file[20] ^= 1);
    let mut unsigned = mislabelled.clone();
    unsigned.keys.insert(
        tendon_trust::metadata::Role::Targets,
        vec![tendon_bundle::testing::secret_key(99)],
    );
    unsigned.publish();
    let mut foreign = Repository::new();
    foreign.keys.insert(
        tendon_trust::metadata::Role::Timestamp,
        vec![tendon_bundle::testing::secret_key(98)],
    );
    foreign.publish();
    foreign.publish();
    foreign.publish();
    let role = PackRole::Timestamp;
    for (pack, expect) in [
        (b"neither tar nor anything".to_vec(), WireError::NotAPack),
        (bundle(8, GOOD).1, WireError::NotAPack),
        (Vec::new(), WireError::NotAPack),
        (forged.pack(), WireError::ForeignKey),
        (mislabelled.pack(), WireError::PackRefused),
        (exchanged.pack(), WireError::PackRefused),
        (
            unsigned.pack(),
            WireError::Unsigned {
                role: PackRole::Targets,
            },
        ),
        (foreign.pack(), WireError::Unsigned { role }),
    ] {
        assert_eq!(bench.deploy_pack(&pack).await, Err(expect), "{expect}");
        assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
    }
    assert_eq!(storage.files().len(), before);
    let huge = PackOffer {
        digest: Digest([1; 32]),
        size: MAX_PACK_BYTES as u32 + 1,
    };
    let refused = bench.ask(Request::OfferPack(huge)).await;
    assert_eq!(refused, Err(WireError::TooLarge));
    // Another file than was offered.
    let mut announced = offer(b"something else");
    announced.size = 3;
    let answer = bench.ask(Request::OfferPack(announced)).await.unwrap();
    let other = bench.finish(answer, b"abc", announced.digest).await;
    assert_eq!(other, Err(WireError::DigestMismatch));
}

#[tokio::test]
async fn while_another_update_is_at_work_a_pack_waits() {
    let storage = Fragile::default();
    let mut packs = judged(&storage, Clock::Set(NOW));
    packs.vault = Arc::new(|| Err(io::ErrorKind::WouldBlock.into()));
    let mut bench = Bench::start_with(&storage, Some(packs)).await;
    let pack = leading_to(7).pack();
    assert_eq!(bench.deploy_pack(&pack).await, Err(WireError::Busy));
    // It is there and need not be sent again.
    let mut bench = Bench::start(&storage).await;
    assert_eq!(bench.outcome().await, Ok(trial(7, 0)));
}
