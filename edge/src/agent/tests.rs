//! The agent with a simulated disk, verifier and pipeline, talked to over a simulated wire.

mod cuts;
mod packs;

use super::*;
use crate::install::verify::Refusal;
use crate::pipeline::{Idle, Output, Standing};
use crate::slots::fragile::Fragile;
use crate::transport::Wire;
use sha2::{Digest as _, Sha256};
use std::sync::Mutex;
use tendon_shared::packet::{Decoder, PACKET_BYTES, crc32};
use tendon_shared::protocol::adapt::{AdaptCommand, AdaptReport, Label, Labelled};
use tendon_shared::protocol::capture::Capture;
use tendon_shared::protocol::deploy::{
    CHUNK_BYTES, Chunk, DeltaOffer, Digest, InstallStatus, Offer,
};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::hello::{Hello, VersionRange};
use tendon_shared::protocol::telemetry::{Counters, InputCounts, Subscription};
use tendon_shared::protocol::{Envelope, Message, Request, Response};
use tendon_trust::client::Clock;
use tendon_trust::testing::NOW;
use tokio::sync::oneshot;

const GOOD: u8 = 0;
const FORGED: u8 = 1;
const NOT_SERVABLE: u8 = 2;

const FILE_BYTES: usize = 3 * CHUNK_BYTES + 11;
const PADDING: u8 = 9;

/// The file of a pretended bundle: model version, what is wrong with it, padding.
fn bundle(model: u64, flaw: u8) -> (Offer, Vec<u8>) {
    let mut bytes = model.to_le_bytes().to_vec();
    bytes.push(flaw);
    bytes.resize(FILE_BYTES, PADDING);
    let offer = Offer {
        digest: Digest(Sha256::digest(&bytes).into()),
        size: bytes.len() as u32,
        model,
        topology: TopologyId::Kinect20,
    };
    (offer, bytes)
}

struct Pretended;

impl Verifier for Pretended {
    type Bundle = (u64, u8);

    fn verify(&self, bytes: Vec<u8>, floor: u64) -> Result<(u64, u8), Refusal> {
        let refuse = |wire| Refusal {
            wire,
            details: "pretended".into(),
        };
        let model = bytes.first_chunk().map(|model| u64::from_le_bytes(*model));
        match (model, bytes.get(8)) {
            (Some(model), _) if model < floor => Err(refuse(WireError::OlderVersion {
                floor,
                offered: model,
            })),
            // Half a file, or one with a wrong byte, is never a bundle.
            _ if bytes.len() != FILE_BYTES || bytes.iter().skip(9).any(|byte| *byte != PADDING) => {
                Err(refuse(WireError::Tampered))
            }
            (Some(_), Some(&FORGED)) => Err(refuse(WireError::ForeignKey)),
            (Some(model), Some(&flaw)) => Ok((model, flaw)),
            _ => Err(refuse(WireError::Truncated)),
        }
    }

    fn model(&self, bundle: &(u64, u8)) -> u64 {
        bundle.0
    }
}

/// Every event is a window; an event at time 13 is one that does not go well.
#[derive(Default)]
struct Windows {
    serving: Arc<Mutex<Option<(u64, Standing)>>>,
    taken: u64,
}

struct Window(bool);

impl From<Capture> for Window {
    fn from(capture: Capture) -> Self {
        Self(!matches!(capture, Capture::End { time_ms: 13, .. }))
    }
}

impl Pipeline for Windows {
    type Bundle = (u64, u8);
    type Event = Window;

    fn switch(&mut self, bundle: Arc<(u64, u8)>, standing: Standing) -> Result<(), WireError> {
        if bundle.1 == NOT_SERVABLE {
            return Err(WireError::Incompatible);
        }
        *self.serving.lock().unwrap() = Some((bundle.0, standing));
        Ok(())
    }

    fn clear(&mut self) {
        *self.serving.lock().unwrap() = None;
    }

