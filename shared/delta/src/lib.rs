//! The difference between two bundles, so that an update sends what changed.
//!
//! A retrained model keeps its shapes, and most of its int8 weights move by little. So each tensor of the new file is written as
//! the bytewise difference from the tensor of the same name in the old one, modulo 256, wherever that is more regular than the tensor
//! itself, and everything together is compressed.
//!
//! # Format
//! [`MAGIC`], the length of the header (u16, little-endian), the header in postcard, one Zstandard frame (RFC 8878). The frame holds as
//! many bytes as the new file has; [`format::Piece`]s say, in the new file's order, what they are.
//!
//! A delta carries no authority: what it leads to is checked by digest here, and by signature like any other bundle afterwards. Whatever
//! its bytes are, applying it gives the file that it names or an error, in bounded memory.

mod apply;
mod format;
#[cfg(feature = "make")]
mod make;

pub use apply::{ApplyError, apply};
pub use format::{FormatError, Header, MAGIC, MAX_PIECES, Piece};
#[cfg(feature = "make")]
pub use make::{MakeError, make};
