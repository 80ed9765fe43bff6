//! TCP connections as wires.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Wire;

/// Sessions that are served at the same time; further connections wait.
pub const MAX_SESSIONS: usize = 8;

/// Accepts connections for ever and runs `session` for each in a task of its own. Drop the future to stop.
///
/// # Errors
/// The listener broke. A connection that breaks ends only its own session.
pub async fn serve<F>(
    listener: TcpListener,
    session: impl Fn(Wire) -> F + Send + Sync + 'static,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    accept(listener, |stream| async { Some(join(stream)) }, session).await
}

/// Accepts connections for ever; each is opened and then served in a task of its own.
pub(super) async fn accept<O, F>(
    listener: TcpListener,
    open: impl Fn(TcpStream) -> O,
    session: impl Fn(Wire) -> F + Send + Sync + 'static,
) -> io::Result<()>
where
    O: Future<Output = Option<Wire>> + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let session = Arc::new(session);
    let places = Arc::new(Semaphore::new(MAX_SESSIONS));
    loop {
        // The semaphore is never closed.
        let place = places
            .clone()
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // The peer was gone before it was served.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        let (opening, session) = (open(stream), session.clone());
        tokio::spawn(async move {
            if let Some(wire) = opening.await {
                session(wire).await;
            }
            drop(place);
        });
    }
}

/// Joins a connection to a wire.
fn join(stream: TcpStream) -> Wire {
    // Answers are small and waited for. A socket without the option still works.
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    Wire::join(read, write)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn bytes_go_both_ways() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, |mut wire| async move {
            while let Some(bytes) = wire.incoming.recv().await {
                wire.outgoing.send(bytes).await.unwrap();
            }
        }));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"ping").await.unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"ping");
        server.abort();
    }
}
