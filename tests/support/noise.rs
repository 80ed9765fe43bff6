//! A line that flips, loses and invents bytes, the same ones for the same seed.

use tendon_bundle::testing::Numbers;
use tendon_shared::packet::{PACKET_BYTES, encode};

/// Bytes between two faults, on average.
const BETWEEN: usize = 2_000;

/// Most bytes that a fault invents at a time. A board's receiver has room for some of them.
const INVENTED: usize = 64;

/// Makes faults.
pub(crate) struct Noise {
    numbers: Numbers,
    until_fault: usize,
    dropping: usize,
    faults: u64,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        let mut noise = Self {
            numbers: Numbers::new(seed),
            until_fault: 0,
            dropping: 0,
            faults: 0,
        };
        noise.until_fault = noise.next();
        noise
    }

    /// Faults so far.
    pub(crate) fn faults(&self) -> u64 {
        self.faults
    }

    /// What arrives of `bytes`.
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + INVENTED);
        for byte in bytes {
            if self.dropping > 0 {
                self.dropping -= 1;
                continue;
            }
            self.until_fault -= 1;
            if self.until_fault > 0 {
                out.push(*byte);
                continue;
            }
            self.until_fault = self.next();
            self.faults += 1;
            match self.numbers.below(6) {
                0 => out.push(byte ^ 1 << self.numbers.below(8)),
                1 => self.dropping = self.numbers.below(40),
                2 => out.extend([0, *byte, 0]),
                3 => {
                    // What was sent before comes once more.
                    let again = out.len().saturating_sub(self.numbers.below(50));
                    let again = out[again..].to_vec();
                    out.push(*byte);
                    out.extend(again);
                }
                _ => {
                    out.push(*byte);
                    out.extend(self.invent());
                }
            }
        }
        out
    }

    /// Bytes that nobody sent: nothing but noise, or a whole packet with a right checksum and nonsense in it.
    pub(crate) fn invent(&mut self) -> Vec<u8> {
        let length = 1 + self.numbers.below(INVENTED - 16);
        let noise: Vec<u8> = (0..length).map(|_| self.numbers.draw() as u8).collect();
        match self.numbers.below(3) {
            0 => noise,
            1 => packet(&[&[9], &noise[..]].concat()),
            // The beginning of a pose, and then something else.
            _ => packet(&[&[1, 5, 2, 4, 1, 33, 1, 200], &noise[..]].concat()),
        }
    }

    fn next(&mut self) -> usize {
        1 + self.numbers.below(2 * BETWEEN)
    }
}

fn packet(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; PACKET_BYTES];
    let length = encode(payload, &mut out).unwrap();
    out.truncate(length);
    out
}
