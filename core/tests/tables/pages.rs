//! `migrate_vma_pages()`, `__migrate_device_pages()`.

use crate::{
    hardened, is_device_coherent, is_device_private, is_zone_device, v6_12, Table, BOTH, ZONES,
};
use migrate_pin_core::pages::{decide_pages, Pages, PagesFacts};
use migrate_pin_core::{Mapping, MigrateMode, Rules};

const SOURCES: [Option<Mapping>; 5] = [
    None,
    Some(Mapping::None),
    Some(Mapping::Anon),
    Some(Mapping::SwapCache),
    Some(Mapping::File),
];

/// One turn of the loop in its order. It looks at MIGRATE only where there is no source page.
fn as_posted(rules: Rules, facts: PagesFacts) -> Pages {
    // if (!newpage) { src &= ~MIGRATE; continue; }
    let Some(newpage) = facts.dst else {
        return Pages::Refuse;
    };
    // if (!page) { if (!(src & MIGRATE)) continue; ... migrate_vma_insert_page(); continue; }
    let Some(page) = facts.src else {
        return if facts.migrating {
            Pages::Insert
        } else {
            Pages::Skip
        };
    };
    // mapping = page_mapping(page);
    let mapping = matches!(page, Mapping::SwapCache | Mapping::File);
    let anon = matches!(page, Mapping::SwapCache | Mapping::Anon);
    if v6_12(rules) {
        // if (folio_is_device_private(newfolio) || folio_is_device_coherent(newfolio)) { if (mapping) {
        //   if (!folio_test_anon(folio) || !folio_free_swap(folio)) { src &= ~MIGRATE; continue; }
        // } else if (folio_is_zone_device(newfolio)) { src &= ~MIGRATE; continue; }
        if is_device_private(newpage) || is_device_coherent(rules, newpage) {
            if mapping {
                return if anon { Pages::FreeSwap } else { Pages::Refuse };
            }
        } else if is_zone_device(newpage) {
            return Pages::Refuse;
        }
    } else if is_zone_device(newpage) {
        // if (is_device_private_page(newpage)) { if (mapping) { src &= ~MIGRATE; continue; } }
        // else { src &= ~MIGRATE; continue; }
        if is_device_private(newpage) {
            if mapping {
                return Pages::Refuse;
            }
        } else {
            return Pages::Refuse;
        }
    }
    // Patch, hunk @@ -3092: if (src & PIN) MIGRATE_REFERENCED else MIGRATE_SYNC_NO_COPY
    Pages::Migrate(if facts.pin {
        MigrateMode::Referenced
    } else {
        MigrateMode::SyncNoCopy
    })
}

/// `Hardened` refuses PIN where it can't lead to a pin that someone will release (`refuses_senseless_pins`):
/// with any destination but a device-private one, and with no source page at all. The latter is a zero page
/// only; where there is nothing, the patch itself sees to it that PIN fills no hole (hunks `@@ -2327` and
/// `@@ -2425`), and a driver that follows the protocol gives a destination to entries with VALID alone.
/// It refuses pages with private data (`refuses_private_data`), which `migrate_page()` is not for by its own
/// comment: `migrate_page_states()` clears PagePrivate and nobody drops the reference that went with it.
#[test]
fn pages() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for src in SOURCES {
            for dst in ZONES.into_iter().map(Some).chain([None]) {
                for migrating in BOTH {
                    for (pin, private) in BOTH.iter().flat_map(|p| BOTH.map(|q| (*p, q))) {
                        let facts = PagesFacts {
                            src,
                            private,
                            dst,
                            migrating,
                            pin,
                        };
                        // An entry without MIGRATE and a source is skipped before anyone looks.
                        let nothing = src.is_none() && !migrating;
                        let pinnable = src.is_some() && dst.is_some_and(is_device_private);
                        let senseless = pin && dst.is_some() && !pinnable && !nothing;
                        let stays = private && src.is_some() && dst.is_some();
                        let expected = if hardened(rules) && (senseless || stays) {
                            Pages::Refuse
                        } else {
                            as_posted(rules, facts)
                        };
                        table.row((rules, facts), expected, decide_pages(rules, facts));
                    }
                }
            }
        }
    }
    table.done(4 * 5 * 7 * 2 * 4);
}

/// A successful pin, by the patch's cover letter, and what a swap cache does to it. | source | 5.11 | 6.12 |
#[test]
fn pin_to_device_private() {
    let referenced = Pages::Migrate(MigrateMode::Referenced);
    let rows = [
        (Mapping::None, referenced, referenced),
        (Mapping::Anon, referenced, referenced),
        (Mapping::SwapCache, Pages::Refuse, Pages::FreeSwap),
        (Mapping::File, Pages::Refuse, Pages::Refuse),
    ];
    let mut table = Table::new();
    for rules in Rules::ALL {
        for (mapping, old, new) in rows {
            let facts = PagesFacts {
                src: Some(mapping),
                private: false,
                dst: Some(ZONES[1]),
                migrating: true,
                pin: true,
            };
            let expected = if v6_12(rules) { new } else { old };
            table.row((rules, facts), expected, decide_pages(rules, facts));
        }
    }
    table.done(16);
}
