//! Asks a device and waits for its answers; repeats what got lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tendon_shared::packet::{Decoder, PACKET_BYTES, PacketError};
use tendon_shared::protocol::error::{Next, WireError};
use tendon_shared::protocol::hello::{Hello, VersionRange, Welcome};
use tendon_shared::protocol::{Envelope, Event, Message, Request, Response};

use super::{Link, LinkError};

/// Events that are kept until somebody asks for them; beyond, the oldest is forgotten.
const EVENTS: usize = 1024;

/// Bytes received at a time.
const RECEIVE_BYTES: usize = 16 << 10;

/// How long to wait, and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long an answer may take.
    pub reply: Duration,
    /// How often a request is sent until the device counts as gone.
    pub tries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            reply: Duration::from_secs(2),
            tries: 5,
        }
    }
}

/// Why the device did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The link is of no use any more.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Nothing came back.
    #[error(
        "the device did not answer, though asked {tries} times: is it on, is tendon-edge running, is the speed right?"
    )]
    NoAnswer {
        /// How often it was asked.
        tries: u32,
    },
    /// The device says why not.
    #[error("{0}")]
    Device(WireError),
    /// The device answered something else than was asked.
    #[error("the device gave an answer of another kind: update the older side")]
    WrongAnswer,
    /// A message is too large; a mistake of this program.
    #[error("a message does not fit into a packet")]
    Packet(#[from] PacketError),
}

/// What a device sends.
#[expect(
    clippy::large_enum_variant,
    reason = "it lives as long as a call returns"
)]
enum Incoming {
    Response(u32, Response),
    Event(Event),
}

/// A session with a device.
pub struct Client<L> {
    link: L,
    decoder: Decoder,
    patience: Patience,
    last_id: u32,
    welcome: Option<Welcome>,
    /// Received bytes that were not decoded yet.
    pending: VecDeque<u8>,
    events: VecDeque<Event>,
}

impl<L: Link> Client<L> {
    /// Opens a session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn open(link: L, patience: Patience) -> Result<Self, ClientError> {
        let mut client = Self {
            link,
            decoder: Decoder::new(),
            patience,
            last_id: 0,
            welcome: None,
            pending: VecDeque::new(),
            events: VecDeque::new(),
        };
        client.hello()?;
        Ok(client)
    }

    /// How the device introduced itself.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// How long this client waits.
    pub fn patience(&self) -> Patience {
        self.patience
    }

    /// Opens the session, also again after the device restarted.
    pub(super) fn hello(&mut self) -> Result<(), ClientError> {
        let hello = Hello {
            versions: VersionRange::OURS,
            software: env!("CARGO_PKG_VERSION").try_into().unwrap_or_default(),
        };
        match self.try_ask(&Request::Hello(hello))? {
            Response::Welcome(welcome) => {
                self.welcome = Some(welcome);
                Ok(())
            }
            _ => Err(ClientError::WrongAnswer),
        }
    }

    /// Asks and returns the answer; repeats the request when it or its answer got lost, and opens the session again when the
    /// device restarted.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask(&mut self, request: &Request<'_>) -> Result<Response, ClientError> {
        match self.try_ask(request) {
            Err(ClientError::Device(error)) if error.next() == Next::SayHello => {
                self.hello()?;
                self.try_ask(request)
            }
            answer => answer,
        }
    }

    fn try_ask(&mut self, request: &Request<'_>) -> Result<Response, ClientError> {
        self.last_id = self.last_id.wrapping_add(1);
        let asked = self.last_id;
        let mut unread = None;
        for _ in 0..self.patience.tries {
            self.send(asked, request)?;
            let deadline = Instant::now() + self.patience.reply;
            while let Some((id, response)) = self.response(deadline)? {
                match response {
                    _ if id != asked => {}
                    Response::Error(error) if error.next() == Next::Resend => {
                        unread = Some(error);
                        break;
                    }
                    Response::Error(error) => return Err(ClientError::Device(error)),
                    response => return Ok(response),
                }
            }
        }
        // A device that answers and cannot read what it is asked is of another version, not gone.
        Err(unread.map_or(
            ClientError::NoAnswer {
                tries: self.patience.tries,
            },
            ClientError::Device,
        ))
    }

    /// Sends a request under a new id and returns the id, without waiting for an answer.
    pub(super) fn post(&mut self, request: &Request<'_>) -> Result<u32, ClientError> {
        self.last_id = self.last_id.wrapping_add(1);
        self.send(self.last_id, request)?;
        Ok(self.last_id)
    }

    fn send(&mut self, id: u32, request: &Request<'_>) -> Result<(), ClientError> {
        let mut packet = [0; PACKET_BYTES];
        let envelope = Envelope::new(id, Message::Request(request.clone()));
        let length = envelope.encode(&mut packet)?;
        Ok(self.link.send(packet.get(..length).unwrap_or_default())?)
    }

    /// The next response; none when none came until `deadline`. Events on the way are kept.
    pub(super) fn response(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<(u32, Response)>, ClientError> {
        loop {
            match self.incoming(deadline)? {
                Some(Incoming::Response(id, response)) => return Ok(Some((id, response))),
                Some(Incoming::Event(event)) => {
                    if self.events.len() == EVENTS {
                        self.events.pop_front();
                    }
                    self.events.push_back(event);
                }
                None => return Ok(None),
            }
        }
    }

    /// The next event; none when none came within `timeout`.
    ///
    /// # Errors
    /// The link is of no use any more.
    pub fn event(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        let deadline = Instant::now() + timeout;
        loop {
            match self.incoming(deadline)? {
                Some(Incoming::Event(event)) => return Ok(Some(event)),
                // A late answer to what was answered already is of no use to anybody.
                Some(Incoming::Response(..)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next message; none when none came until `deadline`. What is broken counts as lost: time tells.
    fn incoming(&mut self, deadline: Instant) -> Result<Option<Incoming>, ClientError> {
        loop {
            while let Some(byte) = self.pending.pop_front() {
                let Some(Ok(payload)) = self.decoder.push(byte) else {
                    continue;
                };
                match Envelope::decode(payload) {
                    Ok(Envelope {
                        id,
                        message: Message::Response(response),
                        ..
                    }) => return Ok(Some(Incoming::Response(id, response))),
                    Ok(Envelope {
                        message: Message::Event(event),
                        ..
                    }) => return Ok(Some(Incoming::Event(event))),
                    Ok(_) | Err(_) => {}
                }
            }
            if !self.fill(deadline)? {
                return Ok(None);
            }
        }
    }

    /// Receives more bytes; false when none came until `deadline`.
    fn fill(&mut self, deadline: Instant) -> Result<bool, ClientError> {
        let mut buffer = [0; RECEIVE_BYTES];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let length = self.link.receive(&mut buffer, left)?;
            if length > 0 {
                self.pending
                    .extend(buffer.get(..length).unwrap_or_default());
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }
}
