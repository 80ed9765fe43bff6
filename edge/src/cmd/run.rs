//! `tendon-edge run`: the agent itself.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};
use serde_json::json;
use tendon_bundle::TrustedKeys;
use tendon_edge::agent::{self, Log, Running, Settings, Setup, Sink};
use tendon_edge::capture::bridge::BridgeConfig;
use tendon_edge::capture::source::{Inlet, Source};
use tendon_edge::capture::{self, Event as PoseEvent};
use tendon_edge::install::receiver::SYNC_BYTES;
use tendon_edge::install::verify::Trust;
use tendon_edge::live::{Live, LiveConfig};
use tendon_edge::slots::storage::{Disk, Storage as _};
use tendon_edge::telemetry::journal::{FILE_BYTES, Journal};
use tendon_edge::telemetry::line;
use tendon_edge::transport::local;
use tendon_edge::transport::serial::Line;
use tendon_identity::identity::Identity;
use tendon_identity::tls;
use tendon_shared::protocol::hello::DEVICE_ID_BYTES;
use tendon_shared::topology::TopologyId;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls::ServerConfig;

use super::update::Time;

/// Threads for sessions; inference has its own.
const WORKERS: usize = 2;

/// Threads for the disk and for stdin.
const BLOCKING_THREADS: usize = 4;

/// Run the agent: take bundles from hosts, recognise actions in poses, adapt.
///
/// The first line on stdout is a JSON object with the address that is listened on.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder for bundles, adaptation and the journal.
    #[arg(long)]
    data_dir: PathBuf,
    /// File with the public keys whose bundles are accepted.
    #[arg(long)]
    trust: PathBuf,
    /// Address for hosts; port 0 chooses a free one. Without --tls hosts are not authenticated: use loopback or a trusted network.
    #[arg(long)]
    listen: Option<String>,
    /// Let only operators of the fleet in on --listen and --serial; needs `tendon-edge enroll` first.
    #[arg(long)]
    tls: bool,
    /// Serial line for hosts, such as /dev/ttyS0 or /dev/ttyS0@921600; may be repeated.
    #[arg(long)]
    serial: Vec<Line>,
    /// Where poses come from: stdin, unix:<path>, tcp:<address>:<port> or replay:<file>, or serial:<device> for
    /// a pose bridge.
    #[arg(long)]
    source: Option<Source>,
    /// Skeleton standard of the poses, such as kinect20. Bundles for another one are refused. Without: any bundle is accepted,
    /// and a source that does not name its standard is read as kinect20.
    #[arg(long, value_parser = topology)]
    topology: Option<TopologyId>,
    /// Root file of the repository whose packs (`tendon repo pack`) are taken over links; none are without. The trusted files and floors
    /// are those of `tendon-edge update`.
    #[arg(long)]
    root: Option<PathBuf>,
    /// Whether the clock is right, for packs: ask the kernel whether a time service has set it (auto), or take it for set or unset.
    #[arg(long, value_enum, default_value_t = Time::Auto)]
    time: Time,
    /// Configuration; the defaults without.
    #[arg(long)]
    config: Option<PathBuf>,
    /// One value of the configuration, such as adapt.enabled=false; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Who the device is; made up at the first start and kept without.
    #[arg(long)]
    device_id: Option<String>,
    /// Stop when the pose source ends.
    #[arg(long)]
    stop_after_source: bool,
    /// One JSON object a line on stdout.
    #[arg(long)]
    json: bool,
    /// Seed of strong views and restored weights.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

pub(super) fn topology(name: &str) -> Result<TopologyId, String> {
    TopologyId::from_name(name).ok_or_else(|| {
        let known: Vec<_> = TopologyId::ALL
            .iter()
            .map(|topology| topology.name())
            .collect();
        format!("`{name}` is not one of {}", known.join(", "))
    })
}

