//! What there is to say of each defect. The README's table is [`Defect::row`] of each, line by line.

use super::signs::*;
use super::{Defect, Facts, Origin, Peculiarity};
use crate::config::DriverKind::{Careful, Posted};
use migrate_pin_core::policy::ShapeKind::{V5_11, V6_12};

const PATCH: Facts = Facts {
    origin: Origin::Patch,
    wrong: "",
    loses: "",
    who: "careful",
    driver: Some(Careful),
    shape: None,
    needs: None,
    scenarios: &[],
    signs: &[],
    brings: &[],
    corrupts: false,
};

const PIPELINE: Facts = Facts {
    origin: Origin::Pipeline,
    ..PATCH
};

const DRIVER: Facts = Facts {
    origin: Origin::Driver,
    who: "posted",
    driver: Some(Posted),
    shape: Some(V5_11),
    ..PATCH
};

/// Of `defect`.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) const fn of(defect: Defect) -> Facts {
    match defect {
        Defect::PinWithoutMigrate => Facts {
            wrong: "The bias is added although MIGRATE was cleared a line before.",
            loses: "A page that could not be unmapped has 1024 references for good.",
            scenarios: &[
                ("unmap-still-mapped-pin", 0),
                ("acquire-fork-child", 1),
                ("pairs-childs-acquire-to-read-vs-dontneed", 1),
            ],
            signs: PIN_WITHOUT_MIGRATE,
            brings: PIN_WITHOUT_MIGRATE_BRINGS,
            ..PATCH
        },
        Defect::FailedPinKept => Facts {
            wrong: "A pin that comes to nothing after unmap is neither unbiased nor put back: the device has no page left, the \
                    page was write-protected or comes from swap meanwhile, is shared, of a file, or in the swap cache.",
            loses: "The page stays off the LRU and pinned for good.",
            scenarios: &[
                ("mprotect-while-pinning", 0),
                ("swap-in-while-pinning", 0),
                ("finalize-pin-without-device-page", 0),
                ("alloc-device-page-0", 0),
                ("alloc-device-page-1", 0),
                ("alloc-device-page-2", 0),
                ("life-mprotect-before", 0),
                ("life-fork-before-shared", 0),
                ("pages-pin-of-file", 0),
                ("pages-pin-of-swap-cache", 0),
                ("collect-file-page-pin", 0),
                ("finalize-dropped-pin", 0),
                ("finalize-dropped-pin-with-page", 0),
            ],
            signs: FAILED_PIN_KEPT,
            brings: FAILED_PIN_KEPT_BRINGS,
            ..PATCH
        },
        Defect::HoleCounted => Facts {
            wrong: "A hole with PIN is counted in `cpages`.",
            loses: "Nothing yet: the count that setup returns is wrong, and a driver may trust it.",
            who: "any",
            driver: None,
            shape: Some(V5_11),
            scenarios: &[
                ("collect-hole-anonymous-pin", 0),
                ("pairs-hole-give-up-vs-reclaim", 0),
            ],
            signs: HOLE_COUNTED,
            ..PATCH
        },
        Defect::PinWithSystemPage => Facts {
            wrong: "A pin may be given a system page as destination.",
            loses: "The original: it stays off the LRU and pinned for good.",
            who: "any",
            driver: None,
            needs: Some(Peculiarity::SystemPageForPin),
            scenarios: &[("pages-pin-with-system-page", 0)],
            signs: PIN_WITH_SYSTEM_PAGE,
            brings: FAILED_PIN_KEPT_BRINGS,
            ..PATCH
        },
        Defect::RefusedUnpinPut => Facts {
            wrong: "A destination with UNPIN that is not used is put (6.12 shape): the isolation's reference goes while the pin \
                    stays, and the next release takes the count below zero.",
            loses: "The page is freed while it is in use: memory corruption, by nothing but CPUs that touch one pinned page at \
                    once.",
            scenarios: &[
                ("finalize-unpin-refused", 0),
                ("unpin-referenced-on-6-12", 1),
                ("pairs-6.12-acquired-read-vs-read", 1),
            ],
            shape: Some(V6_12),
            signs: REFUSED_UNPIN_PUT,
            corrupts: true,
            ..PATCH
        },
        Defect::PinBeforeFlush => Facts {
            wrong: "With PIN, references are not looked at: one may be that of a zap in another address space, which the rmap \
                    does not lead to any more, and whose TLBs are not flushed yet.",
            loses: "A CPU reads through its TLB what a device has for itself, until that flush; neither of them can write.",
            who: "any",
            driver: None,
            scenarios: &[("munmap-elsewhere-acquire", 1), ("oom-reap-elsewhere-acquire", 1)],
            signs: PIN_BEFORE_FLUSH,
            ..PATCH
        },
        Defect::WordsUnchecked => Facts {
            wrong: "No word is checked, and nothing zeroes them any more.",
            loses: "Whatever the driver's mistake costs.",
            who: "wrong words",
            driver: None,
            needs: Some(Peculiarity::WrongWords),
            scenarios: &[("border-src-*", 0), ("border-dst-*", 0)],
            ..PATCH
        },
        Defect::DirtyBitDropped => Facts {
            wrong: "Collect drops the dirty bit of the entry it clears (5.11; mended in mainline).",
            loses: "Writes, when the page is dropped as clean.",
            shape: Some(V5_11),
            scenarios: &[
                ("collect-dirty-bit", 0),
                ("collect-dirty-bit-lazy-free", 0),
                ("pin-lazy-free-dirty-entry", 0),
                ("pairs-lazy-free-written-acquire-vs-reclaim", 1),
            ],
            signs: DIRTY_BIT_DROPPED,
            brings: DIRTY_BIT_DROPPED_BRINGS,
            ..PIPELINE
        },
        Defect::LateFlush => Facts {
            wrong: "Collect flushes the TLB after the PTL (5.11; mended in mainline, 60bae7370896).",
            loses: "`MADV_DONTNEED` returns, and what was thrown away is read again, or a write is lost.",
            who: "any",
            driver: None,
            shape: Some(V5_11),
            scenarios: &[("acquire-write-dontneed", 1), ("dontneed-reads-stale", 1)],
            signs: LATE_FLUSH,
            ..PIPELINE
        },
        Defect::BusyHugePageKept => Facts {
            wrong: "Collect does not put a huge page whose lock is busy (5.11 and 6.12).",
            loses: "The huge page, once freed by its process.",
            who: "any, two drivers on one huge page",
            driver: None,
            scenarios: &[
                ("collect-huge-busy", 0),
                ("pairs-huge-to-system-vs-gup-write", 1),
                ("huge-page-busy", 2),
            ],
            signs: BUSY_HUGE_PAGE_KEPT,
            brings: BUSY_HUGE_PAGE_KEPT_BRINGS,
            ..PIPELINE
        },
        Defect::PrivateDataLeft => Facts {
            wrong: "A file page with private data is moved as if it had none.",
            loses: "The old page; its private data.",
            who: "any",
            driver: None,
            needs: Some(Peculiarity::PrivateData),
            scenarios: &[
                ("pages-file-with-private", 0),
                ("pairs-shared-file-private-data-acquire-vs-to-new-page", 1),
                ("pairs-6.12-shared-file-private-data-acquire-vs-to-new-page", 0),
            ],
            signs: PRIVATE_DATA_LEFT,
            brings: PRIVATE_DATA_LEFT_BRINGS,
            ..PIPELINE
        },
        Defect::FaultsRefuseEachOther => Facts {
            wrong: "Two CPUs that fault on one device page each hold a reference that the other can't account for (6.12; mended \
                    in mainline, 1afaeb8293c9).",
            loses: "Both retry for ever.",
            who: "any",
            shape: Some(V6_12),
            scenarios: &[("faults-refuse-each-other-on-6-12", 1)],
            signs: FAULTS_REFUSE_EACH_OTHER,
            ..PIPELINE
        },
        Defect::PageFreeDropsBiasOnly => Facts {
            wrong: "`page_free` drops the bias and nothing else.",
            loses: "Every page that is pinned when its process exits or unmaps it.",
            scenarios: &[
                ("posted-driver-munmap", 0),
                ("posted-munmap", 0),
                ("posted-exit", 0),
            ],
            signs: PAGE_FREE_DROPS_BIAS_ONLY,
            brings: PAGE_FREE_DROPS_BIAS_ONLY_BRINGS,
            ..DRIVER
        },
        Defect::NotifierNotAsked => Facts {
            wrong: "It maps a page without asking the interval notifier whether it is still there.",
            loses: "The device reads and writes a page that was thrown away, which may be somebody else's by then.",
            scenarios: &[
                ("posted-driver-dontneed", 1),
                ("pairs-posted-driver-untouched-acquire-vs-dontneed", 1),
                ("pairs-posted-driver-huge-acquire-ends-vs-oom-reap", 0),
            ],
            signs: NOTIFIER_NOT_ASKED,
            brings: NOTIFIER_NOT_ASKED_BRINGS,
            ..DRIVER
        },
        Defect::WriteNotLookedAt => Facts {
            wrong: "It maps for writing without a look at WRITE.",
            loses: "A child sees what the device writes for its parent.",
            scenarios: &[
                ("posted-driver-fork", 1),
                ("pairs-posted-driver-lazy-free-acquire-vs-fork", 1),
            ],
            signs: WRITE_NOT_LOOKED_AT,
            brings: WRITE_NOT_LOOKED_AT_BRINGS,
            ..DRIVER
        },
        Defect::PairNotForgotten => Facts {
            wrong: "A pair that came to nothing is not forgotten.",
            loses: "The page, off the LRU for good: the unused device page's `page_free` finds the pair, and drops the bias and \
                    nothing else.",
            scenarios: &[
                ("posted-pair-not-forgotten", 0),
                (
                    "pairs-posted-driver-shared-file-written-acquire-to-read-vs-drain",
                    0,
                ),
            ],
            signs: PAIR_NOT_FORGOTTEN,
            brings: PAIR_NOT_FORGOTTEN_BRINGS,
            ..DRIVER
        },
        Defect::ZeroPageStandIn => Facts {
            wrong: "The zero page is given a device page that stands for nothing.",
            loses: "The process retries its access for ever.",
            scenarios: &[
                ("posted-zero-page", 0),
                ("pairs-posted-driver-zero-page-acquire-vs-mprotect", 0),
            ],
            signs: ZERO_PAGE_STAND_IN,
            brings: ZERO_PAGE_STAND_IN_BRINGS,
            ..DRIVER
        },
        Defect::DeviceWriteNotDirty => Facts {
            wrong: "What the device wrote is not marked dirty.",
            loses: "The device's writes.",
            scenarios: &[("posted-dirty-lost", 0)],
            signs: DEVICE_WRITE_NOT_DIRTY,
            brings: DEVICE_WRITE_NOT_DIRTY_BRINGS,
            ..DRIVER
        },
        Defect::NoDevicePageLeft => Facts {
            wrong: "There is no device page left (as above).",
            loses: "The page stays pinned for good.",
            scenarios: &[
                ("posted-no-device-page", 0),
                ("pairs-posted-driver-swapped-acquire-without-page-vs-read", 0),
            ],
            signs: NO_DEVICE_PAGE_LEFT,
            brings: NO_DEVICE_PAGE_LEFT_BRINGS,
            ..DRIVER
        },
    }
}
