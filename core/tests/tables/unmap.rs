//! Patch, hunk `@@ -2757 migrate_vma_unmap`: what stands after `try_to_unmap()`.

use crate::{hardened, Table, BOTH};
use migrate_pin_core::unmap::{decide_unmap, Unmap, UnmapFacts};
use migrate_pin_core::Rules;

/// The hunk in its order, and what `Hardened` changes: `pins_only_migrating`, `flushes_before_pin`.
fn oracle(hardened: bool, facts: UnmapFacts) -> Unmap {
    let (mut migrate, mut bias) = (true, false);
    // if (page_mapped(page)) src &= ~MIGRATE;
    if facts.mapped {
        migrate = false;
    }
    // if (!migrate_vma_check_page(page) && !(src & PIN)) src &= ~MIGRATE;
    if !facts.accounted && !facts.pin {
        migrate = false;
    }
    // if (src & PIN) { if (page_maybe_dma_pinned(page)) src &= ~MIGRATE; else page_ref_add(...); }
    if facts.pin {
        if facts.maybe_pinned {
            migrate = false;
        } else {
            bias = true;
        }
    }
    if hardened && !migrate {
        bias = false;
    }
    // The page goes to a device although somebody has a reference, who may have it in a TLB.
    let flush = hardened && migrate && facts.pin && !facts.accounted;
    Unmap {
        migrate,
        pin: bias,
        flush,
    }
}

#[test]
fn unmap() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for mapped in BOTH {
            for accounted in BOTH {
                for pin in BOTH {
                    for maybe_pinned in BOTH {
                        let facts = UnmapFacts {
                            mapped,
                            accounted,
                            pin,
                            maybe_pinned,
                        };
                        table.row(
                            (rules, facts),
                            oracle(hardened(rules), facts),
                            decide_unmap(rules, facts),
                        );
                    }
                }
            }
        }
    }
    table.done(64);
}

/// The same for PIN in a table: | mapped, maybe pinned | as posted: migrate, bias | hardened |
#[test]
fn pinned() {
    let rows = [
        (false, false, (true, true), (true, true)),
        (false, true, (false, false), (false, false)),
        (true, false, (false, true), (false, false)), // pin without migrate, the first defect
        (true, true, (false, false), (false, false)),
    ];
    let mut table = Table::new();
    for rules in Rules::ALL {
        for accounted in BOTH {
            for (mapped, maybe_pinned, as_posted, mended) in rows {
                let facts = UnmapFacts {
                    mapped,
                    accounted,
                    pin: true,
                    maybe_pinned,
                };
                let found = decide_unmap(rules, facts);
                let expected = if hardened(rules) { mended } else { as_posted };
                table.row((rules, facts), expected, (found.migrate, found.pin));
            }
        }
    }
    table.done(32);
}
