//! *migrate_page*: make the new page take the old one's place in its mapping (`migrate_page()`,
//! `migrate_page_move_mapping()`; in 6.12 `folio_migrate_mapping()`).
//!
//! Touched here: identity, state flags and, for a cached page, the cache's slot and both counts. Both
//! pages are locked, the old one is mapped nowhere.

use crate::mode::MigrateMode;
use crate::ops::{Mapping, MmOps};
use crate::pfn::Pfn;
use crate::policy::Rules;

/// What moving a mapping depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveFacts {
    /// What the old page belongs to.
    pub mapping: Mapping,
    /// References the caller knows of beyond the usual; negative: tolerate any (new in the patch).
    pub extra_count: i32,
    /// The old page is device-private.
    pub device_private: bool,
    /// `page_has_private()` of the old page.
    pub private: bool,
    /// `page_count()` of the old page.
    pub count: u32,
}

/// How the mapping is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Not: there are references nobody accounts for (`-EAGAIN`).
    Again,
    /// Not: extra references can't be tolerated where a cache looks pages up (`-EINVAL`).
    Invalid,
    /// Copy the identity; nobody else can find the page.
    Identity,
    /// Freeze the count at this value, then switch the cache's slot over.
    Cache {
        /// The count to freeze at.
        expected: i64,
    },
}

/// `expected_page_refs()` plus `extra_count`; in 6.12 `folio_expected_ref_count()` of a page that is mapped
/// nowhere, plus 1 and `extra_count`.
#[must_use]
#[inline(always)]
pub const fn expected_count(rules: Rules, facts: MoveFacts) -> i64 {
    let device = facts.device_private && rules.device_pages_count_one_more();
    let private = facts.private
        && match facts.mapping {
            Mapping::File => true,
            Mapping::SwapCache => !rules.expects_private_by_kind(),
            Mapping::None => rules.expects_private_by_kind(),
            Mapping::Anon => false,
        };
    1 + device as i64 + facts.mapping.cached() as i64 + private as i64 + facts.extra_count as i64
}

/// The tests of `migrate_page_move_mapping()`, in their order.
///
/// Device-private pages may have references of waiters, which are
/// [ignored](Rules::ignores_device_waiters); a negative `extra_count` ignores them for any page that is in no cache.
#[must_use]
#[inline(always)]
pub const fn decide_move(rules: Rules, facts: MoveFacts) -> Move {
    let expected = expected_count(rules, facts);
    let tolerant = facts.extra_count < 0;
    let waiters = facts.device_private && rules.ignores_device_waiters();
    let count_differs = !tolerant && !waiters && facts.count as i64 != expected;
    if rules.tests_count_first() && count_differs {
        return Move::Again;
    }
    if !facts.mapping.cached() {
        if count_differs {
            return Move::Again;
        }
        return Move::Identity;
    }
    if tolerant {
        return Move::Invalid;
    }
    // 5.11 looks at the count under the cache's lock only.
    Move::Cache { expected }
}

/// The part under the cache's lock; did it succeed?
fn replace_in_cache<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    new: Pfn,
    old: Pfn,
    expected: i64,
) -> bool {
    // A count that a page can't have is as wrong as any other: `u32::MAX` is never frozen at.
    let expected = u32::try_from(expected).unwrap_or(u32::MAX);
    ops.cache_lock(old);
    // 5.11 looks before it freezes, and makes sure that the slot is still the page's.
    let steady =
        rules.freezes_unseen() || (ops.page_count(old) == expected && ops.cache_holds(old));
    if !steady || !ops.page_ref_freeze(old, expected) {
        ops.cache_unlock(old);
        return false;
    }
    ops.copy_mapping(new, old);
    ops.cache_replace(old, new);
    ops.page_ref_unfreeze(old, expected.wrapping_sub(1));
    ops.cache_unlock(old);
    true
}

/// `migrate_page_move_mapping()`: true if `new` has taken the place of `old`.
#[inline(always)]
pub fn move_mapping<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    new: Pfn,
    old: Pfn,
    extra_count: i32,
) -> bool {
    let look = ops.page_look(old);
    let facts = MoveFacts {
        mapping: look.mapping,
        extra_count,
        device_private: look.zone.is_device_private(),
        private: look.private,
        count: look.count,
    };
    match decide_move(rules, facts) {
        Move::Again | Move::Invalid => false,
        Move::Identity => {
            ops.copy_mapping(new, old);
            true
        }
        Move::Cache { expected } => replace_in_cache(ops, rules, new, old, expected),
    }
}

/// `migrate_page()`: move the mapping, then copy what `mode` says; true if `new` has taken the place of
/// `old`. `known` is the number of references the caller knows of beyond the usual (`fault_page` in
/// 6.12); a mode that tolerates any overrides it.
#[inline(always)]
pub fn migrate_page<M: MmOps>(
    ops: &mut M,
    rules: Rules,
    new: Pfn,
    old: Pfn,
    mode: MigrateMode,
    known: i32,
) -> bool {
    let extra_count = match mode {
        MigrateMode::Referenced => mode.extra_count(),
        _ => known,
    };
    if !move_mapping(ops, rules, new, old, extra_count) {
        return false;
    }
    if mode.copies() {
        ops.copy_page(new, old);
    }
    ops.migrate_states(new, old);
    true
}
