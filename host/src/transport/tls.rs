//! TCP connections behind mutual TLS as links: this side is an operator, the other a device of the same fleet.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};
use tendon_identity::identity::Identity;
use tendon_identity::tls;

use super::tcp::connect;
use super::{Link, LinkError, SHORTEST, is_timeout};

/// How long the handshake may wait for the device.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A TLS connection.
#[derive(Debug)]
pub struct Tls(StreamOwned<ClientConnection, TcpStream>);

impl Tls {
    /// Connects to `host:port` as the operator in a file, and makes sure that the device `device`, or one of the fleet, answers.
    ///
    /// # Errors
    /// [`LinkError::Open`].
    pub fn open(address: &str, identity: &Path, device: Option<&str>) -> Result<Self, LinkError> {
        let failed = |hint| {
            let what = format!("tls://{address}");
            move |source| LinkError::Open { what, hint, source }
        };
        let other = |error: &dyn std::fmt::Display| std::io::Error::other(error.to_string());
        let stream = connect(address).map_err(failed(
            "is the device on, and does tendon-edge listen there?",
        ))?;
        let client = || -> Result<ClientConnection, std::io::Error> {
            let identity = Identity::read(identity).map_err(|error| other(&error))?;
            let config = tls::client(&identity).map_err(|error| other(&error))?;
            let peer = tls::peer(device).map_err(|error| other(&error))?;
            ClientConnection::new(config, peer).map_err(|error| other(&error))
        };
        let client = client().map_err(failed("`tendon fleet operator` makes an identity"))?;
        let mut link = Self(StreamOwned::new(client, stream));
        link.shake().map_err(failed(
            "is it a device of this fleet, of that name, and run with --tls?",
        ))?;
        Ok(link)
    }

    fn shake(&mut self) -> std::io::Result<()> {
        self.0.sock.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
        while self.0.conn.is_handshaking() {
            self.0.conn.complete_io(&mut self.0.sock)?;
        }
        Ok(())
    }
}

impl Link for Tls {
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.write_all(bytes)?;
        Ok(self.0.flush()?)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.0.sock.set_read_timeout(Some(timeout.max(SHORTEST)))?;
        match self.0.read(buffer) {
            Ok(0) => Err(LinkError::Closed),
            Ok(length) => Ok(length),
            Err(error) if is_timeout(&error) => Ok(0),
            // The device ended the connection without saying so in TLS.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(LinkError::Closed)
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::sealed::tests::fleet;
    use rustls::ServerConnection;
    use std::net::TcpListener;

    #[test]
    fn bytes_go_both_ways_with_the_right_device_only() {
        let (_folder, anna, device) = fleet();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let config = tls::server(&device).unwrap();
        let server = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let connection = ServerConnection::new(config.clone()).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let mut bytes = [0; 4];
                if stream.read_exact(&mut bytes).is_ok() {
                    stream.write_all(&bytes).unwrap();
                }
            }
        });
        let error = Tls::open(&address, &anna, Some("hall")).unwrap_err();
        assert!(error.to_string().contains("of that name"), "{error}");
        let mut link = Tls::open(&address, &anna, Some("kitchen")).unwrap();
        link.send(b"ping").unwrap();
        let (mut buffer, mut answer) = ([0_u8; 16], Vec::<u8>::new());
        while answer.len() < 4 {
            let length = link.receive(&mut buffer, Duration::from_secs(5)).unwrap();
            answer.extend(&buffer[..length]);
        }
        assert_eq!(answer, b"ping");
        server.join().unwrap();
    }
}
