//! `migrate_vma_prepare()`, the first loop after the lock is held.

use crate::{Table, BOTH};
use migrate_pin_core::prepare::{decide_prepare, Prepare, PrepareFacts};

const KEEP: Prepare = Prepare::Keep;
/// `if (remap)`: clear MIGRATE, `restore++`; the second loop restores, unlocks and puts.
const LATER: Prepare = Prepare::RestoreLater { putback: false };
/// The same after `get_page(); putback_lru_page()`.
const LATER_LRU: Prepare = Prepare::RestoreLater { putback: true };
/// `else`: word 0, unlock, `put_page()`.
const NOW: Prepare = Prepare::UndoNow { putback: false };
/// The same with `putback_lru_page()`.
const NOW_LRU: Prepare = Prepare::UndoNow { putback: true };

/// All 32 rows: | replaced (`remap`), device, isolated | accounted and pin: neither, accounted, pin, both |
///
/// `isolate_lru_page()` stands inside `if (!is_zone_device_page(page))`, and what it refuses never comes to
/// the check. Patch: `if (!migrate_vma_check_page(page) && !(src & MIGRATE_PFN_PIN))`.
const ROWS: [(bool, bool, bool, [Prepare; 4]); 8] = [
    // A system page, not isolated: refused, with or without PIN; nothing to put back.
    (false, false, false, [NOW, NOW, NOW, NOW]),
    (true, false, false, [LATER, LATER, LATER, LATER]),
    // A system page, isolated.
    (false, false, true, [NOW_LRU, KEEP, KEEP, KEEP]),
    (true, false, true, [LATER_LRU, KEEP, KEEP, KEEP]),
    // Device memory is never isolated, and goes on no LRU.
    (false, true, false, [NOW, KEEP, KEEP, KEEP]),
    (false, true, true, [NOW, KEEP, KEEP, KEEP]),
    (true, true, false, [LATER, KEEP, KEEP, KEEP]),
    (true, true, true, [LATER, KEEP, KEEP, KEEP]),
];

#[test]
fn prepare() {
    let mut table = Table::new();
    for (replaced, device, isolated, verdicts) in ROWS {
        let columns = [(false, false), (true, false), (false, true), (true, true)];
        for ((accounted, pin), expected) in columns.into_iter().zip(verdicts) {
            let facts = PrepareFacts {
                replaced,
                device,
                isolated,
                accounted,
                pin,
            };
            table.row(facts, expected, decide_prepare(facts));
        }
    }
    // The rows are all there are.
    for replaced in BOTH {
        for device in BOTH {
            for isolated in BOTH {
                let key = (replaced, device, isolated);
                assert!(ROWS.iter().any(|row| (row.0, row.1, row.2) == key));
            }
        }
    }
    table.done(32);
}
