//! A TLS handshake over a line that loses packets.

use super::frame::Frame;
use super::{LineError, Sealing};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use std::sync::Arc;

/// Bytes of a handshake in one packet.
const PIECE: usize = 900;
/// Bytes that one side may say in a handshake; ours are below 2,000.
const MOST: usize = 16 * 1024;
/// What the keys are for (RFC 5705).
const LABEL: &[u8] = b"EXPORTER-tendon-line-1";

/// One side of a handshake.
#[derive(Debug)]
pub struct Shake {
    connection: Connection,
    session: u64,
    /// All that this side has said so far.
    said: Vec<u8>,
    /// How much of it the other side has.
    heard: usize,
    /// How much the other side has said.
    received: usize,
}

impl Shake {
    pub(super) fn client(
        config: Arc<ClientConfig>,
        peer: ServerName<'static>,
        session: u64,
    ) -> Result<Self, LineError> {
        Self::new(ClientConnection::new(config, peer)?.into(), session)
    }

    pub(super) fn server(config: Arc<ServerConfig>, session: u64) -> Result<Self, LineError> {
        Self::new(ServerConnection::new(config)?.into(), session)
    }

    fn new(connection: Connection, session: u64) -> Result<Self, LineError> {
        let mut shake = Self {
            connection,
            session,
            said: Vec::new(),
            heard: 0,
            received: 0,
        };
        shake.say()?;
        Ok(shake)
    }

    /// The session's number.
    #[must_use]
    pub const fn session(&self) -> u64 {
        self.session
    }

    /// What to send next, also again when nothing came back.
    #[must_use]
    pub fn next(&self) -> Frame<'_> {
        let rest = self.said.get(self.heard..).unwrap_or_default();
        Frame::Shake {
            session: self.session,
            at: self.heard as u32,
            have: self.received as u32,
            data: rest.get(..PIECE).unwrap_or(rest),
        }
    }

    /// Takes what the other side sent: its piece `data` from byte `at` on, and that it has `have` bytes. Pieces that were there and
    /// pieces after a gap say nothing.
    ///
    /// # Errors
    /// [`LineError`]: this handshake has failed; [`Self::next`] has what the other side should hear of it.
    pub fn take(&mut self, at: u32, have: u32, data: &[u8]) -> Result<(), LineError> {
        let have = (have as usize).min(self.said.len());
        self.heard = self.heard.max(have);
        let known = self.received.checked_sub(at as usize);
        let Some(mut new) = known.and_then(|known| data.get(known..)) else {
            return Ok(());
        };
        if self.received + new.len() > MOST {
            return Err(LineError::TooLong);
        }
        self.received += new.len();
        let mut outcome = Ok(());
        while !new.is_empty() && outcome.is_ok() {
            self.connection.read_tls(&mut new)?;
            outcome = self.connection.process_new_packets().map(|_| ());
        }
        self.say()?;
        Ok(outcome?)
    }

    fn say(&mut self) -> Result<(), LineError> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.said)?;
        }
        Ok(())
    }

    /// Whether both sides know who the other is, as far as this side can know.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.connection.is_handshaking() && self.heard == self.said.len()
    }

    /// What seals the session's packets.
    ///
    /// # Errors
    /// [`LineError::Unfinished`].
    pub fn sealing(&self) -> Result<Sealing, LineError> {
        if !self.is_done() {
            return Err(LineError::Unfinished);
        }
        let context = self.session.to_le_bytes();
        let keys: [u8; 64] =
            self.connection
                .export_keying_material([0; 64], LABEL, Some(&context))?;
        let (operator, device) = keys.split_at(32);
        let (seal, open) = match self.connection {
            Connection::Client(_) => (operator, device),
            Connection::Server(_) => (device, operator),
        };
        Sealing::new(self.session, seal, open).ok_or(LineError::Unfinished)
    }
}
