//! The signed file that carries an int8 encoder to a device: making its bytes, reading and verifying it.
//!
//! A bundle is one safetensors file. Its metadata holds the manifest's canonical bytes, the signer's key and an ed25519
//! signature over the manifest; the manifest holds the shape and the SHA-256 of every tensor. [`Bundle::verify`] is the only way to
//! a [`VerifiedBundle`], and nothing but the file's table of contents is interpreted before the signature has been checked.
//!
//! What is absent: writing files, secret key files and quantisation (the host's work), slots and trials (the device's).

pub mod blob;
mod bundle;
mod container;
mod error;
mod golden;
pub mod hex;
mod keys;
mod pack;
#[cfg(feature = "testing")]
pub mod testing;
mod verify;

pub use bundle::VerifiedBundle;
pub use error::{GoldenError, KeyError, PackError, VerifyError};
pub use golden::Golden;
pub use keys::{PublicKey, SecretKey, TrustedKeys};
pub use pack::Contents;
pub use verify::{Bundle, Floor, MAX_BUNDLE_BYTES};

/// Names of the tensors of a bundle.
pub mod names {
    /// The engine's blob, U8.
    pub const ENCODER: &str = "encoder.int8";
    /// Trunk features of training windows, I8 `[window, joint, frame, channel]`.
    pub const SOURCE_FEATURES: &str = "source.features";
    /// Labels of the source features, U16 `[window]`.
    pub const SOURCE_LABELS: &str = "source.labels";
    /// How the people of the training data stood before their cameras, F32: direction of the trunk (3), jitter, length of each limb. Optional.
    pub const SOURCE_REFERENCE: &str = "source.reference";
    /// Windows with known results, F32 `[window, body, channel, frame, joint]`.
    pub const GOLDEN_WINDOWS: &str = "golden.windows";
    /// Which bodies are there, U8 `[window]`.
    pub const GOLDEN_PRESENCE: &str = "golden.presence";
    /// The logits that the engine must compute, I32 `[window, class]`.
    pub const GOLDEN_LOGITS: &str = "golden.logits";
}
