//! What a device says, signed with the key that it made itself: read far away, by whoever holds the fleet's authority.
//!
//! A file is one JSON object with the device's name, its certificate, the statement as a text, and the signature over exactly that text.
//! Nothing of the text is looked at before the certificate and the signature are found good.

use crate::error::IdentityError;
use crate::identity::{Identity, check_name, key_pair};
use crate::tls;
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use serde::{Deserialize, Serialize};
use tendon_bundle::hex;

/// What statements are about, so that no other signed message passes for one.
const DOMAIN: &[u8] = b"tendon device statement v1\0";
/// Bytes of the longest file that is read.
pub const MAX_BYTES: usize = 64 << 10;
/// An ed25519 public key in a certificate: what stands before its 32 bytes (RFC 8410, section 4), without the outer header.
const ED25519_KEY: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The file's fields; keys and signatures in hexadecimal.
#[derive(Serialize, Deserialize)]
struct File {
    device: String,
    certificate: String,
    signature: String,
    statement: String,
}

/// A statement whose signature and certificate were found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Name of the device in its certificate.
    pub device: String,
    /// What it says.
    pub text: String,
}

/// The file with a statement of the device with this identity.
///
/// # Errors
/// [`IdentityError::Crypto`] for a damaged identity, [`IdentityError::Statement`] for a text that is too long.
pub fn sign(identity: &Identity, text: &str) -> Result<String, IdentityError> {
    let signature = key_pair(&identity.key)?.sign(&message(&identity.name, text));
    let file = File {
        device: identity.name.clone(),
        certificate: hex::encode(&identity.certificate),
        signature: hex::encode(signature.as_ref()),
        statement: text.to_owned(),
    };
    let file = serde_json::to_string_pretty(&file)
        .map_err(|error| IdentityError::Crypto(error.to_string()))?;
    if file.len() > MAX_BYTES {
        return Err(IdentityError::Statement("it is too long"));
    }
    Ok(file)
}

/// Reads a file and makes sure that a device of the fleet has signed it. `authority` is the certificate of the fleet's authority, DER.
///
/// # Errors
/// [`IdentityError::Statement`] for what is no such file; [`IdentityError::OtherFleet`] when the certificate is not of this authority, for
/// another name, or no device's; [`IdentityError::Unsigned`] when the text is not what was signed.
pub fn open(file: &[u8], authority: &[u8]) -> Result<Statement, IdentityError> {
    let malformed = || IdentityError::Statement("it is damaged or of another kind");
    if file.len() > MAX_BYTES {
        return Err(IdentityError::Statement("it is too long"));
    }
    let file: File = serde_json::from_slice(file).map_err(|_| malformed())?;
    check_name(&file.device)?;
    let certificate = hex::decode(&file.certificate).ok_or_else(malformed)?;
    let signature = hex::decode(&file.signature).ok_or_else(malformed)?;
    tls::check_certificate(&certificate, authority, &file.device)
        .map_err(|_| IdentityError::OtherFleet(file.device.clone()))?;
    let public = public(certificate).ok_or_else(malformed)?;
    UnparsedPublicKey::new(&ED25519, public)
        .verify(&message(&file.device, &file.statement), &signature)
        .map_err(|_| IdentityError::Unsigned(file.device.clone()))?;
    Ok(Statement {
        device: file.device,
        text: file.statement,
    })
}

/// The key in a certificate, if it is ed25519.
fn public(certificate: Vec<u8>) -> Option<[u8; 32]> {
    let certificate = CertificateDer::from(certificate);
    let certificate = ParsedCertificate::try_from(&certificate).ok()?;
    let info = certificate.subject_public_key_info();
    let (head, key) = info.as_ref().split_last_chunk::<32>()?;
    head.ends_with(&ED25519_KEY).then_some(*key)
}

fn message(device: &str, text: &str) -> Vec<u8> {
    [DOMAIN, device.as_bytes(), &[0], text.as_bytes()].concat()
}
