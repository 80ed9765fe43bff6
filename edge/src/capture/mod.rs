//! Takes pose events from a pose estimator: JSON lines on stdin, a UNIX socket, TCP, or a file that is played again; or packets from a
//! microcontroller at the end of a serial line ([`bridge`]).
//!
//! [`framing`] cuts bytes into lines, [`mod@line`] reads one line, [`source`] names where the bytes come from and [`reader`]
//! pumps them into a bounded channel. Nothing here knows a model. Whatever a peer sends is bounded and counted in
//! [`counters`]; no input ends the agent.

pub mod bridge;
pub mod counters;
pub mod framing;
pub mod line;
pub mod reader;
pub mod source;
pub mod wire;

use tendon_shared::pose::Pose;
use tendon_shared::protocol::bridge::BridgeReport;
use tendon_shared::protocol::telemetry::Recognition;
use tendon_shared::topology::TopologyId;

/// One thing that a pose source says.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The source names the skeleton standard of the poses that follow.
    Hello {
        /// The joints' standard.
        topology: TopologyId,
    },
    /// One person in one frame.
    Pose(Box<Pose>),
    /// A track is over.
    End {
        /// The track that ends.
        track: u64,
        /// When it ended, milliseconds on the source's clock.
        time_ms: u64,
        /// The true class, when a recorded set is played to measure accuracy. Never learnt from.
        label: Option<u16>,
    },
    /// What a pose bridge recognised by itself; it needs no window.
    Answer(Box<Recognition>),
    /// How a pose bridge is and works.
    Bridge(Box<BridgeReport>),
}
