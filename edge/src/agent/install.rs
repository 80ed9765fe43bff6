//! From the last chunk to a confirmed bundle, or back to the one before.

use std::sync::Arc;

use tendon_shared::protocol::Event;
use tendon_shared::protocol::deploy::{Chunk, DeltaOffer, Digest, InstallStatus, Offer, Progress};
use tendon_shared::protocol::error::WireError;
use tendon_shared::slot::{SlotEvent, SlotState};

use super::AgentError;
use super::hub::{Hub, lock};
use crate::install::receiver::Pack;
use crate::install::verify::{Refusal, Verifier};
use crate::pipeline::{Pipeline, Standing};

impl<V: Verifier, P: Pipeline<Bundle = V::Bundle>> Hub<V, P> {
    /// Serves what is installed; called once at start. A bundle that no longer verifies is given up for the one before it,
    /// and a transfer that was complete before the crash is checked now.
    ///
    /// # Errors
    /// The slots cannot be written.
    pub(super) async fn serve_installed(self: &Arc<Self>) -> Result<(), AgentError> {
        let installed = match self.serve_current().await {
            Ok(Some(model)) if lock(&self.receiver).store().slots().trial().is_none() => {
                InstallStatus::Confirmed { model }
            }
            Ok(_) => InstallStatus::Idle,
            Err(error) => InstallStatus::Rejected(error),
        };
        self.set_status(installed);
        let complete = {
            let receiver = lock(&self.receiver);
            let slots = receiver.store().slots();
            let pack = receiver.waiting_pack();
            let pack = pack.filter(|_| self.settings.packs.is_some() && slots.trial().is_none());
            let incoming = slots
                .incoming()
                .and_then(|side| receiver.store().record().content(side));
            let incoming = incoming.filter(|offer| {
                receiver
                    .progress()
                    .is_some_and(|there| there.next == offer.size)
            });
            let pack = pack.map(|pack| pack.digest);
            pack.or(incoming.map(|offer| offer.digest))
        };
        if let Some(digest) = complete {
            // A refusal is in the status and in the log.
            let _ = self.finish(digest).await;
        }
        Ok(())
    }

    /// Verifies what the slots say should serve and hands it to the pipeline; rolls back while that fails and something is
    /// left. Returns the model version that serves.
    async fn serve_current(self: &Arc<Self>) -> Result<Option<u64>, WireError> {
        loop {
            let Some((side, offer)) = self.disk(|receiver| receiver.store().serving()).await?
            else {
                self.pipeline.clear().await;
                return Ok(None);
            };
            let trial = lock(&self.receiver).store().slots().trial() == Some(side);
            let standing = if trial {
                Standing::Trial
            } else {
                Standing::Confirmed
            };
            let bytes = self
                .disk(move |receiver| receiver.store().read(side))
                .await?;
            let served = match bytes {
                Ok(bytes) => self.serve(bytes, 0, offer, standing).await,
                Err(error) => Err(Refusal {
                    wire: WireError::Storage,
                    details: format!("{error}: {:?}", std::error::Error::source(&error)),
                }),
            };
            let Err(refusal) = served else {
                return Ok(Some(offer.model));
            };
            (self.log)(&format!("the installed bundle cannot serve: {refusal}"));
            self.meter.rejected();
            let rolled_back = self
                .disk(|receiver| receiver.store_mut().apply(SlotEvent::RollBack))
                .await?;
            if rolled_back.is_err() {
                self.pipeline.clear().await;
                return Err(refusal.wire);
            }
        }
    }

    /// Verifies bytes and hands the bundle to the pipeline.
    async fn serve(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        floor: u64,
        offer: Offer,
        standing: Standing,
    ) -> Result<(), Refusal> {
        let bundle = self.verify(bytes, floor, offer).await?;
        self.switch(bundle, standing).await
    }

    async fn verify(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        floor: u64,
        offer: Offer,
    ) -> Result<Arc<V::Bundle>, Refusal> {
        let hub = self.clone();
        let verified = tokio::task::spawn_blocking(move || hub.verifier.verify(bytes, floor)).await;
        let bundle = verified.unwrap_or_else(|error| {
            Err(Refusal {
                wire: WireError::NotABundle,
                details: error.to_string(),
            })
        })?;
        // The offer decided about the floor, so it must not claim another version than was signed.
        if self.verifier.model(&bundle) != offer.model {
            return Err(Refusal {
                wire: WireError::Tampered,
                details: "the offer claimed another model version than the manifest".into(),
            });
        }
        Ok(Arc::new(bundle))
    }

