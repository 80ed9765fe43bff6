//! Embeddings of a frozen vision-text model, from a file that another program has made (`docs/teacher-embeddings.md`).
//!
//! The file is a safetensors file with an F32 vector a name: of each class, or of each recording. Which of both it is, the names say.
//! Nothing in it is trusted: size, shapes and values are checked before they are used.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tendon_data::windows::Windows;
use tendon_model::container::{self, ContainerError};
use tendon_model::parameters::{Named, Values};

use crate::method::Lessons;

/// Largest file that is read, in bytes: 1,024 dimensions for more than twice the recordings of NTU RGB+D 120.
pub const MAX_FILE_BYTES: u64 = 1 << 30;
/// Most dimensions of an embedding.
pub const MAX_DIMENSIONS: usize = 16_384;

/// Unit embeddings by name.
#[derive(Debug, Clone)]
pub struct Teacher {
    path: PathBuf,
    embeddings: Named,
    /// Digest of the file.
    pub(super) digest: String,
    /// What made them, if the file says so.
    model: String,
}

/// An embeddings file that a run cannot learn from.
#[derive(Debug, thiserror::Error)]
pub enum TeacherError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("{path}: {bytes} bytes; embeddings of at most {MAX_FILE_BYTES} bytes are read")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// Damaged, of another type, or with values that are no numbers.
    #[error("{path}: {source}")]
    Container {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ContainerError,
    },
    /// A tensor is no embedding.
    #[error(
        "{path}: tensor {tensor:?} has shape {found:?}, expected [dimensions] or [1, dimensions] with 1 to {MAX_DIMENSIONS} dimensions"
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// Two embeddings are of different spaces.
    #[error(
        "{path}: tensor {tensor:?} has {found} dimensions, expected {expected} as {first:?} has"
    )]
    Dimensions {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        found: usize,
        /// Those of the first.
        expected: usize,
        /// The first tensor.
        first: String,
    },
    /// An embedding without a direction.
    #[error("{path}: tensor {tensor:?} has length {length}, expected a vector with a direction")]
    Length {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its Euclidean length.
        length: f64,
    },
    /// Some classes are there, another is not.
    #[error("{path}: there is no tensor {class:?}, expected one for each class of the windows")]
    Class {
        /// The file.
        path: PathBuf,
        /// The class.
        class: String,
    },
    /// Neither classes nor recordings of the run.
    #[error(
        "{path}: no tensor has the name of a class, such as {class:?}, or of a recording, such as {recording:?}; the first of {count} is {first:?}"
    )]
    Unrelated {
        /// The file.
        path: PathBuf,
        /// Number of tensors.
        count: usize,
        /// The first.
        first: String,
        /// A class of the run.
        class: String,
        /// A recording of the run.
        recording: String,
    },
    /// There is nothing to tell apart.
    #[error("{path}: the windows have {count} different embedding(s), expected at least 2")]
    TooFew {
        /// The file.
        path: PathBuf,
        /// Different embeddings.
        count: usize,
    },
}

impl Teacher {
    /// Reads a file of embeddings.
    ///
    /// # Errors
    /// It cannot be read, or is no such file; the message names the tensor and what was expected.
    pub fn read(path: &Path) -> Result<Self, TeacherError> {
        let io = |source| TeacherError::Io {
            path: path.to_path_buf(),
            source,
        };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE_BYTES {
            return Err(TeacherError::TooLarge {
                path: path.to_path_buf(),
                bytes,
            });
        }
        Self::decode(path, &std::fs::read(path).map_err(io)?)
    }

