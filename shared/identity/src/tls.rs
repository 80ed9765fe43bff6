//! Mutual TLS 1.3 between operators and devices of one fleet.

use crate::error::IdentityError;
use crate::identity::{Identity, check_name};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;

/// A name that every device of a fleet has.
pub(crate) const ANY_DEVICE: &str = "device.tendon";
/// Where certificates are judged, in seconds after 1970: the year 2000. They are good from 1975 to 4096, and a board's clock may say
/// anything.
const JUDGED_AT: u64 = 946_684_800;

/// The name of one device in its certificate.
pub(crate) fn device_name(name: &str) -> String {
    format!("{name}.{ANY_DEVICE}")
}

/// A clock that stands still.
#[derive(Debug)]
struct Still;

impl TimeProvider for Still {
    fn current_time(&self) -> Option<UnixTime> {
        Some(still())
    }
}

const fn still() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(JUDGED_AT))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn roots(authority: &[u8]) -> Result<Arc<RootCertStore>, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec()))?;
    Ok(Arc::new(roots))
}

fn chain(identity: &Identity) -> Vec<CertificateDer<'static>> {
    vec![CertificateDer::from(identity.certificate.clone())]
}

/// A device's side: only operators of its fleet get through.
///
/// # Errors
/// [`IdentityError::Tls`].
pub fn server(identity: &Identity) -> Result<Arc<ServerConfig>, IdentityError> {
    let operators =
        WebPkiClientVerifier::builder_with_provider(roots(&identity.authority)?, provider())
            .build()
            .map_err(|error| IdentityError::Crypto(error.to_string()))?;
    let config = ServerConfig::builder_with_details(provider(), Arc::new(Still))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(operators)
        .with_single_cert(
            chain(identity),
            PrivatePkcs8KeyDer::from(identity.key.clone()).into(),
        )?;
    Ok(Arc::new(config))
}

/// An operator's side.
///
/// # Errors
/// [`IdentityError::Tls`].
pub fn client(identity: &Identity) -> Result<Arc<ClientConfig>, IdentityError> {
    let config = ClientConfig::builder_with_details(provider(), Arc::new(Still))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots(&identity.authority)?)
        .with_client_auth_cert(
            chain(identity),
            PrivatePkcs8KeyDer::from(identity.key.clone()).into(),
        )?;
    Ok(Arc::new(config))
}

/// Whom an operator wants to reach: the device of this name, or any of the fleet.
///
/// # Errors
/// [`IdentityError::Name`].
pub fn peer(device: Option<&str>) -> Result<ServerName<'static>, IdentityError> {
    let name = match device {
        Some(device) => {
            check_name(device)?;
            device_name(device)
        }
        None => ANY_DEVICE.to_owned(),
    };
    ServerName::try_from(name).map_err(|error| IdentityError::Crypto(error.to_string()))
}

/// Makes sure that a device's identity is complete: the key is the certificate's, and the authority has issued it for this name.
pub(crate) fn check_device(identity: &Identity) -> Result<(), IdentityError> {
    server(identity).map_err(|_| IdentityError::Foreign)?;
    check_certificate(&identity.certificate, &identity.authority, &identity.name)
}

/// Makes sure that the authority has issued a certificate for the device of this name.
pub(crate) fn check_certificate(
    certificate: &[u8],
    authority: &[u8],
    name: &str,
) -> Result<(), IdentityError> {
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider())
        .build()
        .map_err(|error| IdentityError::Crypto(error.to_string()))?;
    let name = peer(Some(name))?;
    let certificate = CertificateDer::from(certificate.to_vec());
    verifier
        .verify_server_cert(&certificate, &[], &name, &[], still())
        .map(|_| ())
        .map_err(|_| IdentityError::Foreign)
}
