//! Whether the bytes that arrived may run: signature, digests, version, skeleton standard, golden windows.

use tendon_bundle::{Bundle, Floor, TrustedKeys, VerifiedBundle, VerifyError};
use tendon_shared::protocol::error::WireError;
use tendon_shared::topology::TopologyId;

/// Decides whether a file may run. The real one is [`Trust`]; tests of slots and sessions bring a simpler one.
pub trait Verifier: Send + Sync + 'static {
    /// A bundle that may run.
    type Bundle: Send + Sync + 'static;

    /// Checks a whole file; `floor` is the lowest model version that is accepted.
    ///
    /// # Errors
    /// What the peer is told, and the details for the device's log.
    fn verify(&self, bytes: Vec<u8>, floor: u64) -> Result<Self::Bundle, Refusal>;

    /// Model version in the signed manifest.
    fn model(&self, bundle: &Self::Bundle) -> u64;
}

/// Why a file may not run.
#[derive(Debug, thiserror::Error)]
#[error("{details}")]
pub struct Refusal {
    /// What the peer is told.
    pub wire: WireError,
    /// What the log says.
    pub details: String,
}

/// Checks bundles against trusted keys, and runs their golden windows.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whose bundles are accepted.
    pub keys: TrustedKeys,
    /// The skeleton standard of the device's pose source; any when none.
    pub topology: Option<TopologyId>,
}

impl Verifier for Trust {
    type Bundle = VerifiedBundle;

    fn verify(&self, bytes: Vec<u8>, floor: u64) -> Result<VerifiedBundle, Refusal> {
        let floor = Floor {
            version: floor,
            topology: self.topology,
        };
        let bundle = Bundle::verify(bytes, &self.keys, floor).map_err(|error| Refusal {
            wire: wire(&error),
            details: error.to_string(),
        })?;
        bundle.check_golden().map_err(|error| Refusal {
            wire: WireError::GoldenMismatch,
            details: error.to_string(),
        })?;
        Ok(bundle)
    }

    fn model(&self, bundle: &VerifiedBundle) -> u64 {
        bundle.manifest().model_version
    }
}

/// What the peer is told about a refused bundle.
fn wire(error: &VerifyError) -> WireError {
    match error {
        VerifyError::Io(_) => WireError::Storage,
        VerifyError::TooLarge { .. } => WireError::TooLarge,
        VerifyError::Truncated { .. } => WireError::Truncated,
        VerifyError::ForeignKey { .. } => WireError::ForeignKey,
        VerifyError::Tampered { .. } => WireError::Tampered,
        VerifyError::UnsupportedVersion { .. } => WireError::Incompatible,
        VerifyError::Older { found, floor } => WireError::OlderVersion {
            floor: *floor,
            offered: *found,
        },
        VerifyError::WrongTopology { .. } => WireError::WrongTopology,
        _ => WireError::NotABundle,
    }
}
