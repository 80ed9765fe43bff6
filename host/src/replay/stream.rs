//! Writes recordings as JSON lines of poses.

use super::shift::Shift;
use rand::Rng;
use std::io::{self, Write};
use tendon_data::dataset::Recording;
use tendon_shared::topology::{Topology, TopologyId};

/// Time between two recordings, milliseconds.
pub const PAUSE_MS: f64 = 1_000.0;
/// Frame rate of recordings that state none, Hz.
pub const DEFAULT_FPS: f64 = 30.0;

/// A stream of pose lines.
pub struct PoseWriter<W: Write> {
    out: W,
    topology: &'static Topology,
    time_ms: f64,
    tracks: u64,
    shift: Shift,
}

impl<W: Write> PoseWriter<W> {
    /// Begins a stream and names its topology.
    ///
    /// # Errors
    /// The sink's I/O error.
    pub fn begin(mut out: W, topology: TopologyId, shift: Shift) -> io::Result<Self> {
        let topology = topology.topology();
        writeln!(
            out,
            r#"{{"hello":"tendon replay","topology":"{}"}}"#,
            topology.name
        )?;
        Ok(Self {
            out,
            topology,
            time_ms: 0.0,
            tracks: 0,
            shift,
        })
    }

    /// Plays one recording as a track of its own; `wait` is told the time of each line on the stream's clock, milliseconds.
    ///
    /// # Errors
    /// The sink's I/O error.
    pub fn play(
        &mut self,
        recording: &Recording<'_>,
        rng: &mut impl Rng,
        wait: &mut dyn FnMut(f64),
    ) -> io::Result<()> {
        self.tracks += 1;
        let fps = if recording.fps > 0.0 {
            f64::from(recording.fps)
        } else {
            DEFAULT_FPS
        };
        let start = self.time_ms;
        let frame_len = recording.bodies * self.topology.joint_count() * 3;
        let mut joints = vec![[0.0_f32; 3]; self.topology.joint_count()];
        let frames = recording.poses.chunks_exact(frame_len.max(1)).enumerate();
        for (number, frame) in frames.step_by(self.shift.keep.max(1)) {
            // The device refuses a time twice, so very fast recordings are played a millisecond a frame.
            self.time_ms = start + number as f64 * (1_000.0 / fps).max(1.0);
            for (joint, values) in joints.iter_mut().zip(frame.as_chunks::<3>().0) {
                *joint = *values;
            }
            self.shift.apply(self.topology, &mut joints, rng);
            wait(self.time_ms);
            self.pose(&joints)?;
        }
        writeln!(
            self.out,
            r#"{{"end":{},"t":{},"label":{}}}"#,
            self.tracks, self.time_ms as u64, recording.label
        )?;
        self.time_ms += PAUSE_MS;
        Ok(())
    }

    /// Hands everything to the sink and gives it back.
    ///
    /// # Errors
    /// The sink's I/O error.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn pose(&mut self, joints: &[[f32; 3]]) -> io::Result<()> {
        write!(
            self.out,
            r#"{{"t":{},"track":{},"joints":["#,
            self.time_ms.round() as u64,
            self.tracks
        )?;
        for (number, [x, y, z]) in joints.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            // A joint that is not finite is no JSON number; it is absent.
            if x.is_finite() && y.is_finite() && z.is_finite() {
                write!(self.out, "{comma}[{x},{y},{z}]")?;
            } else {
                write!(self.out, "{comma}null")?;
            }
        }
        self.out.write_all(b"]}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tendon_model::augment::random::generator;

    fn recording(poses: &[f32], bodies: usize) -> Recording<'_> {
        Recording {
            name: "r",
            poses,
            frames: poses.len() / (60 * bodies),
            bodies,
            label: 4,
            subject: 0,
            camera: 0,
            setup: 0,
            repetition: 0,
            fps: 20.0,
        }
    }

    fn lines(poses: &[f32], bodies: usize) -> Vec<String> {
        let mut writer =
            PoseWriter::begin(Vec::new(), TopologyId::Kinect20, Shift::default()).unwrap();
        writer
            .play(
                &recording(poses, bodies),
                &mut generator(0, 0, 0, 0),
                &mut |_| (),
            )
            .unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn plays_frames_and_an_end_mark() {
        let lines = lines(&[0.5; 120], 1);
        assert_eq!(lines.len(), 4);
        assert_eq!(
            lines[0],
            r#"{"hello":"tendon replay","topology":"kinect20"}"#
        );
        assert!(
            lines[2].starts_with(r#"{"t":50,"track":1,"joints":[[0.5,0.5,0.5],"#),
            "{}",
            lines[2]
        );
        assert_eq!(lines[3], r#"{"end":1,"t":50,"label":4}"#);
    }

    #[test]
    fn plays_the_first_body_only() {
        let mut poses = vec![1.0; 60];
        poses.extend(vec![2.0; 60]);
        let lines = lines(&poses, 2);
        assert!(
            lines[1].contains("[1,1,1]") && !lines[1].contains('2'),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn every_line_is_json_whatever_the_joints_are() {
        for line in lines(&[f32::NAN; 60], 1) {
            serde_json::from_str::<serde_json::Value>(&line).unwrap();
        }
    }

    #[test]
    fn values_survive_exactly() {
        let value = 0.123_456_79_f32;
        let lines = lines(&[value; 60], 1);
        let parsed: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!(parsed["joints"][0][0].as_f64().unwrap() as f32, value);
    }
}
