//! A thousand damaged and forged files: all are refused with an error that names what is wrong, in little memory.

use crate::support::{floors, refresh};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Cursor;
use tendon_bundle::testing::{Numbers, secret_key};
use tendon_trust::TrustError;
use tendon_trust::archive::Archive;
use tendon_trust::author::Draft;
use tendon_trust::json::{Json, Members};
use tendon_trust::metadata::Role;
use tendon_trust::store::Memory;
use tendon_trust::testing::Repository;

/// Files that are tried.
const FILES: usize = 1000;
/// Bytes that one refresh may have in use at a time: eight times the largest file that is read.
const MEMORY: usize = 4 << 20;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, with a count of what this thread has in use.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[allow(unsafe_code, reason = "an allocator has no safe interface")]
// SAFETY: every call is passed on unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.get().wrapping_add(layout.size());
        IN_USE.set(now);
        if (now as isize) > PEAK.get() as isize {
            PEAK.set(now);
        }
        // SAFETY: the caller keeps the rules of this function, which are the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().wrapping_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Bytes that `work` had in use at the most, beyond what was in use before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = IN_USE.get();
    PEAK.set(before);
    let result = work();
    (result, PEAK.get().wrapping_sub(before))
}

/// One way to spoil a file. None means that it found nothing to do.
type Spoil = fn(&mut Numbers, &Stage, &[u8]) -> Option<Vec<u8>>;

/// Ways to spoil a file.
const WAYS: [Spoil; 14] = [
    flip_bits,
    cut_off,
    remove_piece,
    repeat_piece,
    insert_bytes,
    change_number,
    change_digest,
    drop_member,
    repeat_member,
    sign_by_stranger,
    sign_once,
    another_file,
    deep,
    huge,
];

/// What a repository offers at first and later.
struct Stage {
    old: Repository,
    new: Repository,
    names: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let mut old = Repository::new();
        old.offer("a.tendon", b"a", Json::Null);
        old.publish();
        let mut new = old.clone();
        new.offer("b.tendon", b"b", Json::object([("note", "later".into())]));
        new.publish_root();
        new.publish();
        let names = [
            "2.root.json",
            "timestamp.json",
            "3.snapshot.json",
            "3.targets.json",
        ];
        Self {
            old,
            new,
            names: names.map(str::to_owned).to_vec(),
        }
    }
}

#[test]
fn a_thousand_hostile_files_are_refused_by_name_in_little_memory() {
    let stage = Stage::new();
    let root = stage.old.factory_root().to_vec();
    let mut seen = Memory::default();
    refresh(&mut seen, &mut stage.old.clone(), &root).unwrap();
    let had = floors(&mut seen);
    let mut numbers = Numbers::new(6);
    let mut kinds = BTreeMap::<String, usize>::new();
    let (mut tried, mut worst) = (0, 0);
    while tried < FILES {
        let name = &stage.names[numbers.below(stage.names.len())];
        let original = &stage.new.metadata[name];
        let way = tried % WAYS.len();
        let Some(spoilt) = WAYS[way](&mut numbers, &stage, original) else {
            continue;
        };
        // Other white space is no other content, where no digest is over the bytes.
        if Json::parse(&spoilt).ok() == Json::parse(original).ok() {
            continue;
        }
        tried += 1;
        let mut source = stage.new.clone();
        source.metadata.insert(name.clone(), spoilt.clone());
        let mut store = seen.clone();
        let (found, bytes) = peak(|| refresh(&mut store, &mut source, &root));
        let shown = String::from_utf8_lossy(&spoilt);
        let Err(error) = found else {
            panic!("way {way} passed as {name}: {shown:.2000}");
        };
        // A role's file may be trusted before the spoilt one is met, never less than before.
        let now = floors(&mut store);
        for role in Role::ALL {
            assert!(now.of(role) >= had.of(role), "way {way}, {name}: {role}");
        }
        assert!(
            !matches!(error, TrustError::Store(_) | TrustError::FloorLost { .. }),
            "way {way}, {name}: {error}"
        );
        let kind = format!("{error:?}");
        let kind = kind.split([' ', '(']).next().unwrap_or_default();
        *kinds.entry(kind.to_owned()).or_default() += 1;
        worst = worst.max(bytes);
        assert!(bytes <= MEMORY, "way {way}, {name}: {bytes} bytes: {error}");
    }
    println!("{tried} files refused in at most {worst} bytes: {kinds:?}");
    // Each kind of defence had something to do.
    for kind in ["Malformed", "Unsigned", "Differs", "TooLarge"] {
        assert!(kinds.contains_key(kind), "{kind}: {kinds:?}");
    }
}

