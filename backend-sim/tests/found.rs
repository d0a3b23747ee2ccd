//! What the fuzz target `interleave` has found and was mended since, as programs and schedules. What can be told of a single part is
//! tested where that part is.

use migrate_pin_core::policy::{PolicyKind, ShapeKind};
use migrate_pin_core::Access;
use migrate_pin_sim::config::DriverKind;
use migrate_pin_sim::engine::fed::{byte, bytes_of, Came, Fed};
use migrate_pin_sim::engine::Settings;
use migrate_pin_sim::grammar::{Layout, Setting, CHILD, CHILD_ACTOR, PARENT};
use migrate_pin_sim::race::{Program, Race};
use migrate_pin_sim::scenario::{By, Give, Step};
use migrate_pin_sim::{Bug, Event, Invariant, Populate, Purpose};
use std::borrow::Cow;
use std::sync::Arc;

/// What stands in the first address space, what was done, and who does what.
struct Found {
    shape: ShapeKind,
    layout: Layout,
    stands: Vec<(u16, Populate)>,
    given: Vec<By>,
    programs: Vec<(u8, Vec<Step>)>,
    bugs: &'static [Bug],
}

impl Found {
    /// Run it, under `Hardened`, by each of these schedules: who runs, and for how many decisions.
    fn run(self, schedules: impl Iterator<Item = Vec<(u8, u32)>>) -> Vec<Came> {
        let setting = Setting {
            shape: self.shape,
            policy: PolicyKind::Hardened,
            driver: DriverKind::Careful,
            layout: self.layout,
        };
        let stands = self.stands.into_iter();
        let programs = self.programs.into_iter().map(|(actor, steps)| Program {
            actor,
            steps: Cow::Owned(steps),
        });
        let race = Arc::new(Race {
            name: Cow::Borrowed("found"),
            config: setting.config(),
            populate: stands.map(|(at, what)| (PARENT, at, what)).collect(),
            given: Cow::Owned(self.given),
            programs: programs.collect(),
            bugs: self.bugs,
            ..Race::BASE
        });
        let (fed, settings) = (Fed::new(), Settings::exhaustive(0));
        let run = |runs: Vec<(u8, u32)>| {
            let schedule: Vec<u8> = runs
                .iter()
                .flat_map(|(nth, n)| runs_for(*nth, *n))
                .collect();
            fed.run(0, &race, setting.policy, &settings, &schedule)
        };
        schedules.map(run).collect()
    }
}

/// Nothing is found, and in some of the executions this happens.
fn sound(came: &[Came], event: Event) {
    for came in came {
        assert_eq!(came.violations, [], "by {:?}", came.schedule);
    }
    assert!(came.iter().any(|came| came.events.contains(event)));
}

/// The nth of those who can runs for so many decisions.
fn runs_for(nth: u8, decisions: u32) -> Vec<u8> {
    if decisions == ON {
        return vec![byte(nth, ON)];
    }
    bytes_of(nth, decisions)
}

const SHAPES: [ShapeKind; 2] = [ShapeKind::V5_11, ShapeKind::V6_12];

/// As long as it can.
const ON: u32 = 400;

/// A device page that is freed under the PTL, since a zap goes on, may be handed out and mapped elsewhere before that PTL is dropped: who
/// drops it finds it in the middle of another section.
#[test]
fn a_device_page_is_mapped_again_before_the_zap_that_freed_it_has_dropped_the_ptl() {
    for shape in SHAPES {
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![(1, Populate::Written(10)), (2, Populate::Written(20))],
            given: vec![
                By(0, Step::Fork(CHILD)),
                By(CHILD_ACTOR, Step::DontNeed { at: 1, pages: 2 }),
                By(0, Step::ToDevice { at: 1, pages: 1 }),
            ],
            programs: vec![
                (0, vec![Step::DontNeed { at: 1, pages: 2 }]),
                (CHILD_ACTOR, vec![Step::ToDevice { at: 1, pages: 1 }]),
            ],
            bugs: &[],
        };
        let schedules = (10..26).flat_map(|freed| {
            (10..50).map(move |mapped| vec![(0, freed), (1, mapped), (0, ON), (1, ON)])
        });
        sound(&found.run(schedules), Event::MigratedToDevice);
    }
}

