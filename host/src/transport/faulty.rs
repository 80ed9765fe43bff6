//! A wrapper that makes any link bad: it drops, flips, delays and cuts, the same way for the same seed.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

use super::{Link, LinkError};

/// How bad a link is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Probability that a piece (what one call sends or receives) is lost, 0..=1.
    pub drop: f64,
    /// Probability that a byte has a flipped bit, 0..=1.
    pub flip: f64,
    /// Probability that a received piece is held back until the next call, 0..=1.
    pub delay: f64,
    /// The link is cut after this many bytes in both directions together.
    pub cut_after: Option<u64>,
}

/// A link that is worse than the one inside.
#[derive(Debug)]
pub struct Faulty<L> {
    inner: L,
    faults: Faults,
    random: ChaCha8Rng,
    held: Vec<u8>,
    passed: u64,
}

impl<L: Link> Faulty<L> {
    /// Makes `inner` bad.
    pub fn new(inner: L, faults: Faults, seed: u64) -> Self {
        Self {
            inner,
            faults,
            random: ChaCha8Rng::seed_from_u64(seed),
            held: Vec::new(),
            passed: 0,
        }
    }

    /// Counts bytes towards the cut and returns how many still pass.
    fn pass(&mut self, length: usize) -> usize {
        let left = self
            .faults
            .cut_after
            .map_or(u64::MAX, |cut| cut.saturating_sub(self.passed));
        let passing = left.min(length as u64);
        self.passed += passing;
        passing as usize
    }

    fn is_cut(&self) -> bool {
        self.faults.cut_after.is_some_and(|cut| self.passed >= cut)
    }

    fn flip(&mut self, bytes: &mut [u8]) {
        if self.faults.flip > 0.0 {
            for byte in bytes {
                if self.random.random_bool(self.faults.flip) {
                    *byte ^= 1 << self.random.random_range(0..8);
                }
            }
        }
    }
}

impl<L: Link> Link for Faulty<L> {
    fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if self.is_cut() {
            return Err(LinkError::Closed);
        }
        let passing = self.pass(bytes.len());
        let mut bytes = bytes.get(..passing).unwrap_or_default().to_vec();
        if !self.random.random_bool(self.faults.drop) {
            self.flip(&mut bytes);
            self.inner.send(&bytes)?;
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        if self.is_cut() {
            return Err(LinkError::Closed);
        }
        if !self.held.is_empty() {
            let length = self.held.len().min(buffer.len());
            for (to, from) in buffer.iter_mut().zip(self.held.drain(..length)) {
                *to = from;
            }
            return Ok(length);
        }
        let length = self.inner.receive(buffer, timeout)?;
        let length = self.pass(length);
        if length == 0 || self.random.random_bool(self.faults.drop) {
            return Ok(0);
        }
        let bytes = buffer.get_mut(..length).unwrap_or_default();
        self.flip(bytes);
        if self.random.random_bool(self.faults.delay) {
            self.held.extend_from_slice(bytes);
            return Ok(0);
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::loopback;

    fn what_arrives(faults: Faults, seed: u64) -> Vec<u8> {
        let (a, mut b) = loopback::pair();
        let mut a = Faulty::new(a, faults, seed);
        for piece in 0..100u8 {
            if a.send(&[piece; 10]).is_err() {
                break;
            }
        }
        let mut all = Vec::new();
        let mut buffer = [0; 64];
        while let Ok(length @ 1..) = b.receive(&mut buffer, Duration::ZERO) {
            all.extend_from_slice(&buffer[..length]);
        }
        all
    }

    #[test]
    fn one_seed_gives_one_fate() {
        let faults = Faults {
            drop: 0.2,
            flip: 0.01,
            ..Faults::default()
        };
        assert_eq!(what_arrives(faults, 1), what_arrives(faults, 1));
        assert_ne!(what_arrives(faults, 1), what_arrives(faults, 2));
    }

    #[test]
    fn drops_flips_and_cuts_as_much_as_asked() {
        assert_eq!(what_arrives(Faults::default(), 1).len(), 1000);
        let dropped = what_arrives(
            Faults {
                drop: 0.3,
                ..Faults::default()
            },
            1,
        )
        .len();
        assert!((600..800).contains(&dropped), "{dropped}");
        let cut = Faults {
            cut_after: Some(255),
            ..Faults::default()
        };
        assert_eq!(what_arrives(cut, 1).len(), 255);
    }

    #[test]
    fn a_delayed_piece_comes_with_the_next_call() {
        let (mut a, b) = loopback::pair();
        let mut b = Faulty::new(
            b,
            Faults {
                delay: 1.0,
                ..Faults::default()
            },
            1,
        );
        a.send(b"late").unwrap();
        let mut buffer = [0; 8];
        assert_eq!(b.receive(&mut buffer, Duration::ZERO).unwrap(), 0);
        assert_eq!(b.receive(&mut buffer, Duration::ZERO).unwrap(), 4);
    }
}
