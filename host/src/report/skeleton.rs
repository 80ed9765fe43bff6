//! Animated skeletons: inline SVG that a small script moves, for any topology.
//!
//! Each clip is a figure that plays in a loop; a click stops it, dragging turns it about the vertical. Without scripts,
//! and for readers who ask for less motion, its middle frame stands still. The person is seen as the camera sees them, so
//! their right side is on the left of the picture.

use super::escape;
use std::fmt::Write as _;
use tendon_shared::limits::AXES;
use tendon_shared::pose::is_present;
use tendon_shared::topology::{Topology, TopologyId};

/// Script that plays every figure of the page; runs once however often it is included.
const SCRIPT: &str = include_str!("skeleton.js");

/// Frames of a clip that go into the page; longer ones are thinned.
const MAX_FRAMES: usize = 120;

/// Size of the picture of one skeleton in CSS pixels.
const SIZE: (f64, f64) = (180.0, 220.0);

/// Share of the coordinates at either end that does not count for the picture's scale, so that a joint that flies off does
/// not shrink the person.
const OUTLIERS: f64 = 0.002;

/// Classes of torso, left arm, right arm, left leg, right leg and head: left is blue and green, right orange and purple.
const CLASSES: [&str; 6] = ["s5", "s0", "s1", "s2", "s3", "head s5"];

/// A recording to show.
#[derive(Debug, Clone, Copy)]
pub struct Clip<'a> {
    /// Standard of the skeletons.
    pub topology: TopologyId,
    /// `[frame, body, joint, 3]`, any unit; all zero or not finite is absent.
    pub poses: &'a [f32],
    /// Bodies in a frame.
    pub bodies: usize,
    /// Frames per second.
    pub fps: f32,
    /// Text below the figure.
    pub caption: &'a str,
}

