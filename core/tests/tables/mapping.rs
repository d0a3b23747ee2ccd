//! `expected_page_refs()`, `migrate_page_move_mapping()`, `folio_migrate_mapping()`.

use crate::{hardened, v6_12, Table, BOTH};
use migrate_pin_core::mapping::{decide_move, expected_count, Move, MoveFacts};
use migrate_pin_core::{Mapping, Rules};

const EXTRAS: [i32; 9] = [i32::MIN, -2, -1, 0, 1, 2, 3, 1024, i32::MAX];

const COUNTS: [u32; 17] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    1023,
    1024,
    1025,
    1026,
    1027,
    0x7fff_ffff,
    0x8000_0000,
    0x8000_0002,
    u32::MAX,
];

fn all_facts() -> Vec<MoveFacts> {
    let mut all = Vec::new();
    for mapping in [
        Mapping::None,
        Mapping::Anon,
        Mapping::SwapCache,
        Mapping::File,
    ] {
        for device_private in BOTH {
            for private in BOTH {
                for extra_count in EXTRAS {
                    for count in COUNTS {
                        all.push(MoveFacts {
                            mapping,
                            extra_count,
                            device_private,
                            private,
                            count,
                        });
                    }
                }
            }
        }
    }
    all
}

/// `page_mapping()` is not null.
fn page_mapping(facts: MoveFacts) -> bool {
    matches!(facts.mapping, Mapping::SwapCache | Mapping::File)
}

/// 5.11, `expected_page_refs()`: `1 + is_device_private_page(page)`, and with a mapping
/// `thp_nr_pages(page) + page_has_private(page)`; plus `extra_count`. 6.12, `folio_expected_ref_count()`:
/// one for the swap cache; if not anonymous one for the page cache and one for private data; plus 1.
fn expected(modern: bool, facts: MoveFacts) -> i64 {
    let mut expected = 1;
    let anon = matches!(facts.mapping, Mapping::Anon | Mapping::SwapCache);
    if modern {
        expected += i64::from(facts.mapping == Mapping::SwapCache);
        if !anon {
            expected += i64::from(facts.mapping == Mapping::File) + i64::from(facts.private);
        }
    } else {
        expected += i64::from(facts.device_private);
        if page_mapping(facts) {
            expected += 1 + i64::from(facts.private);
        }
    }
    expected + i64::from(facts.extra_count)
}

#[test]
fn counts() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for facts in all_facts() {
            table.row(
                (rules, facts),
                expected(v6_12(rules), facts),
                expected_count(rules, facts),
            );
        }
    }
    table.done(4 * 16 * 9 * 17);
}

/// Patch, hunks `@@ -410` and `@@ -421`, in 5.11's order.
fn move_5_11(facts: MoveFacts) -> Move {
    let expected = expected(false, facts);
    // if (!mapping) {
    //   if (!is_device_private_page(page) && extra_count >= 0 && page_count(page) != expected_count)
    //     return -EAGAIN;
    //   ... return MIGRATEPAGE_SUCCESS;
    // } else if (extra_count < 0) { return -EINVAL; }
    if !page_mapping(facts) {
        if !facts.device_private && facts.extra_count >= 0 && i64::from(facts.count) != expected {
            return Move::Again;
        }
        return Move::Identity;
    } else if facts.extra_count < 0 {
        return Move::Invalid;
    }
    // xas_lock_irq(&xas): what follows is done under the cache's lock.
    Move::Cache { expected }
}

/// 6.12, with the same two lines. `folio_migrate_mapping()` tests the count before anything else, for every
/// page; no first patch of the series, so device-private pages are tested as well.
fn move_6_12(hardened: bool, facts: MoveFacts) -> Move {
    let expected = expected(true, facts);
    // Hardened: as the series' first patch has it on 5.11.
    let waiters = hardened && facts.device_private;
    // if (extra_count >= 0 && folio_ref_count(folio) != expected_count) return -EAGAIN;
    if !waiters && facts.extra_count >= 0 && i64::from(facts.count) != expected {
        return Move::Again;
    }
    // __folio_migrate_mapping(): if (!mapping) { ... return MIGRATEPAGE_SUCCESS; }
    // else if (extra_count < 0) return -EINVAL;
    if !page_mapping(facts) {
        return Move::Identity;
    } else if facts.extra_count < 0 {
        return Move::Invalid;
    }
    // xas_lock_irq(&xas); if (!folio_ref_freeze(folio, expected_count))
    Move::Cache { expected }
}

#[test]
fn moves() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for facts in all_facts() {
            let expected = if v6_12(rules) {
                move_6_12(hardened(rules), facts)
            } else {
                move_5_11(facts)
            };
            table.row((rules, facts), expected, decide_move(rules, facts));
        }
    }
    table.done(4 * 16 * 9 * 17);
}
