//! What stands at the pages before anybody acts.

use crate::config::{
    ActorId, ActorSpec, Config, DeviceId, DeviceSpec, DriverKind, FileId, FileSpec, MemcgId,
    MirrorSpec, MmId, MmSpec, VmaKind, VmaSpec,
};
use crate::paths::populate::Populate;
use crate::scenario::{By, Step};
use migrate_pin_core::Access;

/// The address space that all actors are in.
const A: MmId = MmId(0);
/// The one to fork into.
pub(crate) const B: MmId = MmId(1);

/// What an area maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Anonymous,
    Shared,
    Private,
}

/// One kind of page.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) place: Place,
    pub(crate) config: Config<'static>,
    pub(crate) populate: &'static [(MmId, u16, Populate)],
    pub(crate) given: &'static [By],
    /// Has a device a part in it before anybody acts?
    pub(crate) device: bool,
    /// Is an actor in the address space to fork into: of two the second, of three the last?
    pub(crate) child: bool,
    /// Is it a huge page?
    pub(crate) huge: bool,
    /// Was it migrated, not pinned?
    pub(crate) migrated: bool,
}

impl Kind {
    /// Is a page pinned for the device of the second actor?
    pub(crate) fn second_drives(&self) -> bool {
        let pins = |By(actor, step): &By| *actor == 1 && matches!(step, Step::Acquire { .. });
        self.given.iter().any(pins)
    }
}

const fn config(vmas: &'static [MmSpec<'static>]) -> Config<'static> {
    Config {
        mms: vmas,
        files: &[FileSpec {
            contents: &[40, 41, 42, 43],
        }],
        actors: ACTORS,
        system_pages: 12,
        mm_pages: 4,
        swap_slots: 4,
        pin_records: 4,
        ..Config::SMALL
    }
}

pub(crate) const ACTORS: &[ActorSpec] = &[actor(0), actor(1), actor(2)];

/// Two actors, and a child of theirs.
pub(crate) const ACTORS_AND_CHILD: &[ActorSpec] = &[
    actor(0),
    actor(1),
    ActorSpec {
        cpu: 2,
        mm: Some(B),
    },
];

const fn actor(cpu: u8) -> ActorSpec {
    ActorSpec { cpu, mm: Some(A) }
}

const fn space(vmas: &'static [VmaSpec]) -> MmSpec<'static> {
    let memcg = MemcgId(0);
    MmSpec { memcg, vmas }
}

const EMPTY: MmSpec<'static> = space(&[]);
const ANONYMOUS: Config<'static> = config(&[space(&[VmaSpec::anonymous(0, 4)]), EMPTY]);
/// The second actor is in the address space to fork into.
const WITH_CHILD: Config<'static> = Config {
    actors: &[
        ActorSpec {
            cpu: 0,
            mm: Some(A),
        },
        ActorSpec {
            cpu: 1,
            mm: Some(B),
        },
    ],
    ..ANONYMOUS
};
const SHARED: Config<'static> = config(&[
    space(&[VmaSpec::anonymous(0, 4).of(VmaKind::Shared(FileId(0), 0))]),
    EMPTY,
]);
const PRIVATE: Config<'static> = config(&[
    space(&[VmaSpec::anonymous(0, 4).of(VmaKind::Private(FileId(0), 0))]),
    EMPTY,
]);

const fn device(driver: DriverKind) -> DeviceSpec {
    DeviceSpec {
        pages: 3,
        mappings: 4,
        driver,
    }
}

const fn mirror(device: u8) -> MirrorSpec {
    MirrorSpec {
        device: DeviceId(device),
        mm: A,
    }
}

/// One device for all actors.
pub(crate) const MIRROR: &[MirrorSpec] = &[mirror(0)];
/// Two devices, the actors by turns.
pub(crate) const MIRRORS_OF_TWO: &[MirrorSpec] = &[mirror(0), mirror(1), mirror(0)];

/// One device or two, with this driver, and with pages or without.
pub(crate) const fn devices(
    driver: DriverKind,
    two: bool,
    with_pages: bool,
) -> &'static [DeviceSpec] {
    const fn without(driver: DriverKind) -> DeviceSpec {
        DeviceSpec {
            pages: 0,
            ..device(driver)
        }
    }
    const CAREFUL: &[DeviceSpec] = &[device(DriverKind::Careful); 2];
    const POSTED: &[DeviceSpec] = &[device(DriverKind::Posted); 2];
    const CAREFUL_WITHOUT: &[DeviceSpec] = &[without(DriverKind::Careful); 2];
    const POSTED_WITHOUT: &[DeviceSpec] = &[without(DriverKind::Posted); 2];
    let all = match (driver, with_pages) {
        (DriverKind::Careful, true) => CAREFUL,
        (DriverKind::Posted, true) => POSTED,
        (DriverKind::Careful, false) => CAREFUL_WITHOUT,
        (DriverKind::Posted, false) => POSTED_WITHOUT,
    };
    if two {
        all
    } else {
        all.split_at(1).0
    }
}

