//! One measurement: a source in a domain, a stream, a seed, a method; and its file.
//!
//! The file's name has a digest of everything that decides the result, so a file that is there is the result, whatever was
//! stopped or changed in between, and results of other settings stay beside it. The program itself is not part of the digest: another version of it
//! wants another folder.

use super::material::{Material, MaterialError};
use super::measure::{Outcome, measure};
use super::method::{Adapting, Shipped};
use super::oracle::oracle;
use super::ours::Ours;
use super::plan::{MethodKind, Plan, PlanError};
use super::recipe;
use super::script::script;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tendon_adapt::AdaptConfig;

/// Rises when a measurement means something else.
const VERSION: u32 = 1;

/// Numbers of what a job is made of, each in the plan's list.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The source.
    pub source: usize,
    /// The domain.
    pub domain: usize,
    /// The stream.
    pub stream: usize,
    /// The method.
    pub method: usize,
    /// The stream's seed.
    pub seed: u64,
    /// Settings of `ours`.
    config: Option<AdaptConfig>,
    /// Digest of everything that decides the result.
    identity: String,
}

/// What stands in a job's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Digest of everything that decides the result.
    pub identity: String,
    /// The job in words.
    pub title: String,
    /// The result.
    pub outcome: Outcome,
}

/// A measurement could not be made.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A part of the material is not usable.
    #[error("{title}: {source}")]
    Material {
        /// The job.
        title: String,
        /// Which part.
        source: Box<MaterialError>,
    },
    /// The method cannot work on it.
    #[error("{title}: {why}")]
    Method {
        /// The job.
        title: String,
        /// Why.
        why: String,
    },
    /// The result cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// All jobs of a plan: one seed of everything before the next, jobs on the same windows together. `path` is the plan's file.
///
/// # Errors
/// Settings of a method that cannot be meant.
pub fn jobs(plan: &Plan, path: &Path, material: &Material) -> Result<Vec<Job>, PlanError> {
    let mut configs = Vec::new();
    for method in &plan.methods {
        let ours = method.kind == MethodKind::Ours;
        configs.push(ours.then(|| method.configuration(path)).transpose()?);
    }
    let mut jobs = Vec::new();
    for &seed in &plan.seeds {
        for domain in 0..plan.domains.len() {
            for source in material.meeting(domain) {
                for stream in 0..plan.streams.len() {
                    for (method, config) in configs.iter().enumerate() {
                        let on = &plan.methods[method].streams;
                        if !on.is_empty() && !on.contains(&plan.streams[stream].name) {
                            continue;
                        }
                        let mut job = Job {
                            source,
                            domain,
                            stream,
                            method,
                            seed,
                            config: config.clone(),
                            identity: String::new(),
                        };
                        job.identity = job.digest(plan, material);
                        jobs.push(job);
                    }
                }
            }
        }
    }
    Ok(jobs)
}

impl Job {
    /// One line for people.
    #[must_use]
    pub fn title(&self, plan: &Plan) -> String {
        format!(
            "{} on {} by {}, {}, seed {}",
            plan.methods[self.method].name,
            plan.domains[self.domain].name,
            plan.sources[self.source].name,
            plan.streams[self.stream].name,
            self.seed
        )
    }

    /// Its file in the folder of the results.
    #[must_use]
    pub fn path(&self, plan: &Plan, out: &Path) -> PathBuf {
        let file = format!(
            "{}-{}-{}.json",
            plan.methods[self.method].name,
            self.seed,
            &self.identity[..12]
        );
        out.join("jobs")
            .join(&plan.domains[self.domain].name)
            .join(&plan.sources[self.source].name)
            .join(&plan.streams[self.stream].name)
            .join(file)
    }

    /// Its result, if it is there.
    #[must_use]
    pub fn read(&self, plan: &Plan, out: &Path) -> Option<Outcome> {
        let bytes = std::fs::read(self.path(plan, out)).ok()?;
        let record: Record = serde_json::from_slice(&bytes).ok()?;
        (record.identity == self.identity).then_some(record.outcome)
    }

    /// Makes the measurement and writes its file. `clock` tells the time for durations only.
    ///
    /// # Errors
    /// [`JobError`] names the job.
    pub fn run(
        &self,
        plan: &Plan,
        material: &Material,
        out: &Path,
        clock: &dyn Fn() -> Duration,
    ) -> Result<Outcome, JobError> {
        let title = self.title(plan);
        let stream = &plan.streams[self.stream];
        let wrong = |why: String| JobError::Method {
            title: title.clone(),
            why,
        };
        let script = script(material, (self.source, self.domain), stream, self.seed);
        let script = script.map_err(|source| JobError::Material {
            title: title.clone(),
            source: Box::new(source),
        })?;
        let method = &plan.methods[self.method];
        let source = &material.sources[self.source];
        let mut adapting: Box<dyn Adapting + '_> = match method.kind {
            MethodKind::Ours => {
                let config = self.config.clone().unwrap_or_default();
                let ours = Ours::new(&source.bundle, &config, self.seed, clock);
                Box::new(ours.map_err(|error| wrong(error.to_string()))?)
            }
            kind => match recipe::make(kind, source, self.seed, clock).map_err(wrong)? {
                Some(recipe) => recipe,
                None => Box::new(Shipped),
            },
        };
        let outcome = match method.kind {
            MethodKind::Oracle => oracle(&source.bundle, &script, self.seed),
            _ => measure(adapting.as_mut(), &script, method.batch, stream.idle_passes),
        };
        let outcome = outcome.map_err(wrong)?;
        let record = Record {
            identity: self.identity.clone(),
            title: title.clone(),
            outcome,
        };
        let path = self.path(plan, out);
        // A record holds numbers and texts: it is always JSON.
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        tendon_files::write(&path, &bytes).map_err(|source| JobError::Write { path, source })?;
        Ok(record.outcome)
    }

    /// Names do not matter, what they stand for does.
    fn digest(&self, plan: &Plan, material: &Material) -> String {
        let (source, domain) = (
            &material.sources[self.source],
            &material.domains[self.domain],
        );
        let (stream, method) = (&plan.streams[self.stream], &plan.methods[self.method]);
        let facts = serde_json::json!({
            "version": VERSION,
            "source": [&source.digest, source.data.digest(), &source.plan.split],
            "source_windows": plan.source_windows,
            "domain": [
                serde_json::json!(domain.data.digest()),
                serde_json::json!(domain.plan.windows),
                serde_json::json!(domain.plan.shift),
                serde_json::json!(domain.plan.classes),
                serde_json::json!(domain.plan.unknown),
            ],
            "stream": [
                serde_json::json!(stream.order),
                serde_json::json!(stream.repeat),
                serde_json::json!(stream.idle_passes),
            ],
            "method": [serde_json::json!(method.kind), serde_json::json!(method.batch), serde_json::json!(self.config)],
            "seed": self.seed,
        });
        tendon_bundle::hex::encode(&Sha256::digest(facts.to_string().as_bytes()))
    }
}
