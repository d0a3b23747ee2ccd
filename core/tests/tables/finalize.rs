//! `migrate_vma_finalize()`, `migrate_device_finalize()`.

use crate::{hardened, Table, BOTH};
use migrate_pin_core::finalize::{
    decide_finalize, decide_in_place, Drop, Finalize, FinalizeFacts, Release,
};
use migrate_pin_core::{Pfn, Present, Pte, PteBits, Rules};

const MEMORY: [Option<bool>; 3] = [None, Some(false), Some(true)];

/// The patch's last hunk and the lines around it, in their order. On 6.12 it decides the same; only where
/// the put and the LRU stand differs, which is the loop's.
///
/// `Hardened`: `undoes_failed_pins`: a source with PIN that goes back gives its bias up and is put back;
/// `keeps_refused_unpins`: a destination that is dropped and has UNPIN only loses its lock.
fn oracle(hardened: bool, facts: FinalizeFacts) -> Finalize {
    let drop = if hardened && facts.unpin {
        Drop::Unlock
    } else {
        // unlock_page(newpage); put_page(newpage);
        Drop::Put
    };
    // if (!page) { if (newpage) { unlock_page(newpage); put_page(newpage); } continue; }
    let Some(page_is_device) = facts.src else {
        return match facts.dst {
            Some(_) => Finalize::DropDestination(drop),
            None => Finalize::Nothing,
        };
    };
    // if (is_zone_device_page(page)) put_page(page); else if (!(src & PIN)) putback_lru_page(page);
    let source = if page_is_device {
        Release::Put
    } else if !facts.pin {
        Release::Putback
    } else {
        Release::Keep
    };
    match facts.dst {
        // if (!(src & MIGRATE) || !newpage) { if (newpage) {...} newpage = page; }
        None => Finalize::GoBack {
            destination: None,
            source: undo(hardened, source),
        },
        Some(_) if !facts.migrating => Finalize::GoBack {
            destination: Some(drop),
            source: undo(hardened, source),
        },
        // if (newpage != page) { unlock_page(newpage); if (is_zone_device_page(newpage)) put_page(newpage);
        // else { if (dst & UNPIN) page_ref_sub(newpage, BIAS); putback_lru_page(newpage); } }
        Some(newpage_is_device) => Finalize::GoOn {
            source,
            destination: if facts.same {
                None
            } else if newpage_is_device {
                Some(Release::Put)
            } else if facts.unpin {
                Some(Release::Unpin)
            } else {
                Some(Release::Putback)
            },
        },
    }
}

/// What `Hardened` makes of a pin that did not come to pass.
fn undo(hardened: bool, source: Release) -> Release {
    if hardened && source == Release::Keep {
        Release::Unpin
    } else {
        source
    }
}

#[test]
fn finalize() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for src in MEMORY {
            for dst in MEMORY {
                for migrating in BOTH {
                    for pin in BOTH {
                        for (unpin, same) in BOTH.iter().flat_map(|u| BOTH.map(|s| (*u, s))) {
                            let facts = FinalizeFacts {
                                src,
                                dst,
                                same,
                                migrating,
                                pin,
                                unpin,
                            };
                            table.row(
                                (rules, facts),
                                oracle(hardened(rules), facts),
                                decide_finalize(rules, facts),
                            );
                        }
                    }
                }
            }
        }
    }
    table.done(4 * 3 * 3 * 16);
}

/// The entries that the protocol names, in a table.
#[test]
fn by_name() {
    let facts = |src, dst, migrating, pin, unpin| FinalizeFacts {
        src,
        dst,
        same: false,
        migrating,
        pin,
        unpin,
    };
    let (system, device) = (Some(false), Some(true));
    let go_back = |destination, source| Finalize::GoBack {
        destination,
        source,
    };
    let go_on = |source, destination| Finalize::GoOn {
        source,
        destination: Some(destination),
    };
    // | facts | as posted | hardened |
    let rows = [
        // A successful pin: the original stays isolated and biased.
        (
            facts(system, device, true, true, false),
            go_on(Release::Keep, Release::Put),
            go_on(Release::Keep, Release::Put),
        ),
        // A successful unpin.
        (
            facts(device, system, true, false, true),
            go_on(Release::Put, Release::Unpin),
            go_on(Release::Put, Release::Unpin),
        ),
        // A plain migration to the device and back.
        (
            facts(system, device, true, false, false),
            go_on(Release::Putback, Release::Put),
            go_on(Release::Putback, Release::Put),
        ),
        (
            facts(device, system, true, false, false),
            go_on(Release::Put, Release::Putback),
            go_on(Release::Put, Release::Putback),
        ),
        // No device page left: the second defect.
        (
            facts(system, None, false, true, false),
            go_back(None, Release::Keep),
            go_back(None, Release::Unpin),
        ),
        // The move failed after the pin.
        (
            facts(system, device, false, true, false),
            go_back(Some(Drop::Put), Release::Keep),
            go_back(Some(Drop::Put), Release::Unpin),
        ),
        // An unpin that was refused: a plain put takes the isolation's reference from under the pin.
        (
            facts(device, system, false, false, true),
            go_back(Some(Drop::Put), Release::Put),
            go_back(Some(Drop::Unlock), Release::Put),
        ),
        // The same after an entry without a source.
        (
            facts(None, system, false, false, true),
            Finalize::DropDestination(Drop::Put),
            Finalize::DropDestination(Drop::Unlock),
        ),
    ];
    let mut table = Table::new();
    for rules in Rules::ALL {
        for (facts, as_posted, mended) in rows {
            let expected = if hardened(rules) { mended } else { as_posted };
            table.row((rules, facts), expected, decide_finalize(rules, facts));
        }
    }
    table.done(32);
}

/// 6.12: `is_migration_entry()` of the page, and `is_writable_migration_entry()` or
/// `is_readable_exclusive_migration_entry()`; the other bits that an entry may carry are of no matter.
#[test]
fn in_place() {
    const PAGES: [Pfn; 3] = [Pfn(0), Pfn(7), Pfn(8)];
    let mut table = Table::new();
    for source in PAGES {
        for bits in (0..64).map(PteBits::from_bits_truncate) {
            let bit = |bit: PteBits| bits & bit == bit;
            let alone = bit(PteBits::WRITE) || bit(PteBits::EXCLUSIVE);
            let mut row = |entry, expected| {
                table.row((entry, source), expected, decide_in_place(entry, source));
            };
            row(Pte::None, false);
            row(Pte::Other, false);
            row(Pte::Present(Present::Zero, bits), false);
            row(Pte::Present(Present::Special, bits), false);
            for page in PAGES {
                row(Pte::Present(Present::Page(page), bits), false);
                row(Pte::DevicePrivate(page, bits), false);
                row(Pte::Migration(page, bits), page.0 == source.0 && alone);
            }
        }
    }
    table.done(3 * 64 * (4 + 3 * 3));
}
