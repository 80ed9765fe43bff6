//! What an operator does with a repository, and what devices then believe.
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is missing"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tendon_bundle::testing::{Shape, random_contents, secret_key};
use tendon_bundle::{Bundle, Floor, SecretKey, TrustedKeys};
use tendon_host::bundle::sign::write_key;
use tendon_host::repo::add::{Change, add};
use tendon_host::repo::error::RepoError;
use tendon_host::repo::folder::Repo;
use tendon_host::repo::init::{Days, Founders, init};
use tendon_host::repo::pack::pack;
use tendon_host::repo::publish::{self, Published, copy, publish};
use tendon_host::repo::rotate::{Rotation, rotate};
use tendon_host::repo::sign::{merge, sign};
use tendon_host::repo::status::status;
use tendon_shared::topology::TopologyId;
use tendon_trust::TrustError;
use tendon_trust::archive::Archive;
use tendon_trust::client::{Client, Clock, Limits, Trusted};
use tendon_trust::floors::Keeper;
use tendon_trust::keys::Ed25519;
use tendon_trust::metadata::Role;
use tendon_trust::moment::Moment;
use tendon_trust::offers::{Needs, newest};
use tendon_trust::source::{Folder, Source};
use tendon_trust::store::Memory;

const NOW: Moment = Moment::from_seconds(1_795_000_000);
const LONG: Days = Days {
    root: 365,
    targets: 180,
};
const SHORT: publish::Days = publish::Days {
    snapshot: 30,
    timestamp: 14,
};
/// The key that signs bundles.
const RELEASE: u8 = 90;

/// Keys 1, 2, 3 are offline, key 7 is online.
fn founders() -> Founders {
    let offline: Vec<_> = (1..4).map(|number| secret_key(number).public()).collect();
    Founders {
        root: offline.clone(),
        targets: offline,
        online: vec![secret_key(7).public()],
        threshold: 2,
    }
}

fn sign_by(repo: &Repo, keys: &[u8]) {
    for key in keys {
        sign(repo, &secret_key(*key)).unwrap();
    }
}

fn publish_by(repo: &Repo, online: u8) -> Result<Published, RepoError> {
    publish(repo, &[secret_key(online)], SHORT, NOW)
}

/// A published repository that offers nothing.
fn founded(folder: &Path) -> Repo {
    let repo = init(&folder.join("repo"), &founders(), LONG, NOW).unwrap();
    sign_by(&repo, &[1, 2]);
    publish_by(&repo, 7).unwrap();
    repo
}

/// A bundle file.
fn bundle(folder: &Path, version: u64, key: u8) -> PathBuf {
    let topology = TopologyId::Kinect20;
    let shape = Shape::small(topology.topology().joint_count(), 16, 3);
    let bytes = random_contents(topology, &shape, version, version)
        .pack(&secret_key(key))
        .unwrap();
    let path = folder.join(format!("{version}-{key}.tendon"));
    fs::write(&path, bytes).unwrap();
    path
}

fn release() -> TrustedKeys {
    TrustedKeys::new([secret_key(RELEASE).public()])
}

fn offer(repo: &Repo, path: &Path) -> Result<Vec<String>, RepoError> {
    let change = Change {
        bundles: vec![path.to_owned()],
        remove: Vec::new(),
    };
    add(repo, &change, &release(), 180, NOW)
}

/// What a device believes of a folder.
fn device(store: &mut Memory, folder: &Path) -> Result<(Trusted, Option<Vec<u8>>), TrustError> {
    let root = fs::read(folder.join("metadata/1.root.json")).unwrap();
    read(store, &root, &mut Folder::new(folder))
}

/// What a device believes of a source.
fn read(
    store: &mut Memory,
    root: &[u8],
    source: &mut dyn Source,
) -> Result<(Trusted, Option<Vec<u8>>), TrustError> {
    let keeper = Keeper::open(store).unwrap();
    let clock = Clock::Set(NOW);
    let mut client = Client::new(keeper, source, &Ed25519, Limits::default(), clock);
    let trusted = client.refresh(root)?;
    let needs = Needs {
        topology: Some(TopologyId::Kinect20),
        engine: tendon_engine::format::VERSION.into(),
        preprocessing: tendon_shared::normalize::PREPROCESSING_VERSION.into(),
    };
    let bytes = newest(&trusted.targets.body, needs)
        .map(|offered| client.download(&trusted, &offered.name, &offered.target, 1 << 25))
        .transpose()?;
    Ok((trusted, bytes))
}

