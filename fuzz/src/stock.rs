//! Machines with something on them: worlds of the grammar that are set up once, and put back for each input.

use crate::choices::{Input, Random};
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_sim::grammar::{Layout, Setting, World, PARENT};
use migrate_pin_sim::scenario::outcome::Names;
use migrate_pin_sim::scenario::player::Player;
use migrate_pin_sim::scenario::By;
use migrate_pin_sim::Populate;
use migrate_pin_sim::{Config, Machine, MemcgId, MmId, MmSpec, Synchronisation, VmaKind, VmaSpec};

use crate::Mode;

/// How many worlds there are: as many of each shape and layout.
pub const WORLDS: usize = 64;

/// How many of them have what no world of the grammar has, since nobody could use it as memory.
const ODD: usize = 16;

/// Areas that can't be migrated, behind one that can.
const ODD_AREAS: &[VmaSpec] = &[
    VmaSpec::anonymous(0, 4),
    VmaSpec::anonymous(4, 1).of(VmaKind::Special),
    VmaSpec::anonymous(5, 1).of(VmaKind::Hugetlb),
    VmaSpec::anonymous(6, 2).of(VmaKind::Dax),
];

const ODD_MMS: &[MmSpec<'static>] = &[
    MmSpec {
        memcg: MemcgId(0),
        vmas: ODD_AREAS,
    },
    MmSpec {
        memcg: MemcgId(1),
        vmas: &[],
    },
];

/// What no fault makes.
const ODD_ENTRIES: &[&[(MmId, u16, Populate)]] = &[
    &[(PARENT, 0, Populate::HugeZero)],
    &[(PARENT, 0, Populate::BadPmd)],
    &[
        (PARENT, 0, Populate::EmptyEntry),
        (PARENT, 1, Populate::Special),
        (PARENT, 2, Populate::Other),
    ],
    &[
        (PARENT, 0, Populate::NoMapping(7)),
        (PARENT, 2, Populate::Written(9)),
    ],
];

struct Pair<S: Synchronisation> {
    machine: Box<Machine<S>>,
    pattern: Box<Machine<S>>,
}

/// All of them.
pub struct Stock<S: Synchronisation>(Vec<Pair<S>>);

impl<S: Synchronisation> Stock<S> {
    /// Set all of them up.
    ///
    /// # Panics
    /// If a machine can't be built, or what is given has to wait: the grammar is wrong.
    #[must_use]
    pub fn new(mode: &Mode) -> Self {
        let pair = |number: usize| {
            let setting = Setting {
                shape: [ShapeKind::V5_11, ShapeKind::V6_12][number % 2],
                policy: mode.policy,
                driver: mode.driver,
                layout: Layout::ALL[number / 2 % Layout::ALL.len()],
            };
            let mut bytes = [0; 32];
            Random::new(number as u64 + 1).fill(&mut bytes);
            let mut world = World::draw_all(&mut Input::new(&bytes), setting);
            let mut config = setting.config();
            if let Some(odd) = number.checked_sub(WORLDS - ODD) {
                (world.populate, world.given) = Default::default();
                let entries = ODD_ENTRIES[odd / 2 % ODD_ENTRIES.len()];
                // There are fewer than pages.
                let _ = world.populate.extend_from_slice(entries);
                config = Config {
                    mms: ODD_MMS,
                    ..config
                };
            }
            let build = || {
                let machine = match Machine::<S>::new(&config) {
                    Ok(machine) => Box::new(machine),
                    Err(error) => panic!("{setting:?}: {error:?}"),
                };
                set_up(&machine, &world);
                if let Some(bug) = mode.bug {
                    machine.seed(bug);
                }
                machine
            };
            Pair {
                machine: build(),
                pattern: build(),
            }
        };
        Self((0..WORLDS).map(pair).collect())
    }

    /// One of them, as it was set up.
    pub fn machine(&mut self, number: usize) -> &Machine<S> {
        let pair = &mut self.0[number % WORLDS];
        pair.machine.restore(&mut pair.pattern);
        &pair.machine
    }
}

fn set_up<S: Synchronisation>(machine: &Machine<S>, world: &World) {
    for (mm, page, what) in &world.populate {
        // What can't be there is not.
        machine.populate(*mm, (*page).into(), *what);
    }
    let names = spin::Mutex::new(Names::default());
    for By(actor, step) in &world.given {
        machine.begin_step();
        let mut player = Player::new(machine, &names, *actor);
        player.set_quiet(true);
        assert!(
            player.step(*step).is_ok(),
            "{step:?} is given, and has to wait"
        );
    }
}
