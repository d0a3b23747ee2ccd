//! What the engines must agree on, and what every race must keep to.

use migrate_pin_core::{Access, PolicyKind};
use migrate_pin_sim::engine::replay::replay;
use migrate_pin_sim::engine::{explore, Kind, Settings};
use migrate_pin_sim::race::verdict::Verdict;
use migrate_pin_sim::race::{self, generated, Effort, Program, Race};
use migrate_pin_sim::scenario::{catalogue, Step};
use migrate_pin_sim::{
    Config, DeviceSpec, DriverKind, LockName, MemcgId, MmId, MmSpec, Populate, VmaSpec,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

// ---- final states ------------------------------------------------------------------------------------------

const CONFIG: Config<'static> = Config {
    system_pages: 3,
    mm_pages: 2,
    swap_slots: 0,
    pin_records: 2,
    mms: &[MmSpec {
        memcg: MemcgId(0),
        vmas: &[VmaSpec::anonymous(0, 2)],
    }],
    devices: &[DeviceSpec {
        pages: 2,
        mappings: 2,
        driver: DriverKind::Careful,
    }],
    ..Config::SMALL
};

const ACQUIRE: Step = Step::Acquire {
    at: 0,
    pages: 1,
    access: Access::Write,
};

type States = BTreeSet<Vec<String>>;

fn states(race: &Arc<Race>, kind: Kind, bound: u32) -> States {
    let settings = Settings {
        kind,
        states: true,
        ..Settings::exhaustive(bound)
    };
    let came = explore(race, PolicyKind::Hardened, &settings);
    assert!(came.found.is_none(), "{}: {:?}", race.name, came.found);
    assert!(kind == Kind::Loom || came.complete);
    came.states
}

/// What the two reach of a race: exhaustive at a bound that is large enough (the next larger one adds nothing), and loom at
/// its own.
///
/// Loom's bound drops switches that are free for us, so that it may miss at the same bound what it finds at a larger one.
/// And an atomic may return an old value there, so that it might find states that we can't. In these races what the
/// actors say and what there is in the end hangs on locks and on read-modify-writes with full barriers only: an old
/// value makes an actor look again, and no more. So loom may not find a state that we don't.
fn reached(programs: &'static [Program], ours: u32, looms: u32) -> (States, States) {
    let race = Arc::new(Race {
        name: Cow::Borrowed("exhaustive against loom"),
        config: CONFIG,
        populate: Cow::Borrowed(&[(MmId(0), 0, Populate::Written(10))]),
        programs: Cow::Borrowed(programs),
        ..Race::BASE
    });
    let exhaustive = states(&race, Kind::Exhaustive, ours);
    let more = states(&race, Kind::Exhaustive, ours + 1);
    assert_eq!(exhaustive, more, "the bound is too small");
    (exhaustive, states(&race, Kind::Loom, looms))
}

/// Whatever one reaches the other does: each operation in which the actors meet is one that loom sees, so that it tries
/// both orders.
fn agree(programs: &'static [Program], ours: u32, looms: u32, count: usize) {
    let (exhaustive, loom) = reached(programs, ours, looms);
    assert_eq!(exhaustive, loom);
    assert_eq!(exhaustive.len(), count);
}

#[test]
fn exhaustive_and_loom_agree_on_a_write_against_a_round_trip() {
    const RACE: &[Program] = &[
        Program::new(0, &[ACQUIRE, Step::DeviceAdd(0, 1)]),
        Program::new(1, &[Step::Write(0, 50)]),
    ];
    agree(RACE, 3, 3, 5);
}

#[test]
fn exhaustive_and_loom_agree_on_zapping() {
    const RACE: &[Program] = &[
        Program::new(0, &[ACQUIRE, Step::DeviceAdd(0, 1)]),
        Program::new(1, &[Step::DontNeed { at: 0, pages: 1 }]),
    ];
    agree(RACE, 2, 3, 3);
}

#[test]
fn exhaustive_and_loom_agree_on_unmapping() {
    const RACE: &[Program] = &[
        Program::new(0, &[ACQUIRE, Step::DeviceAdd(0, 1)]),
        Program::new(1, &[Step::Munmap { at: 0, pages: 1 }]),
    ];
    agree(RACE, 2, 3, 3);
}

