//! How much of a window's computation the next window could reuse, eight frames later: too little to be worth a second way to compute.
//!
//! Every temporal convolution reaches four frames to either side, of which the strides make 8 and then 16, and pads windows with
//! zeros. So an activation is the same in both windows only if nothing that it saw lies beyond an edge of either. After six
//! blocks there is no such activation left: the receptive field of all ten is 153 frames.

use crate::window;
use tendon_bundle::testing::{Shape, usual_encoder};
use tendon_engine::{BlockSpec, Encoder};

const FRAMES: usize = 64;
const STEP: usize = 8;
const JOINTS: usize = 5;

/// Returns the frames of a window, of those that `every` leaves, that saw at most `reach` frames to either side and no edge.
fn unchanged(reach: usize, every: usize) -> Vec<usize> {
    let inside = |frame: &usize| *frame >= reach && frame + STEP + reach < FRAMES;
    (0..FRAMES).step_by(every).filter(inside).collect()
}

/// Returns multiplications of the graph and of the temporal convolution (with the residual one) of one frame and joint.
fn multiplications(shape: &BlockSpec) -> [usize; 2] {
    let residual = match shape.residual {
        tendon_engine::ResidualKind::Convolution => shape.input,
        _ => 0,
    };
    [
        3 * shape.input * shape.output,
        (9 * shape.output + residual) * shape.output,
    ]
}

#[test]
fn one_part_in_twenty_four_of_a_window_could_be_reused() {
    let blob = usual_encoder(&Shape::usual(JOINTS, FRAMES, 2), 1);
    let encoder = Encoder::parse(&blob).unwrap();
    let (mut reach, mut every) = (0, 1);
    let (mut all, mut reused) = (0, 0);
    for shape in encoder.spec().block_shapes() {
        let [graph, temporal] = multiplications(shape);
        all += shape.frames * graph + shape.frames_out * temporal;
        reused += unchanged(reach, every).len() * graph;
        reach += 4 * every;
        every *= shape.stride;
        reused += unchanged(reach, every).len() * temporal;
    }
    assert_eq!(2 * reach + 1, 153);
    let share = reused as f64 / all as f64;
    assert!((0.040..0.042).contains(&share), "{share}");
}

#[test]
fn only_what_saw_no_edge_is_the_same_in_two_windows() {
    let blob = usual_encoder(&Shape::usual(JOINTS, FRAMES, 2), 1);
    let encoder = Encoder::parse(&blob).unwrap();
    // [channel, frame, joint] of both windows, cut from one sequence.
    let sequence = window(3 * (FRAMES + STEP) * JOINTS, 2);
    let cut = |first: usize| -> Vec<f32> {
        let channels = sequence.chunks_exact((FRAMES + STEP) * JOINTS);
        channels
            .flat_map(|channel| &channel[first * JOINTS..(first + FRAMES) * JOINTS])
            .copied()
            .collect()
    };
    let (before, after) = (cut(0), cut(STEP));
    let (mut reach, mut every) = (0, 1);
    for (block, shape) in encoder.spec().block_shapes().iter().enumerate() {
        reach += 4 * every;
        every *= shape.stride;
        let run = |window: &[f32]| {
            let mut out = vec![0; JOINTS * shape.frames_out * shape.output];
            let arena = &mut vec![0; encoder.arena_len()];
            encoder.partial(block + 1, window, arena, &mut out).unwrap();
            out
        };
        let (before, after) = (run(&before), run(&after));
        let row = |features: &[i8], frame: usize| -> Vec<i8> {
            let rows = features.chunks_exact(shape.frames_out * shape.output);
            let row = frame * shape.output..(frame + 1) * shape.output;
            rows.flat_map(|rows| rows[row.clone()].to_vec()).collect()
        };
        let same: Vec<usize> = (0..(FRAMES - STEP) / every)
            .filter(|frame| row(&after, *frame) == row(&before, frame + STEP / every))
            .map(|frame| frame * every)
            .collect();
        assert_eq!(same, unchanged(reach, every), "block {}", block + 1);
    }
}
