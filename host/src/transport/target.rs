//! Where a device is, as the command line names it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tendon_identity::identity::check_name;
use tendon_shared::packet::PACKET_BYTES;

use super::client::Patience;
use super::sealed::{self, Sealed};
use super::serial::{DEFAULT_BAUD, Serial};
use super::tcp::Tcp;
use super::tls::Tls;
use super::{Link, LinkError};

/// Bits on a serial line for each byte: start, eight, stop.
const BITS_PER_BYTE: u32 = 10;

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `serial:/dev/ttyX` or `serial:/dev/ttyX@baud`
    Serial {
        /// The device file.
        path: String,
        /// The speed in baud.
        baud: u32,
    },
    /// `tcp://host:port`
    Tcp(String),
    /// `tls:IDENTITY@host:port` or `tls:IDENTITY@NAME=host:port`
    Tls {
        /// Who asks whom.
        between: Between,
        /// Host and port.
        address: String,
    },
    /// `tls:IDENTITY@serial:/dev/ttyX@baud` or `tls:IDENTITY@NAME=serial:/dev/ttyX@baud`
    Sealed {
        /// Who asks whom.
        between: Between,
        /// The device file.
        path: String,
        /// The speed in baud.
        baud: u32,
    },
}

/// An operator and a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    /// The operator's identity file.
    pub identity: PathBuf,
    /// The device that must answer; any of the fleet, when none.
    pub device: Option<String>,
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tls:{}@", self.identity.display())?;
        match &self.device {
            Some(device) => write!(f, "{device}="),
            None => Ok(()),
        }
    }
}

/// The text names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no device: write serial:/dev/ttyX, serial:/dev/ttyX@baud, tcp://host:port, tls:IDENTITY@host:port, tls:IDENTITY@NAME=host:port or tls:IDENTITY@serial:/dev/ttyX"
)]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError(text.to_owned());
        if let Some(address) = text.strip_prefix("tcp://") {
            return if is_address(address) {
                Ok(Self::Tcp(address.to_owned()))
            } else {
                Err(wrong())
            };
        }
        if let Some(rest) = text.strip_prefix("tls:") {
            // Identity files and serial lines may have an `@` of their own.
            let marks = ["@serial:", "=serial:"].map(|mark| rest.rfind(mark));
            if let Some(at) = marks.into_iter().flatten().max() {
                let (whom, place) = rest.split_at_checked(at + 1).ok_or_else(wrong)?;
                let between = match whom.strip_suffix('@') {
                    Some(identity) => between(identity, None),
                    None => whom
                        .strip_suffix('=')
                        .and_then(|whom| whom.rsplit_once('@'))
                        .and_then(|(identity, device)| between(identity, Some(device))),
                };
                let (path, baud) = line(place).ok_or_else(wrong)?;
                let between = between.ok_or_else(wrong)?;
                return Ok(Self::Sealed {
                    between,
                    path,
                    baud,
                });
            }
            let (identity, place) = rest.rsplit_once('@').ok_or_else(wrong)?;
            let (device, address) = match place.split_once('=') {
                Some((device, address)) => (Some(device), address),
                None => (None, place),
            };
            let between = between(identity, device).filter(|_| is_address(address));
            return Ok(Self::Tls {
                between: between.ok_or_else(wrong)?,
                address: address.to_owned(),
            });
        }
        let (path, baud) = line(text).ok_or_else(wrong)?;
        Ok(Self::Serial { path, baud })
    }
}

/// An operator's file and a device's name, if they can be such.
fn between(identity: &str, device: Option<&str>) -> Option<Between> {
    let named = device.is_none_or(|device| check_name(device).is_ok());
    (named && !identity.is_empty()).then(|| Between {
        identity: identity.into(),
        device: device.map(str::to_owned),
    })
}

/// Reads `serial:/dev/ttyX` or `serial:/dev/ttyX@baud`.
fn line(text: &str) -> Option<(String, u32)> {
    let line = text.strip_prefix("serial:")?;
    let (path, baud) = match line.rsplit_once('@') {
        Some((path, baud)) => (path, baud.parse().ok()?),
        None => (line, DEFAULT_BAUD),
    };
    (!path.is_empty() && baud != 0).then(|| (path.to_owned(), baud))
}

/// Whether a text is `host:port`.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial { path, baud } => write!(f, "serial:{path}@{baud}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Tls { between, address } => write!(f, "{between}{address}"),
            Self::Sealed {
                between,
                path,
                baud,
            } => write!(f, "{between}serial:{path}@{baud}"),
        }
    }
}

impl Target {
    /// Opens the link.
    ///
    /// # Errors
    /// [`LinkError::Open`].
    pub fn open(&self) -> Result<Box<dyn Link>, LinkError> {
        Ok(match self {
            Self::Serial { path, baud } => Box::new(Serial::open(path, *baud)?),
            Self::Tcp(address) => Box::new(Tcp::open(address)?),
            Self::Tls { between, address } => {
                let device = between.device.as_deref();
                Box::new(Tls::open(address, &between.identity, device)?)
            }
            Self::Sealed {
                between,
                path,
                baud,
            } => Box::new(Sealed::open(
                Serial::open(path, *baud)?,
                &self.to_string(),
                &between.identity,
                between.device.as_deref(),
                sealed::patience(on_the_line(*baud, 1)),
                rand::random(),
            )?),
        })
    }

    /// How long to wait for answers when `chunks` chunks may be under way: on a slow line they take a while.
    pub fn patience(&self, chunks: u8) -> Patience {
        let (Self::Serial { baud, .. } | Self::Sealed { baud, .. }) = self else {
            return Patience::default();
        };
        Patience {
            reply: Patience::default().reply + on_the_line(*baud, chunks.max(1)),
            ..Patience::default()
        }
    }
}

/// How long so many of the largest packets take on a line of `baud`.
#[must_use]
pub fn on_the_line(baud: u32, packets: u8) -> Duration {
    let bits = PACKET_BYTES as f64 * f64::from(BITS_PER_BYTE) * f64::from(packets);
    Duration::from_secs_f64(bits / f64::from(baud))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "serial:/dev/ttyUSB0@921600",
            "tcp://192.168.0.7:7070",
            "tcp://[::1]:80",
            "tls:anna.json@192.168.0.7:7070",
            "tls:keys/anna@home.json@kitchen=[::1]:80",
            "tls:anna.json@serial:/dev/ttyUSB0@921600",
            "tls:keys/anna@home.json@kitchen=serial:/dev/ttyUSB0@9600",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        assert_eq!(
            "serial:/dev/ttyS1".parse::<Target>().unwrap().to_string(),
            "serial:/dev/ttyS1@115200"
        );
    }

    #[test]
    fn refuses_what_names_no_device() {
        for text in [
            "",
            "tcp:x:1",
            "tcp://x",
            "tcp://x:99999",
            "tcp://:1",
            "serial:",
            "serial:/dev/a@0",
            "usb:1",
            "tls:anna.json",
            "tls:@device:1",
            "tls:anna.json@device",
            "tls:anna.json@Kitchen=device:1",
            "tls:anna.json@Kitchen=serial:/dev/ttyS0",
            "tls:@serial:/dev/ttyS0",
            "tls:anna.json@serial:",
            "tls:anna.json@serial:/dev/ttyS0@fast",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn waits_longer_on_a_slow_line() {
        // Eight packets of about 1.2 KB at 9600 baud take ten seconds.
        let slow = Target::Serial {
            path: "x".into(),
            baud: 9600,
        };
        assert!(slow.patience(8).reply > Duration::from_secs(10));
    }
}
