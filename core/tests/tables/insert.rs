//! `migrate_vma_insert_page()`.

use crate::{is_device_coherent, is_device_private, is_zone_device, Table, BOTH, ZONES};
use migrate_pin_core::insert::{decide_insert, decide_kind, entry_for, Insert, InsertAs, Now};
use migrate_pin_core::{Pfn, Present, Pte, PteBits, Rules};

/// 5.11: `if (is_zone_device_page(page)) { if (is_device_private_page(page)) ... else goto abort; }`
/// 6.12: `if (folio_is_device_private(folio)) ... else { if (folio_is_zone_device(folio) &&
/// !folio_is_device_coherent(folio)) goto abort; }`. Neither asks whose it is.
#[test]
fn kind() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for zone in ZONES {
            let expected = if is_device_private(zone) {
                InsertAs::DevicePrivate
            } else if is_device_coherent(rules, zone) {
                InsertAs::Coherent
            } else if is_zone_device(zone) {
                InsertAs::Refuse
            } else {
                InsertAs::System
            };
            table.row((rules, zone), expected, decide_kind(rules, zone));
        }
    }
    table.done(4 * 6);
}

/// Under the PTL, in both kernels:
/// `if (check_stable_address_space(mm)) goto unlock_abort;`
/// `if (pte_present(*ptep)) { if (!is_zero_pfn(pfn)) goto unlock_abort; flush = true; }`
/// `else if (!pte_none(*ptep)) goto unlock_abort;`
/// `if (userfaultfd_missing(vma)) goto unlock_abort;`
#[test]
fn under_the_lock() {
    use Insert::{Abort, Fill, Replace};
    // | stable, now | no userfaultfd, userfaultfd |
    let rows = [
        (false, Now::Empty, [Abort, Abort]),
        (false, Now::Zero, [Abort, Abort]),
        (false, Now::Taken, [Abort, Abort]),
        (true, Now::Empty, [Fill, Abort]),
        (true, Now::Zero, [Replace, Abort]),
        (true, Now::Taken, [Abort, Abort]),
    ];
    let mut table = Table::new();
    for (stable, now, columns) in rows {
        for (userfault, expected) in BOTH.into_iter().zip(columns) {
            let found = decide_insert(stable, now, userfault);
            table.row((stable, now, userfault), expected, found);
        }
    }
    table.done(12);
}

/// `make_device_private_entry(page, vma->vm_flags & VM_WRITE)`, or `mk_pte(page, vma->vm_page_prot)` and
/// with VM_WRITE `pte_mkwrite(pte_mkdirty(entry))`. `vm_page_prot` has the accessed bit on x86 and arm64,
/// whose drivers there are, so that a present entry is young.
#[test]
fn entries() {
    let rw = PteBits::WRITE | PteBits::DIRTY;
    let young = PteBits::YOUNG;
    let none = PteBits::empty();
    let mut table = Table::new();
    for pfn in [Pfn(1), Pfn(0x42), Pfn(usize::MAX >> 6)] {
        let page = Present::Page(pfn);
        let rows = [
            (
                InsertAs::DevicePrivate,
                false,
                Pte::DevicePrivate(pfn, none),
            ),
            (
                InsertAs::DevicePrivate,
                true,
                Pte::DevicePrivate(pfn, PteBits::WRITE),
            ),
            (InsertAs::System, false, Pte::Present(page, young)),
            (InsertAs::System, true, Pte::Present(page, young | rw)),
            (InsertAs::Coherent, false, Pte::Present(page, young)),
            (InsertAs::Coherent, true, Pte::Present(page, young | rw)),
            // goto abort: no entry is made
            (InsertAs::Refuse, false, Pte::None),
            (InsertAs::Refuse, true, Pte::None),
        ];
        for (kind, writable, expected) in rows {
            let found = entry_for(kind, pfn, writable);
            table.row((kind, writable), expected, found);
        }
    }
    table.done(24);
}
