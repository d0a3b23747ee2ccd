//! [`Rules`]: what each policy on each kernel does.

use crate::Table;
use migrate_pin_core::{
    AsPosted, Hardened, Policy, PolicyKind, Rules, Shape, ShapeKind, V5_11, V6_12,
};

type Rule = (&'static str, fn(Rules) -> bool, [bool; 4]);

const F: bool = false;
const T: bool = true;

/// | rule | `AsPosted` 5.11, `AsPosted` 6.12, `Hardened` 5.11, `Hardened` 6.12 |
const RULES: [Rule; 32] = [
    // 5.11 or 6.12, whatever the policy.
    // 5.11 collect counts and leaves a page whose trylock failed to prepare; 6.12: folio_put(), mpfn = 0.
    (
        "retries_busy_pages",
        Rules::retries_busy_pages,
        [T, F, T, F],
    ),
    // migrate_vma_collect_hole(): 6.12 calls migrate_vma_collect_skip().
    ("skips_file_holes", Rules::skips_file_holes, [F, T, F, T]),
    // migrate_vma_collect_pmd(): 6.12 has `if (!ptep) goto again`, not pmd_trans_unstable(), pmd_bad().
    ("looks_again", Rules::looks_again, [F, T, F, T]),
    // __folio_migrate_mapping(): folio_ref_freeze() without page_count() and xas_load() before.
    ("freezes_unseen", Rules::freezes_unseen, [F, T, F, T]),
    // folio_migrate_mapping(): the count before anything else; 5.11 with the series' first patch: not of
    // device-private pages.
    ("tests_count_first", Rules::tests_count_first, [F, T, F, T]),
    // folio_expected_ref_count(): folio_test_private() unless anonymous; expected_page_refs(): with a mapping.
    (
        "expects_private_by_kind",
        Rules::expects_private_by_kind,
        [F, T, F, T],
    ),
    // 6.12: `page && !is_zone_device_page(page) && !(flags & SELECT_SYSTEM)`.
    (
        "always_takes_other_devices",
        Rules::always_takes_other_devices,
        [F, T, F, T],
    ),
    // MIGRATE_PFN_LOCKED is gone in 6.12.
    ("has_locked_bit", Rules::has_locked_bit, [T, F, T, F]),
    // migrate_vma_prepare() is part of migrate_device_unmap() in 6.12.
    ("prepares_apart", Rules::prepares_apart, [T, F, T, F]),
    // make_migration_entry_young(), _dirty(), make_readable_exclusive_migration_entry().
    (
        "entries_carry_state",
        Rules::entries_carry_state,
        [F, T, F, T],
    ),
    // struct migrate_vma: 6.12 has fault_page.
    ("has_fault_page", Rules::has_fault_page, [F, T, F, T]),
    // MEMORY_DEVICE_COHERENT.
    (
        "has_coherent_pages",
        Rules::has_coherent_pages,
        [F, T, F, T],
    ),
    // folio_free_swap() in __migrate_device_pages().
    ("frees_swap_cache", Rules::frees_swap_cache, [F, T, F, T]),
    // "Device private pages have an extra refcount as they are ZONE_DEVICE pages", 5.11.
    (
        "device_pages_count_one_more",
        Rules::device_pages_count_one_more,
        [T, F, T, F],
    ),
    // migrate_device_finalize(): folio_add_lru() before remove_migration_ptes().
    (
        "lru_before_mapping",
        Rules::lru_before_mapping,
        [F, T, F, T],
    ),
    // __migrate_device_pages(): mmu_notifier_range_init_owner(MMU_NOTIFY_MIGRATE).
    (
        "insert_notifies_as_migrate",
        Rules::insert_notifies_as_migrate,
        [F, T, F, T],
    ),
    // mem_cgroup_migrate() in 6.12: "The old folio ... is uncharged" (memcg_data = 0).
    ("charge_moves", Rules::charge_moves, [F, T, F, T]),
    // As posted or hardened.
    // Patch, migrate_vma_collect_hole(): `cpages++` stands outside the `if`. Ported to 6.12 it stands
    // there too; what it counts decides whether unmap runs, which counts anew.
    (
        "counts_pinned_holes",
        Rules::counts_pinned_holes,
        [T, T, F, F],
    ),
    ("checks_words", Rules::checks_words, [F, F, T, T]),
    ("keeps_records", Rules::keeps_records, [F, F, T, T]),
    // 6.12: "Set the dirty flag on the folio now the pte is gone."
    ("saves_dirty_bit", Rules::saves_dirty_bit, [F, T, T, T]),
    // 5.11, the patch's context: pte_unmap_unlock() stands before flush_tlb_range(); 6.12: after.
    ("flushes_under_ptl", Rules::flushes_under_ptl, [F, T, T, T]),
    // get_page(), trylock_page() fails, return: in both kernels no put_page().
    (
        "drops_busy_huge_page",
        Rules::drops_busy_huge_page,
        [F, F, T, T],
    ),
    // Patch, migrate_vma_unmap(): page_ref_add() whether MIGRATE is still set or not.
    (
        "pins_only_migrating",
        Rules::pins_only_migrating,
        [F, F, T, T],
    ),
    // 6.12, zap_present_folio_ptes(): folio_remove_rmap_ptes() before tlb_flush_mmu(); patch, migrate_vma_unmap(): with PIN
    // references are not looked at.
    (
        "flushes_before_pin",
        Rules::flushes_before_pin,
        [F, F, T, T],
    ),
    (
        "refuses_senseless_pins",
        Rules::refuses_senseless_pins,
        [F, F, T, T],
    ),
    // Patch, migrate_vma_finalize(): `else if (!(src & PIN))`, whichever way the entry goes.
    (
        "undoes_failed_pins",
        Rules::undoes_failed_pins,
        [F, F, T, T],
    ),
    // migrate_page(): "pages that do not use PagePrivate/PagePrivate2".
    (
        "refuses_private_data",
        Rules::refuses_private_data,
        [F, F, T, T],
    ),
    // migrate_vma_finalize(): unlock_page(newpage), put_page(newpage), without a look at UNPIN.
    (
        "keeps_refused_unpins",
        Rules::keeps_refused_unpins,
        [F, F, T, T],
    ),
    // 6.12, lib/test_hmm.c: MIGRATE_PFN_WRITE in a destination word is the driver's own note.
    (
        "leaves_write_to_drivers",
        Rules::leaves_write_to_drivers,
        [F, T, F, T],
    ),
    // 5.11, migrate_vma_check_page(): "We always return true here"; 6.12 counts.
    (
        "ignores_device_waiters",
        Rules::ignores_device_waiters,
        [T, F, T, T],
    ),
    // 6.12, migrate_device_finalize(): remove_migration_ptes() for every entry; and 5.11 has no exclusive entries.
    ("restores_in_place", Rules::restores_in_place, [F, F, F, T]),
];

#[test]
fn rules() {
    let mut table = Table::new();
    for (name, rule, expected) in RULES {
        for (rules, expected) in Rules::ALL.into_iter().zip(expected) {
            table.row((name, rules), expected, rule(rules));
        }
    }
    table.done(32 * 4);
}

fn kinds<P: Policy, S: Shape>() -> (PolicyKind, ShapeKind) {
    (Rules::of::<P, S>().policy, Rules::of::<P, S>().shape)
}

#[test]
fn all_four_in_order() {
    use PolicyKind as P;
    use ShapeKind as S;
    let mut table = Table::new();
    let expected = [
        (P::AsPosted, S::V5_11, kinds::<AsPosted, V5_11>()),
        (P::AsPosted, S::V6_12, kinds::<AsPosted, V6_12>()),
        (P::Hardened, S::V5_11, kinds::<Hardened, V5_11>()),
        (P::Hardened, S::V6_12, kinds::<Hardened, V6_12>()),
    ];
    for (rules, (policy, shape, of)) in Rules::ALL.into_iter().zip(expected) {
        table.row(rules, (policy, shape), (rules.policy, rules.shape));
        table.row(rules, (policy, shape), of);
    }
    table.done(8);
}
