//! Comparing: a grid of encoders, seeds and protocols from one file, run job by job, each a command of `tendon` itself.
//!
//! [`plan`] is the file, [`job`] one command with the record that it is done, [`results`] gathers what the jobs wrote into tables,
//! [`map`] draws the embeddings in two dimensions and [`page`] puts everything on one page. A job is skipped when its record says that
//! the same command has run on the same files, so a comparison that was stopped at any moment goes on where it was. Time and
//! memory are those of the jobs' own processes.

pub mod job;
pub mod map;
pub mod page;
pub mod plan;
pub mod results;

pub use job::{Digests, Job, Kind, jobs};
pub use plan::{Plan, PlanError};
pub use results::{Results, gather};
