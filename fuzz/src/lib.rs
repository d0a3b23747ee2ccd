//! What the fuzz targets have in common: [choices](choices) out of bytes, machines that are put back instead of built,
//! drivers that follow the protocol or break it, and a plain model of what memory must read as.
//!
//! A target is a function from bytes to a [`Verdict`]; `fuzz_targets` gives each to libFuzzer, `rates` measures it on
//! stable with random bytes, `hunt` looks what it finds in what is known to be broken.

#![forbid(unsafe_code)]

pub mod choices;
pub mod hand;
pub mod interleave;
pub mod misuse;
pub mod mode;
pub mod model;
pub mod pipeline;
pub mod policies;
pub mod pool;
pub mod raw_abi;
pub mod snapshot;
pub mod stock;
pub mod sync;
pub mod turns;
pub mod verdict;
pub mod words;
pub mod wrong;

pub use mode::Mode;
pub use verdict::Verdict;
