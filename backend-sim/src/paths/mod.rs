//! What processes and the rest of the kernel do to memory: one room each.
//!
//! Every operation either is done or says what it waits for ([`Progress`](crate::cpu::Progress)) and is called again
//! with the same arguments. Only one thing is kept while an operation waits: a fault that met a migration entry waits
//! for the page with `mmap_lock` held for reading, as the kernel does.

pub mod access;
pub mod compact;
pub mod fault;
pub mod file;
pub mod fork;
pub mod gup;
pub mod huge;
pub mod populate;
pub mod protect;
pub mod reclaim;
pub mod swap;
pub mod zap;