/// A pack that claims things about itself: entries of these kinds and sizes before the honest ones.
fn claiming(pack: &[u8], entries: &[(u8, u64, usize)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, claimed, real) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_path("metadata/timestamp.json").unwrap();
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_size(*claimed);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + real.next_multiple_of(512), b'a');
    }
    [&bytes, pack].concat()
}

#[test]
fn a_thousand_hostile_packs_change_nothing_and_need_little_memory() {
    let stage = Stage::new();
    let root = stage.old.factory_root().to_vec();
    let honest = stage.new.pack();
    let mut numbers = Numbers::new(7);
    let mut packs: Vec<Vec<u8>> = (0..FILES - 8)
        .map(|index| {
            let ways: [Spoil; 5] = [flip_bits, cut_off, remove_piece, repeat_piece, insert_bytes];
            ways[index % 5](&mut numbers, &stage, &honest).unwrap()
        })
        .collect();
    let large = 32 << 20;
    packs.extend([
        claiming(&honest, &[(b'L', large, large as usize)]),
        claiming(&honest, &[(b'x', large, large as usize)]),
        claiming(&honest, &[(b'K', u64::MAX >> 1, 0)]),
        claiming(&honest, &[(b'S', large, 0)]),
        claiming(&honest, &[(b'0', large, large as usize)]),
        claiming(&honest, &[(b'0', u64::MAX >> 1, 0)]),
        claiming(&honest, &vec![(b'0', 0, 0); 5_000]),
        claiming(&honest, &vec![(b'5', 0, 0); 100_000]),
    ]);
    let (mut refused, mut worst) = (0, 0);
    for (index, pack) in packs.iter().enumerate() {
        let mut store = Memory::default();
        refresh(&mut store, &mut stage.old.clone(), &root).unwrap();
        let had = floors(&mut store);
        let (found, bytes) = peak(|| {
            let mut archive = Archive::new(Cursor::new(pack)).map_err(|error| error.to_string())?;
            let trusted = refresh(&mut store, &mut archive, &root);
            trusted.map_err(|error| error.to_string())
        });
        // Where nothing that is signed was touched, such as the padding, it is the honest one.
        match found {
            Ok(trusted) => assert_eq!(trusted.targets.body.targets, stage.new.targets, "{index}"),
            Err(_) => refused += 1,
        }
        let now = floors(&mut store);
        for role in Role::ALL {
            assert!(now.of(role) >= had.of(role), "{index}: {role}");
        }
        worst = worst.max(bytes);
        assert!(bytes <= MEMORY, "{index}: {bytes} bytes");
    }
    println!(
        "{refused} of {} packs refused, the others honest, in at most {worst} bytes",
        packs.len()
    );
    assert!(refused > FILES / 2, "{refused}");
}

fn flip_bits(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let mut file = file.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(file.len());
        file[at] ^= 1 << numbers.below(8);
    }
    Some(file)
}

fn cut_off(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    Some(file[..numbers.below(file.len() - 2)].to_vec())
}

fn piece(numbers: &mut Numbers, file: &[u8]) -> (usize, usize) {
    let from = numbers.below(file.len() - 1);
    (from, from + 1 + numbers.below((file.len() - from).min(80)))
}

fn remove_piece(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = piece(numbers, file);
    Some([&file[..from], &file[to.min(file.len())..]].concat())
}

fn repeat_piece(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = piece(numbers, file);
    let to = to.min(file.len());
    Some([&file[..to], &file[from..]].concat())
}

fn insert_bytes(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let at = numbers.below(file.len());
    let junk: Vec<u8> = (0..=numbers.below(20))
        .map(|_| numbers.below(256) as u8)
        .collect();
    Some([&file[..at], &junk, &file[at..]].concat())
}

/// Puts another number in place of one: a version, a threshold, a length.
fn change_number(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    const OTHERS: [&str; 9] = [
        "0",
        "-1",
        "1.0",
        "2",
        "1000000",
        "9223372036854775807",
        "9223372036854775808",
        "1e9",
        "\"1\"",
    ];
    let text = std::str::from_utf8(file).ok()?;
    let fields: Vec<_> = text.match_indices("\": ").map(|(at, _)| at + 3).collect();
    let places: Vec<_> = fields
        .into_iter()
        .filter(|at| file[*at].is_ascii_digit())
        .collect();
    let at = places[numbers.below(places.len())];
    let end = at + file[at..].iter().position(|byte| !byte.is_ascii_digit())?;
    let other = OTHERS[numbers.below(OTHERS.len())];
    Some([&file[..at], other.as_bytes(), &file[end..]].concat())
}

