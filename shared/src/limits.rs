//! Capacities that both ends rely on. A value here is a promise to the device's memory plan: raising one is a protocol
//! change.

/// Joints of the largest supported topology (MediaPipe's 33).
pub const MAX_JOINTS: usize = 33;
/// Bodies in one window.
pub const MAX_BODIES: usize = 2;
/// Frames in one window; 10 s at 30 Hz, the length at which every published pipeline cuts a recording.
pub const MAX_WINDOW_FRAMES: usize = 300;
/// Classes a model may tell apart (NTU RGB+D 120 needs 120).
pub const MAX_CLASSES: usize = 128;
/// Streams stacked on the encoder's channel axis.
pub const MAX_STREAMS: usize = 3;
/// Bytes of a class name in UTF-8; the longest of the public sets at hand has 67.
pub const CLASS_NAME_BYTES: usize = 72;
/// Coordinates of a joint: x, y, z.
pub const AXES: usize = 3;
/// Largest magnitude of a coordinate that is believed, in metres; anything beyond is read as an absent joint.
///
/// Wide enough for recordings in millimetres or pixels, small enough that squares and sums of it stay finite in `f32`.
pub const MAX_COORDINATE: f32 = 1.0e6;

const _: () = assert!(MAX_JOINTS <= 64, "a set of joints is kept in 64 bits");
const _: () = assert!(MAX_BODIES <= 8, "Presence is 8 bits");
const _: () = assert!(
    MAX_WINDOW_FRAMES <= u16::MAX as usize,
    "a frame index is 16 bits"
);
const _: () = assert!(MAX_CLASSES <= u16::MAX as usize, "a label is 16 bits");
const _: () = assert!(
    MAX_STREAMS * AXES <= u8::MAX as usize,
    "a channel index is 8 bits"
);
