//! *collect*: each row of the table of what the walk may meet, with PIN and without where that differs.
//!
//! A pin that is given up after setup is undone by `Hardened` only, so what is collected with PIN is pinned to the
//! end here.

use crate::config::{Config, MemcgId, MmSpec, VmaSpec};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::catalogue::machines::*;
use crate::scenario::catalogue::short::*;
use crate::scenario::{By, Expect, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    MARKED,
    HOLE_ANONYMOUS,
    HOLE_ANONYMOUS_PIN,
    HOLE_FILE,
    EMPTY_ENTRY,
    SWAP_ENTRY,
    MIGRATION_ENTRY,
    OTHER_ENTRY,
    DEVICE_OWN,
    DEVICE_NOT_SELECTED,
    DEVICE_FOREIGN,
    ZERO_PAGE,
    PRESENT,
    PRESENT_PIN,
    FILE_PAGE,
    FILE_PAGE_PIN,
    SPECIAL_MEMORY,
    NO_MAPPING,
    COMPOUND,
    SYSTEM_NOT_SELECTED,
    HUGE,
    HUGE_PIN,
    HUGE_BUSY,
    HUGE_NOT_SPLIT,
    HUGE_ZERO_PAGE,
    BAD_PMD,
    SEVERAL_TABLES,
    LOCK_BUSY_ONCE,
    DIRTY_BIT,
    DIRTY_BIT_LAZY_FREE,
];

// ---- nothing there -----------------------------------------------------------------------------------------

const HOLE_ANONYMOUS: Scenario = Scenario {
    name: "collect-hole-anonymous",
    about: "anonymous memory without a page table migrates as empty entries",
    steps: &[By(0, setup_out(0, 2)), ABANDON],
    hardened: Expect::Lines(&["0 setup: 2 of 2", "  0: - MIGRATE", "  1: - MIGRATE"]),
    ..BASE
};

/// As posted, `cpages++` stands outside of the test for PIN.
const HOLE_ANONYMOUS_PIN: Scenario = Scenario {
    name: "collect-hole-anonymous-pin",
    about: "there is nothing to pin in anonymous memory without a page table",
    steps: &[By(0, setup_pin(0, 2)), ABANDON],
    hardened: Expect::Lines(&["0 setup: 0 of 2", "  0: - PIN", "  1: - PIN"]),
    as_posted: Expect::Breaks(&[Invariant::Count]),
    ..BASE
};

/// The hole of a file: the word becomes zero, and PIN is lost with it.
const HOLE_FILE: Scenario = Scenario {
    name: "collect-hole-file",
    about: "a file's area without a page table is skipped, PIN or not",
    config: FILES,
    steps: &[
        By(0, setup_out(4, 2)),
        ABANDON,
        By(0, setup_pin(4, 2)),
        ABANDON,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 2",
        "  0: -",
        "  1: -",
        "0 setup: 0 of 2",
        "  0: -",
        "  1: -",
    ]),
    ..BASE
};

const EMPTY_ENTRY: Scenario = Scenario {
    name: "collect-empty-entry",
    about: "an empty entry migrates if it is anonymous and not to be pinned",
    config: FILES,
    populate: &[(A, 0, Populate::EmptyEntry), (A, 4, Populate::EmptyEntry)],
    steps: &[
        By(0, setup_out(0, 1)),
        ABANDON,
        By(0, setup_pin(0, 1)),
        ABANDON,
        By(0, setup_out(4, 1)),
        ABANDON,
        By(0, setup_pin(4, 1)),
        ABANDON,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
    ]),
    ..BASE
};

// ---- special entries ---------------------------------------------------------------------------------------

/// An entry at page 1 that collect leaves alone, whatever is asked for.
const LEFT: Scenario = Scenario {
    steps: &[
        By(0, setup_out(1, 1)),
        ABANDON,
        By(0, setup_pin(1, 1)),
        ABANDON,
    ],
    ..BASE
};

