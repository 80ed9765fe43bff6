//! A pack that came over a link: the update that `tendon-edge update` makes, with the same client, floors and clock rule. The bundle
//! in it then goes the way of a bundle that was shipped.

use std::error::Error;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use tendon_shared::protocol::deploy::{Digest, InstallStatus, Kept, Offer, PackOffer, Progress};
use tendon_shared::protocol::error::{PackRole, WireError};
use tendon_trust::TrustError;
use tendon_trust::archive::Archive;
use tendon_trust::client::Clock;
use tendon_trust::metadata::Role;

use super::hub::{Hub, lock};
use crate::install::verify::{Refusal, Verifier};
use crate::pipeline::Pipeline;
use crate::update::course::{Outcome, Terms, UpdateError, update};
use crate::update::deliver::{DeliverError, Delivered, Installer};
use crate::update::keep::{self, Vault};
use crate::update::note;

/// Bytes of a pack read at a time; its headers have 512.
const READ_BYTES: usize = 4 << 10;

/// What packs are judged by.
#[derive(Clone)]
pub struct Packs {
    /// The repository's root file that the device was given.
    pub root: Arc<[u8]>,
    /// Opens the trusted files and floors for one update.
    pub vault: Arc<dyn Fn() -> io::Result<Vault> + Send + Sync>,
    /// Tells what is known of the time.
    pub clock: Arc<dyn Fn() -> Clock + Send + Sync>,
}

impl std::fmt::Debug for Packs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packs(root of {} bytes)", self.root.len())
    }
}

/// What an update found in a pack.
enum Found {
    /// A bundle that is to be installed.
    Bundle(Offer, Vec<u8>),
    /// Nothing to install; the bundle it leads to, if that one serves.
    Nothing(Kept, Option<Digest>),
}

impl<V: Verifier, P: Pipeline<Bundle = V::Bundle>> Hub<V, P> {
    /// Answers the offer of a pack.
    ///
    /// # Errors
    /// Why it is not wanted.
    pub async fn offer_pack(self: &Arc<Self>, offer: PackOffer) -> Result<Progress, WireError> {
        if self.settings.packs.is_none() {
            return Err(WireError::NoRoot);
        }
        if self.status() == InstallStatus::Verifying {
            // The very pack that is being looked at need not be sent, and its end can be waited for.
            let there = self.disk(move |receiver| receiver.has_pack(offer));
            return there.await?.ok_or(WireError::Busy);
        }
        let progress = self
            .disk(move |receiver| receiver.offer_pack(offer))
            .await??;
        if progress.next < offer.size {
            self.set_status(InstallStatus::Receiving(progress));
        }
        Ok(progress)
    }

    /// Updates from a pack that is all there, and begins the trial of what it leads to.
    pub(super) async fn open_pack(self: Arc<Self>, pack: PackOffer) {
        let hub = self.clone();
        let found = tokio::task::spawn_blocking(move || hub.update_from(pack)).await;
        let found = found.unwrap_or_else(|error| Err(refusal(WireError::PackRefused, &error)));
        match found {
            Ok(Found::Bundle(offer, bytes)) => self.take_out(pack, offer, bytes).await,
            Ok(Found::Nothing(why, serving)) => {
                (self.log)(&why.to_string());
                // Without the time the pack stays, so that it need not be sent again.
                if !matches!(why, Kept::ClockUnset { .. }) {
                    self.settle(pack, serving).await;
                }
                self.set_status(InstallStatus::Kept(why));
            }
            Err(refusal) => {
                // What is wrong with the disk says nothing about the pack.
                if !matches!(refusal.wire, WireError::Storage | WireError::Busy) {
                    self.settle(pack, None).await;
                }
                self.reject(refusal.wire, &refusal.details);
            }
        }
    }

    /// The bundle goes into its slot, and from there the way of every bundle.
    async fn take_out(self: Arc<Self>, pack: PackOffer, offer: Offer, bytes: Vec<u8>) {
        let placed = self.disk(move |receiver| {
            receiver.place(offer, &bytes)?;
            receiver.settle_pack(pack.digest, Some(offer.digest))?;
            receiver.finish(offer.digest)
        });
        match placed.await {
            Ok(Ok(Some(bytes))) => self.try_out(bytes, offer).await,
            Ok(Ok(None)) => self.set_status(InstallStatus::Confirmed { model: offer.model }),
            Ok(Err(error)) | Err(error) => {
                self.reject(error, "the pack's bundle cannot be put into its slot");
            }
        }
    }

    async fn settle(self: &Arc<Self>, pack: PackOffer, bundle: Option<Digest>) {
        let settled = self.disk(move |receiver| receiver.settle_pack(pack.digest, bundle));
        if !matches!(settled.await, Ok(Ok(()))) {
            (self.log)("the pack cannot be removed; it is looked at again at the next start");
        }
    }