    async fn switch(&self, bundle: Arc<V::Bundle>, standing: Standing) -> Result<(), Refusal> {
        *lock(&self.trial) = (standing == Standing::Trial).then(|| bundle.clone());
        self.pipeline
            .switch(bundle, standing)
            .await
            .map_err(|wire| Refusal {
                wire,
                details: format!("the pipeline refuses it: {wire}"),
            })
    }

    /// Answers an offer.
    ///
    /// # Errors
    /// Why the bundle is not wanted.
    pub async fn offer(self: &Arc<Self>, offer: Offer) -> Result<Progress, WireError> {
        if *lock(&self.status) == InstallStatus::Verifying {
            return Err(WireError::Busy);
        }
        let progress = self.disk(move |receiver| receiver.offer(offer)).await??;
        if progress.next < offer.size {
            self.set_status(InstallStatus::Receiving(progress));
        }
        Ok(progress)
    }

    /// Answers the offer of a difference.
    ///
    /// # Errors
    /// Why it is not wanted.
    pub async fn offer_delta(self: &Arc<Self>, offer: DeltaOffer) -> Result<Progress, WireError> {
        if *lock(&self.status) == InstallStatus::Verifying {
            return Err(WireError::Busy);
        }
        let progress = self
            .disk(move |receiver| receiver.offer_delta(offer))
            .await??;
        if progress.next < offer.size {
            self.set_status(InstallStatus::Receiving(progress));
        }
        Ok(progress)
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// Why not.
    pub async fn chunk(self: &Arc<Self>, chunk: Chunk<'_>) -> Result<Progress, WireError> {
        let (offset, crc, data) = (chunk.offset, chunk.crc, chunk.data.to_vec());
        let taken = self.disk(move |receiver| {
            receiver.chunk(Chunk {
                offset,
                crc,
                data: &data,
            })
        });
        let progress = taken.await??;
        let mut status = lock(&self.status);
        // A late repeat of a chunk, while the file is being checked already, changes nothing.
        if *status != InstallStatus::Verifying {
            *status = InstallStatus::Receiving(progress);
        }
        Ok(progress)
    }

    /// All chunks were sent: checks the file and begins the trial, both after this answer.
    ///
    /// # Errors
    /// Why not.
    pub async fn finish(self: &Arc<Self>, digest: Digest) -> Result<InstallStatus, WireError> {
        // Repeated while the first one is at work, or after it: the status says how it went.
        if *lock(&self.status) == InstallStatus::Verifying {
            return Ok(InstallStatus::Verifying);
        }
        let pack = self.disk(move |receiver| receiver.finish_pack(digest));
        let digest = match pack.await? {
            Ok(Some(Pack::Arrived(pack))) => {
                self.set_status(InstallStatus::Verifying);
                let hub = self.clone();
                tokio::spawn(async move { hub.open_pack(pack).await });
                return Ok(InstallStatus::Verifying);
            }
            Ok(Some(Pack::Taken(bundle))) => bundle,
            Ok(None) => digest,
            Err(error) => {
                if error == WireError::DigestMismatch {
                    self.reject(error, "the received pack is not the offered one");
                }
                return Err(error);
            }
        };
        let received = self.disk(move |receiver| {
            let bytes = receiver.finish(digest);
            // A difference fills its slot only now.
            let slots = receiver.store().slots();
            let offer = slots
                .incoming()
                .and_then(|side| receiver.store().record().content(side));
            bytes.map(|bytes| bytes.zip(offer))
        });
        match received.await? {
            Ok(None) => Ok(self.status()),
            Ok(Some((bytes, offer))) => {
                self.set_status(InstallStatus::Verifying);
                let hub = self.clone();
                tokio::spawn(async move { hub.try_out(bytes, offer).await });
                Ok(InstallStatus::Verifying)
            }
            Err(WireError::NoTransfer)
                if matches!(
                    self.status(),
                    InstallStatus::Rejected(_) | InstallStatus::Kept(_)
                ) =>
            {
                Ok(self.status())
            }
            Err(error) => {
                if error == WireError::DigestMismatch {
                    self.reject(error, "the received file is not the offered one");
                }
                Err(error)
            }
        }
    }

    /// Checks a received file and begins its trial.
    pub(super) async fn try_out(self: Arc<Self>, bytes: Vec<u8>, offer: Offer) {
        let floor = lock(&self.receiver).store().record().floor;
        let bundle = match self.verify(bytes, floor, offer).await {
            Ok(bundle) => bundle,
            Err(refusal) => {
                if let Ok(Err(error)) | Err(error) = self.disk(|receiver| receiver.refuse()).await {
                    (self.log)(&format!("cannot store the refusal: {error}"));
                }
                return self.reject(refusal.wire, &refusal.details);
            }
        };
        // In the record first, so that a crash by the new bundle is counted.
        match self.disk(|receiver| receiver.begin_trial()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) | Err(error) => {
                return self.reject(error, "the slots cannot be written");
            }
        }
        if let Err(refusal) = self.switch(bundle, Standing::Trial).await {
            self.fail_trial(refusal.wire, &refusal.details).await;
        }
    }