    fn take(&mut self, event: Window, output: &mut dyn FnMut(Output)) {
        self.taken += 1;
        output(Output::Window { healthy: event.0 });
    }

    fn idle(&mut self, _: &mut dyn FnMut(Output)) -> Idle {
        Idle::Nothing
    }

    fn command(&mut self, _: AdaptCommand) -> Result<AdaptReport, WireError> {
        Err(WireError::NothingToUndo)
    }

    fn label(&mut self, _: &Label) -> Result<Labelled, WireError> {
        Ok(Labelled::Off)
    }

    fn count(&self, counters: &mut Counters) {
        counters.windows = self.taken;
    }

    fn inputs(&self, counts: &mut InputCounts) {
        counts.named = self.taken;
    }

    fn close(&mut self) {}
}

/// A running agent and a host that talks to it.
struct Bench {
    hub: Arc<Hub<Pretended, Windows>>,
    serving: Arc<Mutex<Option<(u64, Standing)>>>,
    wire: Wire,
    decoder: Decoder,
    id: u32,
}

impl Bench {
    async fn start(storage: &Fragile) -> Self {
        Self::start_with(storage, Some(packs::judged(storage, Clock::Set(NOW)))).await
    }

    async fn start_with(storage: &Fragile, packs: Option<Packs>) -> Self {
        let pipeline = Windows::default();
        let serving = pipeline.serving.clone();
        let settings = Settings {
            device: "bench".into(),
            topology: Some(TopologyId::Kinect20),
            trial_windows: 3,
            sync_bytes: 2048,
            packs,
        };
        let (hub, outputs) = Hub::start(
            settings,
            Box::new(storage.clone()),
            Pretended,
            pipeline,
            Arc::new(|_| {}),
            Arc::new(|_| {}),
            Arc::new(|_, _| {}),
        )
        .unwrap();
        hub.serve_installed().await.unwrap();
        let listener = hub.clone();
        tokio::spawn(async move { listener.listen(outputs).await });
        let (wire, far) = Wire::pair();
        tokio::spawn(session::serve(far, hub.clone()));
        let mut bench = Self {
            hub,
            serving,
            wire,
            decoder: Decoder::new(),
            id: 0,
        };
        let hello = Hello {
            versions: VersionRange::OURS,
            software: Default::default(),
        };
        bench.ask(Request::Hello(hello)).await.unwrap();
        let all = Subscription {
            recognitions: true,
            changes: true,
            counters_every_ms: 0,
        };
        bench.ask(Request::Subscribe(all)).await.unwrap();
        bench
    }

    async fn send(&mut self, message: Message<'_>) {
        self.id += 1;
        let mut out = [0; PACKET_BYTES];
        let length = Envelope::new(self.id, message).encode(&mut out).unwrap();
        self.wire
            .outgoing
            .send(out[..length].to_vec())
            .await
            .unwrap();
    }

