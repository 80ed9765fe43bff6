//! What the last update came to, for reports.

use crate::slots::storage::Storage;
use std::error::Error;
use std::io;
use tendon_identity::report::{Time, Update};
use tendon_trust::client::Clock;

/// Name of the file beside the trusted ones.
const FILE: &str = "last-update.json";

/// Keeps what an update came to.
///
/// # Errors
/// The disk's; the update itself is as good as before.
pub fn write(storage: &mut dyn Storage, clock: Clock, well: bool, outcome: &str) -> io::Result<()> {
    let time = match clock {
        Clock::Set(now) => Time {
            seconds: now.seconds(),
            trusted: true,
        },
        Clock::Unset => Time::default(),
    };
    let text = serde_json::to_vec(&Update::new(time, well, outcome))?;
    storage.replace(FILE, &text)
}

/// An error with all that lies under it, on one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut under = error.source();
    while let Some(error) = under {
        text += &format!(": {error}");
        under = error.source();
    }
    text
}

/// What the last update came to; none before the first one, or when the file is damaged.
///
/// # Errors
/// The disk's.
pub fn read(storage: &dyn Storage) -> io::Result<Option<Update>> {
    let text = storage.read(FILE)?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::fragile::Fragile;
    use tendon_trust::testing::NOW;

    #[test]
    fn the_last_update_is_kept_and_a_torn_note_is_none() {
        let mut storage = Fragile::default();
        assert_eq!(read(&storage).unwrap(), None);
        write(&mut storage, Clock::Unset, false, "no").unwrap();
        write(&mut storage, Clock::Set(NOW), true, "yes").unwrap();
        let last = read(&storage).unwrap().unwrap();
        assert_eq!((last.well, last.outcome.as_str()), (true, "yes"));
        assert_eq!(
            (last.time.seconds, last.time.trusted),
            (NOW.seconds(), true)
        );
        storage.cut_after(0);
        assert!(write(&mut storage, Clock::Unset, true, "torn").is_err());
        storage.restart();
        assert_eq!(read(&storage).unwrap(), None);
    }
}
