//! What a run has cost.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Time and memory of a run, over all its parts if it was interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Wall time, seconds.
    pub seconds: f64,
    /// Processor time of all threads, seconds; absent where it cannot be measured.
    pub cpu_seconds: Option<f64>,
    /// Largest resident size, bytes; 0 where it cannot be measured.
    pub peak_bytes: u64,
}

/// The file in a run's folder.
pub const FILE: &str = "usage.json";

impl Usage {
    /// This part after an earlier one.
    #[must_use]
    pub fn after(self, earlier: Self) -> Self {
        let cpu = |part: Self| part.cpu_seconds;
        Self {
            seconds: earlier.seconds + self.seconds,
            cpu_seconds: cpu(earlier).zip(cpu(self)).map(|(a, b)| a + b),
            peak_bytes: earlier.peak_bytes.max(self.peak_bytes),
        }
    }

    /// What is written in a run's folder; nothing when nothing is, or when it cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(FILE)).ok()?).ok()
    }

    /// Writes it into a run's folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        tendon_files::write(&folder.join(FILE), &serde_json::to_vec_pretty(self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_run_add_up() {
        let part = |seconds, cpu, peak_bytes| Usage {
            seconds,
            cpu_seconds: cpu,
            peak_bytes,
        };
        let whole = part(2.0, Some(3.0), 7).after(part(1.0, Some(1.5), 9));
        assert_eq!(whole, part(3.0, Some(4.5), 9));
        assert_eq!(part(1.0, None, 0).after(whole).cpu_seconds, None);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Usage::read(folder.path()), None);
        whole.write(folder.path()).unwrap();
        assert_eq!(Usage::read(folder.path()), Some(whole));
    }
}
