//! A serial cable between two processes of one machine: two pseudo-terminals whose far ends are joined.

use anyhow::Context as _;
use serialport::{SerialPort as _, TTYPort};
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a read waits before it looks whether the cable was pulled.
const PATIENCE: Duration = Duration::from_millis(20);

/// A null-modem cable; pulled when dropped.
pub(super) struct Cable {
    /// Serial port of one end, such as `/dev/pts/3`.
    pub(super) host: String,
    /// Serial port of the other end.
    pub(super) device: String,
    bytes: Arc<AtomicU64>,
    pulled: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    // Held open, so that an end keeps existing while a process closes and opens it again.
    _ends: [TTYPort; 2],
}

impl Cable {
    /// Plugs a new cable in.
    pub(super) fn new() -> anyhow::Result<Self> {
        let (host_far, host_near) = TTYPort::pair().context("cannot open a pseudo-terminal")?;
        let (device_far, device_near) = TTYPort::pair().context("cannot open a pseudo-terminal")?;
        let name = |end: &TTYPort| end.name().context("a pseudo-terminal has no name");
        let (host, device) = (name(&host_near)?, name(&device_near)?);
        let (bytes, pulled) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let threads = vec![
            carry(&host_far, &device_far, &bytes, &pulled)?,
            carry(&device_far, &host_far, &bytes, &pulled)?,
        ];
        Ok(Self {
            host,
            device,
            bytes,
            pulled,
            threads,
            _ends: [host_near, device_near],
        })
    }

    /// Bytes carried so far, both directions together.
    pub(super) fn carried(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.pulled.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// Starts to carry what comes out of `from` to `to`.
fn carry(
    from: &TTYPort,
    to: &TTYPort,
    bytes: &Arc<AtomicU64>,
    pulled: &Arc<AtomicBool>,
) -> anyhow::Result<JoinHandle<()>> {
    let (mut from, mut to) = (from.try_clone_native()?, to.try_clone_native()?);
    from.set_timeout(PATIENCE)?;
    to.set_timeout(Duration::from_secs(10))?;
    let (bytes, pulled) = (bytes.clone(), pulled.clone());
    Ok(std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while !pulled.load(Ordering::Relaxed) {
            match from.read(&mut buffer) {
                Ok(count) => {
                    bytes.fetch_add(count as u64, Ordering::Relaxed);
                    if to.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_both_ways() {
        let cable = Cable::new().unwrap();
        let open = |name: &str| {
            let mut port = TTYPort::open(&serialport::new(name, 115_200)).unwrap();
            port.set_timeout(Duration::from_secs(10)).unwrap();
            port
        };
        let (mut host, mut device) = (open(&cable.host), open(&cable.device));
        let mut got = [0; 4];
        host.write_all(&[0, 1, 254, 255]).unwrap();
        device.read_exact(&mut got).unwrap();
        assert_eq!(got, [0, 1, 254, 255]);
        device.write_all(&[13, 10, 3, 4]).unwrap();
        host.read_exact(&mut got).unwrap();
        assert_eq!(got, [13, 10, 3, 4]);
        assert_eq!(cable.carried(), 8);
    }
}
