//! What comes under `AsPosted` of the races of the other rooms: those named here break, all others hold, at the bound that each
//! asks for. (Those of the room `posted` say it themselves: it is what they are there for.)

use crate::race::{Effort, Posted, Race};
use crate::violation::Invariant;

/// What breaks first on 5.11: the pin of a page that is not mapped writable any more, is shared, of a file, in the swap cache or has
/// no device page comes to nothing and stays; or collect has not flushed yet when `MADV_DONTNEED` returns.
const BREAK: &[(&str, Invariant)] = &[
    ("give-up-write", Invariant::Pin),
    ("last-device-page", Invariant::Pin),
    ("failing-device-page", Invariant::Pin),
    ("fork-acquire", Invariant::Pin),
    ("mprotect-acquire", Invariant::Pin),
    ("reclaim-acquire", Invariant::Pin),
    ("reclaim-swap-cached", Invariant::Pin),
    ("writeback-to-device", Invariant::Pin),
    ("acquire-write-dontneed", Invariant::Data),
    ("acquire-reclaim-read", Invariant::Pin),
    ("acquire-fork-child", Invariant::Pin),
    ("fork-restore", Invariant::Pin),
    ("dontneed-restore", Invariant::Pin),
    ("reclaim-restore", Invariant::Pin),
    ("compact-restore", Invariant::Pin),
    ("to-device-restore", Invariant::Pin),
    ("gup-restore", Invariant::Pin),
    ("dma-restore", Invariant::Pin),
];

/// On 6.12 also: two CPUs meet on one pinned page, and an UNPIN destination that is not used is put.
const BREAK_ON_6_12: &[(&str, Invariant)] = &[
    ("acquire-write-on-6-12", Invariant::Ref),
    ("fault-fault-on-6-12", Invariant::Ref),
    ("acquire-read-on-6-12", Invariant::Ref),
    ("acquire-atomics-on-6-12", Invariant::Ref),
    ("pages-write-on-6-12", Invariant::Ref),
    ("give-up-write-on-6-12", Invariant::Pin),
    ("fault-release-on-6-12", Invariant::Ref),
    ("grant-write-on-6-12", Invariant::Ref),
    ("hole-acquire-write-on-6-12", Invariant::Ref),
    ("last-device-page-on-6-12", Invariant::Pin),
    ("failing-device-page-on-6-12", Invariant::Pin),
    ("gup-while-on-6-12", Invariant::Ref),
    ("dma-while-on-6-12", Invariant::Ref),
    ("dma-slow-while-on-6-12", Invariant::Pin),
    ("fork-acquire-on-6-12", Invariant::Pin),
    ("mprotect-acquire-on-6-12", Invariant::Pin),
    ("reclaim-swap-cached-on-6-12", Invariant::Pin),
    ("writeback-to-device-on-6-12", Invariant::Pin),
    ("acquire-write-dontneed-on-6-12", Invariant::Ref),
    ("acquire-reclaim-read-on-6-12", Invariant::Pin),
    ("acquire-fork-child-on-6-12", Invariant::Pin),
    ("fault-fault-revoke-on-6-12", Invariant::Ref),
    ("gup-pages-on-6-12", Invariant::Ref),
    ("dma-pages-on-6-12", Invariant::Ref),
    ("gup-finalize-on-6-12", Invariant::Ref),
    ("dma-finalize-on-6-12", Invariant::Ref),
    ("fork-restore-on-6-12", Invariant::Pin),
    ("dontneed-restore-on-6-12", Invariant::Pin),
    ("reclaim-restore-on-6-12", Invariant::Pin),
    ("compact-restore-on-6-12", Invariant::Pin),
    ("to-device-restore-on-6-12", Invariant::Pin),
    ("gup-restore-on-6-12", Invariant::Pin),
    ("dma-restore-on-6-12", Invariant::Pin),
    ("gup-release-on-6-12", Invariant::Ref),
    ("dma-release-on-6-12", Invariant::Ref),
    ("gup-fault-on-6-12", Invariant::Ref),
    ("dma-fault-on-6-12", Invariant::Ref),
];

/// `race` with what must come of it, if it does not say so itself and is enumerated.
pub(super) fn expect(mut race: Race) -> Race {
    if race.posted == Some(Posted::Open) && matches!(race.effort, Effort::Bound(_)) {
        let all = BREAK.iter().chain(BREAK_ON_6_12);
        let mut named = all.filter(|(name, _)| race.name == *name);
        let breaks = named.next().map(|(_, invariant)| *invariant);
        race.posted = Some(breaks.map_or(Posted::Holds, Posted::Breaks));
    }
    race
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::catalogue;
    use migrate_pin_core::policy::ShapeKind;

    #[test]
    fn what_is_named_here_is_there_once_and_on_the_shape_that_it_stands_under() {
        let races = catalogue::all();
        let old = BREAK.iter().map(|one| (one, ShapeKind::V5_11));
        let new = BREAK_ON_6_12.iter().map(|one| (one, ShapeKind::V6_12));
        let all: Vec<_> = old.chain(new).collect();
        for ((name, invariant), shape) in &all {
            let same = all.iter().filter(|((other, _), _)| other == name);
            assert_eq!(same.count(), 1, "{name} is named twice");
            let race = races.iter().find(|race| race.name == *name);
            let race = race.unwrap_or_else(|| panic!("there is no race {name}"));
            assert_eq!(race.config.shape, *shape, "{name}");
            assert_eq!(race.posted, Some(Posted::Breaks(*invariant)), "{name}");
        }
    }

    /// A race that somebody thought of, and that is enumerated, has no excuse for leaving open what comes of it.
    #[test]
    fn no_race_that_is_enumerated_leaves_it_open() {
        let mut races = catalogue::all().into_iter();
        let open = races.find(|race| {
            race.posted == Some(Posted::Open) && matches!(race.effort, Effort::Bound(_))
        });
        assert!(open.is_none(), "{}", open.unwrap().name);
        let holds = catalogue::all()
            .into_iter()
            .filter(|race| race.posted == Some(Posted::Holds));
        assert!(holds.count() > 100);
    }
}