/// All files below a folder with what they hold.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_repository_is_published_when_two_of_three_have_signed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repo");
    let repo = init(&path, &founders(), LONG, NOW).unwrap();
    for signers in [&[][..], &[3]] {
        sign_by(&repo, signers);
        let error = publish_by(&repo, 7).unwrap_err().to_string();
        let expect = format!("has {} of 2 signatures", signers.len());
        assert!(error.contains(&expect), "{error}");
        assert!(error.contains("tendon repo sign"), "{error}");
        assert!(!path.join("metadata").exists());
    }
    sign_by(&repo, &[1]);
    let published = publish_by(&repo, 7).unwrap();
    assert_eq!((published.root, published.timestamp), (1, 1));
    let (trusted, bundle) = device(&mut Memory::default(), &path).unwrap();
    assert_eq!(trusted.targets.version, 1);
    assert_eq!(bundle, None);
    let error = init(&path, &founders(), LONG, NOW).unwrap_err();
    assert!(matches!(error, RepoError::Exists { .. }), "{error}");
}

#[test]
fn a_bundle_reaches_devices_with_both_signatures_checked() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let mut store = Memory::default();
    device(&mut store, repo.path()).unwrap();
    for version in [3, 5] {
        let path = bundle(folder.path(), version, RELEASE);
        let names = offer(&repo, &path).unwrap();
        assert_eq!(names, [format!("kinect20-{version}.tendon")]);
        sign_by(&repo, &[2, 3]);
        publish_by(&repo, 7).unwrap();
        let (_, bytes) = device(&mut store, repo.path()).unwrap();
        let bytes = bytes.unwrap();
        assert_eq!(bytes, fs::read(&path).unwrap());
        let bundle = Bundle::verify(bytes, &release(), Floor::default()).unwrap();
        assert_eq!(bundle.manifest().model_version, version);
    }
    let text = status(&repo, NOW).unwrap();
    assert!(text.contains("kinect20-5.tendon"), "{text}");
    // Taken off the list, the older one is the newest again.
    let change = Change {
        remove: vec!["kinect20-5.tendon".into()],
        ..Change::default()
    };
    add(&repo, &change, &release(), 180, NOW).unwrap();
    sign_by(&repo, &[1, 2]);
    publish_by(&repo, 7).unwrap();
    let (trusted, _) = device(&mut store, repo.path()).unwrap();
    assert_eq!(trusted.targets.body.targets.len(), 1);
}

#[test]
fn one_file_carries_a_repository_to_devices_of_any_age() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let file = folder.path().join("update.tendon");
    let first = fs::read(repo.metadata("1.root.json")).unwrap();
    // The root has changed since, and an old bundle was taken off the list.
    let rotation = Rotation {
        roles: vec![Role::Root],
        remove: vec![secret_key(3).public()],
        add: vec![secret_key(4).public()],
        threshold: None,
    };
    rotate(&repo, &rotation, LONG, NOW).unwrap();
    sign_by(&repo, &[1, 2]);
    publish_by(&repo, 7).unwrap();
    let new = bundle(folder.path(), 5, RELEASE);
    let change = Change {
        bundles: vec![bundle(folder.path(), 3, RELEASE)],
        remove: Vec::new(),
    };
    for change in [
        change,
        Change {
            bundles: vec![new.clone()],
            remove: vec!["kinect20-3.tendon".to_owned()],
        },
    ] {
        add(&repo, &change, &release(), 180, NOW).unwrap();
        sign_by(&repo, &[1, 2]);
        publish_by(&repo, 7).unwrap();
    }
    let packed = pack(&repo, &file).unwrap();
    assert_eq!(packed.targets, 1);
    let again = folder.path().join("again.tendon");
    pack(&repo, &again).unwrap();
    assert!(fs::read(&file).unwrap() == fs::read(&again).unwrap());
    let mut archive = Archive::open(&file).unwrap();
    let (trusted, bytes) = read(&mut Memory::default(), &first, &mut archive).unwrap();
    assert_eq!(trusted.root.version, 2);
    assert!(bytes.unwrap() == fs::read(&new).unwrap());
}