    fn decode(path: &Path, bytes: &[u8]) -> Result<Self, TeacherError> {
        let file = || path.to_path_buf();
        let (tensors, metadata) =
            container::decode(bytes).map_err(|source| TeacherError::Container {
                path: file(),
                source,
            })?;
        let mut embeddings = Named::new();
        let mut first: Option<(String, usize)> = None;
        for (tensor, values) in tensors {
            let dimensions = match values.shape[..] {
                [dimensions] | [1, dimensions] if (1..=MAX_DIMENSIONS).contains(&dimensions) => {
                    dimensions
                }
                _ => {
                    return Err(TeacherError::Shape {
                        path: file(),
                        tensor,
                        found: values.shape,
                    });
                }
            };
            let (name, expected) = first.get_or_insert_with(|| (tensor.clone(), dimensions));
            if dimensions != *expected {
                return Err(TeacherError::Dimensions {
                    path: file(),
                    tensor,
                    found: dimensions,
                    expected: *expected,
                    first: name.clone(),
                });
            }
            let squares = values.data.iter().map(|value| f64::from(*value).powi(2));
            let length = squares.sum::<f64>().sqrt();
            let data: Vec<f32> = values
                .data
                .iter()
                .map(|value| (f64::from(*value) / length) as f32)
                .collect();
            if length < f64::from(f32::MIN_POSITIVE) || data.iter().any(|value| !value.is_finite())
            {
                return Err(TeacherError::Length {
                    path: file(),
                    tensor,
                    length,
                });
            }
            let shape = vec![dimensions];
            embeddings.insert(tensor, Values { shape, data });
        }
        let digest = Sha256::digest(bytes);
        Ok(Self {
            path: file(),
            embeddings,
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            model: metadata.get("model").cloned().unwrap_or_default(),
        })
    }

    /// The embeddings of the windows `chosen`: those of their classes, if the file names any of these; otherwise those of their
    /// recordings, and windows whose recording has none are left out. Equal embeddings are one.
    ///
    /// # Errors
    /// A class is missing, no name is known, or all windows have the same embedding.
    pub fn lessons(
        &self,
        windows: &dyn Windows,
        chosen: &[usize],
    ) -> Result<Lessons, TeacherError> {
        let path = || self.path.clone();
        let class = |number: usize| &windows.classes()[usize::from(windows.labels()[number])];
        let known = |name: &String| self.embeddings.contains_key(name);
        let by_class = windows.classes().iter().any(known);
        let name = |number: usize| match by_class {
            true => class(number),
            false => &windows.names()[number],
        };
        if by_class && let Some(&number) = chosen.iter().find(|number| !known(class(**number))) {
            return Err(TeacherError::Class {
                path: path(),
                class: class(number).clone(),
            });
        }
        let mut lessons = Lessons {
            texts: Values::default(),
            of_window: vec![None; windows.len()],
        };
        let mut rows: BTreeMap<Vec<u32>, usize> = BTreeMap::new();
        let mut space = 0;
        for &number in chosen {
            let Some(values) = self.embeddings.get(name(number)) else {
                continue;
            };
            let bits = values.data.iter().map(|value| value.to_bits()).collect();
            let next = rows.len();
            let row = *rows.entry(bits).or_insert(next);
            if row == next {
                lessons.texts.data.extend_from_slice(&values.data);
                space = values.data.len();
            }
            lessons.of_window[number] = Some(row);
        }
        lessons.texts.shape = vec![rows.len(), space];
        match (rows.len(), self.embeddings.keys().next(), chosen.first()) {
            (0, Some(first), Some(&number)) => Err(TeacherError::Unrelated {
                path: path(),
                count: self.embeddings.len(),
                first: first.clone(),
                class: class(number).clone(),
                recording: windows.names()[number].clone(),
            }),
            (count @ (0 | 1), ..) => Err(TeacherError::TooFew {
                path: path(),
                count,
            }),
            _ => Ok(lessons),
        }
    }

