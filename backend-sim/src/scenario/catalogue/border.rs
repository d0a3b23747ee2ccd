//! The border: what is refused before anything is taken.
//!
//! `AsPosted` looks at no word and at no destination, as the patch does not, so most of these break it; each says
//! what it is that a caller of the patch must never do. Where the kernel itself refuses, both policies do.

use crate::config::{Config, MemcgId, MmSpec, VmaKind, VmaSpec};
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::scenario::catalogue::machines::*;
use crate::scenario::catalogue::short::*;
use crate::scenario::{By, Expect, Give, Scenario, Step};
use crate::violation::Invariant;

pub(super) const ALL: &[Scenario] = &[
    RANGE_REVERSED,
    RANGE_EMPTY,
    UNALIGNED_START,
    UNALIGNED_END,
    NO_AREA,
    OUTSIDE_BEFORE,
    OUTSIDE_AFTER,
    AREA_KINDS,
    LENGTHS,
    SRC_STALE,
    SRC_RESERVED,
    SRC_VALID_WITHOUT_PFN,
    SRC_PFN_WITHOUT_VALID,
    DST_WORDS,
    DST_NOT_LOCKED,
    DST_FOREIGN_DEVICE,
    DST_MAPPED,
    DST_TWICE,
    DST_UNPIN_WITHOUT_RECORD,
    DST_ORIGINAL_WITHOUT_UNPIN,
    DST_UNPIN_OTHER_PAIR,
    DST_UNPIN_FOREIGN,
];

// ---- setup -------------------------------------------------------------------------------------------------

/// Pages 1 and 2 are anonymous, 3 hugetlb, 4 special, 5 DAX; there is nothing at 0, 6 and 7.
const AREAS: Config<'static> = Config {
    mms: &[MmSpec {
        memcg: MemcgId(0),
        vmas: &[
            VmaSpec::anonymous(1, 2),
            VmaSpec::anonymous(3, 1).of(VmaKind::Hugetlb),
            VmaSpec::anonymous(4, 1).of(VmaKind::Special),
            VmaSpec::anonymous(5, 1).of(VmaKind::Dax),
        ],
    }],
    ..Config::SMALL
};

/// A page at 1 that setup would migrate, and one at 2 that it would leave alone.
const SETUP: Scenario = Scenario {
    config: AREAS,
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Swapped(9))],
    ..BASE
};

/// Setup of `start..end` with these words, and as many for the destinations.
const fn raw(start: usize, end: usize, src: &'static [usize]) -> By {
    let dst = src.len() as u16;
    By(
        0,
        Step::SetupRaw {
            start,
            end,
            src,
            dst,
        },
    )
}

