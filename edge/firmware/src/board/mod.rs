//! Boards: each file says where one has its UART and how fast its clock is.

#[cfg(feature = "lm3s6965evb")]
#[path = "lm3s6965evb.rs"]
mod chosen;
#[cfg(feature = "mps2-an386")]
#[path = "mps2_an386.rs"]
mod chosen;
#[cfg(feature = "mps2-an500")]
#[path = "mps2_an500.rs"]
mod chosen;
#[cfg(feature = "mps3-an547")]
#[path = "mps3_an547.rs"]
mod chosen;

pub(crate) use chosen::{CLOCK_HZ, INTERRUPTS, UART, prepare};
