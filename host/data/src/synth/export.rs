//! Writes generated recordings as files of a public data set's format, one a recording.

use super::{SynthSpec, write_ntu, write_ucla};
use crate::recording::RawRecording;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A format that generated recordings can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// NTU RGB+D `.skeleton` text.
    NtuSkeleton,
    /// NW-UCLA JSON, which has codes for the first ten actions only.
    NwUclaJson,
}

/// Why recordings were not written. Files that were written before stay, each of them whole.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The skeletons are not those of the format.
    #[error(transparent)]
    Ntu(#[from] write_ntu::NotNtu),
    /// The skeletons are not those of the format.
    #[error(transparent)]
    Ucla(#[from] write_ucla::NotUcla),
    /// The operating system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
}

impl ExportFormat {
    /// File name and text of a recording; nothing when the format has no code for its action.
    ///
    /// # Errors
    /// The recording's skeletons are not those of the format: generate with the topology that the message names.
    pub fn file(self, recording: &RawRecording) -> Result<Option<(String, String)>, ExportError> {
        match self {
            Self::NtuSkeleton => Ok(Some((
                write_ntu::file_name(recording),
                write_ntu::text(recording)?,
            ))),
            Self::NwUclaJson => match write_ucla::file_stem(recording) {
                Some(stem) => Ok(Some((format!("{stem}.json"), write_ucla::json(recording)?))),
                None => Ok(None),
            },
        }
    }
}

impl SynthSpec {
    /// Writes every recording that the format has a code for into `folder`, which is created; returns how many.
    ///
    /// # Errors
    /// See [`ExportError`].
    pub fn export(&self, format: ExportFormat, folder: &Path) -> Result<usize, ExportError> {
        let refused = |path: &Path| {
            let path = path.to_path_buf();
            move |error| ExportError::Io { path, error }
        };
        std::fs::create_dir_all(folder).map_err(refused(folder))?;
        let mut written = 0;
        for index in 0..self.count() {
            let Some((name, text)) = format.file(&self.recording(index))? else {
                continue;
            };
            let path = folder.join(name);
            write_whole(folder, &path, text.as_bytes()).map_err(refused(&path))?;
            written += 1;
        }
        Ok(written)
    }
}

fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Format, ScanOptions};
    use std::ops::ControlFlow;
    use tendon_shared::topology::TopologyId;

    /// Writes a set, reads it with the format's reader and compares everything.
    fn check(topology: TopologyId, format: ExportFormat, reader: Format, actions: usize) {
        let spec = SynthSpec {
            topology,
            subjects: 1,
            repetitions: 1,
            ..SynthSpec::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let written = spec.export(format, folder.path()).unwrap();
        assert_eq!(written, actions * usize::from(spec.cameras));
        let scan = reader.scan(folder.path(), &ScanOptions::default()).unwrap();
        let mut read: Vec<RawRecording> = Vec::new();
        for item in &scan.items {
            reader.read(item, &mut |recording| {
                read.push(recording.unwrap());
                ControlFlow::Continue(())
            });
        }
        assert_eq!(read.len(), written);
        for recording in read {
            let same = |other: &RawRecording| {
                let tags = |r: &RawRecording| (r.label, r.subject, r.camera, r.frames);
                tags(other) == tags(&recording) && other.poses == recording.poses
            };
            assert!(
                (0..spec.count()).any(|index| same(&spec.recording(index))),
                "{}",
                recording.name
            );
        }
    }

    #[test]
    fn ntu_files_are_read_back_exactly() {
        check(
            TopologyId::Ntu25,
            ExportFormat::NtuSkeleton,
            Format::NtuSkeleton,
            super::super::classes().len(),
        );
    }

    #[test]
    fn nw_ucla_files_are_read_back_exactly_without_the_actions_it_lacks() {
        check(
            TopologyId::Kinect20,
            ExportFormat::NwUclaJson,
            Format::NwUclaJson,
            10,
        );
    }
}
