//! The scope page's table of which race lets whom meet which stage of a pin: every cell has a race, on both shapes, and in
//! each the one really acts in the middle of the other.

use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{Access, PolicyKind};
use migrate_pin_sim::engine::replay::{replay, Line};
use migrate_pin_sim::engine::Settings;
use migrate_pin_sim::race::{catalogue, Race};
use migrate_pin_sim::scenario::{By, Step};
use migrate_pin_sim::{Event, Purpose};
use std::sync::Arc;

const SCOPE: &str = include_str!("../SCOPE.md");

/// The columns, in their order.
const STAGES: [&str; 5] = ["acquire", "pages", "finalize", "a CPU's fault", "release"];

/// The rows that there must be.
const OPPONENTS: [&str; 14] = [
    "a CPU's read",
    "a CPU's write",
    "fork",
    "munmap",
    "mprotect",
    "`MADV_DONTNEED`",
    "exit",
    "reclaim",
    "compaction",
    "another migration",
    "short reference, fast",
    "short reference, slow",
    "DMA pin, fast",
    "DMA pin, slow",
];

/// The rows of the table: their cells, the heading first.
fn table() -> Vec<Vec<&'static str>> {
    let at = SCOPE.find("## Who meets whom").unwrap();
    let rows = SCOPE[at..]
        .lines()
        .skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    rows.enumerate()
        .filter(|(row, _)| *row != 1)
        .map(|(_, line)| cells(line))
        .collect()
}

/// Is `step` what a driver, or the CPU that takes its page back, does in this stage?
fn is_stage(stage: &str, race: &Race, step: &Step) -> bool {
    let acquired = |By(_, step): &By| {
        matches!(
            step,
            Step::Acquire {
                access: Access::Write,
                ..
            }
        )
    };
    let acquired = race.given.iter().any(acquired);
    let unmapped = |By(_, step): &By| {
        matches!(
            step,
            Step::Setup {
                purpose: Purpose::Pin(_),
                ..
            }
        )
    };
    let unmapped = race.given.iter().any(unmapped);
    match stage {
        "acquire" => matches!(step, Step::Acquire { .. }),
        "pages" => unmapped && *step == Step::Pages,
        "finalize" => unmapped && *step == Step::Finalize,
        "a CPU's fault" => acquired && matches!(step, Step::Write(1, _)),
        "release" => acquired && matches!(step, Step::Revoke { .. }),
        _ => panic!("unknown stage {stage}"),
    }
}

/// Is `step` what the opponent does?
fn is_opponent(opponent: &str, step: &Step) -> bool {
    let gup = |pinned| matches!(step, Step::Gup { pin, .. } if *pin == pinned);
    match opponent {
        "a CPU's read" => matches!(step, Step::Read(1)),
        "a CPU's write" => matches!(step, Step::Write(1, _)),
        "fork" => matches!(step, Step::Fork(_)),
        "munmap" => matches!(step, Step::Munmap { .. }),
        "mprotect" => matches!(step, Step::Mprotect { write: false, .. }),
        "`MADV_DONTNEED`" => matches!(step, Step::DontNeed { .. }),
        "exit" => *step == Step::Exit,
        "reclaim" => matches!(step, Step::Reclaim(_)),
        "compaction" => matches!(step, Step::Compact(_)),
        "another migration" => matches!(
            step,
            Step::ToDevice { .. }
                | Step::Setup {
                    purpose: Purpose::ToDevice,
                    ..
                }
        ),
        "short reference, fast" | "short reference, slow" => gup(false),
        "DMA pin, fast" | "DMA pin, slow" => gup(true),
        _ => panic!("unknown opponent {opponent}"),
    }
}

/// What a race must name to have met this opponent, whose ways are told by what happens and not by the step. In pages the page
/// is mapped nowhere: GUP-fast, which is always tried first, finds a migration entry.
fn event(stage: &str, opponent: &str) -> Option<Event> {
    match opponent {
        "short reference, fast" | "DMA pin, fast" if stage == "pages" => Some(Event::MigrationWait),
        "short reference, fast" | "DMA pin, fast" => Some(Event::GupFast),
        "short reference, slow" | "DMA pin, slow" => Some(Event::GupSlow),
        _ => None,
    }
}

