//! The agent: ties links, slots, the pipeline and telemetry together and runs until it is told to stop.
//!
//! `run` gets its sockets, storage and shutdown from the caller, so that tests and `main` make the same call.

pub mod hub;
mod install;
pub mod pack;
pub mod watch;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tendon_shared::protocol::Event;
use tendon_shared::protocol::telemetry::{Counters, InputCounts};
use tendon_shared::topology::TopologyId;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use crate::install::verify::Verifier;
use crate::pipeline::Pipeline;
use crate::slots::storage::Storage;
use crate::slots::store::StoreError;
use crate::transport::serial::{self, Line};
use crate::transport::{local, sealed, session, tcp, tls};
use hub::Hub;
use pack::Packs;
use watch::{Sign, Watch};

/// Pause before a serial line is opened again.
pub(crate) const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// Pose events that may wait for the pipeline: ten seconds of one person at 30 Hz, less than 300 KB.
pub const WAITING_EVENTS: usize = 300;

/// Why the agent stopped, or did not start.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The slots cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener, a pose source or the pipeline's thread broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the agent is and how careful it is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who the device is; at most [`tendon_shared::protocol::hello::DEVICE_ID_BYTES`] bytes.
    pub device: String,
    /// The skeleton standard of the pose source; bundles for another one are refused.
    pub topology: Option<TopologyId>,
    /// Windows that must go well until a new bundle is confirmed.
    pub trial_windows: u32,
    /// Bytes received between two syncs.
    pub sync_bytes: u32,
    /// What packs are judged by; they are refused, when none.
    pub packs: Option<Packs>,
}

/// Told every event; must be quick.
pub type Sink = Arc<dyn Fn(&Event) + Send + Sync>;

/// Told what an operator should read in the log.
pub type Log = Arc<dyn Fn(&str) + Send + Sync>;

/// A pose source that is running; ends when the source does.
pub type Running = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Adds to the counters what pose sources count themselves.
pub type SourceCounts = Arc<dyn Fn(&mut Counters, &mut InputCounts) + Send + Sync>;

/// Starts a pose source that puts its events into the pipeline's queue.
pub type Source<E> = Box<dyn FnOnce(mpsc::Sender<E>) -> Running + Send>;

/// Everything that the agent gets from its caller.
pub struct Setup<V: Verifier, P: Pipeline<Bundle = V::Bundle>> {
    /// See [`Settings`].
    pub settings: Settings,
    /// Where the slots are.
    pub storage: Box<dyn Storage>,
    /// Decides whether a bundle may run.
    pub verifier: V,
    /// From poses to actions.
    pub pipeline: P,
    /// Where hosts connect.
    pub listener: Option<TcpListener>,
    /// Lets only operators of the fleet through the listener and over the lines; everybody, when none.
    pub tls: Option<Arc<ServerConfig>>,
    /// Where this machine's own commands connect.
    pub local: Option<UnixListener>,
    /// Serial lines to hosts and pose sources.
    pub lines: Vec<Line>,
    /// Where poses come from, beside links.
    pub source: Option<Source<P::Event>>,
    /// What the pose source counts.
    pub source_counts: SourceCounts,
    /// Stop when the pose source ends and everything it gave was taken.
    pub stop_after_source: bool,
    /// Told that the agent is ready and alive.
    pub watch: Watch,
    /// Told every event.
    pub sink: Sink,
    /// Told what an operator should read.
    pub log: Log,
}

/// Runs until `shutdown` is done, then stores what must survive.
///
/// # Errors
/// [`AgentError`]: the slots, the listener or the pose source are unusable. Bad input from links or sources is no error.
pub async fn run<V, P>(
    setup: Setup<V, P>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError>
where
    V: Verifier,
    P: Pipeline<Bundle = V::Bundle>,
{
    let log = setup.log.clone();
    let (hub, outputs) = Hub::start(
        setup.settings,
        setup.storage,
        setup.verifier,
        setup.pipeline,
        setup.sink,
        setup.log,
        setup.source_counts,
    )?;
    hub.serve_installed().await?;
    let watch = setup.watch;
    (watch.tell)(Sign::Ready);
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let hub = hub.clone();
        async move {
            hub.listen(outputs).await;
            Ok(())
        }
    });
    tasks.spawn({
        let watched = watch.clone().run(hub.clone());
        async move {
            watched.await;
            Ok(())
        }
    });
    if let Some(listener) = setup.listener {
        let hub = hub.clone();
        let session = move |wire| session::serve(wire, hub.clone());
        match &setup.tls {
            Some(operators) => {
                let acceptor = TlsAcceptor::from(operators.clone());
                tasks.spawn(tls::serve(listener, acceptor, session))
            }
            None => tasks.spawn(tcp::serve(listener, session)),
        };
    }
    if let Some(listener) = setup.local {
        let hub = hub.clone();
        tasks.spawn(local::serve(listener, move |wire| {
            session::serve(wire, hub.clone())
        }));
    }
    for line in setup.lines {
        let hub = hub.clone();
        let log = log.clone();
        let operators = setup.tls.clone();
        tasks.spawn(async move {
            let session = move |wire| {
                let wire = match &operators {
                    Some(operators) => {
                        let meter = hub.clone();
                        sealed::wire(wire, operators, move || meter.meter().bad_packet())
                    }
                    None => wire,
                };
                session::serve(wire, hub.clone())
            };
            serial::serve(line, REOPEN_AFTER, session, log).await;
            Ok(())
        });
    }
    let source = setup.source.map(|source| source(hub.pipeline().events()));
    let source = async {
        match source {
            Some(source) => {
                source.await?;
                hub.pipeline().drain().await;
                log("the pose source ended");
                Ok(())
            }
            None => Ok(()),
        }
    };
    tokio::pin!(shutdown, source);
    let mut source_done = false;
    let outcome = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            ended = &mut source, if !source_done => match ended {
                Ok(()) if !setup.stop_after_source => source_done = true,
                ended => break ended,
            },
            Some(task) = tasks.join_next() => match task {
                Ok(Ok(())) => {}
                Ok(Err(error)) => break Err(error),
                Err(error) => break Err(io::Error::other(error)),
            },
        }
    };
    (watch.tell)(Sign::Stopping);
    hub.close().await?;
    Ok(outcome?)
}

#[cfg(test)]
mod tests;
