//! Keys and their one-line text form.

use crate::error::KeyError;
use crate::hex;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::path::Path;
use tendon_shared::manifest::SIGNATURE_DOMAIN;

const PUBLIC: &str = "tendon-public-key";
const SECRET: &str = "tendon-secret-key";
/// Bytes of the longest key file that is read: a hundred lines.
const MAX_KEY_FILE: usize = 16 * 1024;

/// The key that signs bundles. It stays on the host and is not printed by `Debug`.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

impl SecretKey {
    /// Makes a key of 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// Returns the public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Returns the text of a secret key file.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{SECRET} {}\n", hex::encode(self.0.as_bytes()))
    }

    /// Reads the text of a secret key file.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let bytes = line(text.trim(), SECRET).ok_or(KeyError::Malformed { expected: SECRET })?;
        Ok(Self::from_bytes(&bytes))
    }

    /// Returns this key's signature over the canonical form of repository metadata.
    ///
    /// The bytes are signed as they are, as TUF wants it. Canonical metadata begins with `{`, so such a signature is never one
    /// over a manifest.
    #[must_use]
    pub fn sign_metadata(&self, canonical: &[u8]) -> [u8; 64] {
        self.0.sign(canonical).to_bytes()
    }

    pub(crate) fn sign(&self, manifest: &[u8]) -> [u8; 64] {
        self.0.sign(&message(manifest)).to_bytes()
    }
}

/// The key that proves a bundle's origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl PublicKey {
    /// Returns the key with these bytes; nothing when they are no point of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes)
            .ok()
            .filter(|key| !key.is_weak())
            .map(Self)
    }

    /// Returns the key's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Returns the text of a public key file.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{PUBLIC} {self}\n")
    }

    /// Whether `signature` is this key's over the canonical form of repository metadata.
    #[must_use]
    pub fn verifies_metadata(&self, canonical: &[u8], signature: &[u8; 64]) -> bool {
        self.0
            .verify_strict(canonical, &Signature::from_bytes(signature))
            .is_ok()
    }

    /// Whether `signature` is this key's over a manifest.
    pub(crate) fn verifies(&self, manifest: &[u8], signature: &[u8; 64]) -> bool {
        self.0
            .verify_strict(&message(manifest), &Signature::from_bytes(signature))
            .is_ok()
    }
}

/// The keys whose bundles are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedKeys(Vec<PublicKey>);

impl TrustedKeys {
    /// Trusts these keys.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = PublicKey>) -> Self {
        Self(keys.into_iter().collect())
    }

    /// Reads a public key file: one key a line, empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        Self::from_text(&std::fs::read_to_string(path)?)
    }

    /// Reads the text of a public key file, see [`TrustedKeys::read`].
    ///
    /// # Errors
    /// [`KeyError::Malformed`], also when there is no key at all.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { expected: PUBLIC };
        if text.len() > MAX_KEY_FILE {
            return Err(malformed());
        }
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|text| !text.is_empty() && !text.starts_with('#'));
        let keys = lines.map(|text| {
            line(text, PUBLIC)
                .as_ref()
                .and_then(PublicKey::from_bytes)
                .ok_or_else(malformed)
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            Err(malformed())
        } else {
            Ok(Self(keys))
        }
    }

    /// Whether `key` is trusted.
    #[must_use]
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.0.contains(key)
    }

    /// Returns the trusted keys.
    #[must_use]
    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }
}

/// Returns the bytes in a line `<kind> <hexadecimal>`.
fn line(text: &str, kind: &str) -> Option<[u8; 32]> {
    hex::decode_array(text.strip_prefix(kind)?.strip_prefix(' ')?)
}

fn message(manifest: &[u8]) -> Vec<u8> {
    [SIGNATURE_DOMAIN, manifest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_text() {
        let key = SecretKey::from_bytes(&[7; 32]);
        let again = SecretKey::from_text(&key.to_text()).unwrap();
        assert_eq!(again.public(), key.public());
        let text = format!("# the factory\n\n{}", key.public().to_text());
        assert_eq!(
            TrustedKeys::from_text(&text).unwrap(),
            TrustedKeys::new([key.public()])
        );
        assert!(!format!("{key:?}").contains(&hex::encode(&[7; 32])));
    }

    #[test]
    fn other_text_is_no_key() {
        let key = SecretKey::from_bytes(&[7; 32]);
        for text in [
            "",
            "tendon-public-key",
            "tendon-public-key 00",
            &key.to_text(),
            "# nothing",
        ] {
            assert!(TrustedKeys::from_text(text).is_err(), "{text}");
        }
        assert!(SecretKey::from_text(&key.public().to_text()).is_err());
        let weak = format!("{PUBLIC} {}", hex::encode(&[0; 32]));
        assert!(
            TrustedKeys::from_text(&weak).is_err(),
            "a key of small order verifies anything"
        );
    }
}
