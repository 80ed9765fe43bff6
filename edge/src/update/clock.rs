//! Whether this board knows what time it is.
//!
//! Without a clock battery a board starts in the past, where nothing has expired yet. Until something that knows has set the
//! clock, an update is verified and not installed.

use std::time::SystemTime;
use tendon_trust::client::Clock;
use tendon_trust::moment::Moment;

/// Who says whether the clock is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// The kernel: a time service has set the clock since the start.
    Kernel,
    /// The operator: it is right, for example because a clock with a battery is on the board.
    Right,
    /// The operator: it is not.
    Wrong,
}

/// What is known of the time.
#[must_use]
pub fn read(witness: Witness) -> Clock {
    let right = match witness {
        Witness::Kernel => is_synchronised(),
        Witness::Right => true,
        Witness::Wrong => false,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    match now {
        Ok(now) if right => Clock::Set(Moment::from_seconds(now.as_secs())),
        _ => Clock::Unset,
    }
}

/// Whether the kernel was told that the clock is synchronised.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the system call has no safe wrapper here")]
fn is_synchronised() -> bool {
    // SAFETY: a structure of integers, for which zero is a value; zero modes change nothing.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: writes into a local variable of the type that it takes.
    let answer = unsafe { libc::adjtimex(&raw mut state) };
    answer >= 0 && answer != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0
}

/// Other systems do not tell.
#[cfg(not(target_os = "linux"))]
fn is_synchronised() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_decides_where_the_kernel_does_not() {
        assert_eq!(read(Witness::Wrong), Clock::Unset);
        assert!(matches!(read(Witness::Right), Clock::Set(_)));
        // Whatever the kernel says here, it says it without harm.
        let _ = read(Witness::Kernel);
    }
}
