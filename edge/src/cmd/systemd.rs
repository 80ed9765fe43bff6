//! The agent as a service of systemd: nothing happens where systemd does not ask for it.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tendon_edge::agent::watch::{Sign, Watch};

/// Whoever started the agent, when it wants signs: `NOTIFY_SOCKET` and `WATCHDOG_USEC` say so.
pub(super) fn watch() -> Watch {
    let mut limit_us = 0;
    let watched = sd_notify::watchdog_enabled(false, &mut limit_us);
    Watch {
        tell: Arc::new(|sign| {
            let state = match sign {
                Sign::Ready => NotifyState::Ready,
                Sign::Alive => NotifyState::Watchdog,
                Sign::Stopping => NotifyState::Stopping,
            };
            // Nobody listens, or systemd is gone: the agent runs on.
            let _ = sd_notify::notify(false, &[state]);
        }),
        // Three signs within the limit, so that one may be late.
        every: watched.then(|| Duration::from_micros(limit_us / 3)),
    }
}
