//! The loops of every stage, on a small machine whose calls are scripted and recorded. What is expected was written
//! from the patch, `mm/migrate.c` of 5.11 and `mm/migrate_device.c` of 6.12, not from this crate.
//!
//! The pure decisions are enumerated in the tables beside this.

mod border;
mod collect;
mod finalize;
mod handover;
mod in_place;
mod isolate;
mod mock;
mod pin;
mod range;
mod typestate;
mod wrappers;

use migrate_pin_core::{
    setup, DstPfn, Error, MigratePfn, Migration, Policy, PolicyKind, Range, Request, Rules, Select,
    Shape, ShapeKind, SrcPfn, Unmapped,
};
use mock::{at, p, Machine, Traced, OWN, VMA};

pub(crate) type Setup<'a, P, S> = Migration<'a, Traced, P, S, Unmapped>;

/// Setup on as many pages as there are words, from page `from` of the area.
pub(crate) fn try_setup_from<'a, P: Policy, S: Shape>(
    machine: &Machine,
    from: usize,
    select: Select,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
) -> Result<Setup<'a, P, S>, Error> {
    let range = Range {
        start: at(from),
        end: at(from + src.len()),
    };
    setup(
        machine.traced(),
        Request {
            vma: VMA,
            range,
            src,
            dst,
            owner: OWN,
            select,
            fault_page: None,
        },
    )
}

/// Setup on the first pages of the area, selecting system memory.
pub(crate) fn set_up<'a, P: Policy, S: Shape>(
    machine: &Machine,
    src: &'a mut [SrcPfn],
    dst: &'a mut [DstPfn],
) -> Setup<'a, P, S> {
    try_setup_from(machine, 0, Select::SYSTEM, src, dst).unwrap()
}

/// A machine of the shape `S`.
pub(crate) fn machine<S: Shape>() -> Machine {
    Machine::new(S::KIND)
}

pub(crate) fn hardened<P: Policy>() -> bool {
    P::KIND == PolicyKind::Hardened
}

pub(crate) fn modern<S: Shape>() -> bool {
    S::KIND == ShapeKind::V6_12
}

/// Does finalize turn entries of anonymous areas back where they stand?
pub(crate) fn in_place<P: Policy, S: Shape>() -> bool {
    hardened::<P>() && modern::<S>()
}

/// What finalize calls before anything else, [in place](in_place), for the first `pages` of the area, which are in
/// one page-table page: `calls` are those under the PTL.
pub(crate) fn under_ptl<P: Policy, S: Shape>(pages: usize, calls: &str) -> String {
    match in_place::<P, S>() {
        true => {
            format!("pmd_span 0..{pages} = Table ..{pages}; pte_lock 0; {calls}; pte_unlock 0;")
        }
        false => String::new(),
    }
}

/// What finalize calls for a page whose entry is not turned back [in place](in_place) before.
pub(crate) fn by_rmap<P: Policy, S: Shape>(calls: &str) -> String {
    match in_place::<P, S>() {
        true => String::new(),
        false => format!("{calls};"),
    }
}

/// References on a device-private page that nobody accounts for are no reason to refuse it.
pub(crate) fn looks_over<P: Policy, S: Shape>() -> bool {
    hardened::<P>() || !modern::<S>()
}

/// The word of a page that was collected: VALID, MIGRATE and what `S` adds, and `flags`.
pub(crate) fn word<S: Shape>(letter: char, flags: MigratePfn) -> SrcPfn {
    let locked = match modern::<S>() {
        true => MigratePfn::empty(),
        false => MigratePfn::LOCKED,
    };
    SrcPfn::page(p(letter), MigratePfn::MIGRATE | locked | flags)
}

/// The rules of `P` on `S`, for messages.
pub(crate) fn rules<P: Policy, S: Shape>() -> Rules {
    Rules::of::<P, S>()
}

pub(crate) const NONE: SrcPfn = SrcPfn::NONE;
pub(crate) const PIN: SrcPfn = SrcPfn::PIN;
pub(crate) const NO: DstPfn = DstPfn::NONE;
