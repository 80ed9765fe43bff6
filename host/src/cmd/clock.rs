//! The clock and the memory of this process.

use std::time::Instant;
use tendon_host::bench::serve::Meter;
use tendon_host::usage::Usage;

/// Measures this process.
pub(crate) struct Process(pub(crate) Instant);

impl Process {
    /// What this process has cost since the instant.
    pub(crate) fn usage(&self) -> Usage {
        let cpu = cpu_seconds();
        Usage {
            seconds: self.0.elapsed().as_secs_f64(),
            cpu_seconds: cpu.is_finite().then_some(cpu),
            peak_bytes: self.peak_bytes(),
        }
    }
}

impl Meter for Process {
    fn now(&self) -> (f64, f64) {
        (self.0.elapsed().as_secs_f64(), cpu_seconds())
    }

    fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        peak_of(&status).unwrap_or(0)
    }
}

/// Processor time of all threads, ended ones included.
#[cfg(unix)]
fn cpu_seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[allow(unsafe_code, reason = "the system call has no safe wrapper here")]
    // SAFETY: writes one timespec into a local variable.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if status == 0 {
        time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
    } else {
        f64::NAN
    }
}

/// Processor time is not measured elsewhere.
#[cfg(not(unix))]
fn cpu_seconds() -> f64 {
    f64::NAN
}

/// The high-water mark in the text of `/proc/self/status`, in bytes.
fn peak_of(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found() {
        let status = "Name:\ttendon\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(peak_of(status), Some(12_641_280));
        assert_eq!(peak_of("VmHWM: many"), None);
    }

    #[test]
    fn processor_time_only_grows() {
        let first = cpu_seconds();
        assert!(cpu_seconds() >= first);
    }
}
