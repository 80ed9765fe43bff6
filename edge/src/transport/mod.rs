//! Links to hosts: TCP connections, serial lines and a socket for this machine's own commands, all made into a [`Wire`], and the
//! session that talks over it.
//!
//! Over [`tls`], and on a serial line that is [`sealed`], a host proves that it is an operator of the device's fleet. Plain TCP and plain
//! serial lines authenticate nobody: a bundle is believed for its signature, and the rest of the protocol shows counters and switches
//! adaptation. Listen with them on a loopback or a trusted network.

pub mod local;
pub mod sealed;
pub mod serial;
pub mod session;
pub mod tcp;
pub mod tls;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;

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

    /// Joins both halves of a connection to a wire.
    fn join(
        mut read: impl AsyncRead + Unpin + Send + 'static,
        mut write: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Self {
        let (near, mut far) = Self::pair();
        tokio::spawn(async move {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                let read = tokio::select! {
                    read = read.read(&mut buffer) => read,
                    () = far.outgoing.closed() => return,
                };
                let Ok(length @ 1..) = read else { return };
                if far.outgoing.send(buffer[..length].to_vec()).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(bytes) = far.incoming.recv().await {
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        near
    }
}