    /// The update itself, on a thread that may block. What it came to is kept for reports.
    fn update_from(self: Arc<Self>, pack: PackOffer) -> Result<Found, Refusal> {
        let Some(packs) = self.settings.packs.clone() else {
            return Err(refusal(WireError::NoRoot, &WireError::NoRoot));
        };
        let mut vault = (packs.vault)().map_err(|error| {
            let busy = error.kind() == io::ErrorKind::WouldBlock;
            let wire = if busy {
                WireError::Busy
            } else {
                WireError::Storage
            };
            refusal(wire, &error)
        })?;
        let clock = (packs.clock)();
        let found = self.look_into(pack, &packs, &mut vault, clock);
        let said = match &found {
            Ok(Found::Bundle(offer, _)) => {
                format!("model version {} was taken out of a pack", offer.model)
            }
            Ok(Found::Nothing(why, _)) => why.to_string(),
            Err(refusal) => refusal.details.clone(),
        };
        if let Err(error) = note::write(vault.storage(), clock, found.is_ok(), &said) {
            (self.log)(&format!("what became of the pack is not kept: {error}"));
        }
        found
    }

    /// What the repository in a pack leads to.
    fn look_into(
        self: &Arc<Self>,
        pack: PackOffer,
        packs: &Packs,
        vault: &mut Vault,
        clock: Clock,
    ) -> Result<Found, Refusal> {
        let file = BufReader::with_capacity(READ_BYTES, PackFile::new(self.clone(), pack.size));
        let mut archive =
            Archive::new(file).map_err(|error| refusal(WireError::NotAPack, &error))?;
        let mut outlet = {
            let receiver = lock(&self.receiver);
            Outlet {
                serving: receiver.store().serving().map(|(_, offer)| offer),
                floor: receiver.store().record().floor,
                taken: None,
            }
        };
        let terms = Terms {
            factory_root: &packs.root,
            topology: self.settings.topology,
            clock,
        };
        let mut kept = keep::Kept(vault.storage());
        let outcome = update(&mut kept, &mut archive, &mut outlet, &self.verifier, terms)
            .map_err(|error| refusal(wire(&error), &error))?;
        Ok(match (outcome, outlet.taken) {
            (Outcome::Verified { model }, _) => Found::Nothing(Kept::ClockUnset { model }, None),
            (Outcome::NothingNewer { offered, floor }, _) => {
                let serving = outlet.serving.filter(|serving| serving.model == offered);
                let serving = serving.map(|serving| serving.digest);
                Found::Nothing(Kept::NothingNewer { offered, floor }, serving)
            }
            (Outcome::Staged { .. }, Some((offer, bytes))) => Found::Bundle(offer, bytes),
            (Outcome::NothingOffered | Outcome::Staged { .. }, _) => {
                Found::Nothing(Kept::NothingOffered, None)
            }
        })
    }
}

/// Holds the bundle that an update gives.
struct Outlet {
    serving: Option<Offer>,
    floor: u64,
    taken: Option<(Offer, Vec<u8>)>,
}

impl Installer for Outlet {
    fn serving(&self) -> Option<Offer> {
        self.serving
    }

    fn floor(&self) -> u64 {
        self.floor
    }

    fn take(&mut self, offer: Offer, bytes: &[u8]) -> Result<Delivered, DeliverError> {
        self.taken = Some((offer, bytes.to_vec()));
        Ok(Delivered::Slots)
    }
}

/// The received file. The slots are locked for one read at a time only.
struct PackFile<V: Verifier, P: Pipeline<Bundle = V::Bundle>> {
    hub: Arc<Hub<V, P>>,
    size: u64,
    position: u64,
}

impl<V: Verifier, P: Pipeline<Bundle = V::Bundle>> PackFile<V, P> {
    fn new(hub: Arc<Hub<V, P>>, size: u32) -> Self {
        Self {
            hub,
            size: size.into(),
            position: 0,
        }
    }
}

impl<V: Verifier, P: Pipeline<Bundle = V::Bundle>> Read for PackFile<V, P> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = lock(&self.hub.receiver).read_pack(self.position, buffer)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl<V: Verifier, P: Pipeline<Bundle = V::Bundle>> Seek for PackFile<V, P> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// An error with all that lies under it, for the log.
fn refusal(wire: WireError, error: &dyn Error) -> Refusal {
    Refusal {
        wire,
        details: note::chain(error),
    }
}

/// What the peer is told about a refused pack.
fn wire(error: &UpdateError) -> WireError {
    match error {
        UpdateError::Trust(error) => trust(error),
        UpdateError::Bundle(refusal) => refusal.wire,
        UpdateError::Deliver(DeliverError::Refused(error)) => *error,
        UpdateError::Mislabelled { .. } | UpdateError::Deliver(_) => WireError::PackRefused,
    }
}

fn trust(error: &TrustError) -> WireError {
    match error {
        TrustError::Unsigned { role, .. } => WireError::Unsigned { role: name(*role) },
        TrustError::RolledBack { role, floor, found } => WireError::RolledBack {
            role: name(*role),
            floor: *floor,
            found: *found,
        },
        TrustError::Expired { file, .. } => {
            let role = Role::ALL
                .into_iter()
                .find(|role| file.ends_with(role.file()));
            role.map_or(WireError::PackRefused, |role| WireError::Expired {
                role: name(role),
            })
        }
        TrustError::Store(_) | TrustError::FloorLost { .. } => WireError::Storage,
        _ => WireError::PackRefused,
    }
}

const fn name(role: Role) -> PackRole {
    match role {
        Role::Root => PackRole::Root,
        Role::Timestamp => PackRole::Timestamp,
        Role::Snapshot => PackRole::Snapshot,
        Role::Targets => PackRole::Targets,
    }
}
