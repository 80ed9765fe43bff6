//! The kinds of keys that the suite uses: ed25519 as on devices, and ECDSA and RSA by `ring`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use tendon_trust::keys::{Ed25519, Key, Signatures};

/// Bytes of an uncompressed point on P-256.
const POINT: usize = 65;

/// Every kind of key that the TUF specification names.
#[derive(Clone, Copy, Debug)]
pub struct All;

impl Signatures for All {
    fn verify(&self, key: &Key, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, public): (&'static dyn VerificationAlgorithm, _) =
            match (key.kind.as_str(), key.scheme.as_str()) {
                ("ed25519", "ed25519") => return Ed25519.verify(key, message, signature),
                ("ecdsa" | "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256") => (
                    &signature::ECDSA_P256_SHA256_ASN1,
                    bit_string(&key.public).filter(|point| point.len() == POINT),
                ),
                ("rsa", "rsassa-pss-sha256") => (
                    &signature::RSA_PSS_2048_8192_SHA256,
                    bit_string(&key.public),
                ),
                _ => return false,
            };
        public.is_some_and(|public| {
            UnparsedPublicKey::new(algorithm, public)
                .verify(message, signature)
                .is_ok()
        })
    }
}

/// The key in a PEM text: `SEQUENCE { SEQUENCE algorithm, BIT STRING key }`.
fn bit_string(pem: &str) -> Option<Vec<u8>> {
    let text: String = pem
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let der = STANDARD.decode(text).ok()?;
    let (outer, _) = element(&der, 0x30)?;
    let (_, rest) = element(outer, 0x30)?;
    let (bits, _) = element(rest, 0x03)?;
    bits.strip_prefix(&[0]).map(<[u8]>::to_vec)
}

/// The content of the first DER element, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 | 0x82 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short - 0x80))?;
            let length = digits
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    (first == tag).then(|| rest.split_at_checked(length))?
}
