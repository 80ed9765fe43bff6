//! Pumps the lines of one connection into the pipeline's bounded channel.

use super::Event;
use super::counters::Counters;
use super::framing::Framing;
use super::line::LineReader;
use super::source::Inlet;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::mpsc::error::TrySendError;

/// Bytes read at once.
const CHUNK_BYTES: usize = 8 * 1024;

/// What happens when the pipeline is slower than the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The reader waits, so that nothing is lost: files and pipes, which can be held back.
    Wait,
    /// The newest pose is dropped and counted: live sockets, where waiting would only make every later answer late.
    /// Hellos and end marks are never dropped.
    DropPoses,
}

/// Reads `reader` to its end, or until the pipeline hangs up.
///
/// # Errors
/// The reader's I/O error. Lines that are wrong are counted and passed over.
pub async fn pump<R: AsyncRead + Unpin>(
    mut reader: R,
    inlet: &Inlet,
    overflow: Overflow,
) -> std::io::Result<()> {
    let mut framing = Framing::default();
    let mut lines = LineReader::new(inlet.topology);
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    let mut events = Vec::new();
    let (mut too_long, mut not_finite, mut absurd) = (0, 0, 0);
    loop {
        let count = reader.read(&mut buffer).await?;
        let mut on_line = |line: &[u8]| {
            Counters::add(&inlet.counters.lines, 1);
            match lines.read(line) {
                Ok(event) => events.push(event),
                Err(_) => Counters::add(&inlet.counters.malformed, 1),
            }
        };
        match buffer.get(..count) {
            Some(bytes) if count > 0 => framing.push(bytes, &mut on_line),
            _ => framing.close(&mut on_line),
        }
        Counters::add(&inlet.counters.too_long, framing.too_long() - too_long);
        Counters::add(&inlet.counters.not_finite, lines.not_finite() - not_finite);
        Counters::add(&inlet.counters.absurd, lines.absurd() - absurd);
        (too_long, not_finite, absurd) = (framing.too_long(), lines.not_finite(), lines.absurd());
        for event in events.drain(..) {
            if !forward(event, inlet, overflow).await {
                return Ok(());
            }
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Hands one event on. Returns false when the pipeline has gone.
pub(super) async fn forward(event: Event, inlet: &Inlet, overflow: Overflow) -> bool {
    if overflow == Overflow::DropPoses && matches!(event, Event::Pose(_)) {
        return match inlet.sender.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                Counters::add(&inlet.counters.dropped, 1);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        };
    }
    inlet.sender.send(event).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tendon_shared::topology::TopologyId;

    fn inlet(capacity: usize) -> (Inlet, tokio::sync::mpsc::Receiver<Event>) {
        let (sender, receiver) = tokio::sync::mpsc::channel(capacity);
        (
            Inlet {
                topology: TopologyId::Kinect20,
                sender,
                counters: Arc::default(),
                bridge: Default::default(),
                log: Arc::new(|_| ()),
            },
            receiver,
        )
    }

    fn poses(count: usize) -> String {
        let joints = vec!["[0,1,2]"; 20].join(",");
        (0..count)
            .map(|t| format!("{{\"t\":{t},\"track\":1,\"joints\":[{joints}]}}\n"))
            .collect()
    }

    #[tokio::test]
    async fn a_full_channel_drops_poses_and_counts_them() {
        let (inlet, mut receiver) = inlet(3);
        pump(poses(5).as_bytes(), &inlet, Overflow::DropPoses)
            .await
            .unwrap();
        let counts = inlet.counters.snapshot();
        assert_eq!((counts.lines, counts.dropped, counts.malformed), (5, 2, 0));
        drop(inlet);
        let mut left = 0;
        while receiver.recv().await.is_some() {
            left += 1;
        }
        assert_eq!(left, 3);
    }

    #[tokio::test]
    async fn a_held_back_source_loses_nothing() {
        let (inlet, mut receiver) = inlet(1);
        let text = poses(9);
        let pumped = async {
            pump(text.as_bytes(), &inlet, Overflow::Wait).await.unwrap();
            drop(inlet);
        };
        let counted = async {
            let mut count = 0;
            while receiver.recv().await.is_some() {
                count += 1;
            }
            count
        };
        assert_eq!(tokio::join!(pumped, counted).1, 9);
    }

    #[tokio::test]
    async fn counts_long_lines_and_absurd_joints() {
        let (inlet, _receiver) = inlet(9);
        let joints = ["null,[1e20,0,0]"; 10].join(",");
        let text = format!(
            "{}\n{{\"t\":1,\"track\":1,\"joints\":[{joints}]}}\n",
            "x".repeat(20_000)
        );
        pump(text.as_bytes(), &inlet, Overflow::DropPoses)
            .await
            .unwrap();
        let counts = inlet.counters.snapshot();
        assert_eq!(
            (counts.too_long, counts.absurd, counts.malformed),
            (1, 10, 0)
        );
    }
}
