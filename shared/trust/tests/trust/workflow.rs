//! Refreshes, rotations, roll-backs, clocks.

use crate::support::{floors, refresh, refresh_at};
use tendon_bundle::testing::secret_key;
use tendon_trust::TrustError;
use tendon_trust::client::{Client, Clock, Limits};
use tendon_trust::floors::Keeper;
use tendon_trust::json::Json;
use tendon_trust::keys::Ed25519;
use tendon_trust::metadata::Role;
use tendon_trust::store::{Memory, Store as _};
use tendon_trust::testing::{NOW, Repository};

/// A device that has seen the repository.
fn seen(repository: &mut Repository) -> (Memory, Vec<u8>) {
    let mut store = Memory::default();
    let root = repository.factory_root().to_vec();
    refresh(&mut store, repository, &root).unwrap();
    (store, root)
}

#[test]
fn what_is_published_is_trusted_and_downloaded() {
    let mut repository = Repository::new();
    repository.offer("a.tendon", b"first", Json::Null);
    repository.publish();
    let mut store = Memory::default();
    let root = repository.factory_root().to_vec();
    let keeper = Keeper::open(&mut store).unwrap();
    let clock = Clock::Set(NOW);
    let mut client = Client::new(keeper, &mut repository, &Ed25519, Limits::default(), clock);
    let trusted = client.refresh(&root).unwrap();
    let target = client.find(&trusted, "a.tendon").unwrap();
    let fetch =
        |client: &mut Client<'_>, limit| client.download(&trusted, "a.tendon", &target, limit);
    assert_eq!(fetch(&mut client, 100).unwrap(), b"first");
    assert!(matches!(
        fetch(&mut client, 4),
        Err(TrustError::TooLarge { limit: 4, .. })
    ));
    assert!(matches!(
        client.find(&trusted, "b.tendon"),
        Err(TrustError::NoTarget { .. })
    ));
    let now = floors(&mut store);
    assert_eq!(
        Role::ALL.map(|role| now.of(role)),
        [1, 2, 2, 2],
        "root, timestamp, snapshot, targets"
    );
    for bytes in repository.files.values_mut() {
        bytes[0] ^= 1;
    }
    let keeper = Keeper::open(&mut store).unwrap();
    let mut client = Client::new(keeper, &mut repository, &Ed25519, Limits::default(), clock);
    assert!(matches!(
        client.download(&trusted, "a.tendon", &target, 100),
        Err(TrustError::Differs { .. })
    ));
}

#[test]
fn an_old_copy_of_the_repository_is_refused() {
    let mut repository = Repository::new();
    let mut old = repository.clone();
    repository.publish();
    let (mut store, root) = seen(&mut repository);
    let error = refresh(&mut store, &mut old, &root).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::RolledBack {
                role: Role::Timestamp,
                floor: 2,
                found: 1
            }
        ),
        "{error}"
    );
    refresh(&mut store, &mut repository, &root).unwrap();
}

#[test]
fn torn_files_do_not_lower_a_floor() {
    for torn in Role::ALL {
        let mut repository = Repository::new();
        let mut old = repository.clone();
        repository.publish();
        repository.publish_root();
        let (mut store, root) = seen(&mut repository);
        let before = floors(&mut store);
        // Worst of all: every trusted file is gone or half.
        for role in Role::ALL {
            store.discard(role.file()).unwrap();
        }
        let half = repository.metadata["timestamp.json"].clone();
        store.replace(torn.file(), &half[..half.len() / 2]).unwrap();
        let error = refresh(&mut store, &mut old, &root).unwrap_err();
        assert!(matches!(error, TrustError::RolledBack { .. }), "{error}");
        assert_eq!(floors(&mut store), before);
        refresh(&mut store, &mut repository, &root).unwrap();
    }
}

#[test]
fn a_version_has_one_meaning() {
    let mut repository = Repository::new();
    let (mut store, root) = seen(&mut repository);
    let first = store.read("timestamp.json").unwrap();
    // The same version once more, of another snapshot.
    repository.publish_snapshot();
    repository.set_version(Role::Timestamp, 0);
    repository.publish_timestamp();
    let trusted = refresh(&mut store, &mut repository, &root).unwrap();
    assert_eq!(trusted.snapshot.version, 1);
    assert_eq!(store.read("timestamp.json").unwrap(), first);
}

#[test]
fn one_signature_of_two_is_not_enough() {
    for role in [Role::Root, Role::Targets] {
        let mut repository = Repository::new();
        let (mut store, root) = seen(&mut repository);
        // The second signer is a stranger.
        repository.keys.get_mut(&role).unwrap()[1] = secret_key(99);
        match role {
            Role::Root => repository.publish_root(),
            _ => repository.publish(),
        }
        let error = refresh(&mut store, &mut repository, &root).unwrap_err();
        assert!(
            matches!(
                error,
                TrustError::Unsigned {
                    valid: 1,
                    needed: 2,
                    ..
                }
            ),
            "{role}: {error}"
        );
    }
}

