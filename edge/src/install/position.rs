//! How far a transfer is, as it is recorded: everything before the position is durable.

use serde::{Deserialize, Serialize};
use std::io;
use tendon_shared::packet::crc32;

use crate::slots::storage::Storage;

/// Bytes of the longest record.
const MAX_BYTES: usize = 256;

/// The recorded position.
#[derive(Serialize, Deserialize)]
pub(super) struct Position<O> {
    /// What is received.
    pub(super) offer: O,
    /// Everything before this byte is durable.
    pub(super) next: u32,
}

/// Records how far a transfer is.
pub(super) fn record<O: Serialize>(
    storage: &mut dyn Storage,
    name: &str,
    offer: O,
    next: u32,
) -> io::Result<()> {
    store(storage, name, &Position { offer, next })
}

/// The position that was recorded under `name`, if it is whole.
pub(super) fn recorded<O: for<'a> Deserialize<'a>>(
    storage: &dyn Storage,
    name: &str,
) -> io::Result<Option<Position<O>>> {
    load(storage, name)
}

/// Stores a small value with a check sum.
pub(super) fn store(
    storage: &mut dyn Storage,
    name: &str,
    value: &impl Serialize,
) -> io::Result<()> {
    let mut bytes = [0; MAX_BYTES];
    let bytes = postcard::to_slice(value, &mut bytes).map_err(io::Error::other)?;
    let mut bytes = bytes.to_vec();
    bytes.extend(crc32(&bytes).to_le_bytes());
    storage.replace(name, &bytes)
}

/// The value that was stored under `name`, if it is whole.
pub(super) fn load<T: for<'a> Deserialize<'a>>(
    storage: &dyn Storage,
    name: &str,
) -> io::Result<Option<T>> {
    Ok(storage.read(name)?.and_then(|bytes| decode(&bytes)))
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Option<T> {
    let (body, crc) = bytes.split_last_chunk()?;
    (crc32(body) == u32::from_le_bytes(*crc)).then(|| postcard::from_bytes(body).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tendon_shared::protocol::deploy::{DeltaOffer, Digest, PackOffer};

    proptest! {
        #[test]
        fn any_position_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            for _ in 0..2 {
                decode::<Position<Digest>>(&bytes);
                decode::<Position<DeltaOffer>>(&bytes);
                decode::<Position<PackOffer>>(&bytes);
                bytes.extend(crc32(&bytes).to_le_bytes());
            }
        }
    }
}
