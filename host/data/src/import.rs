//! From a folder of recordings to a set: read in parallel, written in order, nothing half-written.
//!
//! Files are read by all cores a batch at a time, arrays one sample after the other; what is held in memory is a batch,
//! never the set. What happens to bad files is the caller's choice, progress and cancelling are the caller's too.

use crate::dataset::{DatasetWriter, SetInfo, StoreError, StoreProblem, Summary};
use crate::recording::{Fault, Format, Item, Problem, RawRecording, ReadError, Scan};
use rayon::prelude::*;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tendon_shared::topology::{TopologyId, map};

/// Files that are read before they are written. A recording has up to 0.4 MB, so a batch stays below 100 MB.
const BATCH: usize = 256;

/// What the caller decides.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportOptions {
    /// Convert every pose to this skeleton standard.
    pub topology: Option<TopologyId>,
    /// Leave out recordings that cannot be read, and count them, instead of stopping at the first.
    pub skip_bad: bool,
}

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// The written file.
    pub summary: Summary,
    /// Recordings that could not be read and were left out.
    pub bad: Vec<ReadError>,
    /// Names that the set's own list of damaged recordings excluded.
    pub left_out: Vec<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A recording is damaged.
    #[error("{0}; leave such recordings out with --skip-bad")]
    Read(ReadError),
    /// The set could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no conversion between two skeleton standards.
    #[error("there is no conversion from {from} to {to}")]
    Topology {
        /// The recordings' standard.
        from: TopologyId,
        /// The standard that was asked for.
        to: TopologyId,
    },
    /// Every recording is damaged.
    #[error("none of the {count} recordings can be read; the first problem: {first}")]
    AllBad {
        /// Recordings tried.
        count: usize,
        /// The first problem.
        first: ReadError,
    },
    /// The caller asked to stop.
    #[error("stopped before the end; nothing was written")]
    Cancelled,
}

/// Reads everything that a scan found and writes it to `path`.
///
/// `progress` hears how many recordings were finished since its last call; `cancelled` is looked at between recordings.
///
/// # Errors
/// The first damaged recording unless they are skipped, and whatever keeps the file from being written. The file at
/// `path` is then as it was.
pub fn import(
    format: Format,
    scan: &Scan,
    path: &Path,
    options: ImportOptions,
    progress: &mut dyn FnMut(usize),
    cancelled: &AtomicBool,
) -> Result<Imported, ImportError> {
    let from = scan.info.topology;
    let to = options.topology.unwrap_or(from);
    if !map::is_supported(from, to) {
        return Err(ImportError::Topology { from, to });
    }
    let writer = DatasetWriter::create(
        path,
        SetInfo {
            topology: to,
            ..scan.info.clone()
        },
    )?;
    let mut target = Target {
        writer,
        skip_bad: options.skip_bad,
        bad: Vec::new(),
        written: 0,
    };
    let is_cancelled = || cancelled.load(Ordering::Relaxed);
    if format.is_array() {
        for item in &scan.items {
            let mut stopped = None;
            format.read(item, &mut |recording| {
                let recording = recording.and_then(|recording| convert(recording, from, to, item));
                progress(1);
                match if is_cancelled() {
                    Err(ImportError::Cancelled)
                } else {
                    target.take(item, recording)
                } {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(error) => {
                        stopped = Some(error);
                        ControlFlow::Break(())
                    }
                }
            });
            if let Some(error) = stopped {
                return Err(error);
            }
        }
    } else {
        for batch in scan.items.chunks(BATCH) {
            if is_cancelled() {
                return Err(ImportError::Cancelled);
            }
            let read = |item: &Item| {
                let mut recordings = Vec::new();
                format.read(item, &mut |recording| {
                    recordings
                        .push(recording.and_then(|recording| convert(recording, from, to, item)));
                    ControlFlow::Continue(())
                });
                recordings
            };
            let results: Vec<Vec<_>> = batch.par_iter().map(read).collect();
            for (item, recordings) in batch.iter().zip(results) {
                for recording in recordings {
                    target.take(item, recording)?;
                }
                progress(item.recordings);
            }
        }
    }
    if is_cancelled() {
        return Err(ImportError::Cancelled);
    }
    if target.written == 0 && !target.bad.is_empty() {
        let count = target.bad.len();
        return Err(ImportError::AllBad {
            count,
            first: target.bad.swap_remove(0),
        });
    }
    let summary = target.writer.finish()?;
    Ok(Imported {
        summary,
        bad: target.bad,
        left_out: scan.left_out.clone(),
    })
}

struct Target {
    writer: DatasetWriter,
    skip_bad: bool,
    bad: Vec<ReadError>,
    written: usize,
}

