//! A link inside the process: two ends, for tests and simulations.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use super::{Link, LinkError};

/// One end. When it is dropped, the other end is closed.
#[derive(Debug)]
pub struct Loopback {
    to_peer: Sender<Vec<u8>>,
    from_peer: Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

/// Two ends that are joined.
pub fn pair() -> (Loopback, Loopback) {
    let (to_b, from_a) = channel();
    let (to_a, from_b) = channel();
    let end = |to_peer, from_peer| Loopback {
        to_peer,
        from_peer,
        rest: Vec::new(),
    };
    (end(to_b, from_b), end(to_a, from_a))
}

impl Link for Loopback {
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.to_peer
            .send(bytes.to_vec())
            .map_err(|_| LinkError::Closed)
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        if self.rest.is_empty() {
            self.rest = match self.from_peer.recv_timeout(timeout) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => return Ok(0),
                Err(RecvTimeoutError::Disconnected) => return Err(LinkError::Closed),
            };
        }
        let length = self.rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(self.rest.drain(..length)) {
            *to = from;
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_bytes_and_tells_when_the_peer_is_gone() {
        let (mut a, mut b) = pair();
        a.send(b"hello").unwrap();
        let mut buffer = [0; 3];
        assert_eq!(b.receive(&mut buffer, Duration::ZERO).unwrap(), 3);
        assert_eq!(b.receive(&mut buffer, Duration::ZERO).unwrap(), 2);
        assert_eq!(b.receive(&mut buffer, Duration::ZERO).unwrap(), 0);
        drop(a);
        assert!(matches!(
            b.receive(&mut buffer, Duration::ZERO),
            Err(LinkError::Closed)
        ));
        assert!(matches!(b.send(b"x"), Err(LinkError::Closed)));
    }
}
