//! TCP connections behind mutual TLS as wires: only operators of the device's fleet get through.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::{Wire, tcp};

/// Longest that a handshake may take. Who is slower, or no operator, takes a place no longer than that.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Accepts connections for ever and runs `session` for each whose peer is an operator. Drop the future to stop.
///
/// # Errors
/// The listener broke. A connection that breaks ends only its own session.
pub async fn serve<F>(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    session: impl Fn(Wire) -> F + Send + Sync + 'static,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    tcp::accept(
        listener,
        move |stream| open(stream, acceptor.clone()),
        session,
    )
    .await
}

async fn open(stream: TcpStream, acceptor: TlsAcceptor) -> Option<Wire> {
    // Answers are small and waited for. A socket without the option still works.
    let _ = stream.set_nodelay(true);
    let stream = timeout(HANDSHAKE, acceptor.accept(stream))
        .await
        .ok()?
        .ok()?;
    let (read, write) = tokio::io::split(stream);
    Some(Wire::join(read, write))
}
