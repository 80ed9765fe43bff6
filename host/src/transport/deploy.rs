//! Ships a bundle, its difference from the one that serves, or a pack: offer, chunks in a sliding window, finish, and what became of it.
//!
//! A link keeps order, so an answer to a later chunk proves that an earlier one without trace is lost: it is sent again at
//! once, without waiting for a timeout. The device says in every answer what it has, so a cut or a restart on either side
//! costs only what was under way.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tendon_shared::packet::crc32;
use tendon_shared::protocol::deploy::{
    CHUNK_BYTES, CHUNKS_AHEAD, Chunk, DeltaOffer, Digest, InstallStatus, Offer, PackOffer, Progress,
};
use tendon_shared::protocol::error::{Next, WireError};
use tendon_shared::protocol::telemetry::Subscription;
use tendon_shared::protocol::{Event, Request, Response};

use super::client::{Client, ClientError, Patience};
use super::{Link, LinkError};

/// How a bundle is shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Chunks under way at a time, 1 to 32; 1 is stop-and-wait.
    pub window: u8,
    /// How often a cut link is opened again.
    pub reconnects: u32,
    /// How long the device may check the bundle.
    pub checking: Duration,
    /// How long to wait for the trial to end; none: a begun trial is success.
    pub trial: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            window: 16,
            reconnects: 5,
            checking: Duration::from_secs(120),
            trial: None,
        }
    }
}

/// What happens, for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A session is open; the device has this many bytes already.
    Begun {
        /// Bytes that need not be sent.
        there: u32,
        /// Bytes of everything that is shipped.
        of: u32,
    },
    /// The device has this many bytes without a gap.
    Moved {
        /// Bytes.
        there: u32,
        /// Chunks sent so far, repeats counted.
        sent: u32,
    },
    /// The link was cut and is opened again.
    Reconnecting {
        /// Why.
        why: String,
    },
    /// How the installation goes.
    Install(InstallStatus),
}

/// What a delivery cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// How the installation stands.
    pub status: InstallStatus,
    /// Chunks sent, repeats counted.
    pub sent: u32,
    /// How often the link was opened.
    pub connections: u32,
}

/// What is shipped.
#[derive(Debug, Clone, Copy)]
pub enum Goods<'a> {
    /// A bundle.
    Whole {
        /// What it is offered as.
        offer: Offer,
        /// The file.
        bytes: &'a [u8],
    },
    /// The difference between the bundle that serves and another one.
    Delta {
        /// What it is offered as.
        offer: DeltaOffer,
        /// The delta.
        bytes: &'a [u8],
    },
    /// A repository in one file, of which the device chooses a bundle.
    Pack {
        /// What it is offered as.
        offer: PackOffer,
        /// The file.
        bytes: &'a [u8],
    },
}

impl<'a> Goods<'a> {
    /// Bytes that are sent.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Whole { bytes, .. } | Self::Delta { bytes, .. } | Self::Pack { bytes, .. } => {
                bytes
            }
        }
    }

    /// How many bytes are sent.
    #[must_use]
    pub const fn size(&self) -> u32 {
        match self {
            Self::Whole { offer, .. } => offer.size,
            Self::Delta { offer, .. } => offer.size,
            Self::Pack { offer, .. } => offer.size,
        }
    }

    /// What names the transfer at its end: the digest of the bundle that serves then, or of the pack.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        match self {
            Self::Whole { offer, .. } => offer.digest,
            Self::Delta { offer, .. } => offer.target.digest,
            Self::Pack { offer, .. } => offer.digest,
        }
    }

    const fn announcement(&self) -> Request<'static> {
        match self {
            Self::Whole { offer, .. } => Request::Offer(*offer),
            Self::Delta { offer, .. } => Request::OfferDelta(*offer),
            Self::Pack { offer, .. } => Request::OfferPack(*offer),
        }
    }
}

/// Ships `goods` over links that `connect` opens; `pause` is called before a link is opened again.
///
/// # Errors
/// [`ClientError`]: why the bundle is not on the device. What arrived stays there; another call goes on from it.
pub fn deliver<L: Link>(
    mut connect: impl FnMut() -> Result<L, LinkError>,
    mut pause: impl FnMut(),
    patience: Patience,
    plan: Plan,
    goods: Goods<'_>,
    on_step: &mut dyn FnMut(Step),
) -> Result<Delivered, ClientError> {
    let mut sent = 0;
    let mut connections = 0;
    loop {
        connections += 1;
        let outcome = connect()
            .map_err(ClientError::from)
            .and_then(|link| Client::open(link, patience))
            .and_then(|client| {
                let mut delivery = Delivery {
                    client,
                    plan,
                    goods,
                    progress: Progress::default(),
                    under_way: VecDeque::new(),
                    sent: &mut sent,
                    on_step,
                };
                delivery.run()
            });
        match outcome {
            Ok(status) => {
                return Ok(Delivered {
                    status,
                    sent,
                    connections,
                });
            }
            Err(error @ (ClientError::Link(_) | ClientError::NoAnswer { .. }))
                if connections <= plan.reconnects =>
            {
                on_step(Step::Reconnecting {
                    why: error.to_string(),
                });
                pause();
            }
            Err(error) => return Err(error),
        }
    }
}

struct Delivery<'a, L> {
    client: Client<L>,
    plan: Plan,
    goods: Goods<'a>,
    progress: Progress,
    /// Id and offset of chunks without an answer, oldest first.
    under_way: VecDeque<(u32, u32)>,
    sent: &'a mut u32,
    on_step: &'a mut dyn FnMut(Step),
}

