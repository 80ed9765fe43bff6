//! Links to hosts: TCP connections and serial lines, both made into a [`Wire`], and the session that talks over it.
//!
//! Nobody here authenticates a host: a bundle is believed for its signature, and the rest of the protocol shows counters and
//! switches adaptation. Listen on a loopback or a trusted network.

pub mod serial;
pub mod session;
pub mod tcp;

use tokio::sync::mpsc;

/// Pieces of bytes that may wait in one direction of a wire.
const PIECES: usize = 64;

/// Bytes in both directions. It is closed when the other end is dropped.
#[derive(Debug)]
pub struct Wire {
    /// Bytes from the peer, in pieces of any size.
    pub incoming: mpsc::Receiver<Vec<u8>>,
    /// Bytes to the peer.
    pub outgoing: mpsc::Sender<Vec<u8>>,
}

impl Wire {
    /// Two ends that are joined.
    pub fn pair() -> (Self, Self) {
        let (to_b, from_a) = mpsc::channel(PIECES);
        let (to_a, from_b) = mpsc::channel(PIECES);
        let a = Self {
            incoming: from_b,
            outgoing: to_b,
        };
        let b = Self {
            incoming: from_a,
            outgoing: to_a,
        };
        (a, b)
    }
}