/// A page that a fork shares is written by a CPU, which copies it, and through a reference, by somebody who holds it since before.
fn written_both_ways(shape: ShapeKind, bugs: &'static [Bug]) -> Vec<Came> {
    let found = Found {
        shape,
        layout: Layout::Anonymous,
        stands: vec![(1, Populate::Written(10))],
        given: vec![
            By(
                0,
                Step::Gup {
                    at: 1,
                    write: true,
                    pin: false,
                },
            ),
            By(0, Step::Fork(CHILD)),
        ],
        programs: vec![
            (0, vec![Step::GupWrite(1001), Step::GupPut]),
            (3, vec![Step::Write(1, 1002)]),
        ],
        bugs,
    };
    let all = |(copied, written)| vec![(1, copied), (0, written), (1, ON), (0, ON)];
    found.run(
        (0..48)
            .flat_map(|copied| (1..9).map(move |written| (copied, written)))
            .map(all),
    )
}

/// Who has a reference that is no pin may write to the page after it was copied, and have dropped the reference before the copy takes its
/// place: that is in nobody's memory but the child's.
#[test]
fn what_is_written_through_a_reference_to_a_page_that_is_being_copied_is_left_behind() {
    for shape in SHAPES {
        sound(&written_both_ways(shape, &[]), Event::CowCopy);
    }
}

/// The other side of it: that somebody holds a reference makes no loss of the kernel's good.
#[test]
fn a_copy_that_is_none_is_a_loss_though_somebody_holds_a_reference() {
    for shape in SHAPES {
        for came in written_both_ways(shape, &[Bug::CowWithoutCopy]) {
            let copied = came.events.contains(Event::CowCopy);
            assert_eq!(came.broken.contains(&Invariant::Data), copied);
        }
    }
}

/// Who has set out to copy a page on write, and holds a reference, may be so late that another has copied it away and the child has it back
/// from swap for itself, which on 5.11 (`reuse_swap_page()`) does not ask for references: what it copies then it throws away.
#[test]
fn a_copy_of_what_another_has_written_meanwhile_is_thrown_away() {
    for shape in SHAPES {
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![(1, Populate::Written(10))],
            given: vec![By(0, Step::Fork(CHILD))],
            programs: vec![
                (0, vec![Step::Write(1, 1001)]),
                (3, vec![Step::Drain, Step::Reclaim(1), Step::Write(1, 1002)]),
                (CHILD_ACTOR, vec![Step::Write(1, 1003)]),
            ],
            bugs: &[],
        };
        let all = |late| vec![(0, late), (1, ON), (1, ON), (0, ON)];
        sound(&found.run((4..24).map(all)), Event::CowCopy);
    }
}

/// The other side of it: a copy that is used, and was made while a CPU could still write the page.
#[test]
fn a_copy_that_is_used_and_was_made_of_what_a_cpu_can_write_is_torn() {
    for shape in SHAPES {
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![(1, Populate::Written(10))],
            given: vec![By(3, Step::Write(1, 11))],
            programs: vec![
                (0, vec![Step::Fork(CHILD)]),
                (CHILD_ACTOR, vec![Step::Write(1, 1001)]),
            ],
            bugs: &[Bug::ForkFlushesLate],
        };
        let came = found.run((16..64).map(|forked| vec![(0, forked), (1, ON), (0, ON)]));
        let torn = |came: &Came| came.broken.contains(&Invariant::Tlb);
        assert!(came.iter().any(torn));
    }
}

/// While zero pages are zapped, until the flush, a CPU may still read zeroes where another has filled the entry and written.
#[test]
fn zeroes_are_read_where_zero_pages_are_being_zapped() {
    for shape in SHAPES {
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![],
            given: vec![By(3, Step::Read(1))],
            programs: vec![
                (0, vec![Step::DontNeed { at: 1, pages: 1 }]),
                (1, vec![Step::Write(1, 1001)]),
                (3, vec![Step::Read(1)]),
            ],
            bugs: &[],
        };
        let all = |zapped| vec![(0, zapped), (1, ON), (1, ON), (0, ON)];
        sound(&found.run((1..24).map(all)), Event::StaleTlbHit);
    }
}

/// Compaction has made a page that is exclusive, though read-only, a migration entry, and the process forks: then it is not exclusive when it
/// comes back, or a driver would take its one entry for all there are.
#[test]
fn a_page_that_is_being_moved_when_its_process_forks_is_nobodys_alone() {
    let found = Found {
        shape: ShapeKind::V6_12,
        layout: Layout::Anonymous,
        stands: vec![(1, Populate::Marked(10))],
        given: vec![By(0, Step::Drain)],
        programs: vec![
            (0, vec![Step::Compact(1)]),
            (
                1,
                vec![
                    Step::Fork(CHILD),
                    Step::Acquire {
                        at: 1,
                        pages: 1,
                        access: Access::Write,
                    },
                ],
            ),
        ],
        bugs: &[],
    };
    let all = |moved| vec![(0, moved), (1, ON), (0, ON), (1, ON)];
    sound(&found.run((16..64).map(all)), Event::ForkMigration);
}

