//! A thousand damaged and forged bundles: all are refused with an error that names what is wrong, in little memory.

use super::{GOOD, data_at, verify};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use tendon_bundle::testing::{Numbers, random_bundle, secret_key};
use tendon_bundle::{Floor, VerifyError};

/// Files that are tried.
const FILES: usize = 1000;
/// Bytes that one verification may have in use beside the file, for each byte of it.
const MEMORY_PER_BYTE: usize = 16;
/// Bytes that it may have in use whatever the size.
const MEMORY: usize = 1 << 20;

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

/// One way to spoil a file.
type Spoil = fn(&mut Numbers, &[u8]) -> Vec<u8>;

/// Ways to spoil a file.
const WAYS: [Spoil; 10] = [
    flip_bits,
    flip_header_bits,
    cut_off,
    remove_piece,
    repeat_piece,
    insert_bytes,
    change_length,
    change_number,
    another_header,
    deep,
];

#[test]
fn a_thousand_hostile_bundles_are_refused_by_name_in_little_memory() {
    let mut numbers = Numbers::new(7);
    let mut kinds = BTreeMap::<String, usize>::new();
    let mut worst = 0;
    for tried in 0..FILES {
        let spoilt = loop {
            let spoilt = WAYS[tried % WAYS.len()](&mut numbers, &GOOD);
            if meaning(&spoilt) != meaning(&GOOD) {
                break spoilt;
            }
        };
        let before = IN_USE.get();
        PEAK.set(before);
        let found = verify(&spoilt, Floor::default());
        let bytes = PEAK.get().wrapping_sub(before);
        let way = tried % WAYS.len();
        let Err(error) = found else {
            panic!("way {way} passed");
        };
        assert!(!matches!(error, VerifyError::Io(_)), "way {way}: {error}");
        assert!(!error.to_string().is_empty());
        let limit = MEMORY + MEMORY_PER_BYTE * spoilt.len();
        assert!(bytes <= limit, "way {way}: {bytes} bytes: {error}");
        worst = worst.max(bytes);
        let kind = format!("{error:?}");
        let kind = kind.split([' ', '(']).next().unwrap_or_default();
        *kinds.entry(kind.to_owned()).or_default() += 1;
    }
    println!(
        "{FILES} bundles of about {} bytes refused in at most {worst} bytes: {kinds:?}",
        GOOD.len()
    );
    assert!(kinds.len() >= 4, "{kinds:?}");
}

/// A file without the white space that fills the header up, which carries no meaning.
fn meaning(bytes: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let Some(length) = bytes
        .first_chunk()
        .map(|length| u64::from_le_bytes(*length))
    else {
        return (bytes.to_vec(), Vec::new());
    };
    let end = usize::try_from(length)
        .unwrap_or(usize::MAX)
        .saturating_add(8);
    let (header, data) = bytes.split_at(end.min(bytes.len()));
    (header.trim_ascii_end().to_vec(), data.to_vec())
}

fn flip_bits(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for _ in 0..=numbers.below(3) {
        let at = numbers.below(file.len());
        file[at] ^= 1 << numbers.below(8);
    }
    file
}

fn flip_header_bits(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let at = numbers.below(data_at());
    file[at] ^= 1 << numbers.below(8);
    file
}

fn cut_off(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    file[..numbers.below(file.len())].to_vec()
}

/// A piece of the header, or of the whole file.
fn piece(numbers: &mut Numbers, file: &[u8]) -> (usize, usize) {
    let within = [data_at(), file.len()][numbers.below(2)];
    let from = numbers.below(within);
    (from, (from + 1 + numbers.below(200)).min(file.len()))
}

fn remove_piece(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let (from, to) = piece(numbers, file);
    [&file[..from], &file[to..]].concat()
}

fn repeat_piece(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let (from, to) = piece(numbers, file);
    [&file[..to], &file[from..]].concat()
}

fn insert_bytes(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let (at, _) = piece(numbers, file);
    let junk: Vec<u8> = (0..=numbers.below(40))
        .map(|_| numbers.below(256) as u8)
        .collect();
    [&file[..at], &junk, &file[at..]].concat()
}

/// Another length of the header, up to the largest that can be written.
fn change_length(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let length = match numbers.below(4) {
        0 => u64::MAX,
        1 => numbers.draw(),
        2 => file.len() as u64,
        _ => numbers.below(2 * data_at()) as u64,
    };
    [&length.to_le_bytes(), &file[8..]].concat()
}

/// Another digit in the table of contents: a shape, an offset, a digest.
fn change_number(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let digits: Vec<_> = (8..data_at())
        .filter(|at| file[*at].is_ascii_digit())
        .collect();
    let at = digits[numbers.below(digits.len())];
    file[at] = b'0' + (file[at] - b'0' + 1 + numbers.below(9) as u8) % 10;
    file
}

/// The data under the header of another honest bundle, or of one that a stranger has signed.
fn another_header(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let key = [1, 2, 9][numbers.below(3)];
    let other = random_bundle(&secret_key(key), 5, 2 + numbers.draw() % 20);
    let end = 8 + u64::from_le_bytes(*other.first_chunk().unwrap()) as usize;
    [&other[..end], &file[data_at()..]].concat()
}

/// A header of brackets.
fn deep(numbers: &mut Numbers, file: &[u8]) -> Vec<u8> {
    let header = ["[", "{\"a\":"][numbers.below(2)].repeat(1 + numbers.below(20_000));
    let length = header.len() as u64;
    [&length.to_le_bytes(), header.as_bytes(), &file[data_at()..]].concat()
}
