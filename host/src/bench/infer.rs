//! Inference, one window at a time: the int8 engine, and the float network in Burn.

use super::serve::Work;
use super::subject::{BLOB, CLASSIFIER, WINDOWS};
use burn::tensor::{Device, Tensor, TensorData};
use std::path::Path;
use tendon_engine::{Encoder, ParseError, PathError};
use tendon_model::classifier::Classifier;
use tendon_model::container;
use tendon_model::pass::Pass;
use tendon_model::weights::{WeightsError, load};
use tendon_shared::pose::Presence;

/// A folder that holds no subject, or an engine that does not run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    Io(String, std::io::Error),
    /// The windows are damaged.
    #[error(transparent)]
    Windows(#[from] container::ContainerError),
    /// A tensor is missing.
    #[error("{WINDOWS} has no tensor {0}")]
    Missing(&'static str),
    /// The blob is damaged.
    #[error("{BLOB} is no int8 encoder: {0:?}")]
    Blob(ParseError),
    /// The engine cannot be held to a path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The weights are damaged.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

/// The windows of a subject.
#[derive(Debug)]
pub struct Windows {
    /// `[window, body, channel, frame, joint]`
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<f32>,
    /// Which bodies are there.
    pub presence: Vec<Presence>,
    /// Class of each.
    pub labels: Vec<usize>,
}

impl Windows {
    /// Reads the windows of the subject in `folder`.
    ///
    /// # Errors
    /// There are none.
    pub fn read(folder: &Path) -> Result<Self, InferError> {
        let (mut tensors, _) = container::decode(&read(folder, WINDOWS)?)?;
        let mut take = |name: &'static str| tensors.remove(name).ok_or(InferError::Missing(name));
        let (windows, presence, labels) = (take("windows")?, take("presence")?, take("labels")?);
        let bodies = windows.shape.get(1).copied().unwrap_or(1).max(1);
        let presence = presence.data.chunks_exact(bodies).map(|flags| {
            let bits = flags.iter().enumerate();
            Presence(bits.fold(0, |bits, (body, flag)| bits | u8::from(*flag > 0.0) << body))
        });
        Ok(Self {
            presence: presence.collect(),
            labels: labels.data.iter().map(|label| *label as usize).collect(),
            shape: windows.shape,
            data: windows.data,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.presence.len()
    }

    pub(super) fn window(&self, number: usize) -> &[f32] {
        let stride = self.data.len() / self.len().max(1);
        &self.data[number * stride..(number + 1) * stride]
    }

    /// The bodies that count in `case`: as they are, or the first that is there.
    fn presence(&self, case: usize, number: usize) -> Presence {
        let all = self.presence[number];
        match (case, all.bodies().next()) {
            (1, Some(first)) => Presence(1 << first),
            _ => all,
        }
    }
}

/// Reads one file of a subject.
///
/// # Errors
/// It cannot be read.
pub fn read(folder: &Path, name: &str) -> Result<Vec<u8>, InferError> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|error| InferError::Io(path.display().to_string(), error))
}

/// The engine's instruction path of this name.
///
/// # Errors
/// There is none of this name, or it does not run here; the text lists those that do.
pub fn path(name: &str) -> Result<tendon_engine::Path, String> {
    let here = tendon_engine::Path::ALL.into_iter();
    let here: Vec<_> = here.filter(|path| path.is_available()).collect();
    let found = here.iter().find(|path| path.name() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = here.iter().map(|path| path.name()).collect();
        format!("here the engine has the paths {}", names.join(", "))
    })
}

/// The encoder in `blob`, on `path` or on the fastest one.
pub(super) fn encoder(
    blob: &[u8],
    path: Option<tendon_engine::Path>,
) -> Result<Encoder<'_>, InferError> {
    let encoder = Encoder::parse(blob).map_err(InferError::Blob)?;
    Ok(match path {
        Some(path) => encoder.with_path(path)?,
        None => encoder,
    })
}

/// The int8 engine.
pub struct Int8<'b> {
    encoder: Encoder<'b>,
    windows: Windows,
    arena: Vec<u8>,
    logits: Vec<i32>,
}

impl<'b> Int8<'b> {
    /// Runs `blob` on the windows of `folder`, on `path` or on the fastest one.
    ///
    /// # Errors
    /// The folder holds no subject, or the path does not run here.
    pub fn new(
        folder: &Path,
        blob: &'b [u8],
        path: Option<tendon_engine::Path>,
    ) -> Result<Self, InferError> {
        let encoder = encoder(blob, path)?;
        Ok(Self {
            windows: Windows::read(folder)?,
            arena: vec![0; encoder.arena_len()],
            logits: vec![0; encoder.spec().classes],
            encoder,
        })
    }
}

impl Work for Int8<'_> {
    fn about(&self) -> String {
        let path = self.encoder.path();
        format!("{path}, arena {} kB", self.arena.len() / 1000)
    }

    fn step(&mut self, case: usize, turn: usize) -> Result<(), String> {
        let number = turn % self.windows.len();
        let window = self.windows.window(number);
        let presence = self.windows.presence(case, number);
        self.encoder
            .run(window, presence, &mut self.arena, &mut self.logits)
            .map_err(|error| format!("{error:?}"))
    }

    fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, String> {
        let scale = self.encoder.logit_scale();
        (0..self.windows.len())
            .map(|number| {
                self.step(case, number)?;
                Ok(self.logits.iter().map(|q| *q as f32 * scale).collect())
            })
            .collect()
    }
}

/// The float network in Burn, as it evaluates.
pub struct Float {
    model: Classifier,
    windows: Windows,
    device: Device,
}

impl Float {
    /// Runs the classifier of `folder` on its windows.
    ///
    /// # Errors
    /// The folder holds no subject.
    pub fn new(folder: &Path) -> Result<Self, InferError> {
        let device = Device::flex();
        let loaded = load(&folder.join(CLASSIFIER), &device)?;
        let classifier = loaded.classifier.ok_or(InferError::Missing("classifier"))?;
        Ok(Self {
            model: Classifier {
                encoder: loaded.encoder,
                classifier,
            },
            windows: Windows::read(folder)?,
            device,
        })
    }

    fn run(&self, case: usize, turn: usize) -> Result<Vec<f32>, String> {
        let number = turn % self.windows.len();
        let mut shape: [usize; 5] = self.windows.shape[..]
            .try_into()
            .map_err(|_| "the windows have another rank".to_owned())?;
        shape[0] = 1;
        let data = TensorData::new(self.windows.window(number).to_vec(), shape);
        let x = Tensor::from_data(data, &self.device);
        let presence = [self.windows.presence(case, number)];
        let logits = self.model.forward(x, &presence, &mut Pass::Infer);
        logits
            .into_data()
            .try_to_vec()
            .map_err(|error| format!("{error:?}"))
    }
}

impl Work for Float {
    fn about(&self) -> String {
        "Burn, flex".to_owned()
    }

    fn step(&mut self, case: usize, turn: usize) -> Result<(), String> {
        self.run(case, turn).map(drop)
    }

    fn output(&mut self, case: usize) -> Result<Vec<Vec<f32>>, String> {
        (0..self.windows.len())
            .map(|number| self.run(case, number))
            .collect()
    }
}