/// Where a program of another than `not` has a step that is `wanted`: the actor, and the number of the step.
fn find(race: &Race, not: Option<u8>, wanted: impl Fn(&Step) -> bool) -> Option<(u8, u16)> {
    let mut others = race.programs.iter().filter(|one| Some(one.actor) != not);
    others.find_map(|program| {
        let step = program.steps.iter().position(&wanted)?;
        Some((program.actor, step as u16))
    })
}

/// Does `other` do something in its step between two operations of `one` in its?
fn between(lines: &[Line], one: (u8, u16), other: (u8, u16)) -> bool {
    let of = |who: (u8, u16)| move |line: &Line| (line.actor, line.step) == who;
    let (first, last) = (
        lines.iter().position(of(one)),
        lines.iter().rposition(of(one)),
    );
    match (first, last) {
        (Some(first), Some(last)) => lines[first..last].iter().any(of(other)),
        _ => false,
    }
}

/// Is there a schedule of one preemption in which the opponent acts in the middle of the stage?
fn meet(race: &Race, one: (u8, u16), other: (u8, u16)) -> bool {
    let race = Arc::new(race.clone());
    (1..200).any(|operations| {
        let mut schedule = vec![one.0; operations];
        schedule.push(other.0);
        let settings = Settings::exhaustive(1);
        let again = replay(&race, PolicyKind::Hardened, &settings, &schedule);
        again.is_some_and(|again| between(&again.lines, one, other))
    })
}

fn complaint(races: &[Race], name: &str, stage: &str, opponent: &str) -> Option<String> {
    let Some(race) = races.iter().find(|race| race.name == name) else {
        return Some("there is no such race".to_owned());
    };
    let Some(one) = find(race, None, |step| is_stage(stage, race, step)) else {
        return Some(format!("it has no {stage}"));
    };
    let Some(other) = find(race, Some(one.0), |step| is_opponent(opponent, step)) else {
        return Some(format!("it has no {opponent}"));
    };
    match event(stage, opponent) {
        Some(event) if !race.events.contains(&event) => {
            Some(format!("it need not reach {event:?}"))
        }
        _ if !meet(race, one, other) => Some(format!("{opponent} never acts during {stage}")),
        _ => None,
    }
}

#[test]
fn every_stage_meets_every_opponent_on_both_shapes() {
    let races = catalogue::all();
    let table = table();
    assert_eq!(table[0][1..], STAGES, "the columns of the table");
    let opponents: Vec<_> = table[1..].iter().map(|row| row[0]).collect();
    assert_eq!(opponents, OPPONENTS, "the rows of the table");
    let (mut complaints, mut met) = (Vec::new(), 0);
    for row in &table[1..] {
        for (stage, cell) in STAGES.iter().zip(&row[1..]) {
            let names: Vec<_> = cell
                .split(',')
                .map(|name| name.trim().trim_matches('`'))
                .collect();
            for name in names.iter().filter(|name| !name.is_empty()) {
                let modern = format!("{name}-on-6-12");
                let on =
                    |race: &&Race| race.name == modern && race.config.shape == ShapeKind::V6_12;
                if !races.iter().any(|race| on(&race)) {
                    complaints.push(format!("{modern}: there is no such race"));
                }
                for name in [*name, &modern] {
                    match complaint(&races, name, stage, row[0]) {
                        Some(complaint) => complaints.push(format!("{name}: {complaint}")),
                        None => met += 1,
                    }
                }
            }
            if names.iter().all(|name| name.is_empty()) {
                complaints.push(format!("no race for {} against {stage}", row[0]));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(
        met >= 2 * STAGES.len() * OPPONENTS.len(),
        "only {met} meetings"
    );
}
