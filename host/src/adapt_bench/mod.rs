//! Measuring adaptation: streams x domains x methods x seeds from one file.
//!
//! [`plan`] is the file. [`material`] opens what it names, [`windows`] plays recordings as a device gets them, with the domain's
//! shift, [`script`] puts them in the order of a stream. A method is [`method::Adapting`]: `ours` is the device's own [`tendon_adapt::Home`], the others are
//! published recipes on the same tail ([`recipe`]), and [`mod@oracle`] is a bound. [`measure`] plays a script to a method and counts; labels are only known there. [`job`] is
//! one measurement with its file, [`work`] makes those that are missing, [`results`], [`tables`] and [`page`] gather them.
//! Nothing here prints, and nothing of a stream is chosen by what is measured on it.

pub mod job;
pub mod material;
pub mod measure;
pub mod method;
pub mod oracle;
pub mod ours;
pub mod page;
pub mod plan;
pub mod rank;
pub mod recipe;
pub mod results;
pub mod script;
pub mod tables;
pub mod windows;
pub mod work;

pub use plan::{Plan, PlanError};
