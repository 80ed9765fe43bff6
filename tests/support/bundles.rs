//! Signed bundles with random encoders, and poses for them.

use sha2::{Digest as _, Sha256};
use tendon_bundle::testing::{Shape, random_contents, secret_key};
use tendon_host::transport::offer::Parcel;
use tendon_shared::protocol::deploy::Digest;
use tendon_shared::topology::TopologyId;

/// Frames of a window.
const FRAMES: usize = 16;

/// Number of the key that the tests' devices trust.
pub(crate) const TRUSTED: u8 = 1;

/// A bundle of `version`, signed with key number `key`.
pub(crate) fn bundle_for(topology: TopologyId, version: u64, key: u8) -> Parcel {
    made(topology, version, version, key)
}

/// A bundle of `version` with the weights of [`bundle`] of version `of`.
pub(crate) fn reissued(version: u64, of: u64) -> Parcel {
    made(TopologyId::Kinect20, version, of, TRUSTED)
}

fn made(topology: TopologyId, version: u64, seed: u64, key: u8) -> Parcel {
    let mut shape = Shape::small(topology.topology().joint_count(), FRAMES, 5);
    for (channels, _) in &mut shape.blocks {
        // Wide enough for a file of some hundred chunks.
        *channels *= 4;
    }
    let bytes = random_contents(topology, &shape, version, seed)
        .pack(&secret_key(key))
        .unwrap();
    Parcel::new(bytes).unwrap()
}

/// A bundle of `version` that the tests' devices accept.
pub(crate) fn bundle(version: u64) -> Parcel {
    bundle_for(TopologyId::Kinect20, version, TRUSTED)
}

/// The bundle with other bytes, offered honestly: what somebody on the way, or a bad disk, could make of it.
pub(crate) fn with_bytes(parcel: &Parcel, change: impl FnOnce(&mut Vec<u8>)) -> Parcel {
    let mut changed = parcel.clone();
    change(&mut changed.bytes);
    changed.offer.size = changed.bytes.len() as u32;
    changed.offer.digest = Digest(Sha256::digest(&changed.bytes).into());
    changed
}

/// Pose lines of `tracks` people, one after another, each a whole track of 20 frames at 30 Hz.
pub(crate) fn tracks(first: u64, tracks: u64) -> String {
    let mut lines = String::from("{\"hello\":1,\"topology\":\"kinect20\"}\n");
    for track in first..first + tracks {
        for frame in 0..20u64 {
            let time = track * 1000 + frame * 33;
            let joints: Vec<String> = (0..20u64)
                .map(|joint| {
                    let sway = ((frame + joint) as f32 * 0.3).sin() * 0.1;
                    format!(
                        "[{},{},2.5]",
                        joint as f32 * 0.04 - 0.4 + sway,
                        joint as f32 * 0.08 - 0.8
                    )
                })
                .collect();
            lines += &format!(
                "{{\"t\":{time},\"track\":{track},\"joints\":[{}]}}\n",
                joints.join(",")
            );
        }
        lines += &format!("{{\"end\":{track},\"t\":{}}}\n", track * 1000 + 700);
    }
    lines
}
