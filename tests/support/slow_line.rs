//! A serial line of a certain speed, which may lose packets and flip bits: two pseudo-terminals with a pump between.

use serialport::{SerialPort as _, TTYPort};
use std::io::{ErrorKind, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tendon_bundle::testing::Numbers;

/// Bits on the line for each byte: start, eight, stop.
const BITS: f64 = 10.0;
/// Bytes that the pump takes at a time: less than a millisecond of a fast line.
const PIECE: usize = 32;
/// How far behind the line the pump may be without slowing it down.
const LATE: Duration = Duration::from_millis(100);
/// How long the pump waits until it looks whether it must stop.
const READ: Duration = Duration::from_millis(50);

/// How bad the line is: out of a hundred packets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Badness {
    /// So many are lost.
    pub(crate) lost: usize,
    /// So many have a flipped bit.
    pub(crate) flipped: usize,
}

/// The line.
pub(crate) struct SlowLine {
    stop: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
    pumps: Vec<JoinHandle<()>>,
    device: String,
    /// Held open, so that the line is there before and after the agent.
    _devices_end: TTYPort,
}

impl SlowLine {
    /// A line of `baud`, and the host's end of it.
    pub(crate) fn new(baud: u32, badness: Badness, seed: u64) -> (Self, TTYPort) {
        let (host, hosts_end) = TTYPort::pair().unwrap();
        let (devices, devices_end) = TTYPort::pair().unwrap();
        let mut line = Self {
            stop: Arc::default(),
            carried: Arc::default(),
            pumps: Vec::new(),
            device: devices_end.name().unwrap(),
            _devices_end: devices_end,
        };
        let [to_device, to_host] = [
            (&hosts_end, &devices, seed),
            (&devices, &hosts_end, seed + 1),
        ]
        .map(|(from, to, seed)| Pump {
            from: from.try_clone_native().unwrap(),
            to: to.try_clone_native().unwrap(),
            seconds_a_byte: BITS / f64::from(baud),
            badness,
            numbers: Numbers::new(seed),
            packet: Vec::new(),
            stop: line.stop.clone(),
        });
        let carried = line.carried.clone();
        line.pumps
            .push(std::thread::spawn(move || to_device.run(&carried)));
        line.pumps
            .push(std::thread::spawn(move || to_host.run(&AtomicU64::new(0))));
        (line, host)
    }

    /// The file that the agent opens.
    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// Bytes that the host has sent.
    pub(crate) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

impl Drop for SlowLine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for pump in self.pumps.drain(..) {
            let _ = pump.join();
        }
    }
}

/// One direction.
struct Pump {
    from: TTYPort,
    to: TTYPort,
    seconds_a_byte: f64,
    badness: Badness,
    numbers: Numbers,
    /// Bytes since the last end of a packet, on a bad line.
    packet: Vec<u8>,
    stop: Arc<AtomicBool>,
}

impl Pump {
    fn run(mut self, carried: &AtomicU64) {
        self.from.set_timeout(READ).unwrap();
        self.to.set_timeout(Duration::from_secs(30)).unwrap();
        let mut piece = [0; PIECE];
        // When the line is free again.
        let mut free = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            let count = match self.from.read(&mut piece) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::TimedOut => continue,
                Err(_) => return,
            };
            // A pump that was not given the processor in time catches up.
            let late = Instant::now().checked_sub(LATE).unwrap_or(free);
            free = free.max(late) + Duration::from_secs_f64(count as f64 * self.seconds_a_byte);
            std::thread::sleep(free.saturating_duration_since(Instant::now()));
            carried.fetch_add(count as u64, Ordering::Relaxed);
            let arrived = self.arrives(&piece[..count]);
            if self.to.write_all(&arrived).is_err() {
                return;
            }
        }
    }

    /// What arrives of `bytes`: whole packets, once they have ended, unless the line is good.
    fn arrives(&mut self, bytes: &[u8]) -> Vec<u8> {
        let Badness { lost, flipped } = self.badness;
        if lost + flipped == 0 {
            return bytes.to_vec();
        }
        let mut arrived = Vec::new();
        for byte in bytes {
            self.packet.push(*byte);
            if *byte != 0 {
                continue;
            }
            let mut packet = std::mem::take(&mut self.packet);
            let fate = self.numbers.below(100);
            if fate < lost {
                continue;
            }
            if fate < lost + flipped {
                let at = self.numbers.below(packet.len());
                packet[at] ^= 1 << self.numbers.below(8);
            }
            arrived.extend(packet);
        }
        arrived
    }
}