impl<L: Link> Delivery<'_, L> {
    fn run(&mut self) -> Result<InstallStatus, ClientError> {
        let mut offers = self.client.patience().tries;
        let status = loop {
            let outcome = self
                .begin()
                .and_then(|()| self.transfer())
                .and_then(|()| self.finish());
            match outcome {
                // The device restarted, or lost the file: begin again from what it has.
                Err(ClientError::Device(error))
                    if matches!(error.next(), Next::OfferAgain | Next::SayHello) && offers > 1 =>
                {
                    offers -= 1;
                    if error.next() == Next::SayHello {
                        self.client.hello()?;
                    }
                }
                outcome => break outcome?,
            }
        };
        self.outcome(status)
    }

    fn begin(&mut self) -> Result<(), ClientError> {
        let changes = Subscription {
            changes: true,
            ..Subscription::default()
        };
        self.client.ask(&Request::Subscribe(changes))?;
        let Response::Progress(progress) = self.client.ask(&self.goods.announcement())? else {
            return Err(ClientError::WrongAnswer);
        };
        self.progress = progress;
        self.under_way.clear();
        (self.on_step)(Step::Begun {
            there: progress.next,
            of: self.goods.size(),
        });
        Ok(())
    }

    /// Sends chunks until the device has all.
    fn transfer(&mut self) -> Result<(), ClientError> {
        let mut silent = 0;
        while self.progress.next < self.goods.size() {
            self.fill_window()?;
            let deadline = Instant::now() + self.client.patience().reply;
            match self.client.response(deadline)? {
                Some((id, Response::Progress(progress))) => {
                    silent = 0;
                    self.answered(id, progress);
                }
                Some((id, Response::Error(error))) if self.is_under_way(id) => match error.next() {
                    Next::Resend => self.under_way.retain(|(other, _)| *other != id),
                    _ => return Err(ClientError::Device(error)),
                },
                Some(_) => {}
                None if silent + 1 < self.client.patience().tries => {
                    silent += 1;
                    self.under_way.clear();
                }
                None => {
                    return Err(ClientError::NoAnswer {
                        tries: self.client.patience().tries,
                    });
                }
            }
        }
        Ok(())
    }

    fn is_under_way(&self, id: u32) -> bool {
        self.under_way.iter().any(|(other, _)| *other == id)
    }

    fn fill_window(&mut self) -> Result<(), ClientError> {
        let chunk = CHUNK_BYTES as u32;
        let window = usize::from(self.plan.window.clamp(1, CHUNKS_AHEAD));
        let end = self.goods.size().min(
            self.progress
                .next
                .saturating_add(chunk * u32::from(CHUNKS_AHEAD)),
        );
        let mut offset = self.progress.next;
        while self.under_way.len() < window && offset < end {
            let busy = self.under_way.iter().any(|(_, other)| *other == offset);
            if !busy && !self.progress.has(offset) {
                let from = offset as usize;
                let bytes = self.goods.bytes();
                let to = bytes.len().min(from + CHUNK_BYTES);
                let data = bytes.get(from..to).unwrap_or_default();
                let id = self.client.post(&Request::Chunk(Chunk {
                    offset,
                    crc: crc32(data),
                    data,
                }))?;
                self.under_way.push_back((id, offset));
                *self.sent += 1;
            }
            offset = offset.saturating_add(chunk);
        }
        Ok(())
    }

    /// Notes what the device has; what was sent before the answered chunk and is not there is lost.
    fn answered(&mut self, id: u32, progress: Progress) {
        let moved = progress.next > self.progress.next;
        self.progress = progress;
        self.under_way.retain(|(other, offset)| {
            id.wrapping_sub(*other) as i32 <= -1 && !progress.has(*offset)
        });
        if moved {
            (self.on_step)(Step::Moved {
                there: progress.next,
                sent: *self.sent,
            });
        }
    }

    fn finish(&mut self) -> Result<InstallStatus, ClientError> {
        match self.client.ask(&Request::Finish(self.goods.digest()))? {
            Response::Install(status) => Ok(status),
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Waits until the device has checked the bundle, and for the trial's end if that is wanted.
    fn outcome(&mut self, mut status: InstallStatus) -> Result<InstallStatus, ClientError> {
        let checked_by = Instant::now() + self.plan.checking;
        let mut trial_by = None;
        loop {
            (self.on_step)(Step::Install(status));
            let deadline = match (status, self.plan.trial) {
                (InstallStatus::Rejected(error), _) => return Err(ClientError::Device(error)),
                (InstallStatus::Confirmed { .. } | InstallStatus::Kept(_), _)
                | (InstallStatus::Trial { .. }, None) => return Ok(status),
                (InstallStatus::Trial { .. }, Some(wait)) => {
                    *trial_by.get_or_insert_with(|| Instant::now() + wait)
                }
                (
                    InstallStatus::Verifying | InstallStatus::Idle | InstallStatus::Receiving(_),
                    _,
                ) => checked_by,
            };
            if Instant::now() >= deadline {
                return match status {
                    InstallStatus::Trial { .. } => Ok(status),
                    _ => Err(ClientError::Device(WireError::Busy)),
                };
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            status = match self.client.event(wait.min(self.client.patience().reply))? {
                Some(Event::Install(status)) => status,
                Some(_) => continue,
                None => match self.client.ask(&Request::InstallStatus)? {
                    Response::Install(status) => status,
                    _ => return Err(ClientError::WrongAnswer),
                },
            };
        }
    }
}
