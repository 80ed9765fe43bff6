//! Conversion, normalisation and streams, with buffers of fixed size.

use tendon_shared::normalize::{Mode, NormalizeSpec, normalize};
use tendon_shared::stream::{Stream, stack};
use tendon_shared::topology::{TopologyId, map::retarget};

const FRAMES: u16 = 4;
const JOINTS: usize = 20;
const WINDOW: usize = 3 * FRAMES as usize * JOINTS;

/// Whether a window could be made.
pub fn touch() -> bool {
    let topology = TopologyId::Kinect20.topology();
    let mut pose = [[0.0; 3]; JOINTS];
    if retarget(
        TopologyId::Coco17,
        TopologyId::Kinect20,
        &[[1.0; 3]; 17],
        &mut pose,
    )
    .is_err()
    {
        return false;
    }
    let mut window = [0.0; WINDOW];
    let mut input = [0.0; 3 * WINDOW];
    [Mode::Paper, Mode::Product].into_iter().all(|mode| {
        let spec = NormalizeSpec {
            mode,
            frames: FRAMES,
            bodies: 1,
        };
        normalize(topology, &spec, pose.as_flattened(), &mut window).is_ok()
            && stack(
                &Stream::ALL,
                topology,
                &window,
                usize::from(FRAMES),
                &mut input,
            )
            .is_ok()
    })
}