/// Figures of all clips, with the script that plays them: a block for [`super::Page::raw`].
#[must_use]
pub fn skeletons(clips: &[Clip<'_>]) -> String {
    let mut html = String::from("<div class=\"skeletons\">\n");
    for clip in clips {
        html.push_str(&figure(clip));
    }
    let _ = write!(html, "</div>\n<script>\n{SCRIPT}</script>\n");
    html
}

/// One figure, without the script.
fn figure(clip: &Clip<'_>) -> String {
    let topology = clip.topology.topology();
    let film = Film::new(topology, clip);
    let groups = groups(topology);
    let (width, height) = SIZE;
    let mut html = format!(
        "<figure class=\"skeleton\" data-fps=\"{:.2}\" data-joints=\"{}\" data-bodies=\"{}\" data-bones=\"{}\" data-poses=\"{}\">",
        film.fps,
        topology.joint_count(),
        film.bodies,
        bones_text(&groups),
        film.encode()
    );
    let _ = write!(
        html,
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"{} {} {width} {height}\" role=\"img\">",
        -width / 2.0,
        -height / 2.0
    );
    for body in 0..film.bodies {
        for (bones, class) in groups.iter().zip(CLASSES) {
            let path = film.path(bones, film.frames.len() / 2, body);
            let _ = write!(html, "<path class=\"limb {class}\" d=\"{path}\"/>");
        }
    }
    let _ = writeln!(
        html,
        "</svg><figcaption>{}</figcaption></figure>",
        escape(clip.caption)
    );
    html
}

/// Bones (child, parent) of each class; a bone belongs to the part of its child, and the head is a bone without length.
fn groups(topology: &Topology) -> [Vec<(u8, u8)>; CLASSES.len()] {
    let mut groups: [Vec<(u8, u8)>; CLASSES.len()] = Default::default();
    for bone in topology.bones {
        let part = topology
            .parts
            .iter()
            .position(|part| part.joints.contains(&bone.0));
        groups[part.unwrap_or(0)].push(*bone);
    }
    let head = ["head", "nose"]
        .into_iter()
        .find_map(|name| topology.joint(name));
    groups[CLASSES.len() - 1].extend(head.map(|joint| (joint as u8, joint as u8)));
    groups
}

/// `child-parent` pairs, comma-separated, groups separated by semicolons.
fn bones_text(groups: &[Vec<(u8, u8)>]) -> String {
    let text = |bones: &Vec<(u8, u8)>| {
        let pairs = bones
            .iter()
            .map(|(child, parent)| format!("{child}-{parent}"));
        pairs.collect::<Vec<_>>().join(",")
    };
    groups.iter().map(text).collect::<Vec<_>>().join(";")
}

/// A clip in the picture's units: origin in the middle, y down, x as the camera sees it; absent joints are nothing.
struct Film {
    frames: Vec<Vec<Option<[f64; 3]>>>,
    bodies: usize,
    joints: usize,
    fps: f64,
}

impl Film {
    fn new(topology: &Topology, clip: &Clip<'_>) -> Self {
        let joints = topology.joint_count();
        let bodies = clip.bodies.max(1);
        let all: Vec<&[f32]> = clip.poses.chunks_exact(bodies * joints * AXES).collect();
        let step = all.len().div_ceil(MAX_FRAMES).max(1);
        let mut frames: Vec<Vec<Option<[f64; 3]>>> = all
            .into_iter()
            .step_by(step)
            .map(|frame| {
                frame
                    .as_chunks::<3>()
                    .0
                    .iter()
                    .map(|joint| is_present(joint).then(|| joint.map(f64::from)))
                    .collect()
            })
            .collect();
        // Kinects' x grows to the left of the picture, and a picture's y grows downwards.
        for joint in frames.iter_mut().flatten().flatten() {
            *joint = [-joint[0], -joint[1], joint[2]];
        }
        let range = |axis: usize| {
            let mut values: Vec<f64> = frames
                .iter()
                .flatten()
                .flatten()
                .map(|joint| joint[axis])
                .collect();
            values.sort_unstable_by(f64::total_cmp);
            let cut = (values.len() as f64 * OUTLIERS) as usize;
            let low = values.get(cut).copied().unwrap_or_default();
            (
                low,
                values
                    .get(values.len().saturating_sub(cut + 1))
                    .copied()
                    .unwrap_or_default(),
            )
        };
        let ranges = [range(0), range(1), range(2)];
        let centre = ranges.map(|(low, high)| (low + high) / 2.0);
        let extent = ranges.map(|(low, high)| high - low);
        // Turned about the vertical, depth becomes width.
        let width = extent[0].hypot(extent[2]).max(1e-9);
        let scale = (SIZE.0 * 0.92 / width).min(SIZE.1 * 0.86 / extent[1].max(1e-9));
        for joint in frames.iter_mut().flatten().flatten() {
            for (value, centre) in joint.iter_mut().zip(centre) {
                *value = (*value - centre) * scale;
            }
        }
        let fps = if clip.fps.is_finite() && clip.fps > 0.0 {
            f64::from(clip.fps)
        } else {
            30.0
        };
        Self {
            frames,
            bodies,
            joints,
            fps: fps / step as f64,
        }
    }

    /// Tenths of a pixel, `x,y,z` of every joint one after another; an absent joint is three empty fields.
    fn encode(&self) -> String {
        let mut text = String::new();
        for joint in self.frames.iter().flatten() {
            match joint {
                Some([x, y, z]) => {
                    let _ = write!(text, "{:.0},{:.0},{:.0},", x * 10.0, y * 10.0, z * 10.0);
                }
                None => text.push_str(",,,"),
            }
        }
        text.pop();
        text
    }

    /// Bones of one body as an SVG path.
    fn path(&self, bones: &[(u8, u8)], frame: usize, body: usize) -> String {
        let joint = |index: u8| {
            *self
                .frames
                .get(frame)?
                .get(body * self.joints + usize::from(index))?
        };
        let mut path = String::new();
        for &(child, parent) in bones {
            if let (Some(from), Some(to)) = (joint(parent), joint(child)) {
                let _ = write!(
                    path,
                    "M{:.1} {:.1}L{:.1} {:.1}",
                    from[0], from[1], to[0], to[1]
                );
            }
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(poses: &[f32], caption: &str) -> String {
        skeletons(&[Clip {
            topology: TopologyId::Sbu15,
            poses,
            bodies: 1,
            fps: 30.0,
            caption,
        }])
    }

    fn walk(frames: usize) -> Vec<f32> {
        (0..frames * 45)
            .map(|i| ((i * 37 % 101) as f32) / 50.0 + 0.1)
            .collect()
    }

    #[test]
    fn loads_nothing_and_escapes_the_caption() {
        let html = clip(&walk(3), "<b>wave</b>");
        assert!(html.contains("&lt;b&gt;wave"));
        for outside in ["http", "src=", "href=", "url(", "@import"] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_bone_without_one_of_its_ends_is_not_drawn() {
        let whole = walk(1);
        let mut broken = whole.clone();
        broken[..3].fill(f32::NAN);
        let bones = |html: &str| html.matches('M').count() - SCRIPT.matches('M').count();
        assert_eq!(bones(&clip(&whole, "")), 14 + 1, "bones and head");
        assert_eq!(bones(&clip(&broken, "")), 13, "neither head nor neck");
    }

    #[test]
    fn long_clips_are_thinned_and_keep_their_pace() {
        let html = clip(&walk(300), "");
        assert!(html.contains("data-fps=\"10.00\""));
        let poses = html
            .split("data-poses=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        assert_eq!(poses.split(',').count(), 100 * 45);
    }

    #[test]
    fn empty_absurd_and_absent_poses_give_a_figure_too() {
        for poses in [
            vec![],
            vec![0.0; 90],
            vec![f32::INFINITY; 90],
            vec![1.0; 45],
            vec![1.0; 7],
        ] {
            let html = clip(&poses, "x");
            assert!(html.contains("<figcaption>x</figcaption>") && !html.contains("NaN,"));
        }
    }

    #[test]
    fn every_topology_has_all_its_bones_in_the_player() {
        for id in TopologyId::ALL {
            let text = bones_text(&groups(id.topology()));
            assert_eq!(text.matches('-').count(), id.topology().bones.len() + 1);
            assert_eq!(text.split(';').count(), CLASSES.len());
        }
    }
}
