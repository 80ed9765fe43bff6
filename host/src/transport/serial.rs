//! Serial lines as links.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use serialport::{SerialPort as _, TTYPort};

use super::{Link, LinkError, SHORTEST, is_timeout};

/// Speed when none is named, in baud.
pub const DEFAULT_BAUD: u32 = 115_200;

/// How long the line may refuse to take bytes before sending fails.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// A serial port.
#[derive(Debug)]
pub struct Serial(TTYPort);

impl Serial {
    /// Opens the device file `path` at `baud`.
    ///
    /// # Errors
    /// [`LinkError::Open`].
    pub fn open(path: &str, baud: u32) -> Result<Self, LinkError> {
        TTYPort::open(&serialport::new(path, baud))
            .map(Self)
            .map_err(|error| LinkError::Open {
                what: format!("serial:{path}"),
                hint: "does it exist, does another program use it, are you in its group (often dialout)?",
                source: error.into(),
            })
    }

    /// Takes an open port, such as one end of a pseudo-terminal.
    pub fn new(port: TTYPort) -> Self {
        Self(port)
    }
}

impl Drop for Serial {
    fn drop(&mut self) {
        // Exclusive use belongs to the line, not to this program: somebody may hold a pseudo-terminal open and lend it on.
        let _ = self.0.set_exclusive(false);
    }
}

impl Link for Serial {
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        self.0.set_timeout(SEND_TIMEOUT).map_err(io::Error::from)?;
        while !bytes.is_empty() {
            match self.0.write(bytes) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.0
            .set_timeout(timeout.max(SHORTEST))
            .map_err(io::Error::from)?;
        match self.0.read(buffer) {
            Ok(length) => Ok(length),
            Err(error) if is_timeout(&error) => Ok(0),
            // A pulled adapter, or a pseudo-terminal whose other end is gone.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(LinkError::Closed),
            Err(error) => Err(error.into()),
        }
    }
}
