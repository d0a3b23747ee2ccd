//! The driver's two decisions, and the facts about memory that all stages share.

use crate::{hardened, is_device_private, is_zone_device, Table, ZONES};
use migrate_pin_core::border::PinFacts;
use migrate_pin_core::pin::{may_release, wanted};
use migrate_pin_core::{Access, Mapping, Rules, SrcPfn};

/// Protocol, *Acquire*: "for each entry with MIGRATE and VALID (and WRITE, if the device is to write)"; of a
/// request that set PIN, which an inserted or refused word lost.
#[test]
fn entries() {
    let mut table = Table::new();
    for access in [Access::Read, Access::Write] {
        for pfn in [0usize, 1, 0x42, usize::MAX >> 6] {
            for bits in 0..64 {
                let has = |bit: usize| bits & bit == bit;
                // VALID | MIGRATE | PIN, and WRITE
                let expected = has(0b1_0011) && (access == Access::Read || has(0b1000));
                let src = SrcPfn::from_raw(pfn << 6 | bits);
                table.row((src, access), expected, wanted(src, access));
            }
        }
    }
    table.done(2 * 4 * 64);
}

/// The driver as posted: "if a pair is known, drop the pin's bias from the original"; `Hardened`
/// (`keeps_records`): none without the caller's own record.
#[test]
fn releases() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for pin in [
            PinFacts::None,
            PinFacts::Foreign,
            PinFacts::OtherPair,
            PinFacts::Own,
        ] {
            let expected = !hardened(rules) || pin == PinFacts::Own;
            table.row((rules, pin), expected, may_release(rules, pin));
        }
    }
    table.done(16);
}

/// `is_zone_device_page()`, `is_device_private_page()`.
#[test]
fn zones() {
    let mut table = Table::new();
    for zone in ZONES {
        table.row(zone, is_zone_device(zone), zone.is_device());
        table.row(zone, is_device_private(zone), zone.is_device_private());
    }
    table.done(12);
}

/// `page_mapping()`: the swapper space of an anonymous page in the swap cache, else NULL for an anonymous
/// page, else `page->mapping`.
#[test]
fn mappings() {
    let mut table = Table::new();
    for (mapping, cached) in [
        (Mapping::None, false),
        (Mapping::Anon, false),
        (Mapping::SwapCache, true),
        (Mapping::File, true),
    ] {
        table.row(mapping, cached, mapping.cached());
    }
    table.done(4);
}