#[test]
fn bundles_that_devices_would_refuse_are_not_offered() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let before = files(repo.path());
    let foreign = offer(&repo, &bundle(folder.path(), 3, 91)).unwrap_err();
    assert!(matches!(foreign, RepoError::Bundle { .. }), "{foreign}");
    let torn = bundle(folder.path(), 4, RELEASE);
    fs::write(&torn, &fs::read(&torn).unwrap()[..1000]).unwrap();
    let torn = offer(&repo, &torn).unwrap_err();
    assert!(matches!(torn, RepoError::Bundle { .. }), "{torn}");
    assert_eq!(files(repo.path()), before);
    offer(&repo, &bundle(folder.path(), 5, RELEASE)).unwrap();
    let older = offer(&repo, &bundle(folder.path(), 4, RELEASE)).unwrap_err();
    assert!(
        older.to_string().contains("kinect20-5.tendon is newer"),
        "{older}"
    );
    let change = Change {
        remove: vec!["kinect20-9.tendon".into()],
        ..Change::default()
    };
    let absent = add(&repo, &change, &release(), 180, NOW).unwrap_err();
    assert!(
        absent.to_string().contains("there are: kinect20-5"),
        "{absent}"
    );
}

#[test]
fn signers_work_on_copies_and_their_signatures_come_together() {
    let folder = tempfile::tempdir().unwrap();
    let repo = init(&folder.path().join("repo"), &founders(), LONG, NOW).unwrap();
    let copies = ["one", "two"].map(|name| {
        let copied = folder.path().join(name);
        for (path, bytes) in files(repo.path()) {
            let to = copied.join(path.strip_prefix(repo.path()).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, bytes).unwrap();
        }
        copied
    });
    sign_by(&Repo::open(&copies[0]).unwrap(), &[1]);
    sign_by(&Repo::open(&copies[1]).unwrap(), &[3]);
    for copied in &copies {
        assert_eq!(merge(&repo, copied).unwrap(), [Role::Root, Role::Targets]);
    }
    publish_by(&repo, 7).unwrap();
    // A copy of something else is not taken for it.
    rotate(&repo, &Rotation::default(), LONG, NOW).unwrap();
    let error = merge(&repo, &copies[0]).unwrap_err();
    assert!(matches!(error, RepoError::DamagedDraft { .. }), "{error}");
}

#[test]
fn only_those_who_are_named_can_sign() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let error = sign(&repo, &secret_key(1)).unwrap_err();
    assert!(matches!(error, RepoError::NothingStaged), "{error}");
    rotate(&repo, &Rotation::default(), LONG, NOW).unwrap();
    // The online key is none of them, and a stranger's is not either.
    for key in [7, 50] {
        let error = sign(&repo, &secret_key(key)).unwrap_err();
        assert!(matches!(error, RepoError::ForeignKey { .. }), "{error}");
    }
    let error = publish_by(&repo, 50).unwrap_err();
    assert!(matches!(error, RepoError::Unsigned { .. }), "{error}");
    sign_by(&repo, &[1, 2]);
    let error = publish_by(&repo, 50).unwrap_err().to_string();
    assert!(error.contains("--online-key"), "{error}");
}

#[test]
fn a_lost_root_key_is_replaced_and_devices_follow() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let mut store = Memory::default();
    device(&mut store, repo.path()).unwrap();
    let before = files(&repo.path().join("metadata"));
    let rotation = Rotation {
        roles: vec![Role::Root],
        add: vec![secret_key(4).public()],
        remove: vec![secret_key(1).public()],
        threshold: None,
    };
    assert!(!rotate(&repo, &rotation, LONG, NOW).unwrap());
    // One who stays and one who comes: enough of the new keys, one too few of the old.
    sign_by(&repo, &[2, 4]);
    let error = publish_by(&repo, 7).unwrap_err().to_string();
    assert!(
        error.contains("1 of 2 signatures by the keys before"),
        "{error}"
    );
    assert_eq!(files(&repo.path().join("metadata")), before);
    sign_by(&repo, &[3]);
    assert_eq!(publish_by(&repo, 7).unwrap().root, 2);
    let (trusted, _) = device(&mut store, repo.path()).unwrap();
    assert_eq!(trusted.root.version, 2);
    device(&mut Memory::default(), repo.path()).unwrap();
    // The key that was taken away signs nothing any more.
    rotate(&repo, &Rotation::default(), LONG, NOW).unwrap();
    let error = sign(&repo, &secret_key(1)).unwrap_err();
    assert!(matches!(error, RepoError::ForeignKey { .. }), "{error}");
}

