//! `migrate_vma_collect_hole()`, `migrate_vma_collect_pmd()`.

use crate::{hardened, v6_12, Table, BOTH};
use migrate_pin_core::collect::{
    decide_entry, decide_hole, decide_lock, decide_pmd, decide_split, migration_bits, replace,
    saves_dirty, Entry, Found, Hole, HoleWords, Memory, PageFacts, Pmd, Replaced, Taken,
};
use migrate_pin_core::{
    AsPosted, Hardened, Pfn, PmdKind, Present, Pte, PteBits, Rules, Select, V5_11, V6_12,
};

/// Patch, hunk `@@ -2327 migrate_vma_collect_hole`: not anonymous: `src = 0`, `dst` stays (6.12 calls
/// `migrate_vma_collect_skip()`, which the diff does not touch: both 0). Anonymous: `src = MIGRATE` unless
/// PIN; `cpages++` in any case, which `Hardened` does not.
#[test]
fn hole() {
    use HoleWords::{Empty, Keep, ZeroBoth, ZeroSource};
    let (p511, p612) = (
        Rules::of::<AsPosted, V5_11>(),
        Rules::of::<AsPosted, V6_12>(),
    );
    let (h511, h612) = (
        Rules::of::<Hardened, V5_11>(),
        Rules::of::<Hardened, V6_12>(),
    );
    // | rules, anonymous, pin | words, counted |
    let rows = [
        (p511, false, false, ZeroSource, false),
        (p511, false, true, ZeroSource, false),
        (p511, true, false, Empty, true),
        (p511, true, true, Keep, true), // the miscount
        (p612, false, false, ZeroBoth, false),
        (p612, false, true, ZeroBoth, false),
        (p612, true, false, Empty, true),
        (p612, true, true, Keep, true), // the same line, ported; migrate_device_unmap() counts anew
        (h511, false, false, ZeroSource, false),
        (h511, false, true, ZeroSource, false),
        (h511, true, false, Empty, true),
        (h511, true, true, Keep, false),
        (h612, false, false, ZeroBoth, false),
        (h612, false, true, ZeroBoth, false),
        (h612, true, false, Empty, true),
        (h612, true, true, Keep, false),
    ];
    let mut table = Table::new();
    for (rules, anonymous, pin, words, count) in rows {
        let found = decide_hole(rules, anonymous, pin);
        table.row((rules, anonymous, pin), Hole { words, count }, found);
    }
    table.done(16);
}

fn page_facts() -> Vec<PageFacts> {
    let mut all = Vec::new();
    for has_mapping in BOTH {
        for compound in BOTH {
            for memory in [
                Memory::System,
                Memory::OwnCoherent,
                Memory::ForeignCoherent,
                Memory::OtherDevice,
            ] {
                all.push(PageFacts {
                    has_mapping,
                    compound,
                    memory,
                });
            }
        }
    }
    all
}

fn entries() -> Vec<Found> {
    let mut all = vec![Found::Empty, Found::Other, Found::Zero, Found::Special];
    for page in page_facts() {
        for write in BOTH {
            all.push(Found::Present { write, page });
            for own in BOTH {
                all.push(Found::DevicePrivate { own, write, page });
            }
        }
    }
    all
}

/// `migrate_vma_collect_pmd()` from `pte = *ptep` to `get_page()`, in its order.
fn entry_as_posted(
    modern: bool,
    anonymous: bool,
    pin: bool,
    select: Select,
    found: Found,
) -> Entry {
    let system = select.contains(Select::SYSTEM);
    let (write, page) = match found {
        // if (pte_none(pte)) { if (vma_is_anonymous(vma) && !(src & MIGRATE_PFN_PIN)) ... goto next; }
        Found::Empty => {
            return if anonymous && !pin {
                Entry::Empty
            } else {
                Entry::Leave
            }
        }
        // if (!is_device_private_entry(entry)) goto next;
        Found::Other => return Entry::Leave,
        // if (!(flags & SELECT_DEVICE_PRIVATE) || page->pgmap->owner != migrate->pgmap_owner) goto next;
        Found::DevicePrivate { own, write, page } => {
            if !select.contains(Select::DEVICE_PRIVATE) || !own {
                return Entry::Leave;
            }
            (write, page)
        }
        // 5.11: if (!(flags & SELECT_SYSTEM)) goto next; if (is_zero_pfn(pfn)) MIGRATE, goto next;
        // 6.12: if (is_zero_pfn(pfn) && (flags & SELECT_SYSTEM)) MIGRATE, goto next; then, since
        // vm_normal_page() of the zero page is NULL, `if (!page ...) mpfn = 0`. One and the same.
        // Neither asks for PIN.
        Found::Zero => {
            return if system { Entry::Empty } else { Entry::Leave };
        }
        // page = vm_normal_page() == NULL; if (!page ...) mpfn = 0
        Found::Special => return Entry::Leave,
        Found::Present { write, page } => {
            // 5.11: if (!(flags & SELECT_SYSTEM)) goto next. It knows no coherent memory.
            if !modern && !system {
                return Entry::Leave;
            }
            if modern {
                // if (page && !is_zone_device_page(page) && !(flags & SELECT_SYSTEM)) goto next;
                let zone_device = page.memory != Memory::System;
                let coherent = matches!(page.memory, Memory::OwnCoherent | Memory::ForeignCoherent);
                if !zone_device && !system {
                    return Entry::Leave;
                }
                // else if (page && is_device_coherent_page(page) &&
                //     (!(flags & SELECT_DEVICE_COHERENT) || page->pgmap->owner != pgmap_owner)) goto next;
                if coherent
                    && (!select.contains(Select::DEVICE_COHERENT)
                        || page.memory == Memory::ForeignCoherent)
                {
                    return Entry::Leave;
                }
            }
            (write, page)
        }
    };
    // if (!page || !page->mapping || PageTransCompound(page)) { mpfn = 0; goto next; }
    if !page.has_mapping || page.compound {
        return Entry::Leave;
    }
    Entry::Take { write }
}

