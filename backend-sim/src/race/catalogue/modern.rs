//! *modern*: the races of the other rooms once more on 6.12.
//!
//! What comes of each under `AsPosted` there is in `as_posted`; here is what else differs.

use crate::event::Event;
use crate::race::{Posted, Race};
use migrate_pin_core::policy::ShapeKind;
use std::borrow::Cow;

/// What the name of a race on 6.12 ends with.
const SUFFIX: &str = "-on-6-12";

/// These would have more than 200 visible operations. What is left out is
/// there in parts: two drivers whose ranges overlap, one driver and a CPU, a huge page that two drivers split.
const TOO_LONG: &[&str] = &[
    "two-drivers-opposite-order",
    "two-drivers-write",
    "dma-huge",
];

/// What must be reached on 6.12 instead, where not everything that happens on 5.11 can.
///
/// `migrate_device_finalize()` puts a page on the LRU (`folio_add_lru()`) before it unlocks it, 5.11's
/// `migrate_vma_finalize()` (`putback_lru_page()`) after: only there a page can be had locked that is not to be isolated.
const EVENTS: &[(&str, &[Event])] = &[(
    "acquire-revoke",
    &[
        Event::TrylockBusy,
        Event::LruDrainedRemote,
        Event::DeviceRevokedDirty,
    ],
)];

/// `AsPosted` breaks these on 5.11 only: collect flushes the TLB under the PTL on 6.12 (60bae7370896).
const MENDED: &[&str] = &["dontneed-reads-stale"];

/// Each of `races` that stands on 5.11, has a driver that there is on 6.12, and is not written for 6.12 already.
pub(super) fn of(races: &[Race]) -> Vec<Race> {
    let written = |name: &str| races.iter().any(|race| race.name == name);
    let old = |race: &&Race| race.config.shape == ShapeKind::V5_11 && race.hardened;
    let short = |race: &&Race| !TOO_LONG.contains(&&*race.name);
    let ported = races.iter().filter(old).filter(short).map(ported);
    ported.filter(|race| !written(&race.name)).collect()
}

fn ported(race: &Race) -> Race {
    let mut race = race.clone();
    if let Some((_, events)) = EVENTS.iter().find(|(name, _)| race.name == *name) {
        race.events = events;
    }
    if MENDED.contains(&&*race.name) {
        race.posted = Some(Posted::Holds);
    }
    race.name = Cow::Owned(format!("{}{SUFFIX}", race.name));
    race.config.shape = ShapeKind::V6_12;
    // What hangs on memory orderings does so on 5.11 as well: the primitives are the same.
    race.loom = None;
    race
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::catalogue;

    #[test]
    fn every_race_of_5_11_is_there_on_6_12_unless_it_says_why_not() {
        let races = catalogue::all();
        let there = |name: &str| races.iter().any(|race| race.name == name);
        let exceptions = TOO_LONG.iter().chain(MENDED).copied();
        for name in exceptions.chain(EVENTS.iter().map(|(name, _)| *name)) {
            assert!(there(name), "there is no race {name}");
        }
        for race in &races {
            let old = race.config.shape == ShapeKind::V5_11;
            if old && race.hardened && race.bugs.is_empty() {
                let short = !TOO_LONG.contains(&&*race.name);
                assert_eq!(
                    there(&format!("{}{SUFFIX}", race.name)),
                    short,
                    "{}",
                    race.name
                );
            }
        }
    }
}
