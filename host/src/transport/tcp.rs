//! TCP connections as links.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use super::{Link, LinkError, SHORTEST, is_timeout};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the peer may refuse to take bytes.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A TCP connection.
#[derive(Debug)]
pub struct Tcp(TcpStream);

impl Tcp {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// [`LinkError::Open`].
    pub fn open(address: &str) -> Result<Self, LinkError> {
        connect(address)
            .map(Self)
            .map_err(|source| LinkError::Open {
                what: format!("tcp://{address}"),
                hint: "is the device on, and does tendon-edge listen there?",
                source,
            })
    }
}

/// A connection to the first address of `host:port` that answers.
pub(super) fn connect(address: &str) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(SEND_TIMEOUT))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Link for Tcp {
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        Ok(self.0.write_all(bytes)?)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.0.set_read_timeout(Some(timeout.max(SHORTEST)))?;
        match self.0.read(buffer) {
            Ok(0) => Err(LinkError::Closed),
            Ok(length) => Ok(length),
            Err(error) if is_timeout(&error) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
