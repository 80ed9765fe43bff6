//! A key, its certificate and the authority behind it, in one file that only its owner can read.

use crate::error::IdentityError;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use tendon_bundle::hex;

/// Bytes of the longest file that is read.
const MAX_BYTES: u64 = 16 * 1024;
/// Characters of the longest name.
const MAX_NAME: usize = 32;

/// Who somebody is, and the proof.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name in the certificate.
    pub name: String,
    /// The secret key, PKCS #8.
    pub(crate) key: Vec<u8>,
    /// The certificate, DER.
    pub(crate) certificate: Vec<u8>,
    /// The certificate of the authority that issued it, DER.
    pub(crate) authority: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity(of {})", self.name)
    }
}

/// The file's fields, in hexadecimal.
#[derive(Serialize, Deserialize)]
struct Text {
    name: String,
    key: String,
    certificate: String,
    authority: String,
}

impl Identity {
    /// Reads a file; one that others can read is refused.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        Self::parse(&read_private(path)?).ok_or_else(|| IdentityError::Malformed {
            path: path.to_owned(),
            what: "identity",
        })
    }

    /// Writes a file that only its owner can read.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> Result<(), IdentityError> {
        write_private(
            path,
            &Text {
                name: self.name.clone(),
                key: hex::encode(&self.key),
                certificate: hex::encode(&self.certificate),
                authority: hex::encode(&self.authority),
            },
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let text: Text = serde_json::from_str(text).ok()?;
        check_name(&text.name).ok()?;
        Some(Self {
            name: text.name,
            key: hex::decode(&text.key)?,
            certificate: hex::decode(&text.certificate)?,
            authority: hex::decode(&text.authority)?,
        })
    }
}

/// A secret key, made here and now.
///
/// # Errors
/// [`IdentityError::Crypto`] when the system gives no random numbers.
pub fn new_key() -> Result<Vec<u8>, IdentityError> {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
    let key =
        key.map_err(|_| IdentityError::Crypto("the system gives no random numbers".into()))?;
    Ok(key.as_ref().to_vec())
}

/// The two halves of a key that signs.
pub(crate) fn key_pair(pkcs8: &[u8]) -> Result<Ed25519KeyPair, IdentityError> {
    Ed25519KeyPair::from_pkcs8(pkcs8)
        .map_err(|_| IdentityError::Crypto("the secret key is damaged".into()))
}

/// The public half of a key.
pub(crate) fn public(pkcs8: &[u8]) -> Result<[u8; 32], IdentityError> {
    let pair = key_pair(pkcs8)?;
    let public = pair.public_key().as_ref().try_into();
    public.map_err(|_| IdentityError::Crypto("the key is not ed25519".into()))
}

/// Refuses names that would not do in a certificate or a file name.
///
/// # Errors
/// [`IdentityError::Name`].
pub fn check_name(name: &str) -> Result<(), IdentityError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let inside = !name.starts_with('-') && !name.ends_with('-');
    if !name.is_empty() && name.len() <= MAX_NAME && inside && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(IdentityError::Name(name.chars().take(64).collect()))
    }
}

/// Reads a small text that nobody else may read.
pub(crate) fn read_private(path: &Path) -> Result<String, IdentityError> {
    let io = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(io)?;
    let mode = tendon_files::mode(&metadata);
    if mode & 0o077 != 0 {
        return Err(IdentityError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    if metadata.len() > MAX_BYTES {
        return Err(IdentityError::Malformed {
            path: path.to_owned(),
            what: "identity: it is too long",
        });
    }
    fs::read_to_string(path).map_err(io)
}

/// Writes JSON that nobody else may read.
pub(crate) fn write_private(path: &Path, value: &impl Serialize) -> Result<(), IdentityError> {
    let io = |source| IdentityError::Io {
        path: path.to_owned(),
        source,
    };
    let text = serde_json::to_vec_pretty(value).map_err(|error| io(error.into()))?;
    tendon_files::write_private(path, &text).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_plain() {
        for name in ["kitchen", "home-7", "a"] {
            check_name(name).unwrap();
        }
        for name in [
            "",
            "Kitchen",
            "a.b",
            "../a",
            "-a",
            "a-",
            &"a".repeat(33),
            "ä",
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_never_panics(text in "\\PC{0,200}") {
            let _ = Identity::parse(&text);
            let _ = Identity::parse(&format!("{{\"name\":\"a\",\"key\":\"{text}\",\"certificate\":\"00\",\"authority\":\"00\"}}"));
        }
    }
}