    /// What made the embeddings, in words.
    pub fn model(&self) -> &str {
        match self.model.as_str() {
            "" => "an unnamed model",
            model => model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretrain::batch::tests::windows;
    use proptest::prelude::*;

    fn named(tensors: &[(&str, &[usize], &[f32])]) -> Named {
        let one = |(name, shape, data): &(&str, &[usize], &[f32])| {
            let values = Values {
                shape: shape.to_vec(),
                data: data.to_vec(),
            };
            ((*name).to_string(), values)
        };
        tensors.iter().map(one).collect()
    }

    fn decode(tensors: &[(&str, &[usize], &[f32])]) -> Result<Teacher, TeacherError> {
        let bytes = container::encode(&named(tensors), &BTreeMap::new());
        Teacher::decode(Path::new("x.safetensors"), &bytes)
    }

    fn check(result: Result<impl std::fmt::Debug, TeacherError>, expect: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("x.safetensors: "), "{error}");
        assert!(error.contains(expect), "{error}");
    }

    const CLASSES: [(&str, &[usize], &[f32]); 3] = [
        ("a", &[2], &[3.0, 4.0]),
        ("b", &[1, 2], &[0.0, 2.0]),
        ("c", &[2], &[0.0, 1.0]),
    ];

    #[test]
    fn windows_have_the_unit_embeddings_of_their_classes_and_equal_ones_are_one() {
        let windows = windows(6);
        let lessons = decode(&CLASSES)
            .unwrap()
            .lessons(&windows, &[0, 1, 2, 4])
            .unwrap();
        assert_eq!(lessons.texts.shape, [2, 2]);
        assert_eq!(lessons.texts.data, [0.6, 0.8, 0.0, 1.0]);
        // Classes repeat: a b c a b c; b and c point the same way.
        let expect = [Some(0), Some(1), Some(1), None, Some(1), None];
        assert_eq!(lessons.of_window, expect);
    }

    #[test]
    fn without_class_names_recordings_are_meant_and_some_may_be_missing() {
        let teacher = decode(&[
            ("window 1", &[2], &[1.0, 0.0]),
            ("window 4", &[2], &[0.0, 1.0]),
        ]);
        let lessons = teacher
            .unwrap()
            .lessons(&windows(6), &[0, 1, 2, 3, 4])
            .unwrap();
        assert_eq!(lessons.windows(), [1, 4]);
    }

    #[test]
    fn a_bad_tensor_is_named_with_what_was_expected() {
        check(
            decode(&[("a", &[2, 1], &[1.0, 1.0])]),
            "tensor \"a\" has shape [2, 1], expected [dimensions]",
        );
        check(decode(&[("a", &[0], &[])]), "has shape [0]");
        let differs = [("a", &[2][..], &[1.0, 1.0][..]), ("b", &[1], &[1.0])];
        check(
            decode(&differs),
            "tensor \"b\" has 1 dimensions, expected 2 as \"a\" has",
        );
        check(
            decode(&[("a", &[2], &[0.0, 0.0])]),
            "tensor \"a\" has length 0",
        );
        check(
            decode(&[("a", &[2], &[1.0, f32::NAN])]),
            "tensor a holds a value that is not finite at index 1",
        );
        let large = vec![1.0; MAX_DIMENSIONS + 1];
        check(
            decode(&[("a", &[large.len()], &large)]),
            "has shape [16385]",
        );
    }

    #[test]
    fn names_that_do_not_fit_the_windows_are_refused() {
        let lessons = |tensors| {
            let teacher: Teacher = decode(tensors).unwrap();
            teacher.lessons(&windows(6), &[0, 1, 2])
        };
        check(lessons(&CLASSES[..2]), "no tensor \"c\"");
        check(
            lessons(&[("z", &[1], &[1.0])]),
            "such as \"a\", or of a recording, such as \"window 0\"; the first of 1 is \"z\"",
        );
        check(lessons(&[]), "0 different embedding(s)");
        check(
            lessons(&[("window 0", &[1], &[1.0])]),
            "1 different embedding(s)",
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        // Sparse: no such many bytes are written.
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(MAX_FILE_BYTES + 1).unwrap();
        let error = Teacher::read(&path).unwrap_err();
        assert!(matches!(error, TeacherError::TooLarge { .. }));
        assert!(matches!(
            Teacher::read(&folder.path().join("none")),
            Err(TeacherError::Io { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Teacher::decode(Path::new("x"), &bytes);
        }

        #[test]
        fn any_damage_never_panics(at in 0_usize..400, value: u8) {
            let mut bytes = container::encode(&named(&CLASSES), &BTreeMap::new());
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(teacher) = Teacher::decode(Path::new("x"), &bytes) {
                let _ = teacher.lessons(&windows(6), &[0, 1, 2]);
            }
        }
    }
}