const SWAP_ENTRY: Scenario = Scenario {
    name: "collect-swap-entry",
    about: "a swap entry is left alone",
    populate: &[(A, 1, Populate::Swapped(7))],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: swap",
    ]),
    ..LEFT
};

const MIGRATION_ENTRY: Scenario = Scenario {
    name: "collect-migration-entry",
    about: "a page that another migration has under way is left alone",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(1, setup_out(1, 1)),
        By(0, setup_pin(1, 1)),
        By(1, Step::Abandon),
        ABANDON,
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "1 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

const OTHER_ENTRY: Scenario = Scenario {
    name: "collect-other-entry",
    about: "some other special entry is left alone",
    populate: &[(A, 1, Populate::Other)],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: other",
    ]),
    ..LEFT
};

const DEVICE_OWN: Scenario = Scenario {
    name: "collect-device-own",
    about: "a device-private page of the caller's is taken if device memory is selected",
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, to_device(1, 1))],
    steps: &[By(0, setup_home(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "page a1: free",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Restore],
    ..BASE
};

const DEVICE_NOT_SELECTED: Scenario = Scenario {
    name: "collect-device-not-selected",
    about: "a device-private page is left alone if system memory is selected",
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(0, to_device(1, 1))],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: dev0 device-private write",
        "device 0 at a1: dev0",
        "page a1: free",
        "page dev0: count 2, mapped 1",
    ]),
    ..LEFT
};