/// Runs until SIGTERM, ctrl-c, or the end of the pose source if that is wanted.
pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let outcome = runtime.block_on(serve(args));
    // A read of stdin that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(args: Args) -> anyhow::Result<()> {
    if args.listen.is_none() && args.serial.is_empty() && args.source.is_none() {
        bail!("nothing to do: give --listen or --serial for hosts, and --source for poses");
    }
    if args.tls && args.listen.is_none() && args.serial.is_empty() {
        bail!("--tls guards --listen and --serial, and neither is given");
    }
    let config = super::config::read(args.config.as_deref(), &args.settings)?;
    let keys = TrustedKeys::read(&args.trust)
        .with_context(|| format!("cannot use {}", args.trust.display()))?;
    let adaptation = args.data_dir.join("adapt");
    std::fs::create_dir_all(&adaptation)
        .with_context(|| format!("cannot make {}", adaptation.display()))?;
    let _lock = lock(&args.data_dir)?;
    let device = device_id(&args.data_dir, args.device_id)?;
    let slots = args.data_dir.join("slots");
    let storage = Disk::open(&slots).with_context(|| format!("cannot use {}", slots.display()))?;
    let listener = match &args.listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}"))?,
        ),
        None => None,
    };
    let root = args.root.as_deref();
    let packs = root.map(|root| super::update::packs(&args.data_dir, root, args.time));
    let packs = packs.transpose()?;
    let tls = args.tls.then(|| operators(&args.data_dir)).transpose()?;
    let local = match local::listen(&args.data_dir) {
        Ok(local) => Some(local),
        Err(error) => {
            log()(&format!(
                "`tendon-edge label` will not work here: {}: {error}",
                local::path(&args.data_dir).display()
            ));
            None
        }
    };
    let listening = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    print(
        &json!({
            "event": "ready",
            "listening": listening.map(|address| address.to_string()),
            "device": device,
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
        })
        .to_string(),
    );

    let counted = Arc::new(capture::counters::Counters::default());
    let setup = Setup {
        settings: Settings {
            device,
            topology: args.topology,
            trial_windows: config.trial.windows,
            sync_bytes: SYNC_BYTES,
            packs,
        },
        storage: Box::new(storage),
        verifier: Trust {
            keys,
            topology: args.topology,
        },
        pipeline: Live::new(LiveConfig {
            pipeline: config.pipeline,
            folder: Some(adaptation),
            shadow: config.trial.shadow,
            seed: args.seed,
        }),
        listener,
        tls,
        local,
        lines: args.serial,
        source: args
            .source
            .map(|source| poses(source, args.topology, counted.clone(), config.bridge)),
        source_counts: Arc::new(move |counters, inputs| {
            let counted = counted.snapshot();
            inputs.malformed += counted.malformed;
            inputs.too_long += counted.too_long;
            inputs.not_finite += counted.not_finite;
            inputs.absurd += counted.absurd;
            counters.bad_poses += counted.malformed + counted.too_long;
            counters.dropped_poses += counted.dropped;
            let broken = u32::try_from(counted.broken).unwrap_or(u32::MAX);
            counters.bad_packets = counters.bad_packets.saturating_add(broken);
        }),
        stop_after_source: args.stop_after_source,
        watch: super::systemd::watch(),
        sink: sink(&args.data_dir, args.json)?,
        log: log(),
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(agent::run(setup, shutdown).await?)
}

/// What lets operators of the device's fleet in.
fn operators(data_dir: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let path = super::enroll::path(data_dir);
    let identity = Identity::read(&path)
        .context("--tls needs the identity that `tendon-edge enroll` makes")?;
    Ok(tls::server(&identity)?)
}

fn poses(
    source: Source,
    topology: Option<TopologyId>,
    counters: Arc<capture::counters::Counters>,
    bridge: BridgeConfig,
) -> agent::Source<PoseEvent> {
    Box::new(move |sender| {
        Box::pin(async move {
            let inlet = Inlet {
                topology: topology.unwrap_or(TopologyId::Kinect20),
                sender,
                counters,
                bridge,
                log: log(),
            };
            source.run(inlet).await
        }) as Running
    })
}

/// Journals every event and prints it. A reader of stdout that went away is no reason to stop.
fn sink(folder: &Path, json: bool) -> anyhow::Result<Sink> {
    let journal = Journal::open(folder, FILE_BYTES)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    let journal = Mutex::new(journal);
    Ok(Arc::new(move |event| {
        let Some(object) = line::json(event) else {
            return;
        };
        let object = object.to_string();
        // A full disk costs journal lines, not recognition.
        let _ = journal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .append(&object);
        if json {
            print(&object);
        } else if let Some(text) = line::text(event) {
            print(&text);
        }
    }))
}

fn log() -> Log {
    Arc::new(|message| {
        let _ = writeln!(std::io::stderr(), "tendon-edge: {message}");
    })
}

fn print(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Two agents on one folder would overwrite each other's slots.
pub(super) fn lock(folder: &Path) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    file.try_lock()
        .with_context(|| format!("another tendon-edge uses {}", folder.display()))?;
    Ok(file)
}

/// The id that was given, or the one of the first start.
fn device_id(folder: &Path, given: Option<String>) -> anyhow::Result<String> {
    const FILE: &str = "device-id";
    let mut disk = Disk::open(folder)?;
    if given.is_none()
        && let Some(known) = disk.read(FILE)?
    {
        return String::from_utf8(known).context("the file device-id is damaged: remove it");
    }
    let id = given.unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
    if id.is_empty() || id.len() > DEVICE_ID_BYTES {
        bail!("a device id has 1 to {DEVICE_ID_BYTES} bytes");
    }
    disk.replace(FILE, id.as_bytes())?;
    Ok(id)
}
