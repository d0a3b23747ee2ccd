//! [`World`]: a machine with several processes, and what stands at each of their pages.

use crate::config::{
    ActorSpec, Config, DeviceId, DriverKind, FileId, FileSpec, MemcgId, MirrorSpec, MmId, MmSpec,
    VmaKind, VmaSpec, TABLE_PAGES,
};
use crate::grammar::kinds::{Kind, Place, KINDS, LATER_KINDS, RACE_KINDS};
use crate::grammar::shift::Target;
use crate::grammar::Choices;
use crate::paths::populate::Populate;
use crate::scenario::{By, Step};
use migrate_pin_core::policy::{PolicyKind, ShapeKind};

/// Pages of an address space, and so of the longest range.
pub const PAGES: usize = 8;
/// The address space that is there from the beginning.
pub const PARENT: MmId = MmId(0);
/// The one that the parent forks into.
pub const CHILD: MmId = MmId(1);
/// How many actors there are: two threads of the parent, one of the child, and another of the parent.
pub const ACTORS: usize = 4;
/// Who is in the child.
pub const CHILD_ACTOR: u8 = 2;

/// Which areas the parent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Anonymous memory.
    Anonymous,
    /// Anonymous memory, and a shared mapping of a file.
    Shared,
    /// Anonymous memory, and a private mapping of a file.
    Private,
    /// Two pages of each, and two of anonymous memory that can't be written.
    Mixed,
}

const FILE: FileId = FileId(0);
const ANONYMOUS: &[VmaSpec] = &[VmaSpec::anonymous(0, 8)];
const SHARED: &[VmaSpec] = &[
    VmaSpec::anonymous(0, 4),
    VmaSpec::anonymous(4, 4).of(VmaKind::Shared(FILE, 0)),
];
const PRIVATE: &[VmaSpec] = &[
    VmaSpec::anonymous(0, 4),
    VmaSpec::anonymous(4, 4).of(VmaKind::Private(FILE, 0)),
];
const MIXED: &[VmaSpec] = &[
    VmaSpec::anonymous(0, 2),
    VmaSpec::anonymous(2, 2).of(VmaKind::Private(FILE, 0)),
    VmaSpec::anonymous(4, 2).of(VmaKind::Shared(FILE, 1)),
    VmaSpec::anonymous(6, 2).read_only(),
];

impl Layout {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Anonymous, Self::Shared, Self::Private, Self::Mixed];

    /// The areas of the parent.
    #[must_use]
    pub const fn areas(self) -> &'static [VmaSpec] {
        match self {
            Self::Anonymous => ANONYMOUS,
            Self::Shared => SHARED,
            Self::Private => PRIVATE,
            Self::Mixed => MIXED,
        }
    }

    /// The area of a page.
    fn area(self, page: u16) -> Option<&'static VmaSpec> {
        let mut areas = self.areas().iter();
        areas.find(|area| (area.start..area.start + area.pages).contains(&page))
    }

    const fn mms(self) -> &'static [MmSpec<'static>] {
        const fn both(areas: &'static [VmaSpec]) -> [MmSpec<'static>; 2] {
            [
                MmSpec {
                    memcg: MemcgId(0),
                    vmas: areas,
                },
                MmSpec {
                    memcg: MemcgId(1),
                    vmas: &[],
                },
            ]
        }
        match self {
            Self::Anonymous => const { &both(Self::Anonymous.areas()) },
            Self::Shared => const { &both(Self::Shared.areas()) },
            Self::Private => const { &both(Self::Private.areas()) },
            Self::Mixed => const { &both(Self::Mixed.areas()) },
        }
    }
}

/// What of a world decides how its machine is built: worlds of one setting can have one machine, put back each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Setting {
    /// Which kernel.
    pub shape: ShapeKind,
    /// Which policy.
    pub policy: PolicyKind,
    /// Which driver.
    pub driver: DriverKind,
    /// Which areas.
    pub layout: Layout,
}

const fn actor(cpu: u8, mm: MmId) -> ActorSpec {
    ActorSpec { cpu, mm: Some(mm) }
}

const fn mirror(device: u8, mm: MmId) -> MirrorSpec {
    MirrorSpec {
        device: DeviceId(device),
        mm,
    }
}