/// Two CPUs that write through their own TLBs touch nothing in common that loom sees (the word of a page is a plain cell,
/// and a CPU's instruction is guarded by that CPU's own lock), so that it need not try both orders: it reaches less, and
/// nothing else. Another reason why only exhaustive says that it is complete.
#[test]
fn loom_skips_orders_that_no_visible_operation_tells_apart() {
    const RACE: &[Program] = &[
        Program::new(0, &[Step::Add(0, 1), Step::Add(0, 2)]),
        Program::new(1, &[Step::Add(0, 4)]),
    ];
    let (exhaustive, loom) = reached(RACE, 2, 3);
    assert_eq!(exhaustive.len(), 3);
    assert!(!loom.is_empty() && loom.is_subset(&exhaustive) && loom != exhaustive);
}

// ---- every race --------------------------------------------------------------------------------------------

/// Most visible operations of a race that is not left to samples.
const OPERATIONS: usize = 200;

/// What `race` comes to under `policy`, explored as it asks for itself, and the operations of its longest execution.
fn judged(race: &Arc<Race>, policy: PolicyKind) -> (Verdict, usize) {
    let settings = Settings::of(race, 1);
    let came = explore(race, policy, &settings);
    (race.judge(policy, &settings, &came), came.operations)
}

/// Has it more operations than it may?
fn too_long(race: &Race, policy: PolicyKind, operations: usize) -> bool {
    let written = policy == PolicyKind::AsPosted && LONG_AS_POSTED.contains(&&*race.name);
    matches!(race.effort, Effort::Bound(_)) && operations > OPERATIONS && !written
}

/// Races that somebody thought of in which `AsPosted` refuses faults that `Hardened` lets pass, so that they are tried again. A fault has
/// no smaller steps to be cut at.
const LONG_AS_POSTED: [&str; 5] = [
    "to-device-write-on-6-12",
    "device-page-fault-fault-on-6-12",
    "gup-to-device-on-6-12",
    "faults-refuse-each-other-on-6-12",
    "dontneed-reads-stale-on-6-12",
];

/// In the longest execution of every race at its own bound in which nothing breaks, retries and all, under each policy that it is run
/// under. Those that can't be cut are named, and no others are.
#[test]
fn no_race_has_more_than_200_operations_at_its_own_bound() {
    let races: Vec<_> = race::all().into_iter().map(Arc::new).collect();
    let jobs: Vec<_> = races
        .iter()
        .flat_map(|race| POLICIES.map(|policy| (race, policy)))
        .filter(|(race, policy)| race.runs_under(*policy))
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let next = AtomicUsize::new(0);
    let count = || {
        let mut long = Vec::new();
        while let Some((race, policy)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (_, operations) = judged(race, *policy);
            if too_long(race, *policy, operations) {
                long.push((format!("{policy:?} {}", race.name), operations));
            }
        }
        long
    };
    let long: BTreeMap<_, _> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(count)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(next.into_inner() >= jobs.len() && jobs.len() > 20_000);
    let named = |policy| generated::uncut(policy).map(move |name| format!("{policy:?} {name}"));
    let named: BTreeSet<_> = POLICIES.into_iter().flat_map(named).collect();
    let unnamed: Vec<_> = long
        .iter()
        .filter(|(name, _)| !named.contains(*name))
        .collect();
    assert!(unnamed.is_empty(), "to be cut: {unnamed:#?}");
    let short: Vec<_> = named
        .iter()
        .filter(|name| !long.contains_key(*name))
        .collect();
    assert!(short.is_empty(), "named, and not long: {short:#?}");
}

const POLICIES: [PolicyKind; 2] = [PolicyKind::Hardened, PolicyKind::AsPosted];