#[test]
fn when_the_signers_of_the_list_change_the_list_is_signed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    offer(&repo, &bundle(folder.path(), 3, RELEASE)).unwrap();
    sign_by(&repo, &[1, 2]);
    publish_by(&repo, 7).unwrap();
    let mut store = Memory::default();
    device(&mut store, repo.path()).unwrap();
    let public = |keys: &[u8]| keys.iter().map(|key| secret_key(*key).public()).collect();
    let rotation = Rotation {
        roles: vec![Role::Targets],
        add: public(&[11, 12, 13]),
        remove: public(&[1, 2, 3]),
        threshold: None,
    };
    assert!(rotate(&repo, &rotation, LONG, NOW).unwrap());
    sign_by(&repo, &[1, 2]);
    let error = publish_by(&repo, 7).unwrap_err();
    assert!(
        matches!(error, RepoError::Unsigned { valid: 0, .. }),
        "{error}"
    );
    sign_by(&repo, &[11, 13]);
    publish_by(&repo, 7).unwrap();
    let (_, bytes) = device(&mut store, repo.path()).unwrap();
    assert!(bytes.is_some());
}

#[test]
fn a_stolen_online_key_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let mut store = Memory::default();
    device(&mut store, repo.path()).unwrap();
    let rotation = Rotation {
        roles: vec![Role::Snapshot, Role::Timestamp],
        add: vec![secret_key(8).public()],
        remove: vec![secret_key(7).public()],
        threshold: None,
    };
    rotate(&repo, &rotation, LONG, NOW).unwrap();
    sign_by(&repo, &[1, 3]);
    let error = publish_by(&repo, 7).unwrap_err();
    assert!(matches!(error, RepoError::Keys { .. }), "{error}");
    publish_by(&repo, 8).unwrap();
    device(&mut store, repo.path()).unwrap();
}

#[test]
fn keys_that_cannot_do_their_work_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("repo");
    let mut one = founders();
    one.root.truncate(1);
    let error = init(&path, &one, LONG, NOW).unwrap_err().to_string();
    assert!(error.contains("root keys do not do: 2 of 1"), "{error}");
    let mut online = founders();
    online.online = vec![secret_key(1).public()];
    let error = init(&path, &online, LONG, NOW).unwrap_err().to_string();
    assert!(error.contains("offline key too"), "{error}");
    assert!(!path.exists());
}

#[test]
fn publishing_again_renews_and_copies_what_changed() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    offer(&repo, &bundle(folder.path(), 3, RELEASE)).unwrap();
    sign_by(&repo, &[1, 2]);
    publish_by(&repo, 7).unwrap();
    let stick = folder.path().join("stick");
    assert_eq!(copy(&repo, &stick).unwrap(), files(&stick).len());
    let mut store = Memory::default();
    device(&mut store, &stick).unwrap();
    let later = NOW.plus_days(10);
    let published = publish(&repo, &[secret_key(7)], SHORT, later).unwrap();
    assert_eq!(published.targets, 2);
    assert_eq!(published.expires, later.plus_days(14));
    // A new snapshot and the timestamp; the bundle is there already.
    assert_eq!(copy(&repo, &stick).unwrap(), 2);
    device(&mut store, &stick).unwrap();
    assert_eq!(copy(&repo, &stick).unwrap(), 0);
}

#[test]
fn publishing_goes_on_after_a_crash_at_any_file() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    offer(&repo, &bundle(folder.path(), 3, RELEASE)).unwrap();
    rotate(&repo, &Rotation::default(), LONG, NOW).unwrap();
    sign_by(&repo, &[1, 2]);
    let before = files(repo.path());
    publish_by(&repo, 7).unwrap();
    let after = files(repo.path());
    let written: Vec<_> = after
        .iter()
        .filter(|(path, bytes)| before.get(*path) != Some(bytes))
        .collect();
    assert_eq!(written.len(), 4, "root, targets, snapshot, timestamp");
    for count in 0..written.len() {
        let _ = fs::remove_dir_all(repo.path());
        let partial = before.iter().chain(written[..count].iter().copied());
        for (path, bytes) in partial {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        // Devices meanwhile see the repository before, perhaps with the next root.
        let mut store = Memory::default();
        device(&mut store, repo.path()).unwrap();
        publish_by(&repo, 7).unwrap_or_else(|error| panic!("after {count} files: {error}"));
        let (trusted, bytes) = device(&mut store, repo.path()).unwrap();
        assert_eq!(trusted.root.version, 2);
        assert!(bytes.is_some());
        assert!(!repo.staged(Role::Root).exists());
    }
}

