//! What a repository of bundles offers, proven by signed metadata as in The Update Framework (TUF).
//!
//! Data comes from a [`source`], a folder or a server that nobody vouches for; the [`client`] lets through what the keys of
//! the roles have signed, what is current, and what is not older than anything seen before. The bundle inside has a signature
//! of its own, which its installer checks as ever. [`author`] makes the files that the client reads.
//!
//! Devices accept ed25519 only. Metadata is read into memory whole, within [`client::Limits`]. What is absent: any clock (time is
//! an argument), threads, and keys (the host's).

pub mod archive;
pub mod author;
pub mod client;
mod error;
mod files;
pub mod floors;
#[cfg(feature = "http")]
pub mod http;
pub mod json;
pub mod keys;
pub mod metadata;
pub mod moment;
pub mod offers;
mod search;
pub mod source;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use error::TrustError;
