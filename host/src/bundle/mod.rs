//! From a trained classifier to a signed int8 bundle.
//!
//! In the order of the work: [`fold`] takes BatchNorm out, [`calibrate`] measures ranges on training windows, [`quantize`] makes
//! the engine's tables, [`measure`] compares float and int8, [`refine`] chooses ranges by that, [`source_buffer`] picks what the device replays, [`mod@write`]
//! puts the bundle together and [`sign`] keeps the keys. Test windows are used for reporting only, never to choose anything.

pub mod calibrate;
pub mod fold;
pub mod inputs;
pub mod measure;
pub mod quantize;
pub mod refine;
pub mod sign;
pub mod source_buffer;
pub mod write;
