//! Why a bundle, a key or a set of contents is refused.

use std::io;
use tendon_engine::ParseError;
use tendon_shared::manifest::ManifestError;
use tendon_shared::topology::TopologyId;

/// Why a bundle is refused. Nothing of it may be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The file cannot be read.
    #[error("the bundle cannot be read")]
    Io(#[from] io::Error),
    /// The file is larger than any bundle; it was not read.
    #[error("the bundle has {found} bytes, a device accepts at most {limit}")]
    TooLarge {
        /// Bytes of the file.
        found: u64,
        /// Bytes that are accepted.
        limit: u64,
    },
    /// The file ends early. Transfer it again.
    #[error("the bundle is truncated: {found} of {expected} bytes; transfer it again")]
    Truncated {
        /// Bytes that the table of contents asks for.
        expected: u64,
        /// Bytes that are there.
        found: u64,
    },
    /// This is no bundle.
    #[error("this is no bundle: {0}")]
    Malformed(String),
    /// Nobody that this side trusts has signed it. Install the signer's public key or have it signed by a known one.
    #[error(
        "the bundle is signed by the unknown key {signer}; trust that key or sign with a known one"
    )]
    ForeignKey {
        /// The signer's public key, hexadecimal.
        signer: String,
    },
    /// The bytes are not those that were signed.
    #[error("the bundle was tampered with or damaged: {what}")]
    Tampered {
        /// Which part differs.
        what: String,
    },
    /// The bundle needs another version of the software. Update the older side.
    #[error(
        "the bundle has {what} version {found}, this side supports {supported}; update the older one"
    )]
    UnsupportedVersion {
        /// Version of what.
        what: &'static str,
        /// The bundle's.
        found: u32,
        /// This side's.
        supported: u32,
    },
    /// The model is older than the one confirmed. Sign the older model again with a higher version to go back.
    #[error(
        "the bundle has model version {found}, but version {floor} is confirmed; an older model needs a new, higher version"
    )]
    Older {
        /// The bundle's model version.
        found: u64,
        /// The lowest version accepted.
        floor: u64,
    },
    /// The model reads another skeleton than the device's pose source writes.
    #[error("the bundle reads {} skeletons, this device has {}", .found.name(), .expected.name())]
    WrongTopology {
        /// The bundle's topology.
        found: TopologyId,
        /// The device's.
        expected: TopologyId,
    },
    /// The signed contents contradict each other: the maker's mistake.
    #[error("the bundle's signed contents are inconsistent: {0}")]
    Inconsistent(String),
    /// The signed encoder cannot be run: the maker's mistake.
    #[error("the bundle's encoder is invalid")]
    Encoder(#[from] ParseError),
}

/// Why contents cannot become a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The manifest is inconsistent.
    #[error("the manifest cannot be written")]
    Manifest(#[from] ManifestError),
    /// The encoder is invalid.
    #[error("the encoder is invalid")]
    Encoder(#[from] ParseError),
    /// A tensor's length does not fit the encoder.
    #[error("{tensor} has {found} elements, the encoder asks for a multiple of {step}")]
    Length {
        /// The tensor.
        tensor: &'static str,
        /// Its elements.
        found: usize,
        /// Elements of one window.
        step: usize,
    },
    /// The bundle would be refused.
    #[error("the finished bundle would be refused")]
    Refused(#[from] VerifyError),
}

/// Why a key is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the key cannot be read")]
    Io(#[from] io::Error),
    /// The text is no key of the expected kind.
    #[error("expected one line \"{expected} <64 hexadecimal digits>\"")]
    Malformed {
        /// The word before the digits.
        expected: &'static str,
    },
}

/// The engine does not compute the golden results: a miscompiled or faulty device. The bundle must not serve.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("golden window {window}: class {class} is {found}, must be {expected}")]
pub struct GoldenError {
    /// Number of the window.
    pub window: usize,
    /// Number of the class.
    pub class: usize,
    /// The logit found.
    pub found: i32,
    /// The logit that was signed.
    pub expected: i32,
}
