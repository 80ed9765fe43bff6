//! What all sessions share: the slots, the pipeline, the installation under way, and news.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use heapless::String;
use tendon_shared::protocol::Event;
use tendon_shared::protocol::adapt::{AdaptCommand, AdaptReport, Label, Labelled};
use tendon_shared::protocol::deploy::{CHUNKS_AHEAD, InstallStatus};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::hello::Welcome;
use tendon_shared::protocol::telemetry::{Counters, InputCounts};
use tendon_shared::slot::{SlotEvent, SlotState};
use tokio::sync::{broadcast, mpsc};

use super::{AgentError, Log, Settings, Sink, SourceCounts, WAITING_EVENTS};
use crate::install::receiver::Receiver;
use crate::install::verify::Verifier;
use crate::pipeline::{self, Handle, Output, Pipeline, Standing};
use crate::slots::storage::Storage;
use crate::slots::store::Store;
use crate::telemetry::Meter;

/// Events that a slow session may be behind until it misses some.
const NEWS: usize = 256;

/// What all sessions share.
pub struct Hub<V: Verifier, P: Pipeline<Bundle = V::Bundle>> {
    pub(super) settings: Settings,
    pub(super) verifier: V,
    pub(super) receiver: Mutex<Receiver>,
    pub(super) pipeline: Handle<P>,
    pub(super) status: Mutex<InstallStatus>,
    /// The bundle on trial.
    pub(super) trial: Mutex<Option<Arc<V::Bundle>>>,
    pub(super) meter: Meter,
    pub(super) log: Log,
    news: broadcast::Sender<Event>,
    sink: Sink,
    source_counts: SourceCounts,
    started: Instant,
}

