//! Parts that contrastive methods share: losses, the queue of negatives, the watch for collapse.
//!
//! Pure functions of tensors and small states; a method composes them and owns the networks.

mod attention_drop;
mod class_aware;
mod cosine;
mod distribution;
mod divergence;
mod info_nce;
mod label_ring;
mod mining;
mod mix;
mod nt_xent;
mod pair;
mod paired;
mod pseudo_label;
mod queue;
mod region;
mod vote;

pub use attention_drop::attention_drop;
pub use class_aware::{class_aware_loss, same_class};
pub use cosine::{cosine, cosine_distance};
pub use distribution::distribution_divergence;
pub use divergence::{Collapse, CollapseWatch, spread};
pub use info_nce::{InfoNce, cross_entropy};
pub use label_ring::LabelRing;
pub use mining::{mined, mined_loss};
pub use mix::{Fill, Mix, MixSpec, mask_pool, rows};
pub use nt_xent::nt_xent;
pub use pair::Pair;
pub use paired::{paired_accuracy, paired_loss};
pub use pseudo_label::{Guess, Threshold, flex, guesses};
pub use queue::{Queue, QueueError};
pub use region::{JointChoice, Region};
pub use vote::{vote, vote_loss};
