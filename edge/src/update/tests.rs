//! What an update does with good and bad repositories.

use super::course::{Outcome, Terms, UpdateError, update};
use super::deliver::{Delivered, Slots};
use super::keep::Kept;
use crate::install::receiver::Receiver;
use crate::install::verify::Trust;
use crate::slots::fragile::Fragile;
use crate::slots::store::Store;
use tendon_bundle::testing::{Shape, random_contents, secret_key};
use tendon_bundle::{Bundle, Floor, TrustedKeys};
use tendon_shared::slot::SlotEvent;
use tendon_shared::topology::TopologyId;
use tendon_trust::TrustError;
use tendon_trust::client::Clock;
use tendon_trust::offers;
use tendon_trust::testing::{NOW, Repository};

/// The key that signs bundles.
const RELEASE: u8 = 90;
const TOPOLOGY: TopologyId = TopologyId::Kinect20;

pub(super) fn verifier() -> Trust {
    Trust {
        keys: TrustedKeys::new([secret_key(RELEASE).public()]),
        topology: Some(TOPOLOGY),
    }
}

pub(super) fn bundle(model: u64, key: u8) -> Vec<u8> {
    let shape = Shape::small(TOPOLOGY.topology().joint_count(), 16, 3);
    random_contents(TOPOLOGY, &shape, model, model)
        .pack(&secret_key(key))
        .unwrap()
}

/// Offers a bundle of this version.
pub(super) fn offer(repository: &mut Repository, model: u64, bytes: &[u8]) {
    let honest = bundle(model, RELEASE);
    let read = Bundle::verify(honest, &verifier().keys, Floor::default()).unwrap();
    let custom = offers::custom(read.manifest());
    repository.offer(&format!("kinect20-{model}.tendon"), bytes, custom);
    repository.publish();
}

pub(super) fn receiver(storage: &Fragile) -> Receiver {
    let store = Store::open(Box::new(storage.clone())).unwrap();
    Receiver::open(store, Some(TOPOLOGY), 2048).unwrap()
}

pub(super) fn terms(root: &[u8]) -> Terms<'_> {
    Terms {
        factory_root: root,
        topology: Some(TOPOLOGY),
        clock: Clock::Set(NOW),
    }
}

/// Updates a device whose slots and trusted files are on one storage.
fn run(storage: &Fragile, source: &mut Repository, clock: Clock) -> Result<Outcome, UpdateError> {
    let root = source.factory_root().to_vec();
    let mut receiver = receiver(storage);
    let mut kept = storage.clone();
    update(
        &mut Kept(&mut kept),
        source,
        &mut Slots(&mut receiver),
        &verifier(),
        Terms {
            clock,
            ..terms(&root)
        },
    )
}

/// What the agent does at its next start and after a good trial.
pub(super) fn install(storage: &Fragile) -> Option<()> {
    let mut receiver = receiver(storage);
    let side = receiver.store().slots().incoming()?;
    let offer = receiver.store().record().content(side)?;
    let bytes = receiver.finish(offer.digest).ok()??;
    Bundle::verify(bytes, &verifier().keys, Floor::default()).unwrap();
    receiver.begin_trial().ok()?;
    receiver.store_mut().apply(SlotEvent::Confirm).ok()
}

fn serving(storage: &Fragile) -> Option<u64> {
    let receiver = receiver(storage);
    receiver.store().serving().map(|(_, offer)| offer.model)
}

#[test]
fn a_signed_bundle_goes_from_the_repository_to_its_trial() {
    let storage = Fragile::default();
    let mut repository = Repository::new();
    let set = Clock::Set(NOW);
    assert_eq!(
        run(&storage, &mut repository, set).unwrap(),
        Outcome::NothingOffered
    );
    for model in [3, 4] {
        offer(&mut repository, model, &bundle(model, RELEASE));
        let staged = Outcome::Staged {
            model,
            to: Delivered::Slots,
        };
        assert_eq!(run(&storage, &mut repository, set).unwrap(), staged);
        install(&storage).unwrap();
        assert_eq!(serving(&storage), Some(model));
        assert_eq!(
            run(&storage, &mut repository, set).unwrap(),
            Outcome::NothingNewer {
                offered: model,
                floor: model
            }
        );
    }
    // The list is signed, but goes back: nothing older than what was confirmed is installed.
    repository.targets.remove("kinect20-4.tendon");
    repository.publish();
    assert_eq!(
        run(&storage, &mut repository, set).unwrap(),
        Outcome::NothingNewer {
            offered: 3,
            floor: 4
        }
    );
}

#[test]
fn without_the_time_a_bundle_is_verified_and_not_staged() {
    let storage = Fragile::default();
    let mut repository = Repository::new();
    offer(&mut repository, 3, &bundle(3, RELEASE));
    assert_eq!(
        run(&storage, &mut repository, Clock::Unset).unwrap(),
        Outcome::Verified { model: 3 }
    );
    assert_eq!(receiver(&storage).store().slots().incoming(), None);
    // Set into a time when the repository has expired, the clock says so.
    let late = Clock::Set(NOW.plus_days(20));
    let error = run(&storage, &mut repository, late).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::Expired { .. })),
        "{error}"
    );
    let set = Clock::Set(NOW);
    let outcome = run(&storage, &mut repository, set).unwrap();
    assert!(
        matches!(outcome, Outcome::Staged { model: 3, .. }),
        "{outcome:?}"
    );
}

#[test]
fn a_listed_bundle_must_have_its_own_signature_too() {
    for (spoil, what) in [
        (bundle(3, 91), "signed by another"),
        (b"no bundle at all".to_vec(), "no bundle"),
        (bundle(3, RELEASE)[..2000].to_vec(), "cut off"),
    ] {
        let storage = Fragile::default();
        let mut repository = Repository::new();
        offer(&mut repository, 3, &spoil);
        let error = run(&storage, &mut repository, Clock::Set(NOW)).unwrap_err();
        assert!(matches!(error, UpdateError::Bundle(_)), "{what}: {error}");
        assert_eq!(receiver(&storage).store().slots().incoming(), None);
    }
    let storage = Fragile::default();
    let mut repository = Repository::new();
    offer(&mut repository, 4, &bundle(3, RELEASE));
    let error = run(&storage, &mut repository, Clock::Set(NOW)).unwrap_err();
    assert!(
        matches!(
            error,
            UpdateError::Mislabelled {
                listed: 4,
                found: 3
            }
        ),
        "{error}"
    );
}

#[test]
fn an_unlisted_bundle_is_not_taken_although_its_signature_is_good() {
    let storage = Fragile::default();
    let mut repository = Repository::new();
    offer(&mut repository, 3, &bundle(3, RELEASE));
    // Somebody with the server puts an older, honestly signed bundle where the listed one was.
    for file in repository.files.values_mut() {
        *file = bundle(2, RELEASE);
    }
    let error = run(&storage, &mut repository, Clock::Set(NOW)).unwrap_err();
    assert!(
        matches!(error, UpdateError::Trust(TrustError::Differs { .. })),
        "{error}"
    );
}