/// Those that somebody thought of come to what they say, and so does a sample of the generated ones.
#[test]
fn races_come_to_what_they_say() {
    let catalogue = race::catalogue::all();
    let named = |race: &&Race| (2..=3).contains(&race.programs.len()) && !race.events.is_empty();
    let named = catalogue.iter().filter(named).count();
    assert!(named >= 30, "only {named} races name events");
    // A step that has no divisor in common with how many programs and pages there are.
    let generated = generated::all().into_iter().step_by(61);
    let mut failed = Vec::new();
    for race in catalogue.into_iter().chain(generated).map(Arc::new) {
        for policy in POLICIES.into_iter().filter(|p| race.runs_under(*p)) {
            let (verdict, operations) = judged(&race, policy);
            let uncut = generated::uncut(policy).any(|name| name == race.name);
            if too_long(&race, policy, operations) && !uncut {
                failed.push(format!("{}: {operations} operations", race.name));
            }
            if verdict.failed() || verdict == Verdict::Incomplete {
                failed.push(format!("{} {policy:?}: {verdict}", race.name));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// The sequential scenarios were written for one order of their steps. With all of their actors at once nothing breaks
/// under Hardened either.
#[test]
fn scenarios_hold_with_their_actors_at_once() {
    let sequential = catalogue::all().into_iter().filter_map(Race::of);
    let races: Vec<_> = sequential.filter(|race| race.hardened).collect();
    assert!(races.len() > 20, "only {} scenarios", races.len());
    for race in races.into_iter().map(Arc::new) {
        let came = explore(&race, PolicyKind::Hardened, &Settings::exhaustive(1));
        assert!(came.found.is_none(), "{}: {:#?}", race.name, came.found);
        assert!(came.complete && came.executions > 1, "{}", race.name);
    }
}

/// The races whose operations are looked at one by one: those that somebody thought of, and the sequential scenarios with
/// all of their actors at once, which use every part of the machine.
fn many() -> Vec<Arc<Race>> {
    let sequential = catalogue::all().into_iter().filter_map(Race::of);
    let all = race::catalogue::all().into_iter().chain(sequential);
    all.filter(|race| race.hardened).map(Arc::new).collect()
}

/// The names of objects in traces, without numbers and names of pages: `page lock of a0` is a `page lock`.
fn kind_of(object: &str) -> String {
    let words = object
        .split(' ')
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    let words: Vec<_> = words.collect();
    let words = words.join(" ");
    let end = words.find(" of").unwrap_or(words.len());
    words[..end].to_owned()
}

#[test]
fn every_visible_operation_is_on_something_with_a_name_in_something_with_a_name() {
    let mut kinds = BTreeSet::new();
    for race in many() {
        // In order, and the other way round: both are schedules that run to the end.
        let actors = race.programs.len() as u8;
        for first in 0..actors {
            let Some(replay) = replay(
                &race,
                PolicyKind::Hardened,
                &Settings::exhaustive(0),
                &[first],
            ) else {
                panic!("{}: not run", race.name);
            };
            for line in &replay.lines {
                assert_ne!(line.object, "?", "{}: {line:?}", race.name);
                assert_ne!(line.primitive, "", "{}: {line:?}", race.name);
                kinds.insert(kind_of(&line.object));
            }
        }
    }
    println!("{kinds:?}");
    // What has to be among them, so that the loop above has seen them: all that most races use, and the locks of each
    // part of the machine.
    for kind in [
        "count",
        "map count",
        "flags",
        "page lock",
        "entry",
        "PTL",
        "mmap_lock",
        "notifiers",
        "instruction",
        "LRU batch",
        "anon_vma",
        "zone lock",
        "lru_lock",
        "page table",
        "free pages",
        "pin records",
        "swap slots",
        "swap cache",
        "i_pages",
        "i_mmap",
    ] {
        assert!(
            kinds.iter().any(|known| known == kind),
            "no race uses {kind}: {kinds:?}"
        );
    }
}

// ---- the scope page ----------------------------------------------------------------------------------------

const SCOPE: &str = include_str!("../SCOPE.md");

/// Rows of the table under `heading`: its cells.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let at = SCOPE.find(heading).expect(heading);
    SCOPE[at..]
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

#[test]
fn the_scope_page_says_what_each_visible_lock_stands_for() {
    let rows = table("Every visible lock stands for a lock of the kernel");
    for name in LockName::ALL {
        let quoted = format!("`{name:?}`");
        let mut named = rows.iter().filter(|row| row[0].contains(&quoted));
        let row = named
            .next()
            .unwrap_or_else(|| panic!("{quoted} is not in the table"));
        assert!(
            row[1].contains('`') || row[1].len() > 20,
            "{quoted} stands for nothing"
        );
        assert!(named.next().is_none(), "{quoted} is there twice");
    }
    let told = rows.iter().map(|row| row[0].matches('`').count() / 2);
    assert_eq!(
        told.sum::<usize>(),
        LockName::ALL.len(),
        "a lock in the table is none of the machine's"
    );
}
