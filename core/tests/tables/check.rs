//! `migrate_vma_check_page()`, `page_maybe_dma_pinned()`.

use crate::{hardened, is_device_private, is_zone_device, v6_12, Table, BOTH, ZONES};
use migrate_pin_core::check::{check_page, maybe_dma_pinned, CheckFacts};
use migrate_pin_core::Rules;

/// Around every sum that the test can meet, around the bias, and at the ends.
const COUNTS: [u32; 19] = [
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    1023,
    1024,
    1025,
    1026,
    1030,
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX - 1,
    u32::MAX,
];

const MAPCOUNTS: [u32; 13] = [
    0,
    1,
    2,
    3,
    4,
    1022,
    1023,
    1024,
    0x7fff_fffe,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX - 1,
    u32::MAX,
];

/// The function in C's order. The kernel's counts are `int` and never meet the ends; here the sums are
/// exact there too.
fn oracle(hardened: bool, modern: bool, facts: CheckFacts) -> bool {
    let mut extra: i64 = 1;
    // 6.12: int extra = 1 + (page == fault_page);
    if modern {
        extra += i64::from(facts.fault_page);
    }
    // if (PageCompound(page)) return false;
    if facts.compound {
        return false;
    }
    if is_zone_device(facts.zone) {
        // 5.11: return is_device_private_page(page);
        if !modern {
            return is_device_private(facts.zone);
        }
        // Hardened: on 6.12 as well.
        if hardened && is_device_private(facts.zone) {
            return true;
        }
        // 6.12: if (folio_is_zone_device(folio)) extra++;
        extra += 1;
    }
    // if (page_mapping(page)) extra += 1 + page_has_private(page);
    if facts.cached {
        extra += 1 + i64::from(facts.private);
    }
    // if ((page_count(page) - extra) > page_mapcount(page)) return false;
    i64::from(facts.count) - extra <= i64::from(facts.mapcount)
}

#[test]
fn pages() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for compound in BOTH {
            for zone in ZONES {
                for cached in BOTH {
                    for private in BOTH {
                        for fault_page in BOTH {
                            for count in COUNTS {
                                for mapcount in MAPCOUNTS {
                                    let facts = CheckFacts {
                                        compound,
                                        zone,
                                        cached,
                                        private,
                                        count,
                                        mapcount,
                                        fault_page,
                                    };
                                    table.row(
                                        (rules, facts),
                                        oracle(hardened(rules), v6_12(rules), facts),
                                        check_page(rules, facts),
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }
    table.done(4 * 2 * 6 * 8 * 19 * 13);
}

/// The comment above `migrate_page_move_mapping()`, as examples: an isolated system page that is mapped
/// nowhere. | cached, private, count | passes |
#[test]
fn isolated_and_unmapped() {
    let rows = [
        (false, false, 1, true),
        (false, false, 2, false),
        (false, true, 1, true),
        (false, true, 2, false),
        (true, false, 2, true),
        (true, false, 3, false),
        (true, true, 3, true),
        (true, true, 4, false),
        (false, false, 0, true), // one-sided: fewer are no failure
    ];
    let mut table = Table::new();
    for rules in Rules::ALL {
        for (cached, private, count, passes) in rows {
            let facts = CheckFacts {
                compound: false,
                zone: ZONES[0],
                cached,
                private,
                count,
                mapcount: 0,
                fault_page: false,
            };
            table.row((rules, facts), passes, check_page(rules, facts));
        }
    }
    table.done(36);
}

/// `(unsigned int)page_count(page) >= GUP_PIN_COUNTING_BIAS`, 1024.
#[test]
fn dma_pinned() {
    let mut table = Table::new();
    for count in (0..=4096).chain(COUNTS) {
        table.row(count, count >= 1024, maybe_dma_pinned(count));
    }
    table.done(4097 + 19);
}