#[test]
fn what_devices_would_refuse_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    offer(&repo, &bundle(folder.path(), 3, RELEASE)).unwrap();
    sign_by(&repo, &[1, 2]);
    for entry in fs::read_dir(repo.path().join("targets")).unwrap() {
        fs::write(entry.unwrap().path(), b"rot").unwrap();
    }
    let before = files(&repo.path().join("metadata"));
    let error = publish_by(&repo, 7).unwrap_err();
    assert!(matches!(error, RepoError::Refused { .. }), "{error}");
    // The list ends before the next root does.
    let late = NOW.plus_days(200);
    let error = publish(&repo, &[secret_key(7)], SHORT, late).unwrap_err();
    assert!(matches!(error, RepoError::Refused { .. }), "{error}");
    assert_eq!(files(&repo.path().join("metadata")), before);
}

/// Runs `tendon repo` and returns whether it went well and what it said.
fn tendon(folder: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tendon"))
        .arg("repo")
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_commands_of_the_manual_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (name, number) in [("a.key", 1), ("b.key", 2), ("c.key", 3), ("online.key", 7)] {
        write_key(&path.join(name), &secret_key(number)).unwrap();
    }
    let release: SecretKey = secret_key(RELEASE);
    fs::write(path.join("release.key.pub"), release.public().to_text()).unwrap();
    let file = bundle(path, 3, RELEASE);
    let file = file.to_str().unwrap();
    for (line, expect) in [
        (
            "init repo --root-key a.key.pub b.key.pub c.key.pub --online-key online.key.pub",
            "give devices repo/metadata/1.root.json",
        ),
        ("sign repo --key a.key", "1 of 2 signatures"),
        ("sign repo --key b.key", "2 of 2 signatures"),
        ("publish repo --online-key online.key", "published root 1"),
        (
            &format!("add repo {file} --trust release.key.pub"),
            "staged kinect20-3.tendon",
        ),
        ("sign repo --key b.key", "signed targets"),
        ("sign repo --key c.key", "signed targets"),
        (
            "publish repo --online-key online.key --to stick",
            "copied 7 files to stick",
        ),
        ("status repo", "kinect20-3.tendon"),
        (
            "rotate repo --role root --remove a.key.pub --threshold 1",
            "waits for signatures",
        ),
        ("sign repo --key c.key", "signed root"),
    ] {
        let (well, text) = tendon(path, &line.split(' ').collect::<Vec<_>>());
        assert!(well && text.contains(expect), "{line}: {text}");
    }
    for (line, expect) in [
        ("status nowhere", "tendon repo init"),
        ("sign repo", "--key"),
        ("sign repo --key online.key", "is none of those that sign"),
        ("publish repo --online-key online.key", "by the keys before"),
        ("rotate repo --role boot --add a.key.pub", "there are root"),
        ("add repo x.tendon", "--trust"),
    ] {
        let (well, text) = tendon(path, &line.split(' ').collect::<Vec<_>>());
        assert!(!well && text.contains(expect), "{line}: {text}");
    }
}

#[test]
fn python_tuf_reads_what_is_published() {
    let Some(python) = std::env::var_os("TENDON_TUF_PYTHON") else {
        println!("SKIPPED: name a Python that has `tuf`, TENDON_TUF_PYTHON=python3");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let repo = founded(folder.path());
    let path = bundle(folder.path(), 3, RELEASE);
    offer(&repo, &path).unwrap();
    let rotation = Rotation {
        roles: vec![Role::Root],
        add: vec![secret_key(4).public()],
        remove: vec![secret_key(1).public()],
        threshold: None,
    };
    rotate(&repo, &rotation, LONG, NOW).unwrap();
    sign_by(&repo, &[1, 2, 3]);
    publish_by(&repo, 7).unwrap();
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/repo/read.py"))
        .arg(repo.path())
        .args(["kinect20-3.tendon", &NOW.seconds().to_string()])
        .output()
        .unwrap();
    let size = fs::metadata(path).unwrap().len().to_string();
    let said = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim(), size, "{complained}");
}
