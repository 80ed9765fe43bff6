//! Makes the measurements that are missing, several at a time.

use super::job::{Job, JobError};
use super::material::Material;
use super::plan::Plan;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Runs `missing` on `threads` threads, each of which does all work of its job itself; `done` is told of every job that is over.
/// Threads take jobs in their order.
///
/// # Errors
/// The first job that failed; those that run then are finished.
pub fn work(
    (plan, material, out): (&Plan, &Material, &Path),
    missing: &[&Job],
    threads: usize,
    clock: &(dyn Fn() -> Duration + Sync),
    done: &(dyn Fn(&Job) + Sync),
) -> Result<(), JobError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let first: Mutex<Option<JobError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, missing.len().max(1)) {
            scope.spawn(|| {
                // Tensor operations of a job would otherwise wait for other jobs, and its times would be theirs.
                tendon_adapt::device::compute_here();
                while !failed.load(Ordering::Relaxed) {
                    let Some(job) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return;
                    };
                    match job.run(plan, material, out, &|| clock()) {
                        Ok(_) => done(job),
                        Err(error) => {
                            failed.store(true, Ordering::Relaxed);
                            let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
                            first.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}