/// Who is late to read a page from swap finds its slot unused: he may not put what is on the disk there into the swap cache, in the place of
/// another page that has the slot now.
#[test]
fn a_slot_that_nobody_uses_any_more_is_not_read() {
    for shape in SHAPES {
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![(1, Populate::SwapCachedUnmapped(10))],
            given: vec![],
            programs: vec![
                (0, vec![Step::Write(1, 1001), Step::Drain, Step::Reclaim(1)]),
                (1, vec![Step::Write(1, 1002)]),
            ],
            bugs: &[],
        };
        let late = (5..9).flat_map(|seen| (24..56).map(move |taken| (seen, taken)));
        let all = late.flat_map(|(seen, taken)| {
            (4..28).map(move |read| vec![(1, seen), (0, taken), (1, read), (0, ON), (0, ON)])
        });
        sound(&found.run(all), Event::SwapOut);
    }
}

/// A page that comes from swap is unlocked before its PTL is dropped: zapped in between it would be freed, and handed out, locked.
#[test]
fn a_page_that_comes_from_swap_is_not_freed_while_it_is_locked() {
    for shape in SHAPES {
        let (at, pages) = (1, 1);
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![(1, Populate::SwapCachedUnmapped(10))],
            given: vec![],
            programs: vec![
                (0, vec![Step::Write(1, 1001)]),
                (
                    1,
                    vec![
                        Step::DontNeed { at, pages },
                        Step::Setup {
                            at,
                            pages,
                            purpose: Purpose::ToDevice,
                        },
                        Step::ProvideThis(&[Give::System]),
                        Step::Pages,
                        Step::Finalize,
                    ],
                ),
            ],
            bugs: &[],
        };
        let all = |seen| vec![(0, seen), (1, ON), (0, ON)];
        sound(&found.run((4..64).map(all)), Event::SwapCacheHit);
    }
}

/// While a zap has not flushed yet, a CPU writes to the page that came after what was zapped, and a driver that unmaps that one has cleared
/// its entry: what is written is not lost with what was zapped, the driver gets it.
#[test]
fn what_is_written_to_the_page_after_a_zapped_one_is_kept_when_that_is_unmapped() {
    for shape in SHAPES {
        let (at, pages) = (1, 1);
        let found = Found {
            shape,
            layout: Layout::Anonymous,
            stands: vec![(1, Populate::Written(10))],
            given: vec![By(1, Step::Read(1))],
            programs: vec![
                (0, vec![Step::Write(1, 1001), Step::Write(1, 1002)]),
                (
                    1,
                    vec![
                        Step::Acquire {
                            at,
                            pages,
                            access: Access::Read,
                        },
                        Step::DeviceRead(1),
                    ],
                ),
                (3, vec![Step::DontNeed { at, pages }]),
            ],
            bugs: &[],
        };
        let all = (8..24).flat_map(|zapped| {
            (8..32).flat_map(move |unmapped| {
                (12..20).map(move |written| {
                    vec![
                        (2, zapped),
                        (0, written),
                        (1, unmapped),
                        (0, ON),
                        (1, ON),
                        (0, ON),
                    ]
                })
            })
        });
        sound(&found.run(all), Event::StaleTlbHit);
    }
}

/// A copy on write of a page of a file is late: another has copied it, written, and thrown that away, so that the page stands there again. The
/// copy has what the file has, not what was written.
#[test]
fn a_late_copy_of_a_page_of_a_file_has_what_the_file_has() {
    for shape in SHAPES {
        let found = Found {
            shape,
            layout: Layout::Private,
            stands: vec![(5, Populate::Read)],
            given: vec![],
            programs: vec![
                (0, vec![Step::Write(5, 1001)]),
                (
                    1,
                    vec![
                        Step::Write(5, 1007),
                        Step::DontNeed { at: 5, pages: 1 },
                        Step::Read(5),
                    ],
                ),
            ],
            bugs: &[],
        };
        let all = (6..20).flat_map(|seen| {
            (24..60).map(move |written| vec![(0, seen), (1, written), (0, 1), (1, ON), (0, ON)])
        });
        sound(&found.run(all), Event::CowCopy);
    }
}