/// [`entry_as_posted`]; `Hardened` refuses PIN for device memory (`refuses_senseless_pins`).
#[test]
fn entry() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for anonymous in BOTH {
            for pin in BOTH {
                for select in (0..8).map(Select::from_bits_truncate) {
                    for found in entries() {
                        let device = match found {
                            Found::DevicePrivate { .. } => true,
                            Found::Present { page, .. } => page.memory != Memory::System,
                            _ => false,
                        };
                        let expected = if hardened(rules) && pin && device {
                            Entry::Leave
                        } else {
                            entry_as_posted(v6_12(rules), anonymous, pin, select, found)
                        };
                        table.row(
                            (rules, anonymous, pin, select, found),
                            expected,
                            decide_entry(rules, anonymous, pin, select, found),
                        );
                    }
                }
            }
        }
    }
    table.done(4 * 2 * 2 * 8 * (4 + 32 + 64));
}

/// `if (trylock_page(page))`; else 5.11 leaves the page, counted and referenced, to prepare, and 6.12 has
/// `else { folio_put(folio); mpfn = 0; }`.
#[test]
fn lock() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for locked in BOTH {
            let expected = match (locked, v6_12(rules)) {
                (true, _) => Taken::Replace,
                (false, false) => Taken::TryLater,
                (false, true) => Taken::Drop,
            };
            table.row((rules, locked), expected, decide_lock(rules, locked));
        }
    }
    table.done(8);
}

/// "Setup special migration page table entry", in both kernels.
fn migration_entry(
    modern: bool,
    present: bool,
    write: bool,
    exclusive: bool,
    old: PteBits,
) -> PteBits {
    let mut entry = PteBits::empty();
    // 5.11: make_migration_entry(page, mpfn & MIGRATE_PFN_WRITE)
    // 6.12: writable, else readable exclusive, else readable
    if write {
        entry |= PteBits::WRITE;
    } else if modern && exclusive {
        entry |= PteBits::EXCLUSIVE;
    }
    // 6.12: if (pte_present(pte)) { young, dirty }
    if modern && present {
        if old.contains(PteBits::YOUNG) {
            entry |= PteBits::YOUNG;
        }
        if old.contains(PteBits::DIRTY) {
            entry |= PteBits::DIRTY;
        }
    }
    // pte_soft_dirty() or pte_swp_soft_dirty(), pte_uffd_wp() or pte_swp_uffd_wp()
    if old.contains(PteBits::SOFT_DIRTY) {
        entry |= PteBits::SOFT_DIRTY;
    }
    if old.contains(PteBits::UFFD_WP) {
        entry |= PteBits::UFFD_WP;
    }
    entry
}

fn all_bits() -> impl Iterator<Item = PteBits> {
    (0..64).map(PteBits::from_bits_truncate)
}

#[test]
fn migration_entries() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for present in BOTH {
            for write in BOTH {
                for exclusive in BOTH {
                    for old in all_bits() {
                        table.row(
                            (rules, present, write, exclusive, old),
                            migration_entry(v6_12(rules), present, write, exclusive, old),
                            migration_bits(rules, present, write, exclusive, old),
                        );
                    }
                }
            }
        }
    }
    table.done(4 * 8 * 64);
}

