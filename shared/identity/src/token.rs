//! How a device comes into a fleet: a one-time token, a request made with it, and the reply.
//!
//! The token is a secret that the operator carries to the device by other means, and the beginning of the digest of the authority's
//! certificate. The device makes its key, and proves in its request that it holds the token and the key; from the token it
//! knows that the reply is its own fleet's.

use crate::error::IdentityError;
use crate::identity::{
    Identity, check_name, key_pair, new_key, public, read_private, write_private,
};
use crate::tls;
use ring::signature::{ED25519, UnparsedPublicKey};
use ring::{digest, hmac};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use tendon_bundle::hex;

/// What requests are about, so that no other signed or authenticated message passes for one.
const DOMAIN: &[u8] = b"tendon enrolment v1\0";
/// Bytes of a token's secret, and of the digest in it.
const BYTES: usize = 16;

/// A token, as it is typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Name that the device will have.
    pub device: String,
    pub(crate) secret: [u8; BYTES],
    pub(crate) authority: [u8; BYTES],
}

impl Token {
    /// A token for a device of the authority with this certificate.
    #[must_use]
    pub fn new(device: &str, secret: [u8; BYTES], authority: &[u8]) -> Self {
        Self {
            device: device.to_owned(),
            secret,
            authority: fingerprint(authority),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(for {})", self.device)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secret, authority) = (hex::encode(&self.secret), hex::encode(&self.authority));
        write!(f, "{}.{secret}.{authority}", self.device)
    }
}

impl FromStr for Token {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let mut parts = text.trim().split('.');
        let (Some(device), Some(secret), Some(authority), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(IdentityError::Token);
        };
        check_name(device)?;
        Ok(Self {
            device: device.to_owned(),
            secret: hex::decode_array(secret).ok_or(IdentityError::Token)?,
            authority: hex::decode_array(authority).ok_or(IdentityError::Token)?,
        })
    }
}

/// What a device asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Name of the device, as in the token.
    pub device: String,
    /// The public key that it made, in hexadecimal.
    pub public: String,
    /// Proof that it holds the token.
    code: String,
    /// Proof that it holds the key.
    signature: String,
}

impl Request {
    fn new(token: &Token, key: &[u8]) -> Result<Self, IdentityError> {
        let public = public(key)?;
        let message = message(&token.device, &public);
        let code = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &token.secret), &message);
        Ok(Self {
            device: token.device.clone(),
            public: hex::encode(&public),
            code: hex::encode(code.as_ref()),
            signature: hex::encode(key_pair(key)?.sign(&message).as_ref()),
        })
    }

    /// Reads a request's text.
    ///
    /// # Errors
    /// [`IdentityError::Forged`] also for what is no request.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        serde_json::from_str(text).map_err(|_| IdentityError::Forged("a device".into()))
    }

    /// The request's text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The public key, if the request was made with this secret and by who holds the key.
    ///
    /// # Errors
    /// [`IdentityError::Forged`].
    pub fn verify(&self, secret: &[u8]) -> Result<[u8; 32], IdentityError> {
        let checked = || {
            let public: [u8; 32] = hex::decode_array(&self.public)?;
            let message = message(&self.device, &public);
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            hmac::verify(&key, &message, &hex::decode(&self.code)?).ok()?;
            UnparsedPublicKey::new(&ED25519, public)
                .verify(&message, &hex::decode(&self.signature)?)
                .ok()?;
            Some(public)
        };
        checked().ok_or_else(|| IdentityError::Forged(self.device.chars().take(32).collect()))
    }
}

/// What the authority answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The device's certificate, DER in hexadecimal.
    pub certificate: String,
    /// The authority's certificate, DER in hexadecimal.
    pub authority: String,
}

impl Reply {
    /// Reads a reply's text.
    ///
    /// # Errors
    /// [`IdentityError::Foreign`] for what is no reply.
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        serde_json::from_str(text).map_err(|_| IdentityError::Foreign)
    }

    /// The reply's text.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

/// What a device keeps between its request and the reply.
#[derive(Serialize, Deserialize)]
struct Pending {
    token: String,
    key: String,
}

/// On the device: makes a key, keeps it in `pending`, and returns the request. The same token again gives the same request, so
/// that a lost file can be written again.
///
/// # Errors
/// [`IdentityError`].
pub fn begin(token: &Token, pending: &Path) -> Result<Request, IdentityError> {
    if pending.exists() {
        let (earlier, key) = read_pending(pending)?;
        if earlier == *token {
            return Request::new(token, &key);
        }
    }
    let key = new_key()?;
    let request = Request::new(token, &key)?;
    write_private(
        pending,
        &Pending {
            token: token.to_string(),
            key: hex::encode(&key),
        },
    )?;
    Ok(request)
}

/// On the device: the identity that a reply gives to the key in `pending`.
///
/// # Errors
/// [`IdentityError::Foreign`] unless it is signed by the authority in the token, for this device and this key.
pub fn complete(reply: &Reply, pending: &Path) -> Result<Identity, IdentityError> {
    let (token, key) = read_pending(pending)?;
    let foreign = || IdentityError::Foreign;
    let identity = Identity {
        name: token.device.clone(),
        key,
        certificate: hex::decode(&reply.certificate).ok_or_else(foreign)?,
        authority: hex::decode(&reply.authority).ok_or_else(foreign)?,
    };
    if fingerprint(&identity.authority) != token.authority {
        return Err(foreign());
    }
    tls::check_device(&identity)?;
    Ok(identity)
}

fn read_pending(path: &Path) -> Result<(Token, Vec<u8>), IdentityError> {
    let malformed = || IdentityError::Malformed {
        path: path.to_owned(),
        what: "request under way; remove it and enrol again",
    };
    let pending: Pending = serde_json::from_str(&read_private(path)?).map_err(|_| malformed())?;
    let token = pending.token.parse().map_err(|_| malformed())?;
    let key = hex::decode(&pending.key).ok_or_else(malformed)?;
    Ok((token, key))
}

fn message(device: &str, public: &[u8; 32]) -> Vec<u8> {
    [DOMAIN, device.as_bytes(), &[0], public].concat()
}

/// The beginning of the digest of a certificate.
pub(crate) fn fingerprint(certificate: &[u8]) -> [u8; BYTES] {
    let digest = digest::digest(&digest::SHA256, certificate);
    std::array::from_fn(|index| digest.as_ref()[index])
}
