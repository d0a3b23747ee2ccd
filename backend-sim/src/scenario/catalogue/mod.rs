//! All scenarios, one room a stage or theme.

mod alloc;
mod border;
mod collect;
mod finalize;
mod insert;
mod life;
mod machines;
mod migrate;
mod pages;
mod pin;
mod posted;
mod prepare;
pub mod seeds;
mod short;
mod unmap;

use crate::scenario::Scenario;

/// All scenarios, in the order of the pipeline.
#[must_use]
pub fn all() -> Vec<&'static Scenario> {
    [
        border::ALL,
        collect::ALL,
        prepare::ALL,
        unmap::ALL,
        insert::ALL,
        pages::ALL,
        finalize::ALL,
        pin::ALL,
        migrate::ALL,
        life::ALL,
        alloc::ALL,
        posted::ALL,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// For each seeded bug but those that need a race the scenario in which it shows. Not among [`all`]: nobody has to run these but who wants to
/// know whether the invariants notice.
#[must_use]
pub const fn seeded() -> &'static [seeds::Seeded] {
    seeds::ALL
}
