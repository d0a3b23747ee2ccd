//! How each defect shows in an execution, in the words of its violations.

use super::Sign;
use crate::config::DriverKind::{Careful, Posted};
use crate::event::{Event, EventSet};

/// What says it; nothing else need be so.
const fn says(says: &'static [&'static str]) -> Sign {
    Sign {
        says,
        never: &[],
        with: EventSet::EMPTY,
        without: EventSet::EMPTY,
        driver: None,
    }
}

const ACQUIRED: EventSet = EventSet::of(&[Event::Acquired]);
const REFUSED: EventSet = EventSet::of(&[Event::PinRefused]);
const NO_PAGE: EventSet = EventSet::of(&[Event::DevicePageRefused]);

/// All events that a sign asks for.
pub(super) const TELLING: EventSet = ACQUIRED.union(REFUSED).union(NO_PAGE);

const KEPT: &str = "a page is pinned and nothing will release it";
const LEFT_PINNED: &str = "a page is left pinned, and nobody will release it";
const LEFT: &str = "a page is left, and nobody will free it";
const LEFT_ISOLATED: &str = "a page is left isolated";
const NOT_ISOLATED: &str = "a pinned page is not isolated";
const PAIR: &str = "a pair outlives its device page";
const NOT_GRANTED: &str = "a device has a page mapped that the CPU side does not grant it";
const SHARED: &str = "a page is written that several address spaces read as private";
const STALE: &str = "a read does not see the last write";
const LOST: &str = "memory does not hold the last write";

/// A page that is put back on the LRU is not one whose pin was meant to be.
pub(super) const PIN_WITHOUT_MIGRATE: &[Sign] = &[says(&[NOT_ISOLATED])];
pub(super) const PIN_WITHOUT_MIGRATE_BRINGS: &[&str] = &[KEPT, LEFT_PINNED, LEFT];

pub(super) const FAILED_PIN_KEPT: &[Sign] = &[Sign {
    never: &[NOT_ISOLATED],
    ..says(&[KEPT])
}];
pub(super) const FAILED_PIN_KEPT_BRINGS: &[&str] = &[LEFT_PINNED, LEFT];

pub(super) const PIN_WITH_SYSTEM_PAGE: &[Sign] = &[says(&[KEPT])];

pub(super) const HOLE_COUNTED: &[Sign] =
    &[says(&["cpages is not the number of entries with MIGRATE"])];

pub(super) const REFUSED_UNPIN_PUT: &[Sign] = &[says(&[
    "a reference is dropped that the actor does not hold",
])];

pub(super) const PIN_BEFORE_FLUSH: &[Sign] = &[says(&[
    "a device has atomic access to a page that a TLB still reaches",
])];

const LAZY_DROPPED: &str = "a lazily freed page is dropped that was written since";
const CLEAN_DROPPED: &str = "a page is dropped as clean whose contents are not on the disk";

pub(super) const DIRTY_BIT_DROPPED: &[Sign] = &[says(&[LAZY_DROPPED]), says(&[CLEAN_DROPPED])];
pub(super) const DIRTY_BIT_DROPPED_BRINGS: &[&str] = &[STALE, LOST];

/// With the careful driver nothing else lets a CPU see what was thrown away; what was lost since it was not known to be dirty is. With the
/// one as posted nothing else does where its device has no page that it could map.
pub(super) const LATE_FLUSH: &[Sign] = &[
    Sign {
        driver: Some(Careful),
        never: &[LAZY_DROPPED, CLEAN_DROPPED],
        ..says(&[STALE])
    },
    Sign {
        driver: Some(Careful),
        never: &[LAZY_DROPPED, CLEAN_DROPPED],
        ..says(&[LOST])
    },
    Sign {
        driver: Some(Posted),
        with: NO_PAGE,
        never: &[PAIR, SHARED, NOT_GRANTED],
        ..says(&[STALE])
    },
];

