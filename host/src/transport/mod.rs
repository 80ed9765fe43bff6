//! Links to devices, and the client that talks over them.
//!
//! [`Link`] is all that the client needs of a link: [`serial`], [`tcp`], [`tls`] and [`loopback`] are links, [`sealed`] wraps any of
//! them so that both ends know each other, [`faulty`] so that it loses, flips, delays and cuts. [`client`] asks and waits for answers, [`deploy`] ships a bundle. What a device does
//! with it is the device's business.

pub mod client;
pub mod deploy;
pub mod faulty;
pub mod loopback;
pub mod monitor;
pub mod offer;
pub mod sealed;
pub mod serial;
pub mod ship;
pub mod target;
pub mod tcp;
pub mod tls;

use std::io;
use std::time::Duration;

/// Why a link is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other side closed it, or it was cut. Open it again and go on.
    #[error("the link was closed")]
    Closed,
    /// The operating system says why.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The link could not be opened: what, and why.
    #[error("cannot open {what}: {source}; {hint}")]
    Open {
        /// The address or device file.
        what: String,
        /// What to look at.
        hint: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A stream of bytes in both directions that may lose or damage some.
pub trait Link: Send {
    /// Sends all bytes.
    ///
    /// # Errors
    /// The link is of no use any more.
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// Receives some bytes into `buffer` and returns how many; 0 when none came for `timeout`, or for less if the link thinks so.
    ///
    /// # Errors
    /// The link is of no use any more.
    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError>;
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        (**self).send(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        (**self).receive(buffer, timeout)
    }
}

/// Shortest timeout that sockets and ports are given: zero would mean "for ever" to some.
const SHORTEST: Duration = Duration::from_millis(1);

/// Whether an error only says that nothing came in time.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
