//! Why somebody is not who they should be.

use std::io;
use std::path::PathBuf;

/// What is wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Reading or writing failed.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read a secret.
    #[error(
        "{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`, or make a new one if someone may have read it"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is something else.
    #[error("{path} is no {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The text is no token.
    #[error("this is no token; copy all of what `tendon fleet token` printed")]
    Token,
    /// A name does not do.
    #[error("{0:?} is no name: use 1 to 32 small letters, digits and hyphens")]
    Name(String),
    /// There is one already.
    #[error("{0} exists already")]
    Exists(PathBuf),
    /// The authority knows of no such token.
    #[error("there is no token for {0}; make one with `tendon fleet token`")]
    NoToken(String),
    /// The token was used.
    #[error("the token for {0} was used; a device that was set up anew needs a new one")]
    Used(String),
    /// The token has expired.
    #[error("the token for {0} has expired; make a new one with `tendon fleet token`")]
    Late(String),
    /// The request does not come from who holds the token.
    #[error("the request for {0} was not made with its token; somebody else may have made it")]
    Forged(String),
    /// The reply is another fleet's, or for another device.
    #[error("the reply is not for this device and this fleet")]
    Foreign,
    /// The file is no signed statement.
    #[error("this is no signed statement: {0}")]
    Statement(&'static str),
    /// The statement's certificate is not of this fleet, or not that device's.
    #[error(
        "it says to be of {0}, but not with a certificate that this fleet's authority has given a device of that name"
    )]
    OtherFleet(String),
    /// The statement is not what the device signed.
    #[error("{0} has not signed this: it was changed on the way, or signed with another key")]
    Unsigned(String),
    /// Cryptography refused something.
    #[error("{0}")]
    Crypto(String),
    /// TLS cannot be set up with this identity.
    #[error("the identity cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}
