//! Import of recordings: files in the format of their makers to one set on the disk.

use super::serve::Work;
use super::subject::SubjectError;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tendon_data::dataset::Dataset;
use tendon_data::import::{ImportOptions, import};
use tendon_data::recording::{Format, ScanOptions};
use tendon_data::synth::{SynthSpec, write_ntu};
use tendon_shared::topology::TopologyId;

/// The file of the specification.
pub const SPEC: &str = "import.json";

/// What the generator writes after a joint's coordinates, and what a Kinect does: as many digits cost as much time to read.
const GENERATED: &str = " 0 0 0 0 0 0 0 0 2\n";
const RECORDED: &str =
    " 277.4136 191.1438 1036.233 519.1677 -0.2059419 0.05349901 0.9692109 -0.1239193 2\n";

/// What is imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSpec {
    /// Name of the format.
    pub format: String,
    /// The recordings.
    pub path: PathBuf,
}

impl ImportSpec {
    /// Writes the specification into `folder`.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<(), SubjectError> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        put(&folder.join(SPEC), &text)
    }
}

/// Generates `count` NTU files, a fourth of the actions with two persons, in a folder of their own below `folder`.
///
/// # Errors
/// The folder cannot be written to.
pub fn generate(folder: &Path, count: usize, seed: u64) -> Result<ImportSpec, SubjectError> {
    let path = folder.join("recordings");
    std::fs::create_dir_all(&path).map_err(|source| SubjectError::Io {
        path: path.clone(),
        source,
    })?;
    let synth = SynthSpec {
        topology: TopologyId::Ntu25,
        seed,
        subjects: 100,
        cameras: 3,
        repetitions: 2,
        pairs: true,
        ..SynthSpec::default()
    };
    for number in 0..count.min(synth.count()) {
        let recording = synth.recording(number);
        // The topology is NTU's, so there is a text.
        let Ok(text) = write_ntu::text(&recording) else {
            continue;
        };
        let file = path.join(write_ntu::file_name(&recording));
        put(&file, text.replace(GENERATED, RECORDED).as_bytes())?;
    }
    Ok(ImportSpec {
        format: Format::NtuSkeleton.name().to_owned(),
        path,
    })
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), SubjectError> {
    std::fs::write(path, bytes).map_err(|source| SubjectError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// Our import.
pub struct Import {
    format: Format,
    spec: ImportSpec,
    output: PathBuf,
    recordings: usize,
}

impl Import {
    /// Imports what the specification in `folder` names.
    ///
    /// # Errors
    /// The text says what is wrong with the folder.
    pub fn new(folder: &Path) -> Result<Self, String> {
        let path = folder.join(SPEC);
        let text = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let spec: ImportSpec = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let format = Format::from_name(&spec.format)
            .ok_or_else(|| format!("there is no format {:?}", spec.format))?;
        Ok(Self {
            format,
            output: folder.join("ours.safetensors"),
            recordings: scan(format, &spec)?.items.len(),
            spec,
        })
    }
}

fn scan(format: Format, spec: &ImportSpec) -> Result<tendon_data::recording::Scan, String> {
    let scan = format.scan(&spec.path, &ScanOptions::default());
    scan.map_err(|error| error.to_string())
}

impl Work for Import {
    fn about(&self) -> String {
        format!(
            "{} files of {}; scanned, read, checked, digested, written and synced",
            self.recordings, self.spec.format
        )
    }

    fn step(&mut self, _: usize, _: usize) -> Result<(), String> {
        let scan = scan(self.format, &self.spec)?;
        import(
            self.format,
            &scan,
            &self.output,
            ImportOptions::default(),
            &mut |_| {},
            &AtomicBool::new(false),
        )
        .map(drop)
        .map_err(|error| error.to_string())
    }

    /// Recordings, joints that are there, and the mean of the sum of their absolute coordinates.
    fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, String> {
        self.step(case, 0)?;
        let set = Dataset::open(&self.output).map_err(|error| error.to_string())?;
        let (mut joints, mut sum) = (0_u64, 0.0);
        for recording in set.recordings() {
            for joint in recording.poses.as_chunks::<3>().0 {
                if *joint != [0.0; 3] {
                    joints += 1;
                    sum += joint.iter().map(|x| f64::from(x.abs())).sum::<f64>();
                }
            }
        }
        let mean = sum / joints.max(1) as f64;
        Ok(vec![vec![set.len() as f32, joints as f32, mean as f32]])
    }
}