pub(super) const BUSY_HUGE_PAGE_KEPT: &[Sign] = &[says(&["a reference is never dropped"])];
pub(super) const BUSY_HUGE_PAGE_KEPT_BRINGS: &[&str] = &[LEFT];

/// The old page keeps the reference of its private data. On 5.11 it is back on the LRU, on 6.12 it is not.
pub(super) const PRIVATE_DATA_LEFT: &[Sign] = &[
    Sign {
        never: &[KEPT, NOT_ISOLATED, PAIR],
        ..says(&[LEFT])
    },
    says(&["a page in use is not on the LRU"]),
];
pub(super) const PRIVATE_DATA_LEFT_BRINGS: &[&str] = &[LEFT];

pub(super) const FAULTS_REFUSE_EACH_OTHER: &[Sign] = &[
    Sign {
        never: &["a reference is dropped that the actor does not hold"],
        ..says(&["an access faults for ever"])
    },
    Sign {
        never: &["a reference is dropped that the actor does not hold"],
        ..says(&["an actor waits for ever"])
    },
];

/// Of a page that was acquired: the pair of one that was refused is another defect.
pub(super) const PAGE_FREE_DROPS_BIAS_ONLY: &[Sign] = &[
    Sign {
        without: REFUSED,
        ..says(&[PAIR])
    },
    Sign {
        with: ACQUIRED,
        ..says(&[PAIR])
    },
];
pub(super) const PAGE_FREE_DROPS_BIAS_ONLY_BRINGS: &[&str] = &[LEFT_ISOLATED, LEFT];

/// A mapping that is not granted is there after a fork as well, since WRITE was not looked at: then it is written to.
pub(super) const NOTIFIER_NOT_ASKED: &[Sign] = &[
    says(&["a device maps a page whose range is being invalidated"]),
    says(&["a device mapping survives the invalidation of its range"]),
    Sign {
        never: &[SHARED],
        ..says(&[NOT_GRANTED])
    },
    Sign {
        never: &[SHARED],
        ..says(&[STALE, PAIR])
    },
    Sign {
        never: &[SHARED],
        ..says(&[LOST, PAIR])
    },
];
pub(super) const NOTIFIER_NOT_ASKED_BRINGS: &[&str] = &[STALE, LOST, NOT_GRANTED];

pub(super) const WRITE_NOT_LOOKED_AT: &[Sign] = &[says(&[SHARED])];
pub(super) const WRITE_NOT_LOOKED_AT_BRINGS: &[&str] = &[STALE, LOST, NOT_GRANTED];

pub(super) const PAIR_NOT_FORGOTTEN: &[Sign] = &[Sign {
    with: REFUSED,
    without: ACQUIRED,
    ..says(&[PAIR])
}];
pub(super) const PAIR_NOT_FORGOTTEN_BRINGS: &[&str] = &[LEFT_ISOLATED, LEFT];

/// What is read there is what the device page holds.
pub(super) const ZERO_PAGE_STAND_IN: &[Sign] = &[
    Sign {
        never: &[PAIR, SHARED, NOT_GRANTED],
        ..says(&[LOST])
    },
    says(&["an actor waits for ever"]),
    says(&["an access faults for ever"]),
];
pub(super) const ZERO_PAGE_STAND_IN_BRINGS: &[&str] = &[LOST];

pub(super) const DEVICE_WRITE_NOT_DIRTY: &[Sign] = &[says(&[LAZY_DROPPED])];
pub(super) const DEVICE_WRITE_NOT_DIRTY_BRINGS: &[&str] = &[STALE, LOST];

pub(super) const NO_DEVICE_PAGE_LEFT: &[Sign] = &[Sign {
    with: NO_PAGE,
    ..says(&[KEPT])
}];
pub(super) const NO_DEVICE_PAGE_LEFT_BRINGS: &[&str] = &[LEFT_PINNED, LEFT];
