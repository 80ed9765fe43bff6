//! Where poses come from, and the task that reads them.

use super::Event;
use super::bridge::{self, BridgeConfig};
use super::counters::Counters;
use super::reader::{Overflow, pump};
use crate::agent::{Log, REOPEN_AFTER};
use crate::transport::serial::{self, Line};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tendon_shared::topology::TopologyId;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::Sender;

/// Connections that are served at the same time; more are closed at once.
pub const MAX_CONNECTIONS: usize = 8;

/// A pose source, as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `stdin`
    Stdin,
    /// `unix:<path>`: listens on a UNIX socket.
    Unix(PathBuf),
    /// `tcp:<address>:<port>`: listens on TCP. Poses are not encrypted: use a loopback address.
    Tcp(String),
    /// `replay:<path>`: plays a file of pose lines once.
    Replay(PathBuf),
    /// `serial:<device>` or `serial:<device>@<baud>`: a pose bridge at the end of a serial line.
    Serial(Line),
}

/// The text does not name a pose source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no pose source: use stdin, unix:<path>, tcp:<address>:<port>, replay:<path> or serial:<device>"
)]
pub struct SourceError(String);

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "stdin" => Ok(Self::Stdin),
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            Some(("replay", path)) if !path.is_empty() => Ok(Self::Replay(path.into())),
            Some(("serial", line)) => Ok(Self::Serial(
                line.parse().map_err(|_| SourceError(text.into()))?,
            )),
            Some(("tcp", address)) if address.contains(':') => {
                Ok(Self::Tcp(address.trim_start_matches("//").into()))
            }
            _ => Err(SourceError(text.into())),
        }
    }
}

/// What the readers of one agent share.
#[derive(Clone)]
pub struct Inlet {
    /// Topology of sources that do not announce one.
    pub topology: TopologyId,
    /// Bounded channel to the pipeline.
    pub sender: Sender<Event>,
    /// What was read and refused.
    pub counters: Arc<Counters>,
    /// How a pose bridge should work.
    pub bridge: BridgeConfig,
    /// Told what an operator should read.
    pub log: Log,
}

impl Source {
    /// Reads the source until it ends or the pipeline hangs up. Listening sources never end by themselves: the caller
    /// drops the future to stop them.
    ///
    /// # Errors
    /// An I/O error when the source cannot be opened: the message names it.
    pub async fn run(&self, inlet: Inlet) -> std::io::Result<()> {
        let name = |error: std::io::Error| {
            std::io::Error::new(error.kind(), format!("pose source {self:?}: {error}"))
        };
        match self {
            Self::Stdin => pump(tokio::io::stdin(), &inlet, Overflow::Wait)
                .await
                .map_err(name),
            Self::Replay(path) => {
                let file = tokio::fs::File::open(path).await.map_err(name)?;
                pump(file, &inlet, Overflow::Wait).await.map_err(name)
            }
            Self::Tcp(address) => {
                serve_tcp(TcpListener::bind(address).await.map_err(name)?, inlet).await
            }
            Self::Serial(line) => {
                let log = inlet.log.clone();
                let talk = |wire| bridge::talk(wire, inlet.clone());
                serial::serve(line.clone(), REOPEN_AFTER, talk, log).await;
                Ok(())
            }
            Self::Unix(path) => {
                remove_stale(path).await.map_err(name)?;
                serve_unix(UnixListener::bind(path).map_err(name)?, inlet).await
            }
        }
    }
}

/// Serves pose connections on `listener`, each in its own task.
///
/// # Errors
/// An I/O error when the listener breaks; errors of one connection only end that connection.
pub async fn serve_tcp(listener: TcpListener, inlet: Inlet) -> std::io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        connection(stream, &open, &inlet);
    }
}

/// Serves pose connections on a UNIX socket, each in its own task.
///
/// # Errors
/// An I/O error when the listener breaks; errors of one connection only end that connection.
pub async fn serve_unix(listener: UnixListener, inlet: Inlet) -> std::io::Result<()> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, _) = listener.accept().await?;
        connection(stream, &open, &inlet);
    }
}

fn connection<R>(stream: R, open: &Arc<AtomicUsize>, inlet: &Inlet)
where
    R: tokio::io::AsyncRead + Unpin + Send + 'static,
{
    use std::sync::atomic::Ordering;
    if open.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
        open.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    Counters::add(&inlet.counters.connections, 1);
    let (open, inlet) = (Arc::clone(open), inlet.clone());
    tokio::spawn(async move {
        // A broken connection is the peer's business: it connects again.
        let _ = pump(stream, &inlet, Overflow::DropPoses).await;
        open.fetch_sub(1, Ordering::AcqRel);
    });
}

/// A socket file outlives a killed process: removes it, but never a file of another kind.
async fn remove_stale(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::FileTypeExt as _;
    match tokio::fs::symlink_metadata(path).await {
        Ok(meta) if meta.file_type().is_socket() => tokio::fs::remove_file(path).await,
        Ok(_) => Err(std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            "the path exists and is no socket",
        )),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    #[test]
    fn parses_the_names_of_sources() {
        assert_eq!("stdin".parse(), Ok(Source::Stdin));
        assert_eq!(
            "tcp:127.0.0.1:0".parse(),
            Ok(Source::Tcp("127.0.0.1:0".into()))
        );
        assert_eq!("tcp://[::1]:7".parse(), Ok(Source::Tcp("[::1]:7".into())));
        assert_eq!(
            "unix:/run/p.sock".parse(),
            Ok(Source::Unix("/run/p.sock".into()))
        );
        assert_eq!("replay:a:b".parse(), Ok(Source::Replay("a:b".into())));
        let line = "/dev/ttyACM0@921600".parse().map(Source::Serial).ok();
        assert_eq!("serial:/dev/ttyACM0@921600".parse().ok(), line);
        for wrong in ["", "serial:", "udp:1", "tcp:7", "unix:", "stdin:"] {
            assert!(wrong.parse::<Source>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn takes_poses_from_a_socket_and_survives_garbage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("poses.sock");
        let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
        let counters = Arc::new(Counters::default());
        let inlet = Inlet {
            topology: TopologyId::Kinect20,
            sender,
            counters: Arc::clone(&counters),
            bridge: BridgeConfig::default(),
            log: Arc::new(|_| ()),
        };
        let task = tokio::spawn(serve_unix(UnixListener::bind(&path).unwrap(), inlet));
        let mut peer = tokio::net::UnixStream::connect(&path).await.unwrap();
        peer.write_all(b"\xff\xfe garbage\n{\"end\":7,\"t\":1}\n")
            .await
            .unwrap();
        assert_eq!(
            receiver.recv().await,
            Some(Event::End {
                track: 7,
                time_ms: 1,
                label: None
            })
        );
        assert_eq!(
            (
                counters.snapshot().malformed,
                counters.snapshot().connections
            ),
            (1, 1)
        );
        task.abort();
    }

    #[tokio::test]
    async fn replaces_a_stale_socket_but_never_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, file) = (dir.path().join("s"), dir.path().join("f"));
        drop(UnixListener::bind(&socket).unwrap());
        std::fs::write(&file, b"kept").unwrap();
        assert!(remove_stale(&socket).await.is_ok() && !socket.exists());
        assert!(remove_stale(&file).await.is_err() && file.exists());
    }
}