/// Changes one digit of a key, digest or signature.
fn change_digest(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let is_hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let places: Vec<_> = (0..file.len() - 64)
        .filter(|at| file[*at..at + 64].iter().all(is_hex))
        .collect();
    let at = places[numbers.below(places.len())] + numbers.below(64);
    let mut file = file.to_vec();
    file[at] = if file[at] == b'0' { b'1' } else { b'0' };
    Some(file)
}

fn each_object(json: &mut Json, at: &mut usize, change: &mut dyn FnMut(&mut Members)) {
    match json {
        Json::Object(members) => {
            if *at == 0 {
                change(members);
            }
            *at = at.wrapping_sub(1);
            for value in members.values_mut() {
                each_object(value, at, change);
            }
        }
        Json::List(values) => {
            for value in values {
                each_object(value, at, change);
            }
        }
        _ => {}
    }
}

/// Leaves out one member of one object, correctly written.
fn drop_member(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let mut json = Json::parse(file).ok()?;
    let mut at = numbers.below(8);
    let which = numbers.below(6);
    each_object(&mut json, &mut at, &mut |members| {
        if let Some(name) = members.keys().nth(which % members.len().max(1)).cloned() {
            members.remove(&name);
        }
    });
    Some(json.text())
}

/// Says one member twice, the second time otherwise: parsers differ in which of the two they believe.
fn repeat_member(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(file).ok()?;
    let version = ["\"version\": ", "\"threshold\": "][numbers.below(2)];
    let at = text.find(version)?;
    let again = format!("{version}{},\n", numbers.below(1000));
    Some(
        [&text[..at], again.as_str(), &text[at..]]
            .concat()
            .into_bytes(),
    )
}

/// The same content, signed by a key that nobody knows.
fn sign_by_stranger(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let mut json = Json::parse(file).ok()?;
    let Json::Object(members) = &mut json else {
        return None;
    };
    members.insert("signatures".into(), Json::List(Vec::new()));
    let mut draft = Draft::read(&json.text()).ok()?;
    for _ in 0..=numbers.below(3) {
        draft.sign(&secret_key(200 + numbers.below(50) as u8));
    }
    Some(draft.bytes())
}

/// A later version of the file with one signature that is right, and another that is another role's.
fn sign_once(numbers: &mut Numbers, stage: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let mut json = Json::parse(file).ok()?;
    let Json::Object(envelope) = &mut json else {
        return None;
    };
    let role = Role::from_name(envelope["signed"].get("_type")?.as_text()?)?;
    if let Some(Json::Object(signed)) = envelope.get_mut("signed") {
        signed.insert("expires".into(), "2099-01-01T00:00:00Z".into());
    }
    envelope.insert("signatures".into(), Json::List(Vec::new()));
    let mut draft = Draft::read(&json.text()).ok()?;
    if matches!(role, Role::Root | Role::Targets) {
        draft.sign(&stage.new.keys[&role][numbers.below(3)]);
    }
    let others: Vec<_> = Role::ALL
        .into_iter()
        .filter(|other| *other != role)
        .collect();
    draft.sign(&stage.new.keys[&others[numbers.below(3)]][0]);
    Some(draft.bytes())
}

/// Another file of the repository under this name.
fn another_file(numbers: &mut Numbers, stage: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let files: Vec<_> = stage.new.metadata.values().collect();
    let other = files[numbers.below(files.len())];
    (other != file).then(|| other.clone())
}

fn deep(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let depth = 17 + numbers.below(20_000);
    let open = ["[", "{\"a\":"][numbers.below(2)].repeat(depth);
    Some([open.as_bytes(), file].concat())
}

/// More than is read of any file, or as many small values as fit.
fn huge(numbers: &mut Numbers, _: &Stage, file: &[u8]) -> Option<Vec<u8>> {
    let at = file.iter().position(|byte| *byte == b'[')?;
    let many = ["{},", "\"\",", "0,", "[],"][numbers.below(4)].repeat(1 << (11 + numbers.below(8)));
    Some([&file[..=at], many.as_bytes(), &file[at + 1..]].concat())
}