const WHO: &[ActorSpec; ACTORS] = &[
    actor(0, PARENT),
    actor(1, PARENT),
    actor(2, CHILD),
    actor(3, PARENT),
];

/// The second actor drives the second device.
const MIRRORS: &[MirrorSpec] = &[
    mirror(0, PARENT),
    mirror(1, PARENT),
    mirror(0, CHILD),
    mirror(0, PARENT),
];

/// What stands on the disk.
const FILES: &[FileSpec<'static>] = &[FileSpec {
    contents: &[40, 41, 42, 43],
}];

impl Setting {
    /// How many there are.
    pub const COUNT: usize = 2 * 2 * 2 * Layout::ALL.len();

    /// A number below [`COUNT`](Self::COUNT), another for each.
    #[must_use]
    pub const fn index(self) -> usize {
        let shape = matches!(self.shape, ShapeKind::V6_12) as usize;
        let policy = matches!(self.policy, PolicyKind::AsPosted) as usize;
        let driver = matches!(self.driver, DriverKind::Posted) as usize;
        ((self.layout as usize * 2 + shape) * 2 + policy) * 2 + driver
    }

    /// A shape and areas. The driver as posted stands on 5.11, and was never ported.
    pub fn draw(choices: &mut impl Choices, policy: PolicyKind, driver: DriverKind) -> Self {
        let shape = match (choices.below(2), driver) {
            (1, DriverKind::Careful) => ShapeKind::V6_12,
            _ => ShapeKind::V5_11,
        };
        let layout = Layout::ALL[choices.below(Layout::ALL.len())];
        Self {
            shape,
            policy,
            driver,
            layout,
        }
    }

    /// The machine: 40 page frames, two devices that mirror the parent and one of them the child, too.
    #[must_use]
    pub const fn config(self) -> Config<'static> {
        Config {
            shape: self.shape,
            policy: self.policy,
            system_pages: 40,
            movable_pages: 8,
            mm_pages: PAGES as u16,
            lru_batch: 4,
            swap_slots: 16,
            pin_records: 16,
            memcg_limit: 256,
            actors: WHO,
            mms: self.layout.mms(),
            files: FILES,
            devices: crate::grammar::kinds::large_devices(self.driver),
            mirrors: MIRRORS,
            failures: &[],
            bugs: &[],
        }
    }
}

/// What is there before anybody acts.
#[derive(Clone, Debug)]
pub struct World {
    /// The machine.
    pub setting: Setting,
    /// The page that most programs act on, so that they meet.
    pub focus: u16,
    /// What stands at pages.
    pub populate: heapless::Vec<(MmId, u16, Populate), PAGES>,
    /// What was done before.
    pub given: heapless::Vec<By, 32>,
}

impl World {
    /// Something at each page in a world of four, as in [`draw_all`](Self::draw_all); in the others at the page that most programs
    /// act on, and in one of these at the next as well: shorter inputs, and areas where nothing is yet.
    pub fn draw(choices: &mut impl Choices, setting: Setting) -> Self {
        let spot = choices.below(4 * PAGES);
        let mut world = Self::new(setting, spot % PAGES);
        match spot / PAGES {
            0 => world.fill(choices),
            wide => {
                let (at, area) = (world.focus, setting.layout.area(world.focus));
                let block = at - at % TABLE_PAGES as u16;
                let whole = area.is_some_and(|area| holds(area, block));
                let pages = world.draw_at(choices, at, whole);
                if wide == 1 && pages == 1 {
                    world.draw_at(choices, at + 1, false);
                }
            }
        }
        world
    }

    /// Any kind of page at each page that its area can have it.
    pub fn draw_all(choices: &mut impl Choices, setting: Setting) -> Self {
        let mut world = Self::new(setting, 0);
        world.fill(choices);
        world
    }

    fn new(setting: Setting, focus: usize) -> Self {
        Self {
            setting,
            focus: focus as u16,
            populate: heapless::Vec::new(),
            given: heapless::Vec::new(),
        }
    }

    fn fill(&mut self, choices: &mut impl Choices) {
        let mut page = 0;
        while page < PAGES as u16 && choices.more() {
            let area = self.setting.layout.area(page);
            let whole = page.is_multiple_of(TABLE_PAGES as u16)
                && area.is_some_and(|area| holds(area, page));
            page += self.draw_at(choices, page, whole);
        }
    }

