//! The pose bridge's program: a board's clock and UART around [`tendon_bridge::bridge::Bridge`].
//!
//! Bytes arrive by interrupt and wait in a ring, so that none is lost while a window is computed; everything else happens in the main loop.
//! A panic or a fault starts the program anew: the edge sees the report of a bridge that was told nothing and tells it again.
#![no_std]
#![no_main]

mod board;
mod register;
mod ring;
mod stack;
mod uart;

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{NVIC, SCB};
use cortex_m_rt::{ExceptionFrame, entry, exception};
use tendon_bridge::bridge::{Board, Bridge, Gauges};
use tendon_bridge::sensor::Sensor as _;
use tendon_bridge::simulated::Simulated;

use board::UART;
use ring::Ring;

/// Bytes from the line.
static RECEIVED: Ring = Ring::new();

/// Milliseconds since the start; the low half of the clock.
static TICKS: AtomicU32 = AtomicU32::new(0);

/// Times that [`TICKS`] began anew.
static ROUNDS: AtomicU32 = AtomicU32::new(0);

/// An interrupt of the chip, by its number.
#[derive(Clone, Copy)]
struct Interrupt(u16);

#[allow(unsafe_code, reason = "the trait wants a promise")]
// SAFETY: the number is the one that the board's file names, and never changes.
unsafe impl cortex_m::interrupt::InterruptNumber for Interrupt {
    fn number(self) -> u16 {
        self.0
    }
}

/// The board that runs.
struct Running;

impl Board for Running {
    fn now_ms(&self) -> u64 {
        loop {
            let rounds = ROUNDS.load(Ordering::Acquire);
            let ticks = TICKS.load(Ordering::Acquire);
            if rounds == ROUNDS.load(Ordering::Acquire) {
                return u64::from(rounds) << 32 | u64::from(ticks);
            }
        }
    }

    fn gauges(&self) -> Gauges {
        let (stack_bytes, stack_used) = stack::usage();
        Gauges {
            uptime_ms: self.now_ms(),
            overruns: RECEIVED.lost(),
            stack_bytes,
            stack_used,
        }
    }
}

#[cfg(encoder)]
mod image {
    //! The encoder in this image.

    pub(crate) use tendon_bridge::recognise::Buffers;
    use tendon_bridge::recognise::Recogniser;
    use tendon_shared::topology::TopologyId;

    static BLOB: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/encoder.bin"));
    static CLASSES: &str = include_str!(concat!(env!("OUT_DIR"), "/classes.txt"));

    /// The encoder at work; none when it is not for this sensor, which the bridge's report shows.
    pub(crate) type Encoder = Option<Recogniser<'static>>;

    /// Puts the encoder to work.
    pub(crate) fn encoder(topology: TopologyId, buffers: &'static mut Buffers) -> Encoder {
        Recogniser::new(BLOB, CLASSES, topology, buffers).ok()
    }
}

#[cfg(not(encoder))]
mod image {
    //! No encoder is in this image: it sends poses only.

    use tendon_bridge::bridge::NoEncoder;
    use tendon_shared::topology::TopologyId;

    /// Nothing has to be remembered.
    pub(crate) struct Buffers;

    impl Buffers {
        pub(crate) const fn new() -> Self {
            Self
        }
    }

    /// No encoder.
    pub(crate) type Encoder = NoEncoder;

    /// There is nothing to start.
    pub(crate) fn encoder(_: TopologyId, _: &'static mut Buffers) -> Encoder {
        NoEncoder
    }
}

#[entry]
fn main() -> ! {
    static mut BUFFERS: image::Buffers = image::Buffers::new();
    static mut BRIDGE: MaybeUninit<Bridge<Simulated, image::Encoder>> = MaybeUninit::uninit();

    board::prepare();
    UART.start();
    if let Some(core) = cortex_m::Peripherals::take() {
        let mut clock = core.SYST;
        clock.set_clock_source(SystClkSource::Core);
        clock.set_reload(board::CLOCK_HZ / 1000 - 1);
        clock.clear_current();
        clock.enable_counter();
        clock.enable_interrupt();
    }
    for number in board::INTERRUPTS {
        #[allow(unsafe_code, reason = "interrupts are allowed once, here")]
        // SAFETY: the handler shares nothing but atomics with the main loop, and no critical section is open.
        unsafe {
            NVIC::unmask(Interrupt(number));
        }
    }

    let sensor = Simulated::default();
    let encoder = image::encoder(sensor.topology(), BUFFERS);
    let bridge = BRIDGE.write(Bridge::new(sensor, encoder));
    loop {
        while let Some(byte) = RECEIVED.pop() {
            if let Some(packet) = bridge.receive(byte, &Running) {
                send(packet);
            }
        }
        let busy = bridge.busy();
        match bridge.step(&Running) {
            Some(packet) => send(packet),
            None if busy => {}
            // The clock's interrupt comes a thousand times a second, so nothing waits longer than that.
            None => cortex_m::asm::wfi(),
        }
    }
}

fn send(packet: &[u8]) {
    for byte in packet {
        while !UART.ready() {
            // Asleep until the line takes more. With interrupts masked, one that comes between the question and the sleep ends the sleep.
            cortex_m::interrupt::free(|_| {
                if !UART.ready() {
                    cortex_m::asm::wfi();
                }
            });
        }
        UART.send(*byte);
    }
}

#[exception]
fn SysTick() {
    let ticks = TICKS.load(Ordering::Relaxed).wrapping_add(1);
    if ticks == 0 {
        ROUNDS.store(
            ROUNDS.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Release,
        );
    }
    TICKS.store(ticks, Ordering::Release);
}

/// The UART's interrupts: the only ones that are allowed.
#[exception]
#[allow(unsafe_code, reason = "handlers of exceptions are declared so")]
unsafe fn DefaultHandler(_: i16) {
    if UART.acknowledge() {
        RECEIVED.lose();
    }
    while let Some(byte) = UART.receive() {
        RECEIVED.push(byte);
    }
}

#[exception]
#[allow(unsafe_code, reason = "handlers of exceptions are declared so")]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    SCB::sys_reset()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    SCB::sys_reset()
}
