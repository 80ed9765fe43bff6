//! Power cuts at every write.

use crate::support::{Fragile, floors, refresh};
use tendon_bundle::testing::secret_key;
use tendon_trust::TrustError;
use tendon_trust::metadata::Role;
use tendon_trust::testing::Repository;

/// A repository as a device saw it, and as it is after everything in it has changed.
fn before_and_after(rotate: bool) -> (Repository, Repository) {
    let mut before = Repository::new();
    before.publish();
    let mut after = before.clone();
    if rotate {
        after.keys.insert(Role::Timestamp, vec![secret_key(50)]);
        after.keys.insert(Role::Snapshot, vec![secret_key(51)]);
    }
    after.publish_root();
    after.publish();
    (before, after)
}

#[test]
fn whichever_write_is_torn_no_floor_is_lost_and_the_refresh_goes_on() {
    let (mut before, mut after) = before_and_after(false);
    let mut oldest = Repository::new();
    let root = before.factory_root().to_vec();
    let mut seen = Fragile::default();
    refresh(&mut seen, &mut before, &root).unwrap();
    let mut whole = seen.clone();
    refresh(&mut whole, &mut after, &root).unwrap();
    let writes = whole.writes - seen.writes;
    assert!(writes >= 8, "{writes}");
    let had = floors(&mut seen);
    for cut in 0..writes {
        let mut store = seen.clone();
        store.left = Some(cut);
        let error = refresh(&mut store, &mut after, &root).unwrap_err();
        assert!(matches!(error, TrustError::Store(_)), "{cut}: {error}");
        store.restart();
        let now = floors(&mut store);
        for role in Role::ALL {
            assert!(now.of(role) >= had.of(role), "cut {cut}: {role}");
        }
        let error = refresh(&mut store.clone(), &mut oldest, &root).unwrap_err();
        assert!(
            matches!(error, TrustError::RolledBack { .. }),
            "{cut}: {error}"
        );
        refresh(&mut store, &mut after, &root).unwrap();
        assert_eq!(floors(&mut store), floors(&mut whole), "cut {cut}");
    }
}

#[test]
fn floors_fall_as_a_whole_when_online_keys_are_replaced() {
    let (mut before, mut after) = before_and_after(true);
    let root = before.factory_root().to_vec();
    let mut seen = Fragile::default();
    refresh(&mut seen, &mut before, &root).unwrap();
    let mut whole = seen.clone();
    refresh(&mut whole, &mut after, &root).unwrap();
    for cut in 0..whole.writes - seen.writes {
        let mut store = seen.clone();
        store.left = Some(cut);
        refresh(&mut store, &mut after, &root).unwrap_err();
        store.restart();
        // The old repository is signed by keys that are no longer the roles', or its root is older.
        let later = floors(&mut store).root > 1;
        let old = refresh(&mut store.clone(), &mut before, &root);
        assert!(!later || old.is_err(), "cut {cut}");
        refresh(&mut store, &mut after, &root).unwrap();
        assert_eq!(floors(&mut store), floors(&mut whole), "cut {cut}");
    }
}