/// 6.12: `if (pte_present(pte) && pte_dirty(pte)) folio_mark_dirty(folio)`; 5.11 has no such line, and
/// `Hardened` adds it (`saves_dirty_bit`).
#[test]
fn dirty() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for present in BOTH {
            for old in all_bits() {
                let has_the_line = v6_12(rules) || hardened(rules);
                table.row(
                    (rules, present, old),
                    has_the_line && present && old.contains(PteBits::DIRTY),
                    saves_dirty(rules, present, old),
                );
            }
        }
    }
    table.done(4 * 2 * 64);
}

/// Every kind of entry that may be cleared, with every bit it may have; is it present, and its bits.
fn cleared() -> Vec<(Pte, bool, PteBits)> {
    let page = Pfn(7);
    let mut all = vec![
        (Pte::None, false, PteBits::empty()),
        (Pte::Other, false, PteBits::empty()),
    ];
    for bits in all_bits() {
        for present in [Present::Page(page), Present::Zero, Present::Special] {
            all.push((Pte::Present(present, bits), true, bits));
        }
        all.push((Pte::DevicePrivate(page, bits), false, bits));
        // Nothing of what was migrating already is carried over.
        all.push((Pte::Migration(page, bits), false, PteBits::empty()));
    }
    all
}

/// The same as [`migration_bits`] and [`saves_dirty`] of what was cleared: it is writable if the old entry was.
#[test]
fn replaced() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for exclusive in BOTH {
            for (old, present, bits) in cleared() {
                let write = bits.contains(PteBits::WRITE);
                let found = replace(rules, exclusive, old);
                let expected = Replaced {
                    present,
                    dirty: saves_dirty(rules, present, bits),
                    bits: migration_bits(rules, present, write, exclusive, bits),
                };
                table.row((rules, exclusive, old), expected, found);
                // And as the kernels have it.
                let expected = migration_entry(v6_12(rules), present, write, exclusive, bits);
                table.row((rules, exclusive, old), expected, found.bits);
            }
        }
    }
    table.done(4 * 2 * (2 + 64 * 5) * 2);
}

/// `MmOps::unmap_exclusive_pte()` has no rules to ask: whichever policy, 6.12 does the same.
#[test]
fn policies_agree_on_what_is_exclusive() {
    let (posted, mended) = (
        Rules::of::<AsPosted, V6_12>(),
        Rules::of::<Hardened, V6_12>(),
    );
    let mut table = Table::new();
    for (old, ..) in cleared() {
        table.row(old, replace(posted, true, old), replace(mended, true, old));
    }
    table.done(2 + 64 * 5);
}

const PMDS: [PmdKind; 4] = [PmdKind::Hole, PmdKind::Huge, PmdKind::Bad, PmdKind::Table];

/// From `again:` on: `pmd_none()`: a hole; `pmd_trans_huge()`: split; 5.11 only: `pmd_bad()`: skip; then
/// `pte_offset_map_lock()`, which in 6.12 clears a bad pmd and fails, so that the walk looks again and
/// finds a hole.
#[test]
fn pmd() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for kind in PMDS {
            let expected = match kind {
                PmdKind::Hole => Pmd::Hole,
                PmdKind::Huge => Pmd::Split,
                // pte_offset_map_lock(): pmd_clear_bad(), NULL; goto again: pmd_none().
                PmdKind::Bad if v6_12(rules) => Pmd::Hole,
                PmdKind::Bad => Pmd::Skip,
                PmdKind::Table => Pmd::Entries,
            };
            table.row((rules, kind), expected, decide_pmd(rules, kind));
        }
    }
    table.done(16);
}

/// What follows a split in 5.11. The zero page: `if (pmd_trans_unstable(pmdp)) skip`, true if none, huge or
/// bad. A page: `if (pmd_none(*pmdp)) hole`. Both: `if (pmd_bad(*pmdp)) skip`, which a huge pmd is too.
/// In 6.12 nothing but `pte_offset_map_lock()`, which fails for all but a table: `goto again`.
#[test]
fn split() {
    let mut table = Table::new();
    for rules in Rules::ALL {
        for zero_page in BOTH {
            for now in PMDS {
                let expected = match (v6_12(rules), zero_page, now) {
                    (true, _, _) => Pmd::Again, // at a table: Entries, on the second look
                    (false, true, PmdKind::Hole) => Pmd::Skip,
                    (false, false, PmdKind::Hole) => Pmd::Hole,
                    (false, _, PmdKind::Huge | PmdKind::Bad) => Pmd::Skip,
                    (false, _, PmdKind::Table) => Pmd::Entries,
                };
                table.row(
                    (rules, zero_page, now),
                    expected,
                    decide_split(rules, zero_page, now),
                );
            }
        }
    }
    table.done(32);
}
