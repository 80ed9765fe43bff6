//! Keys of roles, and how many of them have signed.

use crate::json::{Json, Members};
use std::collections::{BTreeMap, BTreeSet};
use tendon_bundle::{PublicKey, hex};

/// Keys that one role may have.
const MAX_KEYS: usize = 32;

/// A public key as metadata states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Kind of key, such as `ed25519`.
    pub kind: String,
    /// How it signs, such as `ed25519`.
    pub scheme: String,
    /// The public half: hexadecimal for ed25519, PEM for others.
    pub public: String,
}

impl Key {
    /// The metadata of an ed25519 key.
    #[must_use]
    pub fn ed25519(key: &PublicKey) -> Self {
        Self {
            kind: "ed25519".into(),
            scheme: "ed25519".into(),
            public: key.to_string(),
        }
    }

    /// The ed25519 key that this is, if it is one.
    #[must_use]
    pub fn as_ed25519(&self) -> Option<PublicKey> {
        if self.kind != "ed25519" || self.scheme != "ed25519" {
            return None;
        }
        PublicKey::from_bytes(&hex::decode_array(&self.public)?)
    }

    /// As it stands in metadata.
    #[must_use]
    pub fn json(&self) -> Json {
        Json::object([
            ("keytype", self.kind.as_str().into()),
            ("scheme", self.scheme.as_str().into()),
            (
                "keyval",
                Json::object([("public", self.public.as_str().into())]),
            ),
        ])
    }

    /// The SHA-256 of the canonical form, in hexadecimal: the name by which metadata refers to the key.
    #[must_use]
    pub fn id(&self) -> String {
        use sha2::Digest as _;
        hex::encode(&sha2::Sha256::digest(self.json().canonical()))
    }

    fn read(value: &Json) -> Option<Self> {
        let text = |value: &Json, name: &str| value.get(name)?.as_text().map(str::to_owned);
        Some(Self {
            kind: text(value, "keytype")?,
            scheme: text(value, "scheme")?,
            public: text(value.get("keyval")?, "public")?,
        })
    }
}

/// Keys by their names.
pub type Keyring = BTreeMap<String, Key>;

/// Which keys may sign for a role, and how many must.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Names of keys.
    pub keys: Vec<String>,
    /// How many of them must sign; at least one.
    pub threshold: u64,
}

impl Quorum {
    /// As it stands in metadata.
    #[must_use]
    pub fn json(&self) -> Json {
        Json::object([
            (
                "keyids",
                Json::List(self.keys.iter().map(|key| key.as_str().into()).collect()),
            ),
            ("threshold", self.threshold.into()),
        ])
    }

    pub(crate) fn read(value: &Json) -> Result<Self, String> {
        let keys = value
            .get("keyids")
            .and_then(Json::list)
            .ok_or("a role has no list of keyids")?;
        if keys.len() > MAX_KEYS {
            return Err(format!("a role has more than {MAX_KEYS} keys"));
        }
        let keys = keys.iter().map(|key| key.as_text().map(str::to_owned));
        let keys: Vec<_> = keys
            .collect::<Option<_>>()
            .ok_or("a keyid of a role is no text")?;
        if keys.iter().collect::<BTreeSet<_>>().len() < keys.len() {
            return Err("a role lists a key twice".into());
        }
        let threshold = value
            .get("threshold")
            .and_then(Json::as_count)
            .filter(|threshold| *threshold > 0)
            .ok_or("a role has no threshold of at least 1")?;
        Ok(Self { keys, threshold })
    }

    /// The public halves of the role's keys.
    pub(crate) fn publics<'a>(&'a self, ring: &'a Keyring) -> impl Iterator<Item = &'a str> {
        self.keys
            .iter()
            .filter_map(|key| ring.get(key).map(|key| key.public.as_str()))
    }

    /// Counts the keys of this role that have signed `message`. A key under two names counts once.
    #[must_use]
    pub fn count(
        &self,
        ring: &Keyring,
        message: &[u8],
        signatures: &[Signature],
        check: &dyn Signatures,
    ) -> usize {
        let mut valid = BTreeSet::new();
        for signature in signatures {
            if let Some(key) = ring.get(&signature.key)
                && self.keys.contains(&signature.key)
                && check.verify(key, message, &signature.bytes)
            {
                valid.insert(key.public.as_str());
            }
        }
        valid.len()
    }
}

pub(crate) fn read_ring(keys: &Members) -> Result<Keyring, String> {
    keys.iter()
        .map(|(id, key)| {
            let read = Key::read(key).ok_or_else(|| format!("key {id:.16} is incomplete"))?;
            Ok((id.clone(), read))
        })
        .collect()
}

/// A signature, and the name of the key that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub key: String,
    /// The signature; empty when it is no hexadecimal text, so that it counts for nothing.
    pub bytes: Vec<u8>,
}

/// Decides whether a signature is a key's. Devices use [`Ed25519`].
pub trait Signatures {
    /// Whether `signature` over `message` is the key's. A kind of key that is not known has no valid signatures.
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> bool;
}

/// Ed25519 alone, with keys of small order refused.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ed25519;

impl Signatures for Ed25519 {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = signature.try_into() else {
            return false;
        };
        key.as_ed25519()
            .is_some_and(|key| key.verifies_metadata(message, signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_bundle::testing::secret_key;

    #[test]
    fn a_key_counts_once_under_however_many_names() {
        let (one, two) = (secret_key(1), secret_key(2));
        let (first, second) = (Key::ed25519(&one.public()), Key::ed25519(&two.public()));
        let ring: Keyring = [
            ("a".to_owned(), first.clone()),
            ("b".to_owned(), first),
            ("c".to_owned(), second),
        ]
        .into();
        let quorum = Quorum {
            keys: vec!["a".into(), "b".into(), "c".into()],
            threshold: 2,
        };
        let message = b"{}";
        let by = |name: &str, key: &tendon_bundle::SecretKey| Signature {
            key: name.into(),
            bytes: key.sign_metadata(message).to_vec(),
        };
        let count = |signatures: &[Signature]| quorum.count(&ring, message, signatures, &Ed25519);
        assert_eq!(count(&[by("a", &one), by("b", &one)]), 1);
        assert_eq!(count(&[by("a", &one), by("c", &two)]), 2);
        assert_eq!(count(&[by("c", &one), by("d", &two)]), 0);
    }

    #[test]
    fn names_are_digests_of_the_canonical_key() {
        // From securesystemslib 1.4: SSlibKey("", "ed25519", "ed25519", {"public": "00" * 32}), SHA-256 of its canonical form.
        let key = Key {
            kind: "ed25519".into(),
            scheme: "ed25519".into(),
            public: "00".repeat(32),
        };
        assert_eq!(
            String::from_utf8(key.json().canonical()).unwrap(),
            format!(
                r#"{{"keytype":"ed25519","keyval":{{"public":"{}"}},"scheme":"ed25519"}}"#,
                "00".repeat(32)
            )
        );
        assert_eq!(key.id().len(), 64);
        assert_eq!(key.as_ed25519(), None, "a key of small order is no key");
    }
}
