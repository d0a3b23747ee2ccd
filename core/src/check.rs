//! *check*: may this page migrate, or does somebody hold references that nobody accounts for?

use crate::ops::{PageLook, Zone};
use crate::pfn::{Pfn, GUP_PIN_COUNTING_BIAS};
use crate::policy::Rules;

/// What *check* asks of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckFacts {
    /// `PageCompound()`.
    pub compound: bool,
    /// What kind of memory it is.
    pub zone: Zone,
    /// `page_mapping()` is non-null: the page or swap cache holds a reference.
    pub cached: bool,
    /// `page_has_private()`: a cached page's file system holds one more.
    pub private: bool,
    /// `page_count()`.
    pub count: u32,
    /// `page_mapcount()`.
    pub mapcount: u32,
    /// The page is the one that is being faulted on, whose handler holds one more (6.12).
    pub fault_page: bool,
}

/// `migrate_vma_check_page()`: true if all references are accounted for.
///
/// Allowed are one of the caller's (isolation or collect), the cache's, one for private data and one a
/// mapping; in 6.12 one more for device memory, and one for the page that is being faulted on. The test is
/// one-sided: fewer are no failure.
#[must_use]
#[inline(always)]
pub fn check_page(rules: Rules, facts: CheckFacts) -> bool {
    if facts.compound {
        return false;
    }
    let mut extra = 1;
    if facts.zone.is_device() {
        // Who waits for a migration entry of a device page, or faults on it, holds a reference meanwhile: passed all the
        // same, lest two faulting threads refuse each other for ever.
        if facts.zone.is_device_private() && rules.ignores_device_waiters() {
            return true;
        }
        if rules.device_pages_count_one_more() {
            return false;
        }
        extra += 1;
    }
    if !rules.device_pages_count_one_more() && facts.fault_page {
        extra += 1;
    }
    if facts.cached {
        extra += 1 + i64::from(facts.private);
    }
    i64::from(facts.count) - extra <= i64::from(facts.mapcount)
}

/// `page_maybe_dma_pinned()` of a page that is not compound: a heuristic, since as many plain
/// references look the same.
///
/// ```
/// use migrate_pin_core::check::maybe_dma_pinned;
/// assert!(!maybe_dma_pinned(1023) && maybe_dma_pinned(1024));
/// ```
#[must_use]
pub const fn maybe_dma_pinned(count: u32) -> bool {
    count >= GUP_PIN_COUNTING_BIAS
}

/// What [`check_page`] wants to know, of what was seen.
#[inline]
pub(crate) fn check(rules: Rules, page: Pfn, look: PageLook, fault_page: Option<Pfn>) -> bool {
    check_page(
        rules,
        CheckFacts {
            compound: look.compound,
            zone: look.zone,
            cached: look.mapping.cached(),
            private: look.private,
            count: look.count,
            mapcount: look.mapcount,
            fault_page: fault_page == Some(page),
        },
    )
}