/// Two devices with this driver, the first with a page for every page of an address space.
pub(crate) const fn large_devices(driver: DriverKind) -> &'static [DeviceSpec] {
    const fn two(driver: DriverKind) -> [DeviceSpec; 2] {
        let first = DeviceSpec {
            pages: 10,
            mappings: 16,
            driver,
        };
        [first, device(driver)]
    }
    match driver {
        DriverKind::Careful => const { &two(DriverKind::Careful) },
        DriverKind::Posted => const { &two(DriverKind::Posted) },
    }
}

const fn plain(
    name: &'static str,
    about: &'static str,
    populate: &'static [(MmId, u16, Populate)],
) -> Kind {
    Kind {
        name,
        about,
        place: Place::Anonymous,
        config: ANONYMOUS,
        populate,
        given: &[],
        device: false,
        child: false,
        huge: false,
        migrated: false,
    }
}

const fn file(
    place: Place,
    name: &'static str,
    about: &'static str,
    populate: &'static [(MmId, u16, Populate)],
) -> Kind {
    Kind {
        place,
        config: match place {
            Place::Anonymous => ANONYMOUS,
            Place::Shared => SHARED,
            Place::Private => PRIVATE,
        },
        ..plain(name, about, populate)
    }
}

const fn given(name: &'static str, about: &'static str, given: &'static [By]) -> Kind {
    Kind {
        given,
        device: true,
        ..plain(name, about, WRITTEN)
    }
}

const WRITTEN: &[(MmId, u16, Populate)] = &[(A, 1, Populate::Written(7))];

const fn acquire(pages: u16, access: Access) -> Step {
    Step::Acquire {
        at: 1,
        pages,
        access,
    }
}

/// One page each, at page 1; a huge page is there as a whole.
pub(crate) const KINDS: &[Kind] = &[
    plain("hole", "nothing is there yet", &[]),
    Kind {
        given: &[By(0, Step::Read(1)), By(1, Step::Write(1, 7))],
        ..plain(
            "written",
            "anonymous memory, in the TLBs of both CPUs",
            WRITTEN,
        )
    },
    plain("untouched", "anonymous memory, in no TLB", WRITTEN),
    plain(
        "in-batch",
        "anonymous memory, still in the LRU batch of a CPU",
        &[(A, 1, Populate::WrittenInBatch(7, ActorId(1)))],
    ),
    plain(
        "clean",
        "anonymous memory whose entry is not dirty",
        &[(A, 1, Populate::Clean(7, true))],
    ),
    plain(
        "marked",
        "anonymous memory, soft-dirty and write-protected for userfaultfd",
        &[(A, 1, Populate::Marked(7))],
    ),
    plain("zero-page", "the zero page", &[(A, 1, Populate::ZeroPage)]),
    plain("swapped", "in swap", &[(A, 1, Populate::Swapped(7))]),
    plain(
        "swap-cached",
        "read from swap, in the swap cache",
        &[(A, 1, Populate::SwapCached(7))],
    ),
    plain(
        "swap-cached-unmapped",
        "in swap and in the swap cache",
        &[(A, 1, Populate::SwapCachedUnmapped(7))],
    ),
    plain(
        "lazy-free",
        "anonymous memory after MADV_FREE",
        &[(A, 1, Populate::LazyFree(7))],
    ),
    plain(
        "compound",
        "part of a compound page that is mapped by entries",
        &[(A, 1, Populate::Compound(7))],
    ),
    Kind {
        huge: true,
        ..plain("huge", "a huge page", &[(A, 0, Populate::Huge(7))])
    },
    file(
        Place::Shared,
        "shared-file-read",
        "a page of a shared file, read",
        &[(A, 1, Populate::Read)],
    ),
    Kind {
        given: &[By(1, Step::Write(1, 7))],
        ..file(
            Place::Shared,
            "shared-file-written",
            "a page of a shared file, written, in a CPU's TLB",
            WRITTEN,
        )
    },
    file(
        Place::Shared,
        "shared-file-private-data",
        "a page of a shared file with buffers",
        &[(A, 1, Populate::WithPrivate)],
    ),
    file(
        Place::Private,
        "private-file-read",
        "a page of a private mapping of a file, read",
        &[(A, 1, Populate::Read)],
    ),
    file(
        Place::Private,
        "private-file-written",
        "a page of a private mapping of a file, written",
        WRITTEN,
    ),
    Kind {
        given: &[By(0, Step::Fork(B))],
        ..plain(
            "shared-by-fork",
            "anonymous memory shared with a child",
            WRITTEN,
        )
    },
    Kind {
        given: &[By(0, Step::Fork(B))],
        config: WITH_CHILD,
        child: true,
        ..plain(
            "childs",
            "anonymous memory shared with a child, who acts",
            WRITTEN,
        )
    },
    Kind {
        given: &[
            By(0, Step::ToDevice { at: 1, pages: 1 }),
            By(0, Step::Fork(B)),
        ],
        config: WITH_CHILD,
        child: true,
        migrated: true,
        device: true,
        ..plain(
            "childs-on-device",
            "migrated to a device, then shared with a child, who acts",
            WRITTEN,
        )
    },
    given(
        "acquired",
        "pinned for a device that has written it",
        &[
            By(0, acquire(1, Access::Write)),
            By(0, Step::DeviceAdd(1, 1)),
        ],
    ),
    given(
        "acquired-to-read",
        "pinned for a device that reads it",
        &[By(0, acquire(1, Access::Read)), By(0, Step::DeviceRead(1))],
    ),
    Kind {
        migrated: true,
        ..given(
            "on-device",
            "migrated to a device",
            &[By(0, Step::ToDevice { at: 1, pages: 1 })],
        )
    },
    Kind {
        migrated: true,
        ..given(
            "on-device-shared",
            "migrated to a device, then shared with a child",
            &[
                By(0, Step::ToDevice { at: 1, pages: 1 }),
                By(0, Step::Fork(B)),
            ],
        )
    },
];

