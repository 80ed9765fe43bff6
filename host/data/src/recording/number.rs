//! Numbers in text.

use super::{Fault, Problem};

/// A finite coordinate.
pub(super) fn coordinate(word: &str) -> Result<f32, Problem> {
    let value: f32 = word.parse().map_err(|_| not_a("a coordinate", word))?;
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Problem::NonFinite)
    }
}

/// A count or a number of something.
pub(super) fn count(word: &str, expected: &'static str) -> Result<usize, Problem> {
    word.parse().map_err(|_| not_a(expected, word))
}

/// The problem of a word that is not what belongs there.
pub(super) fn not_a(expected: &'static str, word: &str) -> Problem {
    Problem::NotANumber {
        expected,
        found: word.chars().take(24).collect(),
    }
}

/// The file as text; the recordings of all formats are ASCII.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        Fault::byte(
            error.valid_up_to() as u64,
            Problem::malformed("not text: is this the right format?"),
        )
    })
}

/// Digits at the start of a text, as a number, and the rest.
pub(super) fn leading(text: &str) -> Option<(u16, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}
