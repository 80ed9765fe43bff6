//! Gives a verified bundle to the installer: to the running agent through its socket, or to the slots when none runs.

use crate::install::receiver::Receiver;
use crate::transport::local::{self, AskError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{CHUNK_BYTES, Chunk, InstallStatus, Offer, Progress};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::{Request, Response};

/// Chunks that are sent over one connection.
const BATCH: usize = 256;
/// Pause between two questions how the installation goes.
const PAUSE: Duration = Duration::from_millis(200);
/// Questions until the answer is taken as it is.
const QUESTIONS: u32 = 150;

/// Why a bundle was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The installer does not want it.
    #[error("the installer refuses the bundle: {0}")]
    Refused(WireError),
    /// The agent cannot be reached.
    #[error(transparent)]
    Agent(#[from] AskError),
    /// The agent answers something else than was asked.
    #[error(
        "the agent gave an answer that does not belong to the question; is it of another version?"
    )]
    Confused,
}

/// Where a bundle went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// To the agent, which says how far it is.
    Agent(InstallStatus),
    /// To the slots: the next start of the agent checks it again and begins its trial.
    Slots,
}

/// Takes bundles.
pub trait Installer {
    /// What serves now: digest and model version.
    fn serving(&self) -> Option<Offer>;

    /// The lowest model version that is taken.
    fn floor(&self) -> u64;

    /// Takes a bundle.
    ///
    /// # Errors
    /// [`DeliverError`].
    fn take(&mut self, offer: Offer, bytes: &[u8]) -> Result<Delivered, DeliverError>;
}

/// The slots of a data folder on which no agent runs.
pub struct Slots<'a>(pub &'a mut Receiver);

impl Installer for Slots<'_> {
    fn serving(&self) -> Option<Offer> {
        self.0.store().serving().map(|(_, offer)| offer)
    }

    fn floor(&self) -> u64 {
        self.0.store().record().floor
    }

    fn take(&mut self, offer: Offer, bytes: &[u8]) -> Result<Delivered, DeliverError> {
        let mut progress = self.0.offer(offer).map_err(DeliverError::Refused)?;
        while progress.next < offer.size {
            progress = self
                .0
                .chunk(chunk(bytes, progress.next))
                .map_err(DeliverError::Refused)?;
        }
        Ok(Delivered::Slots)
    }
}

/// The agent that runs on a data folder.
pub struct Agent {
    data_dir: PathBuf,
    serving: Option<Offer>,
    floor: u64,
}

impl Agent {
    /// The agent on `data_dir`. What serves and the floor are as the slots have recorded them.
    #[must_use]
    pub fn new(data_dir: &Path, serving: Option<Offer>, floor: u64) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            serving,
            floor,
        }
    }

    fn ask(&self, request: Request<'_>) -> Result<Response, DeliverError> {
        let mut answers = local::ask(&self.data_dir, &[request])?;
        answers.pop().ok_or(DeliverError::Confused)
    }
}

impl Installer for Agent {
    fn serving(&self) -> Option<Offer> {
        self.serving
    }

    fn floor(&self) -> u64 {
        self.floor
    }

    fn take(&mut self, offer: Offer, bytes: &[u8]) -> Result<Delivered, DeliverError> {
        let mut progress = progress(self.ask(Request::Offer(offer))?)?;
        while progress.next < offer.size {
            let chunks = (progress.next..offer.size).step_by(CHUNK_BYTES).take(BATCH);
            let requests: Vec<_> = chunks
                .map(|offset| Request::Chunk(chunk(bytes, offset)))
                .collect();
            let last = local::ask(&self.data_dir, &requests)?.pop();
            progress = self::progress(last.ok_or(DeliverError::Confused)?)?;
        }
        let mut status = install(self.ask(Request::Finish(offer.digest))?)?;
        for _ in 0..QUESTIONS {
            match status {
                InstallStatus::Verifying | InstallStatus::Receiving(_) => {
                    std::thread::sleep(PAUSE);
                    status = install(self.ask(Request::InstallStatus)?)?;
                }
                // It is being confirmed.
                InstallStatus::Trial {
                    healthy, needed, ..
                } if healthy >= needed => {
                    std::thread::sleep(PAUSE);
                    status = install(self.ask(Request::InstallStatus)?)?;
                }
                InstallStatus::Rejected(error) => return Err(DeliverError::Refused(error)),
                _ => break,
            }
        }
        Ok(Delivered::Agent(status))
    }
}

fn chunk(bytes: &[u8], offset: u32) -> Chunk<'_> {
    let from = bytes.len().min(offset as usize);
    let data = &bytes[from..bytes.len().min(from + CHUNK_BYTES)];
    Chunk {
        offset,
        crc: crc32(data),
        data,
    }
}

fn progress(answer: Response) -> Result<Progress, DeliverError> {
    match answer {
        Response::Progress(progress) => Ok(progress),
        _ => Err(DeliverError::Confused),
    }
}

fn install(answer: Response) -> Result<InstallStatus, DeliverError> {
    match answer {
        Response::Install(status) => Ok(status),
        _ => Err(DeliverError::Confused),
    }
}
