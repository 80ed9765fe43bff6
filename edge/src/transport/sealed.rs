//! A serial line on which hosts have to say who they are: between the line's wire and a session's.

use std::sync::Arc;

use tendon_identity::line::{Answering, Taken};
use tendon_shared::packet::{self, Decoder, PACKET_BYTES};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::{Envelope, Message, Response};
use tokio_rustls::rustls::ServerConfig;

use super::Wire;

/// A wire on which only operators of the fleet are heard, and only they hear anything. It ends when either side does. `on_broken` is
/// called for every packet that arrives damaged.
pub fn wire(
    mut line: Wire,
    operators: &Arc<ServerConfig>,
    on_broken: impl Fn() + Send + 'static,
) -> Wire {
    let (near, mut far) = Wire::pair();
    let mut answering = Answering::new(operators);
    tokio::spawn(async move {
        let (mut from_line, mut from_session) = (Decoder::new(), Decoder::new());
        loop {
            tokio::select! {
                bytes = line.incoming.recv() => {
                    let Some(bytes) = bytes else { return };
                    for byte in bytes {
                        let payload = match from_line.push(byte) {
                            None => continue,
                            Some(Ok(payload)) => payload,
                            Some(Err(_)) => {
                                on_broken();
                                continue;
                            }
                        };
                        let (to, packet) = match answering.take(payload) {
                            Taken::Nothing => continue,
                            Taken::Answer(answer) => (&line.outgoing, packed(&answer)),
                            Taken::Payload(asked) => (&far.outgoing, packed(&asked)),
                            Taken::Unknown => (&line.outgoing, refusal(payload)),
                        };
                        if !packet.is_empty() && to.send(packet).await.is_err() {
                            return;
                        }
                    }
                }
                bytes = far.incoming.recv() => {
                    let Some(bytes) = bytes else { return };
                    for byte in bytes {
                        let Some(Ok(payload)) = from_session.push(byte) else {
                            continue;
                        };
                        // While nobody is there, news are for nobody.
                        if let Some(sealed) = answering.seal(payload)
                            && line.outgoing.send(packed(&sealed)).await.is_err()
                        {
                            return;
                        }
                    }
                }
            }
        }
    });
    near
}

/// What somebody hears who asks without saying who they are; nothing is said to answers and news.
fn refusal(payload: &[u8]) -> Vec<u8> {
    let Ok(Envelope {
        id,
        message: Message::Request(_),
        ..
    }) = Envelope::decode(payload)
    else {
        return Vec::new();
    };
    let response = Message::Response(Response::Error(WireError::IdentityNeeded));
    let mut out = vec![0; PACKET_BYTES];
    let length = Envelope::new(id, response).encode(&mut out).unwrap_or(0);
    out.truncate(length);
    out
}

/// A payload as a packet; nothing when it does not fit, which none of ours brings about.
fn packed(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; PACKET_BYTES];
    let length = packet::encode(payload, &mut out).unwrap_or(0);
    out.truncate(length);
    out
}
