//! Tendon's Burn modules, used on both ends: the host trains them, the edge adapts their tail.
//!
//! Backend-free: a `Device` chosen at run time decides where tensors live. Nothing here reads a data set or
//! knows a training method. In the order of the data: [`augment`] changes windows, [`encoder`] turns them into
//! features, [`head`], [`alignment`] and [`classifier`] use those; [`ema`] and [`optimizer`] move weights, [`weights`] stores them.

pub mod alignment;
mod attention;
pub mod augment;
pub mod block;
pub mod bodies;
pub mod classifier;
pub mod container;
pub mod dsta;
pub mod ema;
pub mod encoder;
pub mod folded;
mod fused;
pub mod graph;
pub mod head;
mod init;
pub mod leaky;
pub mod motion_attention;
pub mod norm;
pub mod optimizer;
pub mod parameters;
pub mod pass;
pub mod polymerised_attention;
pub mod pyramid;
mod shards;
pub mod sketch;
pub mod st_gcn;
pub mod tail;
pub mod temporal;
pub mod weights;