    /// The next message for which `wanted` has an answer.
    async fn receive<T>(&mut self, mut wanted: impl FnMut(u32, Message<'_>) -> Option<T>) -> T {
        loop {
            for byte in self.wire.incoming.recv().await.unwrap() {
                if let Some(Ok(payload)) = self.decoder.push(byte) {
                    let envelope = Envelope::decode(payload).unwrap();
                    if let Some(found) = wanted(envelope.id, envelope.message) {
                        return found;
                    }
                }
            }
        }
    }

    async fn ask(&mut self, request: Request<'_>) -> Result<Response, WireError> {
        self.send(Message::Request(request)).await;
        let asked = self.id;
        self.receive(|id, message| match message {
            Message::Response(Response::Error(error)) if id == asked => Some(Err(error)),
            Message::Response(response) if id == asked => Some(Ok(response)),
            _ => None,
        })
        .await
    }

    /// Sends a whole bundle and waits until its trial begins or it is rejected.
    async fn deploy(
        &mut self,
        (offer, bytes): (Offer, Vec<u8>),
    ) -> Result<InstallStatus, WireError> {
        let answer = self.ask(Request::Offer(offer)).await?;
        self.finish(answer, &bytes, offer.digest).await
    }

    /// Sends a delta and waits until the trial of what it leads to begins or it is rejected.
    async fn deploy_delta(
        &mut self,
        offer: DeltaOffer,
        delta: &[u8],
    ) -> Result<InstallStatus, WireError> {
        let answer = self.ask(Request::OfferDelta(offer)).await?;
        self.finish(answer, delta, offer.target.digest).await
    }

    /// Sends a pack and waits until the trial of its bundle begins, or what else becomes of it.
    async fn deploy_pack(&mut self, bytes: &[u8]) -> Result<InstallStatus, WireError> {
        let offer = packs::offer(bytes);
        let answer = self.ask(Request::OfferPack(offer)).await?;
        self.finish(answer, bytes, offer.digest).await
    }

    async fn finish(
        &mut self,
        mut answer: Response,
        bytes: &[u8],
        digest: Digest,
    ) -> Result<InstallStatus, WireError> {
        while let Response::Progress(progress) = answer
            && (progress.next as usize) < bytes.len()
        {
            let at = progress.next as usize;
            let data = &bytes[at..bytes.len().min(at + CHUNK_BYTES)];
            answer = self
                .ask(Request::Chunk(Chunk {
                    offset: progress.next,
                    crc: crc32(data),
                    data,
                }))
                .await?;
        }
        self.ask(Request::Finish(digest)).await?;
        self.outcome().await
    }

    async fn outcome(&mut self) -> Result<InstallStatus, WireError> {
        loop {
            match self.ask(Request::InstallStatus).await? {
                Response::Install(InstallStatus::Rejected(error)) => return Err(error),
                Response::Install(InstallStatus::Verifying) => tokio::task::yield_now().await,
                Response::Install(status) => return Ok(status),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Plays windows and waits until the installation stands as expected.
    async fn windows(&mut self, healthy: &[bool], expect: InstallStatus) {
        for healthy in healthy {
            let time_ms = if *healthy { 1 } else { 13 };
            let end = Capture::End { track: 1, time_ms };
            self.send(Message::Event(Event::Capture(end))).await;
        }
        for _ in 0..20_000 {
            if self.hub.status() == expect {
                return;
            }
            self.hub.pipeline().count().await;
        }
        assert_eq!(self.hub.status(), expect);
    }

    fn serving(&self) -> Option<(u64, Standing)> {
        *self.serving.lock().unwrap()
    }
}

fn trial(model: u64, healthy: u32) -> InstallStatus {
    InstallStatus::Trial {
        model,
        healthy,
        needed: 3,
    }
}

#[tokio::test]
async fn a_bundle_is_confirmed_after_enough_good_windows() {
    let storage = Fragile::default();
    let mut bench = Bench::start(&storage).await;
    bench.deploy(bundle(7, GOOD)).await.unwrap();
    bench.windows(&[true, true], trial(7, 2)).await;
    assert_eq!(bench.serving(), Some((7, Standing::Trial)));
    bench
        .windows(&[true], InstallStatus::Confirmed { model: 7 })
        .await;
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
    bench.hub.close().await.unwrap();
    let again = Bench::start(&storage).await;
    assert_eq!(again.serving(), Some((7, Standing::Confirmed)));
    assert_eq!(again.hub.status(), InstallStatus::Confirmed { model: 7 });
}

#[tokio::test]
async fn a_window_that_does_not_go_well_rolls_back() {
    let mut bench = Bench::start(&Fragile::default()).await;
    bench.deploy(bundle(7, GOOD)).await.unwrap();
    bench
        .windows(&[true, true, true], InstallStatus::Confirmed { model: 7 })
        .await;
    bench.deploy(bundle(8, GOOD)).await.unwrap();
    bench
        .windows(
            &[true, false],
            InstallStatus::Rejected(WireError::TrialFailed),
        )
        .await;
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
}

#[tokio::test]
async fn a_first_bundle_that_fails_leaves_nothing_serving() {
    let mut bench = Bench::start(&Fragile::default()).await;
    bench.deploy(bundle(7, GOOD)).await.unwrap();
    bench
        .windows(&[false], InstallStatus::Rejected(WireError::TrialFailed))
        .await;
    assert_eq!(bench.serving(), None);
    bench.deploy(bundle(7, GOOD)).await.unwrap();
    bench
        .windows(&[true, true, true], InstallStatus::Confirmed { model: 7 })
        .await;
}

#[tokio::test]
async fn too_many_crashes_on_trial_roll_back() {
    let storage = Fragile::default();
    let mut bench = Bench::start(&storage).await;
    bench.deploy(bundle(7, GOOD)).await.unwrap();
    bench
        .windows(&[true, true, true], InstallStatus::Confirmed { model: 7 })
        .await;
    bench.deploy(bundle(8, GOOD)).await.unwrap();
    // Not closed: every start from here on follows a crash.
    for _ in 0..2 {
        assert_eq!(
            Bench::start(&storage).await.serving(),
            Some((8, Standing::Trial))
        );
    }
    let last = Bench::start(&storage).await;
    assert_eq!(last.serving(), Some((7, Standing::Confirmed)));
    assert_eq!(last.hub.counters().await.rejected, 1);
}

#[tokio::test]
async fn every_refusal_has_its_own_error_and_changes_nothing() {
    let mut bench = Bench::start(&Fragile::default()).await;
    bench.deploy(bundle(7, GOOD)).await.unwrap();
    bench
        .windows(&[true, true, true], InstallStatus::Confirmed { model: 7 })
        .await;
    assert_eq!(
        bench.deploy(bundle(8, FORGED)).await,
        Err(WireError::ForeignKey)
    );
    assert_eq!(
        bench.deploy(bundle(9, NOT_SERVABLE)).await,
        Err(WireError::Incompatible)
    );
    let older = WireError::OlderVersion {
        floor: 7,
        offered: 6,
    };
    assert_eq!(bench.deploy(bundle(6, GOOD)).await, Err(older));
    // The offer claims a higher version than the file: the floor must not rise.
    let (mut offer, bytes) = bundle(8, GOOD);
    offer.model = u64::MAX;
    assert_eq!(bench.deploy((offer, bytes)).await, Err(WireError::Tampered));
    let (mut offer, bytes) = bundle(8, GOOD);
    offer.digest = Digest([1; 32]);
    assert_eq!(
        bench.deploy((offer, bytes)).await,
        Err(WireError::DigestMismatch)
    );
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
}

#[tokio::test]
async fn an_operator_goes_back_once() {
    let mut bench = Bench::start(&Fragile::default()).await;
    for model in [7, 8] {
        bench.deploy(bundle(model, GOOD)).await.unwrap();
        bench
            .windows(&[true, true, true], InstallStatus::Confirmed { model })
            .await;
    }
    let back = bench.ask(Request::RollBack).await;
    assert_eq!(
        back,
        Ok(Response::Install(InstallStatus::Confirmed { model: 7 }))
    );
    assert_eq!(bench.serving(), Some((7, Standing::Confirmed)));
    assert_eq!(
        bench.ask(Request::RollBack).await,
        Err(WireError::NothingToUndo)
    );
    // The floor stays: what was confirmed once is the oldest that may come.
    let offer = bundle(7, FORGED).0;
    assert_eq!(
        bench.ask(Request::Offer(offer)).await,
        Err(WireError::OlderVersion {
            floor: 8,
            offered: 7
        })
    );
}

#[tokio::test]
async fn a_file_that_was_complete_before_a_crash_is_tried_without_a_host() {
    let storage = Fragile::default();
    let mut bench = Bench::start(&storage).await;
    let (offer, bytes) = bundle(7, GOOD);
    bench.ask(Request::Offer(offer)).await.unwrap();
    for (index, data) in bytes.chunks(CHUNK_BYTES).enumerate() {
        let offset = (index * CHUNK_BYTES) as u32;
        bench
            .ask(Request::Chunk(Chunk {
                offset,
                crc: crc32(data),
                data,
            }))
            .await
            .unwrap();
    }
    storage.restart();
    let mut again = Bench::start(&storage).await;
    assert!(again.outcome().await.is_ok());
    again
        .windows(&[true; 3], InstallStatus::Confirmed { model: 7 })
        .await;
}

#[tokio::test]
async fn strangers_are_told_what_to_do() {
    let mut bench = Bench::start(&Fragile::default()).await;
    let (wire, far) = Wire::pair();
    tokio::spawn(session::serve(far, bench.hub.clone()));
    bench.wire = wire;
    assert_eq!(
        bench.ask(Request::Counters).await,
        Err(WireError::HelloFirst)
    );
    let versions = VersionRange {
        oldest: 200,
        newest: 201,
    };
    let hello = Hello {
        versions,
        software: Default::default(),
    };
    let unsupported = WireError::UnsupportedVersion {
        oldest: 1,
        newest: 1,
    };
    assert_eq!(bench.ask(Request::Hello(hello)).await, Err(unsupported));
    let mut packet = [0; 64];
    for (payload, answer) in [
        (&[200, 77, 1, 2, 3][..], unsupported),
        (&[1, 77, 99][..], WireError::Malformed),
    ] {
        let length = tendon_shared::packet::encode(payload, &mut packet).unwrap();
        bench
            .wire
            .outgoing
            .send(packet[..length].to_vec())
            .await
            .unwrap();
        let told = bench
            .receive(|id, message| Some((id, format!("{message:?}"))))
            .await;
        assert_eq!(
            told,
            (
                77,
                format!("{:?}", Message::Response(Response::Error(answer)))
            )
        );
    }
}

#[tokio::test]
async fn runs_until_it_is_told_to_stop() {
    let (stop, stopped) = oneshot::channel::<()>();
    let events = Arc::new(Mutex::new(0));
    let counted = events.clone();
    let signs = Arc::new(Mutex::new(Vec::new()));
    let told = signs.clone();
    let setup = Setup {
        settings: Settings {
            device: "d".into(),
            topology: None,
            trial_windows: 1,
            sync_bytes: 1,
            packs: None,
        },
        storage: Box::new(Fragile::default()),
        verifier: Pretended,
        pipeline: Windows::default(),
        listener: Some(TcpListener::bind("127.0.0.1:0").await.unwrap()),
        tls: None,
        local: None,
        lines: Vec::new(),
        source: Some(Box::new(move |queue: mpsc::Sender<Window>| {
            Box::pin(async move {
                for _ in 0..1000 {
                    queue.send(Window(true)).await.map_err(io::Error::other)?;
                    *counted.lock().unwrap() += 1;
                }
                drop(stop);
                Ok(())
            }) as Running
        })),
        source_counts: Arc::new(|_, _| {}),
        stop_after_source: false,
        watch: Watch {
            tell: Arc::new(move |sign| told.lock().unwrap().push(sign)),
            every: Some(Duration::from_millis(1)),
        },
        sink: Arc::new(|_| {}),
        log: Arc::new(|_| {}),
    };
    run(setup, async { drop(stopped.await) }).await.unwrap();
    assert_eq!(*events.lock().unwrap(), 1000);
    let signs = signs.lock().unwrap();
    assert_eq!(signs.first(), Some(&Sign::Ready));
    assert!(signs.contains(&Sign::Stopping));
}
