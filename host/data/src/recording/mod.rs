//! Readers of skeleton recordings, one format a file.
//!
//! [`Format::scan`] looks at names and lists only and says what is there; [`Format::read`] reads one [`Item`] of it and
//! hands on one [`RawRecording`] after the other. A reader knows nothing of datasets on disk, splits or methods. Every
//! parser takes bytes, checks sizes before it allocates, and answers any bytes with recordings or a named [`Fault`].
//!
//! A new format is one file, and the lines that the exhaustive matches in this one ask for.

pub mod error;
mod files;
mod kinder_gator_csv;
mod mat5;
mod npy;
mod npy_pkl;
mod npz;
mod ntu_bodies;
pub mod ntu_name;
mod ntu_skeleton;
mod number;
mod nw_ucla_json;
mod pickle;
mod pku_mmd;
mod raw;
mod sbu_text;
mod utd_mhad_mat;

pub use error::{Fault, Place, Problem, ReadError};
pub use raw::{MAX_FRAMES, RawRecording};

use crate::dataset::SetInfo;
use crate::split::Tags;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tendon_shared::topology::TopologyId;

/// A format of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Northwestern-UCLA Multiview 3D, one JSON file a recording.
    NwUclaJson,
    /// UTD-MHAD, one MATLAB file a recording.
    UtdMhadMat,
    /// Kinder-Gator, one CSV file a recording.
    KinderGatorCsv,
    /// SBU Kinect Interaction, one text file a recording.
    SbuText,
    /// NTU RGB+D 60 and 120, one `.skeleton` file a recording.
    NtuSkeleton,
    /// PKU-MMD, one text file a video and one with its labelled intervals.
    PkuMmd,
    /// `[N, C, T, V, M]` in one `.npy` file, names and labels in a `.pkl` file.
    NpyPkl,
    /// CTR-GCN's `.npz` with `x_train`, `y_train`, `x_test`, `y_test`.
    Npz,
}

/// What a folder or file holds.
#[derive(Debug, Clone)]
pub struct Scan {
    /// Topology, classes and terms of the set.
    pub info: SetInfo,
    /// What can be read, in the order of the names.
    pub items: Vec<Item>,
    /// Names that the set's own list of damaged recordings excludes.
    pub left_out: Vec<String>,
}

/// One file to read, or one array of a file.
#[derive(Debug, Clone)]
pub struct Item {
    /// The file.
    pub path: PathBuf,
    /// The file with the labels, or the label array's name, where the format has one.
    pub companion: Option<PathBuf>,
    /// The recording's name, or what its recordings' names start with.
    pub name: String,
    /// What the name says about the recording.
    pub tags: Tags,
    /// Recordings in it, as far as known before reading.
    pub recordings: usize,
}

/// Files beside the recordings that a scan may need.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// NTU: the list of recordings with missing skeletons. Without it, one is looked for beside the recordings.
    pub missing: Option<PathBuf>,
}

/// Receives recordings and errors one by one; breaks when it wants no more.
pub type Sink<'a> = dyn FnMut(Result<RawRecording, ReadError>) -> ControlFlow<()> + 'a;

