//! The way of an update.

use super::deliver::{DeliverError, Delivered, Installer};
use crate::install::verify::{Refusal, Verifier};
use sha2::{Digest as _, Sha256};
use std::io;
use tendon_bundle::MAX_BUNDLE_BYTES;
use tendon_shared::protocol::deploy::{Digest, Offer};
use tendon_shared::topology::TopologyId;
use tendon_trust::TrustError;
use tendon_trust::client::{Client, Clock, Limits};
use tendon_trust::floors::Keeper;
use tendon_trust::keys::Ed25519;
use tendon_trust::offers::{Needs, newest};
use tendon_trust::source::Source;
use tendon_trust::store::Store;

/// What an update needs to know beside the repository.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The root file that the device was given.
    pub factory_root: &'a [u8],
    /// The skeleton standard of the pose source; any, when none.
    pub topology: Option<TopologyId>,
    /// What is known of the time.
    pub clock: Clock,
}

/// How an update ended, if nothing was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The repository is believed and offers nothing that this device can run.
    NothingOffered,
    /// What it offers serves already, or is older than what was confirmed.
    NothingNewer {
        /// Model version that is offered.
        offered: u64,
        /// The lowest that is taken.
        floor: u64,
    },
    /// The bundle is good, but without the time nobody knows whether the repository is current: it was not installed. Set the
    /// clock and update again.
    Verified {
        /// Its model version.
        model: u64,
    },
    /// The bundle was given to the installer.
    Staged {
        /// Its model version.
        model: u64,
        /// Where it went.
        to: Delivered,
    },
}

/// Why an update came to nothing. What serves goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The repository is not believed.
    #[error("the repository is refused")]
    Trust(#[from] TrustError),
    /// The bundle's own signature, content or golden windows are wrong, although the repository offers it.
    #[error("the repository is signed, but its bundle is refused: {0}")]
    Bundle(Refusal),
    /// The list says something else about the bundle than the bundle itself.
    #[error(
        "the list says model version {listed}, the bundle {found}; add the bundle to the list again"
    )]
    Mislabelled {
        /// What the list says.
        listed: u64,
        /// What the bundle says.
        found: u64,
    },
    /// The bundle was not delivered.
    #[error("the bundle was not installed")]
    Deliver(#[from] DeliverError),
}

impl From<io::Error> for UpdateError {
    fn from(error: io::Error) -> Self {
        Self::Trust(error.into())
    }
}

/// Refreshes what is trusted, and gives the newest bundle that this device can run to the installer.
///
/// Floors are read before and again after, so that neither a torn file nor a disk that forgets lets an old repository in.
///
/// # Errors
/// [`UpdateError`].
pub fn update<V: Verifier>(
    store: &mut dyn Store,
    source: &mut dyn Source,
    installer: &mut dyn Installer,
    verifier: &V,
    terms: Terms<'_>,
) -> Result<Outcome, UpdateError> {
    let keeper = Keeper::open(store)?;
    let limits = Limits::default();
    let mut client = Client::new(keeper, source, &Ed25519, limits, terms.clock);
    let trusted = client.refresh(terms.factory_root)?;
    client.keeper_mut().raise_bundle(installer.floor())?;
    let floor = client.keeper().floors().bundle;

    let needs = Needs {
        topology: terms.topology,
        engine: tendon_engine::format::VERSION.into(),
        preprocessing: tendon_shared::normalize::PREPROCESSING_VERSION.into(),
    };
    let Some(offered) = newest(&trusted.targets.body, needs) else {
        return Ok(Outcome::NothingOffered);
    };
    let nothing_newer = Outcome::NothingNewer {
        offered: offered.model,
        floor,
    };
    if offered.model < floor {
        return Ok(nothing_newer);
    }
    if let Some(serving) = installer.serving()
        && serving.model == offered.model
        && offered.target.hashes.name() == Some(&tendon_bundle::hex::encode(&serving.digest.0))
    {
        return Ok(nothing_newer);
    }

    let bytes = client.download(&trusted, &offered.name, &offered.target, MAX_BUNDLE_BYTES)?;
    let bundle = verifier
        .verify(bytes.clone(), floor)
        .map_err(UpdateError::Bundle)?;
    let found = verifier.model(&bundle);
    if found != offered.model {
        return Err(UpdateError::Mislabelled {
            listed: offered.model,
            found,
        });
    }
    drop(bundle);
    client.keeper().audit()?;
    if terms.clock == Clock::Unset {
        return Ok(Outcome::Verified { model: found });
    }
    let offer = Offer {
        digest: Digest(Sha256::digest(&bytes).into()),
        // Bounded by MAX_BUNDLE_BYTES.
        size: bytes.len() as u32,
        model: found,
        topology: offered.topology,
    };
    let to = installer.take(offer, &bytes)?;
    Ok(Outcome::Staged { model: found, to })
}
