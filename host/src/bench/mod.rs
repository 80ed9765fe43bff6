//! Our time beside its peers': the same network, weights and windows through this program and through PyTorch and ONNX Runtime.
//!
//! [`subject`] makes the network and its windows and writes them to a folder. Every contender is a process of its own that speaks
//! [`protocol`] over its pipes: our own side is this program again ([`serve`] with [`infer`], [`train`], [`adapt`], [`stream`]), peers are
//! the Python scripts of [`scripts`]; [`contender`] starts and asks them. [`rounds`] lets them take turns, so that whatever else the
//! machine does hits all of them, and turns times into ratios; [`compare`] says whether their outputs agree and [`report`]
//! makes the table. No clock in here: processes measure themselves, and their clock is an argument.

pub mod adapt;
pub mod compare;
pub mod contender;
pub mod import;
pub mod infer;
pub mod load;
pub mod protocol;
pub mod report;
pub mod rounds;
pub mod scripts;
pub mod serve;
pub mod stream;
pub mod subject;
pub mod train;