/// Kinds beside them, which generated races have with the careful driver only.
pub(crate) const RACE_KINDS: &[Kind] = &[Kind {
    given: &[By(1, Step::Write(1, 8))],
    ..plain(
        "lazy-free-written",
        "anonymous memory after MADV_FREE, written since",
        LAZY_FREE,
    )
}];

/// Kinds that came later, with either driver: a table of its own, since the order of all decides what a fuzzer's byte means.
pub(crate) const LATER_KINDS: &[Kind] = &[
    Kind {
        given: &[By(0, Step::Fork(B)), By(2, Step::Read(1))],
        ..plain(
            "shared-by-fork-read",
            "anonymous memory shared with a child, in the TLB of the child's CPU",
            WRITTEN,
        )
    },
    Kind {
        given: &[By(1, Step::Read(1))],
        huge: true,
        ..plain(
            "huge-read",
            "a huge page, in the TLB of a CPU",
            &[(A, 0, Populate::Huge(7))],
        )
    },
    given(
        "acquired-by-second",
        "pinned for the device of the second actor",
        &[By(1, acquire(1, Access::Write))],
    ),
];

/// What a driver is to leave alone, beside them: generated races only. No fuzzer draws them, so that its bytes mean what they did.
/// (`Populate::OffLru` is none: a page in use that is not on the LRU is what the invariant LRU is there to find.)
pub(crate) const ODD_KINDS: &[Kind] = &[
    plain(
        "no-mapping",
        "a page that belongs to nobody",
        &[(A, 1, Populate::NoMapping(7))],
    ),
    plain(
        "special",
        "memory without a struct page",
        &[(A, 1, Populate::Special)],
    ),
    plain(
        "other-entry",
        "some other special entry",
        &[(A, 1, Populate::Other)],
    ),
    plain(
        "empty-entry",
        "a page table, and nothing in it",
        &[(A, 1, Populate::EmptyEntry)],
    ),
    Kind {
        huge: true,
        ..plain(
            "huge-zero",
            "the huge zero page",
            &[(A, 0, Populate::HugeZero)],
        )
    },
    Kind {
        huge: true,
        ..plain(
            "bad-pmd",
            "an entry above that can't be read",
            &[(A, 0, Populate::BadPmd)],
        )
    },
];

const LAZY_FREE: &[(MmId, u16, Populate)] = &[(A, 1, Populate::LazyFree(7))];

const TWO_WRITTEN: &[(MmId, u16, Populate)] =
    &[(A, 1, Populate::Written(7)), (A, 2, Populate::Written(8))];

/// Two pages each, at 1 and 2.
pub(crate) static TRIPLE_KINDS: &[Kind] = &[
    plain("written", "anonymous memory", TWO_WRITTEN),
    plain(
        "half-swapped",
        "anonymous memory, one of two pages in swap",
        &[(A, 1, Populate::Written(7)), (A, 2, Populate::Swapped(8))],
    ),
    Kind {
        populate: TWO_WRITTEN,
        ..given(
            "half-acquired",
            "one page pinned for a device, one not",
            &[By(0, acquire(1, Access::Write))],
        )
    },
    Kind {
        populate: TWO_WRITTEN,
        migrated: true,
        ..given(
            "on-device",
            "migrated to a device",
            &[By(0, Step::ToDevice { at: 1, pages: 2 })],
        )
    },
];
