//! Serial lines as wires: two threads a line, because serial ports block.
//!
//! A line that cannot be opened, or breaks, is opened again after a pause: adapters are pulled and plugged in again.

use std::io::{self, Read as _, Write as _};
use std::str::FromStr;
use std::time::Duration;

use serialport::{SerialPort as _, TTYPort};
use tokio::sync::mpsc;

use super::Wire;
use crate::agent::Log;

/// Speed when none is named, in baud.
pub const DEFAULT_BAUD: u32 = 115_200;

/// How long a read blocks until it looks whether the session is still there.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Bytes read at a time.
const READ_BYTES: usize = 4096;

/// A serial line: `/dev/ttyUSB0` or `/dev/ttyUSB0@921600`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The device file.
    pub path: String,
    /// The speed in baud.
    pub baud: u32,
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, baud) = match text.rsplit_once('@') {
            Some((path, baud)) => (
                path,
                baud.parse()
                    .map_err(|_| format!("`{baud}` is no speed: write {path}@115200"))?,
            ),
            None => (text, DEFAULT_BAUD),
        };
        if path.is_empty() {
            return Err("write /dev/ttyX or /dev/ttyX@baud".into());
        }
        Ok(Self {
            path: path.into(),
            baud,
        })
    }
}

/// Serves `line` for ever with `session`, one after another. Drop the future to stop.
pub async fn serve<F: Future<Output = ()>>(
    line: Line,
    pause: Duration,
    session: impl Fn(Wire) -> F,
    log: Log,
) {
    let mut told = None;
    loop {
        let message = match open(&line) {
            Ok(wire) => {
                told = None;
                session(wire).await;
                "the line was closed".to_owned()
            }
            Err(error) => error.to_string(),
        };
        if told.as_ref() != Some(&message) {
            log(&format!("{}: {message}; trying again", line.path));
            told = Some(message);
        }
        tokio::time::sleep(pause).await;
    }
}

/// Opens a line and joins it to a wire.
///
/// # Errors
/// The port cannot be opened: it does not exist, is in use, or may not be used by this user.
pub fn open(line: &Line) -> io::Result<Wire> {
    // The kernel's exclusive mode would outlive a killed agent as long as anybody else holds the line open.
    let port = serialport::new(&line.path, line.baud)
        .exclusive(false)
        .timeout(READ_TIMEOUT);
    join(TTYPort::open(&port)?)
}

/// Joins an open port to a wire.
///
/// # Errors
/// The port cannot be duplicated.
pub fn join(port: TTYPort) -> io::Result<Wire> {
    let (near, far) = Wire::pair();
    let mut reader = port.try_clone_native()?;
    let mut writer = port;
    reader.set_timeout(READ_TIMEOUT)?;
    let to_session: mpsc::Sender<Vec<u8>> = far.outgoing;
    let mut from_session = far.incoming;
    std::thread::Builder::new()
        .name("serial-read".into())
        .spawn(move || {
            let mut buffer = [0; READ_BYTES];
            while !to_session.is_closed() {
                match reader.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => {
                        if to_session.blocking_send(buffer[..length].to_vec()).is_err() {
                            return;
                        }
                    }
                    Err(error) if is_pause(&error) => {}
                    Err(_) => return,
                }
            }
        })?;
    std::thread::Builder::new()
        .name("serial-write".into())
        .spawn(move || {
            while let Some(bytes) = from_session.blocking_recv() {
                if write_all(&mut writer, &bytes).is_err() {
                    return;
                }
            }
        })?;
    Ok(near)
}

/// Writes everything, however often the port is full for a while: a full buffer is no error on a slow line.
fn write_all(port: &mut TTYPort, mut bytes: &[u8]) -> io::Result<()> {
    /// Five minutes of full buffers: the peer is gone for good.
    const PATIENCE: u32 = 3000;
    let mut pauses = 0;
    while !bytes.is_empty() {
        match port.write(bytes) {
            Ok(written) => {
                bytes = bytes.get(written..).unwrap_or_default();
                pauses = 0;
            }
            Err(error) if is_pause(&error) && pauses < PATIENCE => pauses += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::TimedOut | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_path_and_speed() {
        let line = |text: &str| text.parse::<Line>().map(|line| (line.path, line.baud));
        assert_eq!(line("/dev/ttyS0"), Ok(("/dev/ttyS0".into(), 115_200)));
        assert_eq!(
            line("/dev/ttyS0@921600"),
            Ok(("/dev/ttyS0".into(), 921_600))
        );
        assert!(line("/dev/ttyS0@fast").is_err());
        assert!(line("").is_err());
    }

    #[tokio::test]
    async fn bytes_go_both_ways_over_a_pseudo_terminal() {
        let (mut host, device) = TTYPort::pair().unwrap();
        host.set_timeout(Duration::from_secs(5)).unwrap();
        let mut wire = join(device).unwrap();
        wire.outgoing.send(b"hello".to_vec()).await.unwrap();
        let host = tokio::task::spawn_blocking(move || {
            let mut got = [0; 5];
            host.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"hello");
            host.write_all(&[0, 13, 10, 3, 255]).unwrap();
            host
        })
        .await
        .unwrap();
        let mut got = Vec::new();
        while got.len() < 5 {
            got.extend(wire.incoming.recv().await.unwrap());
        }
        assert_eq!(got, [0, 13, 10, 3, 255]);
        drop(host);
    }
}
