//! One conversation with a host over a wire: the same for TCP and serial, real and simulated.

use std::sync::Arc;
use std::time::Duration;

use tendon_shared::packet::{Decoder, PACKET_BYTES};
use tendon_shared::protocol::error::WireError;
use tendon_shared::protocol::hello::VersionRange;
use tendon_shared::protocol::telemetry::Subscription;
use tendon_shared::protocol::{DecodeError, Envelope, Event, Message, Request, Response};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Wire;
use crate::agent::hub::Hub;
use crate::install::verify::Verifier;
use crate::pipeline::Pipeline;

/// Shortest interval of counters that a host may ask for, in ms.
const SHORTEST_INTERVAL_MS: u32 = 50;

/// What a session remembers.
#[derive(Default)]
struct Session {
    open: bool,
    subscription: Subscription,
    ticker: Option<Interval>,
    events: u32,
}

/// Talks until the peer is gone. Whatever the peer sends, the session goes on.
pub async fn serve<V, P>(mut wire: Wire, hub: Arc<Hub<V, P>>)
where
    V: Verifier,
    P: Pipeline<Bundle = V::Bundle>,
{
    let mut decoder = Decoder::new();
    let mut session = Session::default();
    let mut news = hub.news();
    loop {
        let packet = tokio::select! {
            bytes = wire.incoming.recv() => {
                let Some(bytes) = bytes else { return };
                for byte in bytes {
                    let payload = match decoder.push(byte) {
                        None => continue,
                        Some(Ok(payload)) => payload.to_vec(),
                        Some(Err(_)) => {
                            hub.meter().bad_packet();
                            continue;
                        }
                    };
                    if let Some(answer) = session.take(&payload, &hub).await
                        && wire.outgoing.send(answer).await.is_err()
                    {
                        return;
                    }
                }
                None
            }
            event = news.recv() => match event {
                Ok(event) if session.wants(&event) => session.event(event),
                Ok(_) | Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            },
            () = tick(&mut session.ticker) => {
                let counters = hub.counters().await;
                session.event(Event::Counters(counters))
            }
        };
        if let Some(packet) = packet
            && wire.outgoing.send(packet).await.is_err()
        {
            return;
        }
    }
}

async fn tick(ticker: &mut Option<Interval>) {
    match ticker {
        Some(ticker) => {
            ticker.tick().await;
        }
        None => std::future::pending().await,
    }
}

impl Session {
    /// Does what a payload asks and returns the packet with the answer; events have none.
    async fn take<V, P>(&mut self, payload: &[u8], hub: &Arc<Hub<V, P>>) -> Option<Vec<u8>>
    where
        V: Verifier,
        P: Pipeline<Bundle = V::Bundle>,
    {
        let (id, response) = match Envelope::decode(payload) {
            Ok(Envelope {
                id,
                message: Message::Request(request),
                ..
            }) => {
                let response = self.answer(request, hub).await;
                (id, response.unwrap_or_else(Response::Error))
            }
            Ok(Envelope {
                message: Message::Event(Event::Capture(capture)),
                ..
            }) => {
                // A pipeline that cannot keep up loses poses, never the session.
                if hub.pipeline().events().try_send(capture.into()).is_err() {
                    hub.meter().dropped_pose();
                }
                return None;
            }
            Ok(_) => return None,
            Err(error) => {
                // Version and id stand first in every version, so that even this answer finds its place.
                let id =
                    postcard::take_from_bytes::<(u8, u32)>(payload).map_or(0, |((_, id), _)| id);
                let error = match error {
                    DecodeError::Version { .. } => unsupported_version(),
                    DecodeError::Malformed => WireError::Malformed,
                };
                (id, Response::Error(error))
            }
        };
        packet(&Envelope::new(id, Message::Response(response)))
    }

    async fn answer<V, P>(
        &mut self,
        request: Request<'_>,
        hub: &Arc<Hub<V, P>>,
    ) -> Result<Response, WireError>
    where
        V: Verifier,
        P: Pipeline<Bundle = V::Bundle>,
    {
        if !self.open && !matches!(request, Request::Hello(_)) {
            return Err(WireError::HelloFirst);
        }
        Ok(match request {
            Request::Hello(hello) => {
                let version = VersionRange::OURS
                    .agree(hello.versions)
                    .ok_or_else(unsupported_version)?;
                let welcome = hub.welcome(version).await?;
                *self = Self {
                    open: true,
                    ..Self::default()
                };
                Response::Welcome(welcome)
            }
            Request::Offer(offer) => Response::Progress(hub.offer(offer).await?),
            Request::OfferDelta(offer) => Response::Progress(hub.offer_delta(offer).await?),
            Request::OfferPack(offer) => Response::Progress(hub.offer_pack(offer).await?),
            Request::Chunk(chunk) => Response::Progress(hub.chunk(chunk).await?),
            Request::Finish(digest) => Response::Install(hub.finish(digest).await?),
            Request::InstallStatus => Response::Install(hub.status()),
            Request::Adapt(command) => Response::Adapt(hub.command(command).await?),
            Request::Counters => Response::Counters(hub.counters().await),
            Request::Subscribe(subscription) => {
                self.subscribe(subscription);
                Response::Done
            }
            Request::RollBack => Response::Install(hub.roll_back().await?),
            Request::Label(label) => Response::Labelled(hub.label(label).await?),
            Request::Inputs => Response::Inputs(hub.inputs().await),
            // This side is no bridge.
            Request::Bridge(_) | Request::BridgeReport => return Err(WireError::Unsupported),
        })
    }

    fn subscribe(&mut self, subscription: Subscription) {
        self.subscription = subscription;
        self.ticker = (subscription.counters_every_ms > 0).then(|| {
            let every = subscription.counters_every_ms.max(SHORTEST_INTERVAL_MS);
            let mut ticker = interval(Duration::from_millis(every.into()));
            ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticker
        });
    }

    fn wants(&self, event: &Event) -> bool {
        match event {
            Event::Recognition(_) | Event::Numbered(_) => self.subscription.recognitions,
            Event::Install(_) | Event::Adapt(_) | Event::Bridge(_) => self.subscription.changes,
            Event::Counters(_) | Event::Capture(_) | Event::Answer(_) => false,
        }
    }

    fn event(&mut self, event: Event) -> Option<Vec<u8>> {
        self.events = self.events.wrapping_add(1);
        packet(&Envelope::new(self.events, Message::Event(event)))
    }
}

fn unsupported_version() -> WireError {
    WireError::UnsupportedVersion {
        oldest: VersionRange::OURS.oldest,
        newest: VersionRange::OURS.newest,
    }
}

/// The packet of an envelope; none when it does not fit, which no message of a device can bring about.
fn packet(envelope: &Envelope<'_>) -> Option<Vec<u8>> {
    let mut out = vec![0; PACKET_BYTES];
    let length = envelope.encode(&mut out).ok()?;
    out.truncate(length);
    Some(out)
}