/// The notifier tells the other driver of a migration that is not its own, so that its device loses the mapping.
const DEVICE_FOREIGN: Scenario = Scenario {
    name: "collect-device-foreign",
    about: "a device-private page of another driver is left alone",
    config: TWO_DEVICES,
    populate: &[(A, 1, Populate::Written(7))],
    given: &[By(1, to_device(1, 1))],
    steps: &[By(0, setup_home(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: dev0 device-private write",
        "page a1: free",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::DeviceRevoked],
    ..BASE
};

// ---- present entries ---------------------------------------------------------------------------------------

/// The zero page is taken without a look at PIN; the word then says both.
const ZERO_PAGE: Scenario = Scenario {
    name: "collect-zero-page",
    about: "the zero page migrates as an empty entry if system memory is selected",
    populate: &[(A, 1, Populate::ZeroPage)],
    steps: &[
        By(0, setup_out(1, 1)),
        ABANDON,
        By(0, setup_pin(1, 1)),
        ABANDON,
        By(0, setup_home(1, 1)),
        ABANDON,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: - MIGRATE",
        "0 setup: 1 of 1",
        "  0: - MIGRATE PIN",
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: zero",
    ]),
    ..BASE
};

/// Page 1 is written again after a child has come and gone; page 2 is still read-only from then.
const READ_ONLY: Scenario = Scenario {
    config: FAMILY,
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    given: &[
        By(0, Step::Fork(B)),
        By(2, Step::Exit),
        By(0, Step::Write(1, 7)),
    ],
    ..BASE
};

const PRESENT: Scenario = Scenario {
    name: "collect-present",
    about: "present pages are taken, with WRITE if the entry is writable",
    steps: &[By(0, setup_out(1, 2)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "  1: a2 VALID MIGRATE LOCKED",
        "at a1: a1 write",
        "at a2: a2",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::CowReuse, Event::Restore],
    ..READ_ONLY
};

const PRESENT_PIN: Scenario = Scenario {
    name: "collect-present-pin",
    about: "present pages are taken to be pinned, with WRITE if the entry is writable",
    steps: &[
        By(0, setup_pin_to_read(1, 2)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "  1: a2 VALID MIGRATE LOCKED PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "  1: a2 VALID MIGRATE LOCKED PIN",
        "0 map: 2",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private",
        "device 0 at a2: a2",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::Pinned, Event::Remap, Event::DeviceMapped],
    ..READ_ONLY
};

const FILE_PAGE: Scenario = Scenario {
    name: "collect-file-page",
    about: "a present page of a file is taken",
    config: FILES,
    populate: &[(A, 4, Populate::Read)],
    steps: &[By(0, setup_out(4, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED",
        "at a4: a4",
        "page a4: count 2, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

/// Setup pins it, and pages finds out that no device-private page can stand for it. As posted, a pin that fails then is
/// never given back (`else if (!(migrate->src[i] & MIGRATE_PFN_PIN))` in finalize).
const FILE_PAGE_PIN: Scenario = Scenario {
    name: "collect-file-page-pin",
    about: "a page of a file is pinned by setup, refused by pages and given back",
    config: FILES,
    populate: &[(A, 4, Populate::Read)],
    steps: &[
        By(0, setup_pin_to_read(4, 1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED PIN",
        "0 pages:",
        "  0: a4 VALID LOCKED PIN",
        "0 map: 0",
        "at a4: a4",
        "page a4: count 2, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Pin]),
    events: &[Event::Pinned, Event::Unpinned, Event::Restore],
    ..BASE
};

const SPECIAL_MEMORY: Scenario = Scenario {
    name: "collect-special-memory",
    about: "memory without a struct page is left alone",
    populate: &[(A, 1, Populate::Special)],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: special write",
    ]),
    ..LEFT
};

const NO_MAPPING: Scenario = Scenario {
    name: "collect-no-mapping",
    about: "a page that belongs to nobody is left alone",
    populate: &[(A, 1, Populate::NoMapping(7))],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..LEFT
};

const COMPOUND: Scenario = Scenario {
    name: "collect-compound",
    about: "a part of a compound page is left alone",
    populate: &[(A, 1, Populate::Compound(7))],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "0 setup: 0 of 1",
        "  0: - PIN",
        "at a1: a1 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..LEFT
};

const SYSTEM_NOT_SELECTED: Scenario = Scenario {
    name: "collect-system-not-selected",
    about: "present pages are left alone if device memory is selected",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[By(0, setup_home(1, 1)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 0 of 1",
        "  0: -",
        "at a1: a1 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..BASE
};

// ---- huge pages --------------------------------------------------------------------------------------------

const HUGE: Scenario = Scenario {
    name: "collect-huge",
    about: "a huge page is split, and its parts are taken",
    populate: &[(A, 0, Populate::Huge(10))],
    steps: &[
        By(0, setup_out(1, 3)),
        ABANDON,
        By(1, Step::Read(2)),
        By(0, Step::Read(0)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 3 of 3",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "  1: a2 VALID MIGRATE LOCKED WRITE",
        "  2: a3 VALID MIGRATE LOCKED WRITE",
        "1 read 2: 12",
        "0 read 0: 10",
        "at a0: a0 write",
        "at a1: a1 write",
        "at a2: a2 write",
        "at a3: a3 write",
        "page a0: count 1, mapped 1, on the LRU",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1, mapped 1, on the LRU",
        "page a3: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::HugePmdSplit, Event::HugePageSplit],
    ..BASE
};

/// To split it, its entries are cleared in a notifier section that is nobody's: the driver's sequence number is from
/// before, so that it has to try again after finalize.
const HUGE_PIN: Scenario = Scenario {
    name: "collect-huge-pin",
    about: "a huge page is split, and two of its parts are pinned",
    populate: &[(A, 0, Populate::Huge(10))],
    steps: &[
        By(0, setup_pin(1, 2)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
        By(0, grant(1)),
        By(0, grant(2)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "  1: a2 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "  1: a2 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 0",
        "0 grant 1: Granted",
        "0 grant 2: Granted",
        "at a0: a0 write",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private write",
        "device 0 at a2: a2",
        "at a3: a3 write",
        "page a0: count 1, mapped 1, on the LRU",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page a3: count 1, mapped 1, on the LRU",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    events: &[Event::HugePageSplit, Event::Pinned, Event::Remap],
    ..BASE
};

/// As posted, and in every kernel: `get_page()` before the lock is tried, and no `put_page()` if it is busy.
const HUGE_BUSY: Scenario = Scenario {
    name: "collect-huge-busy",
    about: "a huge page that somebody has locked is skipped, and PIN is lost",
    populate: &[(A, 0, Populate::Huge(10))],
    steps: &[
        By(1, Step::LockPage(0)),
        By(0, setup_pin(0, 2)),
        ABANDON,
        By(1, Step::UnlockPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 2",
        "  0: -",
        "  1: -",
        "at a0: a0 write dirty",
        "at a1: a1 write dirty",
        "at a2: a2 write dirty",
        "at a3: a3 write dirty",
        "page a0: count 1, mapped 1, on the LRU",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1, mapped 1, on the LRU",
        "page a3: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref]),
    events: &[Event::TrylockBusy],
    ..BASE
};

/// `can_split_huge_page()` looks at the references before anything is unmapped, so the huge entry stays.
const HUGE_NOT_SPLIT: Scenario = Scenario {
    name: "collect-huge-not-split",
    about: "a huge page that somebody holds can't be split and is skipped",
    populate: &[(A, 0, Populate::Huge(10))],
    steps: &[
        By(1, Step::GetPage(0)),
        By(0, setup_pin(0, 2)),
        ABANDON,
        By(1, Step::PutPage),
    ],
    reorder: true,
    hardened: Expect::Lines(&[
        "0 setup: 0 of 2",
        "  0: -",
        "  1: -",
        "at a0: a0 write dirty",
        "at a1: a1 write dirty",
        "at a2: a2 write dirty",
        "at a3: a3 write dirty",
        "page a0: count 1, mapped 1, on the LRU",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1, mapped 1, on the LRU",
        "page a3: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::HugeSplitFailed],
    ..BASE
};

const HUGE_ZERO_PAGE: Scenario = Scenario {
    name: "collect-huge-zero-page",
    about: "the huge zero page is split into zero pages, which migrate as empty entries",
    populate: &[(A, 0, Populate::HugeZero)],
    steps: &[
        By(0, setup_out(0, 2)),
        ABANDON,
        By(0, setup_pin(2, 2)),
        ABANDON,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: - MIGRATE",
        "  1: - MIGRATE",
        "0 setup: 2 of 2",
        "  0: - MIGRATE PIN",
        "  1: - MIGRATE PIN",
        "at a0: zero",
        "at a1: zero",
        "at a2: zero",
        "at a3: zero",
    ]),
    events: &[Event::HugePmdSplit],
    ..BASE
};

const BAD_PMD: Scenario = Scenario {
    name: "collect-bad-pmd",
    about: "an upper entry that can't be read is skipped, and PIN is lost",
    populate: &[(A, 0, Populate::BadPmd), (A, 4, Populate::Written(7))],
    steps: &[
        By(0, setup_pin_to_read(2, 4)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 4",
        "  0: -",
        "  1: -",
        "  2: a4 VALID MIGRATE LOCKED WRITE PIN",
        "  3: - PIN",
        "0 pages:",
        "  0: -",
        "  1: -",
        "  2: a4 VALID MIGRATE LOCKED WRITE PIN",
        "  3: - PIN",
        "0 map: 1",
        "at a4: dev0 device-private write",
        "device 0 at a4: a4",
        "page a4: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Pinned],
    ..BASE
};

// ---- the walk ----------------------------------------------------------------------------------------------

/// [`Config::SMALL`] with half as many pages more, so that there is a page table in the middle.
const LONG: Config<'static> = Config {
    mm_pages: 12,
    mms: &[MmSpec {
        memcg: MemcgId(0),
        vmas: &[VmaSpec::anonymous(0, 12)],
    }],
    ..Config::SMALL
};

const SEVERAL_TABLES: Scenario = Scenario {
    name: "collect-several-tables",
    about: "one migration goes over three page tables, of which the second is missing",
    config: LONG,
    populate: &[(A, 3, Populate::Written(7)), (A, 8, Populate::Written(8))],
    steps: &[By(0, setup_out(2, 8)), ABANDON],
    hardened: Expect::Lines(&[
        "0 setup: 8 of 8",
        "  0: - MIGRATE",
        "  1: a3 VALID MIGRATE LOCKED WRITE",
        "  2: - MIGRATE",
        "  3: - MIGRATE",
        "  4: - MIGRATE",
        "  5: - MIGRATE",
        "  6: a8 VALID MIGRATE LOCKED WRITE",
        "  7: - MIGRATE",
        "at a3: a3 write",
        "at a8: a8 write",
        "page a3: count 1, mapped 1, on the LRU",
        "page a8: count 1, mapped 1, on the LRU",
    ]),
    events: &[Event::Restore],
    ..BASE
};

/// What 5.11 does and 6.12 does not any more: the entry is replaced by unmap then, through the rmap, in a notifier
/// section that is nobody's, so that the driver has to try again after finalize.
const LOCK_BUSY_ONCE: Scenario = Scenario {
    name: "collect-lock-busy-once",
    about: "a page whose lock is busy in collect keeps its mapping, and prepare takes it",
    populate: &[(A, 1, Populate::Written(7))],
    steps: &[
        By(0, Step::Fail(1)),
        By(0, setup_pin(1, 1)),
        PROVIDE,
        PAGES,
        MAP,
        FINALIZE,
        By(0, grant(1)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 0",
        "0 grant 1: Granted",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    events: &[Event::Pinned, Event::Remap],
    ..BASE
};

/// The page is clean and the entry writable, as migration and writeback leave them; then it is written. As posted
/// (and in 5.11) collect drops the dirty bit with the entry, and reclaim has nothing to write.
const DIRTY_BIT: Scenario = Scenario {
    name: "collect-dirty-bit",
    about: "the dirty bit of an entry that collect clears is not lost to the file",
    config: FILES,
    populate: &[(A, 4, Populate::Written(9))],
    given: &[
        By(0, setup_out(4, 1)),
        ABANDON,
        By(1, Step::Writeback(FILE, 0)),
    ],
    steps: &[
        By(0, Step::Write(4, 21)),
        By(0, setup_out(4, 1)),
        ABANDON,
        By(1, Step::Drain),
        By(1, Step::Reclaim(4)),
        By(0, Step::Read(4)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a4 VALID MIGRATE LOCKED WRITE",
        "0 read 4: 21",
        "at a4: new0",
        // Reclaimed, and read back into a page of its own.
        "page a4: free",
        "page new0: count 2, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Data]),
    reorder: true,
    events: &[
        Event::HardwareDirty,
        Event::Writeback,
        Event::Reclaimed,
        Event::Restore,
    ],
};

/// As posted, the page is taken for one that was not written since `MADV_FREE`, and thrown away.
const DIRTY_BIT_LAZY_FREE: Scenario = Scenario {
    name: "collect-dirty-bit-lazy-free",
    about: "a page that was written after MADV_FREE is still known to be dirty",
    populate: &[(A, 1, Populate::LazyFree(5))],
    steps: &[
        By(0, Step::Write(1, 9)),
        By(0, setup_out(1, 1)),
        ABANDON,
        By(1, Step::Drain),
        By(1, Step::Reclaim(1)),
        By(0, Step::Read(1)),
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE",
        "1 reclaim 1: refused",
        "0 read 1: 9",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Data]),
    events: &[Event::HardwareDirty, Event::ReclaimRefused, Event::Restore],
    ..BASE
};

/// Soft-dirty and uffd-wp go to the migration entry and back.
const MARKED: Scenario = Scenario {
    name: "collect-marked",
    about: "the soft-dirty and uffd-wp bits of an entry are carried over",
    populate: &[(A, 1, Populate::Marked(7))],
    steps: &[By(0, setup_out(1, 1)), ABANDON, By(1, Step::Read(1))],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED",
        "1 read 1: 7",
        "at a1: a1 soft-dirty uffd-wp",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    reorder: true,
    events: &[Event::Restore],
    ..BASE
};