impl Target {
    fn take(
        &mut self,
        item: &Item,
        recording: Result<RawRecording, ReadError>,
    ) -> Result<(), ImportError> {
        let error = match recording.map(|recording| self.writer.push(&recording)) {
            Ok(Ok(())) => {
                self.written += 1;
                return Ok(());
            }
            // The writer's refusal is about this recording; anything else is about the disk.
            Ok(Err(StoreError {
                problem: StoreProblem::Recording { fault, .. },
                ..
            })) => fault.at(&item.path),
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => error,
        };
        if !self.skip_bad {
            return Err(ImportError::Read(error));
        }
        self.bad.push(error);
        Ok(())
    }
}

/// Brings every pose to another skeleton standard; absent bodies stay absent.
fn convert(
    recording: RawRecording,
    from: TopologyId,
    to: TopologyId,
    item: &Item,
) -> Result<RawRecording, ReadError> {
    if from == to {
        return Ok(recording);
    }
    let (old, new) = (from.topology().joint_count(), to.topology().joint_count());
    let mut poses = vec![0.0; recording.poses.len() / (old * 3) * new * 3];
    for (number, (old, new)) in recording
        .poses
        .chunks_exact(old * 3)
        .zip(poses.chunks_exact_mut(new * 3))
        .enumerate()
    {
        if old.iter().all(|value| *value == 0.0) {
            continue;
        }
        map::retarget(from, to, old.as_chunks().0, new.as_chunks_mut().0).map_err(|error| {
            let frame = number / recording.bodies + 1;
            Fault::frame(frame, Problem::malformed(error.to_string())).at(&item.path)
        })?;
    }
    Ok(RawRecording { poses, ..recording })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::recording::ScanOptions;
    use std::path::PathBuf;

    fn sbu(folder: &Path, take: usize, frames: usize) -> PathBuf {
        let folder = folder.join(format!("sbu/s01s02/03/{take:03}"));
        std::fs::create_dir_all(&folder).unwrap();
        let line = |frame: usize| format!("{frame}{}\n", format!(",0.{take}{frame}").repeat(90));
        let path = folder.join("skeleton_pos.txt");
        std::fs::write(&path, (1..=frames).map(line).collect::<String>()).unwrap();
        path
    }

    fn run(
        folder: &Path,
        options: ImportOptions,
        cancelled: bool,
    ) -> (Result<Imported, ImportError>, usize) {
        let scan = Format::SbuText
            .scan(&folder.join("sbu"), &ScanOptions::default())
            .unwrap();
        let mut done = 0;
        let path = folder.join("set.safetensors");
        let mut progress = |count| done += count;
        let result = import(
            Format::SbuText,
            &scan,
            &path,
            options,
            &mut progress,
            &AtomicBool::new(cancelled),
        );
        (result, done)
    }

    #[test]
    fn every_recording_arrives_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for take in [3, 1, 2] {
            sbu(folder.path(), take, take + 1);
        }
        let (imported, done) = run(folder.path(), ImportOptions::default(), false);
        assert_eq!((imported.unwrap().summary.recordings, done), (3, 3));
        let set = Dataset::open(folder.path().join("set.safetensors")).unwrap();
        let names: Vec<_> = set
            .recordings()
            .map(|recording| (recording.name, recording.frames))
            .collect();
        assert_eq!(
            names,
            [
                ("s01s02/03/001", 2),
                ("s01s02/03/002", 3),
                ("s01s02/03/003", 4)
            ]
        );
    }

    #[test]
    fn a_bad_file_stops_the_import_or_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        sbu(folder.path(), 1, 2);
        let bad = sbu(folder.path(), 2, 2);
        std::fs::write(&bad, "1,2,3\n").unwrap();
        let (stopped, _) = run(folder.path(), ImportOptions::default(), false);
        let message = stopped.unwrap_err().to_string();
        assert!(
            message.starts_with(&format!(
                "{}, line 1: 0 joints where 30 belong",
                bad.display()
            )),
            "{message}"
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "only the recordings"
        );
        let (skipped, done) = run(
            folder.path(),
            ImportOptions {
                skip_bad: true,
                ..Default::default()
            },
            false,
        );
        let skipped = skipped.unwrap();
        assert_eq!(
            (skipped.summary.recordings, skipped.bad.len(), done),
            (1, 1, 2)
        );
    }

    #[test]
    fn nothing_is_written_when_all_are_bad_or_the_user_stops() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(sbu(folder.path(), 2, 2), "").unwrap();
        let skip = ImportOptions {
            skip_bad: true,
            ..Default::default()
        };
        assert!(matches!(
            run(folder.path(), skip, false).0,
            Err(ImportError::AllBad { count: 1, .. })
        ));
        sbu(folder.path(), 1, 2);
        assert!(matches!(
            run(folder.path(), skip, true).0,
            Err(ImportError::Cancelled)
        ));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_impossible_conversion_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        sbu(folder.path(), 1, 2);
        let options = ImportOptions {
            topology: Some(TopologyId::Coco17),
            ..Default::default()
        };
        assert!(matches!(
            run(folder.path(), options, false).0,
            Err(ImportError::Topology { .. })
        ));
    }
}
