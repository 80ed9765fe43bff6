//! A socket in the data folder, by which commands on the same machine talk to the running agent.
//!
//! The same protocol as over TCP. Only the agent's own user may connect.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tendon_shared::packet::{Decoder, PACKET_BYTES};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::hello::{Hello, VersionRange};
use tendon_shared::protocol::{Envelope, Message, Request, Response};
use tokio::net::UnixListener;

use super::Wire;

/// Longest that an answer may take: a piece of adaptation work and a write to a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the socket of a data folder is.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Listens in `data_dir`; the caller holds the folder's lock, so whatever stands there is a dead agent's.
///
/// # Errors
/// The system's, such as for a path that is too long for a socket.
pub fn listen(data_dir: &Path) -> io::Result<UnixListener> {
    let path = path(data_dir);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Accepts connections for ever and runs `session` for each in a task of its own. Drop the future to stop.
///
/// # Errors
/// The listener broke.
pub async fn serve<F>(listener: UnixListener, session: impl Fn(Wire) -> F) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        let (read, write) = stream.into_split();
        tokio::spawn(session(Wire::join(read, write)));
    }
}

/// Why the running agent did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No agent runs on the folder.
    #[error("no agent runs on {0}: start it with `tendon-edge run --data-dir {0}`")]
    NoAgent(PathBuf),
    /// The connection broke.
    #[error("the agent does not answer")]
    Io(#[from] io::Error),
    /// The agent says why not.
    #[error("{0}")]
    Agent(WireError),
}

/// Asks the agent that runs on `data_dir`, and waits for its answers, one for each request.
///
/// # Errors
/// [`AskError`].
pub fn ask(data_dir: &Path, requests: &[Request<'_>]) -> Result<Vec<Response>, AskError> {
    let mut stream =
        UnixStream::connect(path(data_dir)).map_err(|_| AskError::NoAgent(data_dir.to_owned()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let hello = Request::Hello(Hello {
        versions: VersionRange::OURS,
        software: env!("CARGO_PKG_VERSION").try_into().unwrap_or_default(),
    });
    exchange(&mut stream, 0, hello)?;
    (1..)
        .zip(requests)
        .map(|(id, request)| exchange(&mut stream, id, request.clone()))
        .collect()
}

fn exchange(stream: &mut UnixStream, id: u32, request: Request<'_>) -> Result<Response, AskError> {
    let mut packet = [0; PACKET_BYTES];
    let length = Envelope::new(id, Message::Request(request))
        .encode(&mut packet)
        .map_err(io::Error::other)?;
    stream.write_all(&packet[..length])?;
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    loop {
        let length = match stream.read(&mut buffer)? {
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            length => length,
        };
        for byte in &buffer[..length] {
            let Some(Ok(payload)) = decoder.push(*byte) else {
                continue;
            };
            let Ok(Envelope {
                id: answered,
                message: Message::Response(response),
                ..
            }) = Envelope::decode(payload)
            else {
                continue;
            };
            match response {
                _ if answered != id => {}
                Response::Error(error) => return Err(AskError::Agent(error)),
                response => return Ok(response),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_an_agent_says_how_to_start_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = ask(folder.path(), &[Request::Counters]).unwrap_err();
        assert!(error.to_string().contains("tendon-edge run"), "{error}");
    }

    #[tokio::test]
    async fn takes_the_place_of_a_dead_agents_socket() {
        let folder = tempfile::tempdir().unwrap();
        drop(listen(folder.path()).unwrap());
        let listener = listen(folder.path()).unwrap();
        let mode = std::fs::metadata(path(folder.path())).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        drop(listener);
    }
}