    /// The pipeline serves the bundle on trial from now on.
    pub(super) async fn begin_counting(self: &Arc<Self>) {
        let model = lock(&self.receiver)
            .store()
            .serving()
            .map_or(0, |(_, offer)| offer.model);
        let needed = self.settings.trial_windows;
        self.set_status(InstallStatus::Trial {
            model,
            healthy: 0,
            needed,
        });
        if needed == 0 {
            self.confirm(model).await;
        }
    }

    /// Counts a window towards the trial, if there is one.
    pub(super) async fn judge(self: &Arc<Self>, healthy: bool) {
        let InstallStatus::Trial {
            model,
            healthy: before,
            needed,
        } = self.status()
        else {
            return;
        };
        if !healthy {
            return self
                .fail_trial(
                    WireError::TrialFailed,
                    "a window of the trial did not go well, or its answers have nothing to do with those before",
                )
                .await;
        }
        let healthy = before + 1;
        if healthy < needed {
            *lock(&self.status) = InstallStatus::Trial {
                model,
                healthy,
                needed,
            };
        } else {
            self.confirm(model).await;
        }
    }

    async fn confirm(self: &Arc<Self>, model: u64) {
        let stored = self
            .disk(|receiver| receiver.store_mut().apply(SlotEvent::Confirm))
            .await;
        if !matches!(stored, Ok(Ok(()))) {
            // The trial goes on; the next window tries again.
            return (self.log)(
                "the confirmation cannot be stored; trying again with the next window",
            );
        }
        let bundle = lock(&self.trial).take();
        if let Some(bundle) = bundle
            && let Err(refusal) = self.switch(bundle, Standing::Confirmed).await
        {
            (self.log)(&format!("after confirmation: {refusal}"));
        }
        self.set_status(InstallStatus::Confirmed { model });
    }

    async fn fail_trial(self: &Arc<Self>, error: WireError, details: &str) {
        let stored = self
            .disk(|receiver| receiver.store_mut().apply(SlotEvent::RollBack))
            .await;
        if !matches!(stored, Ok(Ok(()))) {
            (self.log)("the roll-back cannot be stored");
        }
        if let Err(error) = self.serve_current().await {
            (self.log)(&format!("nothing to go back to: {error}"));
        }
        self.reject(error, details);
    }

    /// An operator wants the bundle before the confirmed one, or a trial to end.
    ///
    /// # Errors
    /// [`WireError::NothingToUndo`]: there is no bundle to go back to.
    pub async fn roll_back(self: &Arc<Self>) -> Result<InstallStatus, WireError> {
        let before = self
            .disk(|receiver| {
                let before = receiver.store().slots();
                receiver
                    .store_mut()
                    .apply(SlotEvent::RollBack)
                    .map(|()| before)
                    .map_err(|_| WireError::NothingToUndo)
            })
            .await??;
        let ended = before
            .serving()
            .map_or(SlotState::Empty, |side| before.state(side));
        (self.log)(&format!(
            "an operator rolled back a bundle that was {ended:?}"
        ));
        let status = match self.serve_current().await? {
            Some(model) => InstallStatus::Confirmed { model },
            None => InstallStatus::Idle,
        };
        self.set_status(status);
        Ok(status)
    }

    /// How the installation goes.
    pub fn status(&self) -> InstallStatus {
        *lock(&self.status)
    }

    pub(super) fn set_status(&self, status: InstallStatus) {
        let before = std::mem::replace(&mut *lock(&self.status), status);
        if before != status {
            self.publish(Event::Install(status));
        }
    }

    pub(super) fn reject(&self, error: WireError, details: &str) {
        (self.log)(&format!("refused: {details}"));
        self.meter.rejected();
        self.set_status(InstallStatus::Rejected(error));
    }
}