impl Format {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::NwUclaJson,
        Self::UtdMhadMat,
        Self::KinderGatorCsv,
        Self::SbuText,
        Self::NtuSkeleton,
        Self::PkuMmd,
        Self::NpyPkl,
        Self::Npz,
    ];

    /// The word for it on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::NwUclaJson => "nw-ucla-json",
            Self::UtdMhadMat => "utd-mhad-mat",
            Self::KinderGatorCsv => "kinder-gator-csv",
            Self::SbuText => "sbu-text",
            Self::NtuSkeleton => "ntu-skeleton",
            Self::PkuMmd => "pku-mmd",
            Self::NpyPkl => "npy-pkl",
            Self::Npz => "npz",
        }
    }

    /// The format with this name; `_` counts as `-`.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.replace('_', "-");
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What to give as the path, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Self::NwUclaJson => "NW-UCLA: a folder with aAA_sSS_eEE_vVV.json",
            Self::UtdMhadMat => "UTD-MHAD: a folder with aA_sS_tT_skeleton.mat",
            Self::KinderGatorCsv => "Kinder-Gator: a folder with POSE-pNNN_NN-Motion-name-NNN.csv",
            Self::SbuText => "SBU Kinect Interaction: a folder with sAAsBB/CC/TTT/skeleton_pos.txt",
            Self::NtuSkeleton => "NTU RGB+D 60 or 120: a folder with SsssCcccPpppRrrrAaaa.skeleton",
            Self::PkuMmd => {
                "PKU-MMD: a folder with skeletons in PKU_Skeleton_Renew (or skeleton) and labels in Train_Label_PKU_final (or label)"
            }
            Self::NpyPkl => {
                "a .npy file [N, C, T, V, M]; the labels are in the .pkl file of the same name, or NAME_label.pkl for NAME_data.npy"
            }
            Self::Npz => "a .npz file with x_train, y_train, x_test and y_test (CTR-GCN)",
        }
    }

    /// The splits that belong to the set, by name.
    pub fn presets(self) -> &'static [&'static str] {
        match self {
            Self::NwUclaJson => &[
                "nw-ucla",
                "nw-ucla-view1",
                "nw-ucla-view1-clean",
                "nw-ucla-within-view1",
                "nw-ucla-new-person",
            ],
            Self::UtdMhadMat => &["utd-mhad"],
            Self::KinderGatorCsv => &["kinder-gator"],
            Self::SbuText => &[
                "sbu-fold1",
                "sbu-fold2",
                "sbu-fold3",
                "sbu-fold4",
                "sbu-fold5",
            ],
            Self::NtuSkeleton => &["ntu60-xsub", "ntu60-xview", "ntu120-xsub", "ntu120-xset"],
            Self::PkuMmd | Self::NpyPkl => &[],
            Self::Npz => &["parts"],
        }
    }

    /// Whether one item holds many recordings, to be read one after the other.
    pub fn is_array(self) -> bool {
        match self {
            Self::NpyPkl | Self::Npz => true,
            Self::NwUclaJson
            | Self::UtdMhadMat
            | Self::KinderGatorCsv
            | Self::SbuText
            | Self::NtuSkeleton
            | Self::PkuMmd => false,
        }
    }

    /// Says what is at `path`, from names and lists.
    ///
    /// # Errors
    /// When nothing of this format is there, or a list is damaged. Files with foreign names are passed over.
    pub fn scan(self, path: &Path, options: &ScanOptions) -> Result<Scan, ReadError> {
        let scan = match self {
            Self::NwUclaJson => nw_ucla_json::scan(path),
            Self::UtdMhadMat => utd_mhad_mat::scan(path),
            Self::KinderGatorCsv => kinder_gator_csv::scan(path),
            Self::SbuText => sbu_text::scan(path),
            Self::NtuSkeleton => ntu_skeleton::scan(path, options),
            Self::PkuMmd => pku_mmd::scan(path),
            Self::NpyPkl => npy_pkl::scan(path),
            Self::Npz => npz::scan(path),
        }?;
        if scan.items.is_empty() {
            return Err(Fault::file(Problem::NotFound { what: self.about() }).at(path));
        }
        Ok(scan)
    }

    /// Reads one item; errors go to the sink too, so that it can skip them.
    pub fn read(self, item: &Item, sink: &mut Sink<'_>) {
        match self {
            Self::NwUclaJson => files::read_one(item, sink, nw_ucla_json::parse),
            Self::UtdMhadMat => files::read_one(item, sink, utd_mhad_mat::parse),
            Self::KinderGatorCsv => files::read_one(item, sink, kinder_gator_csv::parse),
            Self::SbuText => files::read_one(item, sink, sbu_text::parse),
            Self::NtuSkeleton => files::read_one(item, sink, ntu_skeleton::parse),
            Self::PkuMmd => pku_mmd::read(item, sink),
            Self::NpyPkl => npy_pkl::read(item, sink),
            Self::Npz => npz::read(item, sink),
        }
    }
}

/// The poses of one recording, before its name and tags are added.
#[derive(Debug, Clone, PartialEq)]
struct Clip {
    /// Metres, `[frame, body, joint, 3]`.
    poses: Vec<f32>,
    frames: usize,
    bodies: usize,
    fps: f32,
}

impl Clip {
    fn named(self, name: String, tags: Tags) -> RawRecording {
        RawRecording {
            name,
            poses: self.poses,
            frames: self.frames,
            bodies: self.bodies,
            label: tags.label,
            subject: tags.subject,
            camera: tags.camera,
            setup: tags.setup,
            repetition: tags.repetition,
            fps: self.fps,
        }
    }
}

/// What is the same in every scan: one item a file, its tags read from its path.
fn scan_files(
    info: impl FnOnce(&[Item]) -> SetInfo,
    paths: Vec<PathBuf>,
    mut tags: impl FnMut(&Path) -> Result<Option<(String, Tags)>, ReadError>,
) -> Result<Scan, ReadError> {
    let mut items = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some((name, tags)) = tags(&path)? {
            items.push(Item {
                path,
                companion: None,
                name,
                tags,
                recordings: 1,
            });
        }
    }
    Ok(Scan {
        info: info(&items),
        items,
        left_out: Vec::new(),
    })
}

fn set_info(format: Format, topology: TopologyId, classes: Vec<String>, terms: &str) -> SetInfo {
    SetInfo {
        topology,
        classes,
        source: format.name().to_owned(),
        terms: terms.to_owned(),
    }
}

fn names(classes: &[&str]) -> Vec<String> {
    classes.iter().map(|&name| name.to_owned()).collect()
}

#[cfg(test)]
mod tests;
