//! Repositories behind `http://`.
//!
//! No TLS: what is fetched is believed for its signatures alone. Who reads the line learns which files a device asks for.

use crate::client::encode;
use crate::source::{Bounded, Source, SourceError, bounded};
use std::time::Duration;

/// A repository on a server: `<base>metadata/` and `<base>targets/`.
pub struct Http {
    agent: ureq::Agent,
    metadata: String,
    targets: String,
}

impl Http {
    /// The repository at `base`. `patience` bounds each request as a whole.
    #[must_use]
    pub fn new(base: &str, patience: Duration) -> Self {
        let base = base.trim_end_matches('/');
        Self::with_folders(
            &format!("{base}/metadata"),
            &format!("{base}/targets"),
            patience,
        )
    }

    /// A repository whose two folders are at addresses of their own.
    #[must_use]
    pub fn with_folders(metadata: &str, targets: &str, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(patience))
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        Self {
            agent: config.new_agent(),
            metadata: metadata.trim_end_matches('/').to_owned(),
            targets: targets.trim_end_matches('/').to_owned(),
        }
    }

    fn get(&self, address: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let failed = |why: String| SourceError::Failed(format!("{address}: {why}"));
        let mut response = self
            .agent
            .get(address)
            .call()
            .map_err(|error| failed(error.to_string()))?;
        match response.status().as_u16() {
            200 => {}
            403 | 404 | 410 => return Err(SourceError::Absent),
            status => return Err(failed(format!("the server answers {status}"))),
        }
        bounded(response.body_mut().as_reader(), limit).map_err(|error| match error {
            Bounded::TooLarge => SourceError::TooLarge { limit },
            Bounded::Io(error) => failed(error.to_string()),
        })
    }
}

impl Source for Http {
    fn metadata(&mut self, name: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        // Names of delegated roles are encoded already.
        self.get(&format!("{}/{name}", self.metadata), limit)
    }

    fn target(&mut self, path: &str, limit: u64) -> Result<Vec<u8>, SourceError> {
        let parts: Vec<_> = path.split('/').map(encode).collect();
        self.get(&format!("{}/{}", self.targets, parts.join("/")), limit)
    }
}