/// What is behind these locks is whole after every statement, so a panic elsewhere does not make it unusable.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: Verifier, P: Pipeline<Bundle = V::Bundle>> Hub<V, P> {
    /// Opens the slots, counts the start, and starts the pipeline's thread.
    ///
    /// # Errors
    /// [`AgentError`].
    pub(super) fn start(
        settings: Settings,
        storage: Box<dyn Storage>,
        verifier: V,
        pipeline: P,
        sink: Sink,
        log: Log,
        source_counts: SourceCounts,
    ) -> Result<(Arc<Self>, mpsc::UnboundedReceiver<Output>), AgentError> {
        let mut store = Store::open(storage)?;
        let on_trial = store.slots().trial();
        store.boot()?;
        let meter = Meter::default();
        if on_trial.is_some() && store.slots().trial().is_none() {
            log("the bundle on trial did not survive its starts: rolled back");
            meter.rejected();
        }
        let receiver = Receiver::open(store, settings.topology, settings.sync_bytes)?;
        let (outputs, queue) = mpsc::unbounded_channel();
        let hub = Self {
            receiver: Mutex::new(receiver),
            pipeline: pipeline::spawn(pipeline, WAITING_EVENTS, outputs)?,
            status: Mutex::new(InstallStatus::Idle),
            trial: Mutex::new(None),
            meter,
            news: broadcast::channel(NEWS).0,
            started: Instant::now(),
            settings,
            verifier,
            sink,
            log,
            source_counts,
        };
        Ok((Arc::new(hub), queue))
    }

    /// The pipeline.
    pub fn pipeline(&self) -> &Handle<P> {
        &self.pipeline
    }

    /// Counters of sessions and installation.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// News from now on.
    pub fn news(&self) -> broadcast::Receiver<Event> {
        self.news.subscribe()
    }

    /// Tells an event to the sink and to all sessions.
    pub(super) fn publish(&self, event: Event) {
        (self.sink)(&event);
        // Nobody listens: that is fine.
        let _ = self.news.send(event);
    }

    /// Runs `work` on the slots, on a thread that may block.
    pub(super) async fn disk<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Receiver) -> T + Send + 'static,
    ) -> Result<T, WireError> {
        let hub = self.clone();
        tokio::task::spawn_blocking(move || work(&mut lock(&hub.receiver)))
            .await
            .map_err(|_| WireError::Storage)
    }

    /// Opens a session that speaks `version`.
    pub async fn welcome(self: &Arc<Self>, version: u8) -> Result<Welcome, WireError> {
        let (model, free_bytes) = self
            .disk(|receiver| {
                let model = receiver.store().serving().map(|(_, offer)| offer.model);
                (model, receiver.store().free_bytes().unwrap_or(0))
            })
            .await?;
        Ok(Welcome {
            version,
            device: text(&self.settings.device),
            software: text(env!("CARGO_PKG_VERSION")),
            model,
            topology: self.settings.topology,
            free_bytes,
            chunks_ahead: CHUNKS_AHEAD,
        })
    }

    /// All counters.
    pub async fn counters(self: &Arc<Self>) -> Counters {
        let mut counters = self.pipeline.count().await;
        (self.source_counts)(&mut counters, &mut InputCounts::default());
        let (boots, model) = {
            let receiver = lock(&self.receiver);
            let model = receiver
                .store()
                .serving()
                .map_or(0, |(_, offer)| offer.model);
            (receiver.store().record().boots, model)
        };
        self.meter
            .complete(&mut counters, self.started.elapsed(), boots, model);
        counters
    }

    /// See [`Pipeline::command`].
    ///
    /// # Errors
    /// Why not.
    pub async fn command(&self, command: AdaptCommand) -> Result<AdaptReport, WireError> {
        let report = self.pipeline.command(command).await?;
        if command != AdaptCommand::Report {
            self.publish(Event::Adapt(report));
        }
        Ok(report)
    }

    /// See [`Pipeline::label`].
    ///
    /// # Errors
    /// Why not.
    pub async fn label(&self, label: Label) -> Result<Labelled, WireError> {
        self.pipeline.label(label).await
    }

    /// What the input was like.
    pub async fn inputs(&self) -> InputCounts {
        let mut counts = self.pipeline.inputs().await;
        (self.source_counts)(&mut Counters::default(), &mut counts);
        counts
    }

    /// Passes what the pipeline finds on, and judges a trial by it. Ends when the pipeline does.
    pub(super) async fn listen(self: &Arc<Self>, mut outputs: mpsc::UnboundedReceiver<Output>) {
        while let Some(output) = outputs.recv().await {
            match output {
                Output::Recognition(found) => self.publish(Event::Recognition(found)),
                Output::Numbered(found) => self.publish(Event::Numbered(found)),
                Output::Adapt(report) => self.publish(Event::Adapt(report)),
                Output::Bridge(report) => self.publish(Event::Bridge(report)),
                Output::Serves(Standing::Trial) => self.begin_counting().await,
                Output::Serves(Standing::Confirmed) => {}
                Output::Window { healthy } => self.judge(healthy).await,
            }
        }
    }

    /// Stores what must survive and ends the pipeline.
    ///
    /// # Errors
    /// The slots cannot be written.
    pub(super) async fn close(self: &Arc<Self>) -> Result<(), AgentError> {
        self.pipeline.close().await;
        let stopped = self.disk(|receiver| {
            let store = receiver.store_mut();
            if store
                .slots()
                .incoming()
                .map(|side| store.slots().state(side))
                == Some(SlotState::Receiving)
            {
                // What arrived is worth keeping; the position is recorded at the next sync anyway.
                let _ = store.sync();
            }
            store.apply(SlotEvent::Stop)
        });
        match stopped.await {
            Ok(stopped) => Ok(stopped?),
            Err(_) => Err(std::io::Error::other("the slots' thread is gone").into()),
        }
    }
}

/// As much of `text` as fits.
fn text<const N: usize>(text: &str) -> String<N> {
    let mut fitting = String::new();
    for character in text.chars() {
        if fitting.push(character).is_err() {
            break;
        }
    }
    fitting
}
