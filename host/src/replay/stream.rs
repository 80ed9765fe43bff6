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

/// What a track does next.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Shows a frame of its recording.
    Frame(usize),
    /// Ends.
    End,
}

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

    /// Plays recordings at the same time, each as a track of its own, as of persons before one camera; the next ones follow when the
    /// longest has ended. `wait` is told the time of each line on the stream's clock, milliseconds.
    ///
    /// # Errors
    /// The sink's I/O error.
    pub fn play(
        &mut self,
        recordings: &[Recording<'_>],
        rng: &mut impl Rng,
        wait: &mut dyn FnMut(f64),
    ) -> io::Result<()> {
        let (start, first) = (self.time_ms, self.tracks + 1);
        self.tracks += recordings.len() as u64;
        let mut joints = vec![[0.0_f32; 3]; self.topology.joint_count()];
        for (time_ms, place, event) in self.schedule(recordings) {
            let (Some(recording), track) = (recordings.get(place), first + place as u64) else {
                continue;
            };
            self.time_ms = start + time_ms;
            match event {
                Event::Frame(frame) => {
                    let length = recording.bodies * joints.len() * 3;
                    let values = recording.poses.get(frame * length..).unwrap_or_default();
                    for (joint, values) in joints.iter_mut().zip(values.as_chunks::<3>().0) {
                        *joint = *values;
                    }
                    self.shift.apply(self.topology, &mut joints, rng);
                    wait(self.time_ms);
                    self.pose(track, &joints)?;
                }
                Event::End => writeln!(
                    self.out,
                    r#"{{"end":{track},"t":{},"label":{}}}"#,
                    self.time_ms as u64, recording.label
                )?,
            }
        }
        self.time_ms += PAUSE_MS;
        Ok(())
    }

    /// What happens when: milliseconds from the start, the recording's place, the event.
    fn schedule(&self, recordings: &[Recording<'_>]) -> Vec<(f64, usize, Event)> {
        let mut events = Vec::new();
        for (place, recording) in recordings.iter().enumerate() {
            let fps = if recording.fps > 0.0 {
                f64::from(recording.fps)
            } else {
                DEFAULT_FPS
            };
            let length = (recording.bodies * self.topology.joint_count() * 3).max(1);
            let mut last = 0.0;
            for frame in (0..recording.poses.len() / length).step_by(self.shift.keep.max(1)) {
                // The device refuses a time twice, so very fast recordings are played a millisecond a frame.
                last = frame as f64 * (1_000.0 / fps).max(1.0);
                events.push((last, place, Event::Frame(frame)));
            }
            events.push((last, place, Event::End));
        }
        // The sort is stable: the end of a track stays behind its last frame.
        events.sort_by(|a, b| a.0.total_cmp(&b.0));
        events
    }

    /// Hands everything to the sink and gives it back.
    ///
    /// # Errors
    /// The sink's I/O error.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn pose(&mut self, track: u64, joints: &[[f32; 3]]) -> io::Result<()> {
        write!(
            self.out,
            r#"{{"t":{},"track":{},"joints":["#,
            self.time_ms.round() as u64,
            track
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
                &[recording(poses, bodies)],
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
    fn persons_who_are_there_together_take_turns_and_leave_when_they_are_done() {
        let mut writer =
            PoseWriter::begin(Vec::new(), TopologyId::Kinect20, Shift::default()).unwrap();
        let (long, short) = ([0.5; 180], [0.25; 60]);
        writer
            .play(
                &[recording(&long, 1), recording(&short, 1)],
                &mut generator(0, 0, 0, 0),
                &mut |_| (),
            )
            .unwrap();
        let text = String::from_utf8(writer.finish().unwrap()).unwrap();
        let tracks: Vec<String> = text
            .lines()
            .skip(1)
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                match value.get("end") {
                    Some(end) => format!("end {end} at {}", value["t"]),
                    None => format!("{} at {}", value["track"], value["t"]),
                }
            })
            .collect();
        let expected = [
            "1 at 0",
            "2 at 0",
            "end 2 at 0",
            "1 at 50",
            "1 at 100",
            "end 1 at 100",
        ];
        assert_eq!(tracks, expected);
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