    /// Any kind of page at this page that can be there, of huge ones that around it if `whole`; how many pages have been seen to.
    fn draw_at(&mut self, choices: &mut impl Choices, page: u16, whole: bool) -> u16 {
        let Some(area) = self.setting.layout.area(page).filter(|area| area.write) else {
            return 1;
        };
        let place = match area.kind {
            VmaKind::Shared(..) => Place::Shared,
            VmaKind::Private(..) => Place::Private,
            _ => Place::Anonymous,
        };
        let posted = self.setting.driver == DriverKind::Posted;
        let fits = |kind: &&Kind| {
            kind.place == place && (whole || !kind.huge) && !(posted && kind.migrated)
        };
        let index = choices.below(kinds().filter(fits).count());
        // The number is below that of those that fit.
        let Some(kind) = kinds().filter(fits).nth(index) else {
            return 1;
        };
        self.put(kind, page)
    }

    /// Pages of this kind from `page` on; how many have been seen to.
    fn put(&mut self, kind: &Kind, page: u16) -> u16 {
        let pages = if kind.huge { TABLE_PAGES as u16 } else { 1 };
        let page = page - page % pages;
        for (mm, _, what) in kind.populate {
            // There is room for one a page.
            let _ = self.populate.push((*mm, page, fresh(*what, page)));
        }
        let target = Target {
            at: page,
            pages: 1,
            value: 200 + u32::from(page),
        };
        for By(actor, step) in kind.given {
            let step = target.of(*step);
            // A second fork is refused: everything that is to be shared is there by then, or is not.
            if self.given.push(By(*actor, step)).is_err() {
                break;
            }
        }
        pages
    }

    /// Is there a fork among what is given?
    #[must_use]
    pub fn forks(&self) -> bool {
        self.given
            .iter()
            .any(|By(_, step)| matches!(step, Step::Fork(_)))
    }
}

/// Is there room in the area for a huge page at `block`?
fn holds(area: &VmaSpec, block: u16) -> bool {
    area.start <= block && block + TABLE_PAGES as u16 <= area.start + area.pages
}

/// Every kind there is: those of all generated races, then those that only some have.
pub(super) fn kinds() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().chain(RACE_KINDS).chain(LATER_KINDS)
}

/// The same with a word of its own for each page.
fn fresh(what: Populate, page: u16) -> Populate {
    let word = 100 + u32::from(page) * 10;
    match what {
        Populate::Written(_) => Populate::Written(word),
        Populate::WrittenInBatch(_, actor) => Populate::WrittenInBatch(word, actor),
        Populate::Clean(_, dirty) => Populate::Clean(word, dirty),
        Populate::Marked(_) => Populate::Marked(word),
        Populate::Swapped(_) => Populate::Swapped(word),
        Populate::SwapCached(_) => Populate::SwapCached(word),
        Populate::SwapCachedUnmapped(_) => Populate::SwapCachedUnmapped(word),
        Populate::LazyFree(_) => Populate::LazyFree(word),
        Populate::OffLru(_) => Populate::OffLru(word),
        Populate::Compound(_) => Populate::Compound(word),
        Populate::Huge(_) => Populate::Huge(word),
        Populate::NoMapping(_) => Populate::NoMapping(word),
        Populate::Read
        | Populate::ZeroPage
        | Populate::WithPrivate
        | Populate::HugeZero
        | Populate::BadPmd
        | Populate::EmptyEntry
        | Populate::Special
        | Populate::Other => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::sync::Spin;

    #[test]
    fn every_setting_has_a_machine_and_a_number_of_its_own() {
        let mut seen = [false; Setting::COUNT];
        for layout in Layout::ALL {
            for shape in [ShapeKind::V5_11, ShapeKind::V6_12] {
                for policy in [PolicyKind::Hardened, PolicyKind::AsPosted] {
                    for driver in [DriverKind::Careful, DriverKind::Posted] {
                        let setting = Setting {
                            shape,
                            policy,
                            driver,
                            layout,
                        };
                        assert!(!core::mem::replace(&mut seen[setting.index()], true));
                        assert!(
                            Machine::<Spin>::new(&setting.config()).is_ok(),
                            "{setting:?}"
                        );
                    }
                }
            }
        }
        assert!(seen.iter().all(|seen| *seen));
    }
}
