//! The authority of a fleet: a folder with its key and the tokens it gave out, for its owner's eyes only.

use crate::error::IdentityError;
use crate::identity::{Identity, check_name, new_key, public, read_private, write_private};
use crate::tls::{ANY_DEVICE, device_name};
use crate::token::{Reply, Request, Token};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SignatureAlgorithm,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use tendon_bundle::hex;

/// The authority's own identity, in its folder.
const FILE: &str = "authority.json";

/// A token that was given out.
#[derive(Serialize, Deserialize)]
struct Issued {
    secret: String,
    /// Seconds after 1970.
    expires: u64,
    used: bool,
}

/// A fleet's authority.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    identity: Identity,
}

/// A public key that is to be certified.
struct Public([u8; 32]);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

impl Authority {
    /// Makes the authority of a new fleet.
    ///
    /// # Errors
    /// [`IdentityError::Exists`], [`IdentityError::Name`] and the disk's.
    pub fn init(folder: &Path, fleet: &str) -> Result<Self, IdentityError> {
        check_name(fleet)?;
        let path = folder.join(FILE);
        if path.exists() {
            return Err(IdentityError::Exists(path));
        }
        let key = new_key()?;
        let certificate = params(fleet).self_signed(&pair(&key)?);
        let certificate = certificate.map_err(crypto)?.der().to_vec();
        let identity = Identity {
            name: fleet.to_owned(),
            key,
            certificate: certificate.clone(),
            authority: certificate,
        };
        identity.write(&path)?;
        Ok(Self {
            folder: folder.to_owned(),
            identity,
        })
    }

    /// The authority in a folder.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(folder: &Path) -> Result<Self, IdentityError> {
        Ok(Self {
            folder: folder.to_owned(),
            identity: Identity::read(&folder.join(FILE))?,
        })
    }

    /// The authority's certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.identity.certificate
    }

    /// Gives out a one-time token for a device, good until `expires` (seconds after 1970). An earlier one for that name counts no more.
    ///
    /// # Errors
    /// [`IdentityError::Name`] and the disk's.
    pub fn token(
        &self,
        device: &str,
        secret: [u8; 16],
        expires: u64,
    ) -> Result<Token, IdentityError> {
        check_name(device)?;
        let issued = Issued {
            secret: hex::encode(&secret),
            expires,
            used: false,
        };
        write_private(&self.issued(device), &issued)?;
        Ok(Token::new(device, secret, &self.identity.authority))
    }

    /// Admits a device whose request was made with its token, once. `now` in seconds after 1970.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn admit(&self, request: &Request, now: u64) -> Result<Reply, IdentityError> {
        let device = &request.device;
        check_name(device)?;
        let path = self.issued(device);
        if !path.exists() {
            return Err(IdentityError::NoToken(device.clone()));
        }
        let malformed = || IdentityError::Malformed {
            path: path.clone(),
            what: "token; make a new one",
        };
        let mut issued: Issued =
            serde_json::from_str(&read_private(&path)?).map_err(|_| malformed())?;
        let public = request.verify(&hex::decode(&issued.secret).ok_or_else(malformed)?)?;
        if issued.used {
            return Err(IdentityError::Used(device.clone()));
        }
        if now >= issued.expires {
            return Err(IdentityError::Late(device.clone()));
        }
        let names = vec![device_name(device), ANY_DEVICE.to_owned()];
        let certificate =
            self.certify(device, names, ExtendedKeyUsagePurpose::ServerAuth, public)?;
        // Used before anybody has the reply: a crash costs a token, never a second device.
        issued.used = true;
        write_private(&path, &issued)?;
        Ok(Reply {
            certificate: hex::encode(&certificate),
            authority: hex::encode(&self.identity.authority),
        })
    }

    /// Makes the identity of an operator.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn operator(&self, name: &str) -> Result<Identity, IdentityError> {
        check_name(name)?;
        let key = new_key()?;
        let names = vec![format!("{name}.operator.tendon")];
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        Ok(Identity {
            name: name.to_owned(),
            certificate: self.certify(name, names, usage, public(&key)?)?,
            key,
            authority: self.identity.authority.clone(),
        })
    }

    fn certify(
        &self,
        name: &str,
        names: Vec<String>,
        usage: ExtendedKeyUsagePurpose,
        public: [u8; 32],
    ) -> Result<Vec<u8>, IdentityError> {
        let mut params = CertificateParams::new(names).map_err(crypto)?;
        params.distinguished_name = called(name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let issuer = Issuer::new(self::params(&self.identity.name), pair(&self.identity.key)?);
        let certificate = params.signed_by(&Public(public), &issuer);
        Ok(certificate.map_err(crypto)?.der().to_vec())
    }

    fn issued(&self, device: &str) -> PathBuf {
        self.folder.join("tokens").join(format!("{device}.json"))
    }

    /// Names of the devices that were given tokens, and whether they have used them.
    ///
    /// # Errors
    /// The disk's.
    pub fn devices(&self) -> Result<Vec<(String, bool)>, IdentityError> {
        let folder = self.folder.join("tokens");
        let mut devices = Vec::new();
        let Ok(entries) = fs::read_dir(&folder) else {
            return Ok(devices);
        };
        for entry in entries {
            let path = entry
                .map_err(|source| IdentityError::Io {
                    path: folder.clone(),
                    source,
                })?
                .path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            if check_name(&name).is_ok()
                && let Ok(issued) = serde_json::from_str::<Issued>(&read_private(&path)?)
            {
                devices.push((name.into_owned(), issued.used));
            }
        }
        devices.sort();
        Ok(devices)
    }
}

/// What the authority's own certificate says; issuing needs its name again.
fn params(fleet: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(&format!("Tendon fleet {fleet}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

fn pair(pkcs8: &[u8]) -> Result<KeyPair, IdentityError> {
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8), &PKCS_ED25519)
        .map_err(crypto)
}

fn crypto(error: rcgen::Error) -> IdentityError {
    IdentityError::Crypto(error.to_string())
}