#[test]
fn keys_rotate_when_old_and_new_ones_sign() {
    let mut repository = Repository::new();
    let (mut store, root) = seen(&mut repository);
    // Two of the three root keys are replaced: two old ones must sign too.
    let old = repository.keys[&Role::Root].clone();
    repository.keys.insert(
        Role::Root,
        vec![secret_key(21), secret_key(22), old[2].clone()],
    );
    let mut forged = repository.clone();
    forged.outgoing = vec![old[0].clone()];
    forged.publish_root();
    let error = refresh(&mut store, &mut forged, &root).unwrap_err();
    assert!(
        matches!(error, TrustError::Unsigned { valid: 1, .. }),
        "{error}"
    );
    repository.outgoing = old[..2].to_vec();
    repository.publish_root();
    repository.outgoing.clear();
    repository.publish_root();
    let trusted = refresh(&mut store, &mut repository, &root).unwrap();
    assert_eq!(trusted.root.version, 3);
    // A device from the factory finds its way from the first root to the last.
    let (mut fresh, _) = seen(&mut repository);
    assert_eq!(floors(&mut fresh).root, 3);
    // And nobody leads it back to the time of the old keys.
    repository.metadata.remove("3.root.json");
    fresh.discard("root.json").unwrap();
    let error = refresh(&mut fresh, &mut repository, &root).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::RolledBack {
                role: Role::Root,
                floor: 3,
                found: 2
            }
        ),
        "{error}"
    );
}

#[test]
fn a_stolen_online_key_that_ran_ahead_is_undone_by_a_new_root() {
    let mut repository = Repository::new();
    let (mut store, root) = seen(&mut repository);
    let mut stolen = repository.clone();
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        stolen.set_version(role, 1_000_000);
    }
    stolen.publish();
    refresh(&mut store, &mut stolen, &root).unwrap();
    repository.publish();
    let error = refresh(&mut store, &mut repository, &root).unwrap_err();
    assert!(matches!(error, TrustError::RolledBack { .. }), "{error}");
    // Another timestamp key alone does not free the snapshot.
    repository
        .keys
        .insert(Role::Timestamp, vec![secret_key(31)]);
    repository.publish_root();
    repository.publish();
    let error = refresh(&mut store, &mut repository, &root).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::RolledBack {
                role: Role::Snapshot,
                ..
            }
        ),
        "{error}"
    );
    repository.keys.insert(Role::Snapshot, vec![secret_key(32)]);
    repository.publish_root();
    repository.publish();
    let trusted = refresh(&mut store, &mut repository, &root).unwrap();
    assert_eq!(trusted.targets.version, 4);
    assert_eq!(floors(&mut store).targets, 4);
    // The floor holds again.
    let error = refresh(&mut store, &mut stolen, &root).unwrap_err();
    assert!(matches!(error, TrustError::Unsigned { .. }), "{error}");
}

#[test]
fn a_further_key_frees_nothing() {
    let mut repository = Repository::new();
    let old = repository.clone();
    repository.publish();
    let (mut store, root) = seen(&mut repository);
    let mut replayed = old;
    replayed
        .keys
        .get_mut(&Role::Timestamp)
        .unwrap()
        .push(secret_key(41));
    replayed.publish_root();
    let error = refresh(&mut store, &mut replayed, &root).unwrap_err();
    assert!(
        matches!(
            error,
            TrustError::RolledBack {
                role: Role::Timestamp,
                floor: 2,
                found: 1
            }
        ),
        "{error}"
    );
}

#[test]
fn expired_files_are_refused_only_with_a_clock() {
    let mut repository = Repository::new();
    let (mut store, root) = seen(&mut repository);
    let late = Clock::Set(NOW.plus_days(15));
    let error = refresh_at(&mut store, &mut repository, &root, late).unwrap_err();
    assert!(matches!(error, TrustError::Expired { .. }), "{error}");
    refresh_at(&mut store, &mut repository, &root, Clock::Unset).unwrap();
    // Without a clock old files are refused all the same.
    let mut old = repository.clone();
    repository.publish();
    refresh_at(&mut store, &mut repository, &root, Clock::Unset).unwrap();
    let error = refresh_at(&mut store, &mut old, &root, Clock::Unset).unwrap_err();
    assert!(matches!(error, TrustError::RolledBack { .. }), "{error}");
    repository.now = NOW.plus_days(15);
    repository.publish();
    refresh_at(&mut store, &mut repository, &root, late).unwrap();
}

#[test]
fn an_endless_chain_of_roots_is_followed_in_pieces() {
    let mut repository = Repository::new();
    for _ in 0..300 {
        repository.publish_root();
    }
    let mut store = Memory::default();
    let root = repository.factory_root().to_vec();
    let error = refresh(&mut store, &mut repository, &root).unwrap_err();
    assert!(
        matches!(error, TrustError::TooManyRoots { limit: 256 }),
        "{error}"
    );
    let trusted = refresh(&mut store, &mut repository, &root).unwrap();
    assert_eq!(trusted.root.version, 301);
}

#[test]
fn a_damaged_root_on_the_device_is_found_again_from_the_factory_s() {
    let mut repository = Repository::new();
    repository.publish_root();
    let (mut store, root) = seen(&mut repository);
    store.replace("root.json", b"{").unwrap();
    let trusted = refresh(&mut store, &mut repository, &root).unwrap();
    assert_eq!(trusted.root.version, 2);
    let stored = store.read("root.json").unwrap();
    assert_eq!(stored.as_ref(), repository.metadata.get("2.root.json"));
}