const RANGE_REVERSED: Scenario = Scenario {
    name: "border-range-reversed",
    about: "setup of a range that ends before it starts is refused",
    steps: &[raw(0x2000, 0x1000, &[]), raw(0x2000, 0x1000, &[0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: the range ends before it starts; expected the start first",
        "0 setup: refused, errno 22: the range ends before it starts; expected the start first",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

const RANGE_EMPTY: Scenario = Scenario {
    name: "border-range-empty",
    about: "setup of no page at all is refused",
    steps: &[raw(0x1000, 0x1000, &[]), raw(0x1000, 0x1000, &[0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: the range is empty; expected at least one page",
        "0 setup: refused, errno 22: the range is empty; expected at least one page",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

/// The kernel reckons the number of pages before it rounds: a page and a half from the middle of a page counts as one,
/// and covers two. A Rust crate can't let it overrun the arrays; with arrays that are long enough the patch goes
/// on, and the migration takes the dirty bit with it.
const UNALIGNED_START: Scenario = Scenario {
    name: "border-unaligned-start",
    about: "setup from the middle of a page is refused; the patch rounds down",
    steps: &[raw(0x1800, 0x3000, &[0]), raw(0x1800, 0x3000, &[0, 0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: 0x1800 is not a multiple of the page size",
        "0 setup: refused, errno 22: 0x1800 is not a multiple of the page size",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Lines(&[
        "0 setup: refused, errno 22: the range has 2 pages, src 1 words and dst 1; expected one word a page in each",
        "0 setup: 1",
        "at a1: a1 write",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

const UNALIGNED_END: Scenario = Scenario {
    name: "border-unaligned-end",
    about: "setup to the middle of a page is refused; the patch rounds down",
    steps: &[raw(0x1000, 0x2800, &[0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: 0x2800 is not a multiple of the page size",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Lines(&[
        "0 setup: 1",
        "at a1: a1 write",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

const NO_AREA: Scenario = Scenario {
    name: "border-no-area",
    about: "setup where there is no area any more is refused",
    steps: &[raw(0x6000, 0x7000, &[0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: there is no area at the address; expected a mapped one",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

/// `find_vma()` answers with the next area, and a driver that does not look at its start goes on with that.
const OUTSIDE_BEFORE: Scenario = Scenario {
    name: "border-outside-before",
    about: "setup of a range that starts before its area is refused",
    steps: &[raw(0x0000, 0x2000, &[0, 0]), raw(0x0000, 0x1000, &[0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: the range is not within the area",
        "0 setup: refused, errno 22: the range is not within the area",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

const OUTSIDE_AFTER: Scenario = Scenario {
    name: "border-outside-after",
    about: "setup of a range that ends behind its area is refused",
    steps: &[raw(0x1000, 0x4000, &[0, 0, 0])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: the range is not within the area",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

const AREA_KINDS: Scenario = Scenario {
    name: "border-area-kinds",
    about: "setup of hugetlb, special and DAX areas is refused",
    steps: &[
        raw(0x3000, 0x4000, &[0]),
        raw(0x4000, 0x5000, &[0]),
        raw(0x5000, 0x6000, &[0]),
    ],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: the area is hugetlb; expected ordinary memory",
        "0 setup: refused, errno 22: the area is special (IO, PFNMAP, MIXEDMAP or DONTEXPAND); expected ordinary memory",
        "0 setup: refused, errno 22: the area is DAX; expected ordinary memory",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

const LENGTHS: Scenario = Scenario {
    name: "border-array-lengths",
    about: "arrays that have not one word a page are refused",
    steps: &[
        raw(0x1000, 0x3000, &[0]),
        raw(0x1000, 0x2000, &[0, 0]),
        By(
            0,
            Step::SetupRaw {
                start: 0x1000,
                end: 0x3000,
                src: &[0, 0],
                dst: 1,
            },
        ),
    ],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: the range has 2 pages, src 1 words and dst 1; expected one word a page in each",
        "0 setup: refused, errno 22: the range has 1 pages, src 2 words and dst 2; expected one word a page in each",
        "0 setup: refused, errno 22: the range has 2 pages, src 2 words and dst 1; expected one word a page in each",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    ..SETUP
};

/// As posted, collect ORs into what it finds: over an entry that it leaves alone the old MIGRATE stays, and nobody has
/// counted it (`migrate->src[migrate->npages++] |= mpfn`).
const SRC_STALE: Scenario = Scenario {
    name: "border-src-stale",
    about: "source words that an earlier migration left are refused",
    steps: &[
        raw(0x2000, 0x3000, &[0b10]),
        raw(0x2000, 0x3000, &[0b10010]),
    ],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: src[0] = 0x2: it was left by an earlier migration; expected 0 or PIN before setup",
        "0 setup: refused, errno 22: src[0] = 0x12: it was left by an earlier migration; expected 0 or PIN before setup",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Count]),
    ..SETUP
};

/// As posted, the bit is there still when the driver looks (the same line).
const SRC_RESERVED: Scenario = Scenario {
    name: "border-src-reserved-bit",
    about: "a source word with bit 5 is refused",
    steps: &[raw(0x1000, 0x2000, &[0x20])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: src[0] = 0x20: bit 5 is reserved and must be zero",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Word]),
    ..SETUP
};

/// As posted, the word says that pfn 0 is to be given back (the same line, and finalize believes it).
const SRC_VALID_WITHOUT_PFN: Scenario = Scenario {
    name: "border-src-valid-without-pfn",
    about: "a source word with VALID and no pfn is refused",
    steps: &[raw(0x2000, 0x3000, &[1])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: src[0] = 0x1: it has VALID but no pfn; expected both or neither",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Uaf, Invariant::Word]),
    ..SETUP
};

/// As posted, the bits stay in the word; over an entry with a page they would name another page than was taken.
const SRC_PFN_WITHOUT_VALID: Scenario = Scenario {
    name: "border-src-pfn-without-valid",
    about: "a source word with a pfn and no VALID is refused",
    steps: &[raw(0x2000, 0x3000, &[0x4040])],
    hardened: Expect::Lines(&[
        "0 setup: refused, errno 22: src[0] = 0x4040: it has a pfn but not VALID; expected both or neither",
        "at a1: a1 write dirty",
        "at a2: swap",
        "page a1: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Word]),
    ..SETUP
};

// ---- pages -------------------------------------------------------------------------------------------------

/// A page at 1 that is about to be pinned.
const PIN: Scenario = Scenario {
    populate: &[(A, 1, Populate::Written(7))],
    ..BASE
};

/// The first free device page, as a word without flags: 16 frames of memory start at 0x100.
const DEVICE_PAGE: usize = 0x110 << 6;

/// As posted, the first call takes the word for none (it has no VALID), so that the pin fails, and a pin that fails is
/// never given back (`else if (!(migrate->src[i] & MIGRATE_PFN_PIN))` in finalize). The calls after it come too
/// late.
const DST_WORDS: Scenario = Scenario {
    name: "border-dst-words",
    about: "destination words that can't be right are refused, and the migration goes on with a right one",
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::ProvideThis(&[Give::Raw(0x20)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(0b100)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(0b101)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(DEVICE_PAGE)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(DEVICE_PAGE | 0b111)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(DEVICE_PAGE | 0b001)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(0x3fff << 6 | 0b101)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Raw(DEVICE_PAGE | 0b101)])),
        PAGES,
        By(0, Step::ProvideThis(&[Give::Device])),
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages: refused, errno 22: dst[0] = 0x20: bit 5 is reserved and must be zero",
        "0 pages: refused, errno 22: dst[0] = 0x4: it has flags but no page; expected 0 or a locked page",
        "0 pages: refused, errno 22: dst[0] = 0x5: it has VALID but no pfn; expected both or neither",
        "0 pages: refused, errno 22: dst[0] = 0x4400: it has a pfn but not VALID; expected both or neither",
        "0 pages: refused, errno 22: dst[0] = 0x4407: MIGRATE and WRITE have no meaning in a destination; expected neither",
        "0 pages: refused, errno 22: dst[0] = 0x4401: the destination is not marked LOCKED; expected a page the driver locked",
        "0 pages: refused, errno 22: dst[0] names page pfn 0x3fff: there is no such page frame; expected a page that the driver allocated",
        "0 pages: refused, errno 22: dst[0] names page dev0: the page is free; expected one that the driver holds a reference on",
        "0 pages:",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 map: 1",
        "at a1: dev1 device-private write",
        "device 0 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: free",
        "page dev1: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Pinned],
    ..PIN
};

/// As posted, the identity of a page that nobody has locked is changed, and finalize unlocks it.
const DST_NOT_LOCKED: Scenario = Scenario {
    name: "border-dst-not-locked",
    about: "a device page that the driver did not lock is refused",
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::ProvideThis(&[Give::DeviceUnlocked])),
        PAGES,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages: refused, errno 22: dst[0] names page dev0: the page is not locked; expected one that the driver locked",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page dev0: free",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Lock]),
    events: &[Event::Restore, Event::Unpinned],
    ..PIN
};

/// As posted, the pin goes to a device whose driver knows nothing of it: a read finds the device page's contents, and
/// nobody will ever release the original.
const DST_FOREIGN_DEVICE: Scenario = Scenario {
    name: "border-dst-foreign-device",
    about: "a device page of another driver is refused",
    config: TWO_DEVICES,
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::ProvideThis(&[Give::DeviceOfOther])),
        PAGES,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages: refused, errno 1: dst[0] names page dev0: it is device memory of another owner or kind; expected a system page or a device-private page of this owner",
        "at a1: a1 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page dev0: free",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin, Invariant::Data]),
    events: &[Event::Restore, Event::Unpinned],
    ..PIN
};

/// As posted, a page that is mapped at 2 becomes the page of 1: its index changes under its entry, and what finalize
/// gives back is the lock and the reference of somebody else, to an LRU where the page is already.
const DST_MAPPED: Scenario = Scenario {
    name: "border-dst-mapped",
    about: "a page that is mapped elsewhere is refused",
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    steps: &[
        By(0, setup_pin(1, 1)),
        By(0, Step::ProvideThis(&[Give::Mapped(2)])),
        PAGES,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages: refused, errno 16: dst[0] names page a2: the page is mapped, cached or on the LRU; expected a new page",
        "at a1: a1 write",
        "at a2: a2 write dirty",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1, mapped 1, on the LRU",
    ]),
    as_posted: Expect::Breaks(&[
        Invariant::Ref,
        Invariant::Rmap,
        Invariant::Uaf,
        Invariant::Lru,
        Invariant::Lock,
        Invariant::Pin,
        Invariant::Cow,
        Invariant::Data,
    ]),
    events: &[Event::Restore, Event::Unpinned],
    ..PIN
};

/// As posted, the device page ends with the index of the second source, so that the migration entries of the first are
/// never found; and what was locked and referenced once is unlocked and dropped twice.
const DST_TWICE: Scenario = Scenario {
    name: "border-dst-twice",
    about: "one device page for two sources is refused",
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    steps: &[
        By(0, setup_pin(1, 2)),
        By(0, Step::ProvideThis(&[Give::Device, Give::Again])),
        PAGES,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 2 of 2",
        "  0: a1 VALID MIGRATE LOCKED WRITE PIN",
        "  1: a2 VALID MIGRATE LOCKED WRITE PIN",
        "0 pages: refused, errno 22: dst[1] names page dev0: the page stands in two destination words; expected one",
        "at a1: a1 write",
        "at a2: a2 write",
        "page a1: count 1, mapped 1, on the LRU",
        "page a2: count 1, mapped 1, on the LRU",
        "page dev0: free",
    ]),
    as_posted: Expect::Breaks(&[
        Invariant::Ref,
        Invariant::Uaf,
        Invariant::Lock,
        Invariant::Pin,
        Invariant::Pte,
    ]),
    events: &[Event::Restore, Event::Unpinned],
    ..PIN
};

/// As posted, `page_ref_sub(newpage, GUP_PIN_COUNTING_BIAS)` takes 1024 from a page that has two references. To copy the
/// device's page the driver has taken the device's mapping away, which costs it a fault.
const DST_UNPIN_WITHOUT_RECORD: Scenario = Scenario {
    name: "border-dst-unpin-without-record",
    about: "UNPIN of a page that is not pinned is refused",
    populate: &[],
    given: &[By(0, to_device(1, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::ProvideThis(&[Give::UnpinNew])),
        PAGES,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 pages: refused, errno 1: dst[0] names page new0: UNPIN, but the page has no pin record; expected a page that is pinned",
        "at a1: dev0 device-private write",
        "page dev0: count 2, mapped 1",
        "page new0: free",
    ]),
    as_posted: Expect::Breaks(&[Invariant::Ref, Invariant::Pin]),
    events: &[Event::Restore, Event::DeviceRevoked],
    ..PIN
};

/// As posted, the page goes back to the CPU and to the LRU, and the driver forgets the pair; the bias stays, since
/// `if (migrate->dst[i] & MIGRATE_PFN_UNPIN)` in finalize asks for nothing else.
const DST_ORIGINAL_WITHOUT_UNPIN: Scenario = Scenario {
    name: "border-dst-original-without-unpin",
    about: "the original without UNPIN is refused, and stays pinned",
    given: &[By(0, acquire(1, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::ProvideThis(&[Give::OriginalPlain])),
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 pages: refused, errno 16: dst[0] names page a1: the page is pinned; expected UNPIN in the word",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[
        Invariant::Ref,
        Invariant::Lru,
        Invariant::Pin,
    ]),
    events: &[Event::Restore],
    ..PIN
};

/// UNPIN of `page`, which stands at the nth frame of memory.
const fn unpin(frame: usize) -> Give {
    Give::Raw((0x100 + frame) << 6 | 0b10101)
}

/// As posted, page 1 gets the memory of page 2, whose pin is dropped under the device page that stands for it; when
/// that one is freed, the pin is dropped again. The original of page 1 stays pinned for good.
const DST_UNPIN_OTHER_PAIR: Scenario = Scenario {
    name: "border-dst-unpin-other-pair",
    about: "UNPIN of an original that another device page stands for is refused",
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    given: &[By(0, acquire(1, 2))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::ProvideThis(&[unpin(1)])),
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 pages: refused, errno 1: dst[0] names page a2: UNPIN, but the source is not the device page that stands for this page",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private write",
        "device 0 at a2: a2",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[
        Invariant::Ref,
        Invariant::Uaf,
        Invariant::Lru,
        Invariant::Lock,
        Invariant::Pin,
        Invariant::Pair,
        Invariant::Cow,
        Invariant::Notify,
        Invariant::Data,
    ]),
    events: &[Event::Restore],
    ..PIN
};

/// As posted, one driver drops the pin of another, whose device goes on with a page that is mapped for the CPU; the
/// rest is as with another pair.
const DST_UNPIN_FOREIGN: Scenario = Scenario {
    name: "border-dst-unpin-foreign",
    about: "UNPIN of a page that another driver has pinned is refused",
    config: TWO_DEVICES,
    populate: &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))],
    given: &[By(0, acquire(1, 1)), By(1, acquire(2, 1))],
    steps: &[
        By(0, setup_home(1, 1)),
        By(0, Step::ProvideThis(&[unpin(1)])),
        PAGES,
        MAP,
        FINALIZE,
    ],
    hardened: Expect::Lines(&[
        "0 setup: 1 of 1",
        "  0: dev0 VALID MIGRATE LOCKED WRITE",
        "0 pages: refused, errno 1: dst[0] names page a2: UNPIN, but another owner holds the pin; expected the caller's own",
        "at a1: dev0 device-private write",
        "device 0 at a1: a1",
        "at a2: dev1 device-private write",
        "device 1 at a2: a2",
        "page a1: count 1025, mapped 0, isolated, pinned 1",
        "page a2: count 1025, mapped 0, isolated, pinned 1",
        "page dev0: count 2, mapped 1",
        "page dev1: count 2, mapped 1",
    ]),
    as_posted: Expect::Breaks(&[
        Invariant::Ref,
        Invariant::Uaf,
        Invariant::Lru,
        Invariant::Lock,
        Invariant::Pin,
        Invariant::Pair,
        Invariant::Excl,
        Invariant::Cow,
        Invariant::Notify,
        Invariant::Data,
    ]),
    events: &[Event::Restore],
    ..PIN
};
