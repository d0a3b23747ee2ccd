//! Do the fuzzers find what is there? Each defect of the patch that the explorer knows, and each bug that can be seeded into the
//! machine, is hunted from an empty corpus by libFuzzer, several times with another seed; the median number of executions goes into
//! a table.
//!
//! ```text
//! hunt [--bin DIR] [--runs N] [--seconds N] [--seeds N] [--only NAME]...
//! ```
//!
//! DIR has the targets (`cargo +nightly fuzz build -s none` leaves them in `target/x86_64-unknown-linux-gnu/release`). A hunt ends
//! at its finding, after N runs or after N seconds. The exit status is 1 if something was not found.

use migrate_pin_sim::Bug;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Something to be found.
struct Prey {
    name: String,
    /// What the targets are pointed at, as environment variables.
    environment: Vec<(&'static str, String)>,
    /// Who may find it, in the order in which they are asked.
    targets: &'static [&'static str],
}

/// A defect of the patch, of the pipeline under it or of its driver. It is a finding if a violation says one of `says` in an
/// execution in which none says one of `never`.
struct Defect {
    name: &'static str,
    policy: &'static str,
    driver: &'static str,
    targets: &'static [&'static str],
    says: &'static str,
    never: &'static str,
}

const PIPELINE: Defect = Defect {
    name: "",
    policy: "as-posted",
    driver: "careful",
    targets: &["pipeline", "interleave", "misuse"],
    says: "",
    never: "",
};

/// Of the driver that was posted, on a core that has none: what is found is the driver's.
const DRIVER: Defect = Defect {
    policy: "hardened",
    driver: "posted",
    targets: &["pipeline", "interleave"],
    ..PIPELINE
};

/// The rows of the README's table.
const DEFECTS: &[Defect] = &[
    Defect {
        name: "pin-without-migrate",
        says: "a pinned page is not isolated",
        ..PIPELINE
    },
    Defect {
        name: "failed-pin-kept",
        says: "a page is pinned and nothing will release it",
        never: "a pinned page is not isolated",
        ..PIPELINE
    },
    Defect {
        name: "hole-counted",
        says: "cpages is not the number of entries with MIGRATE",
        ..PIPELINE
    },
    Defect {
        name: "pin-with-system-page",
        targets: &["misuse"],
        says: "a page is pinned and nothing will release it",
        never: "a pinned page is not isolated",
        ..PIPELINE
    },
    Defect {
        name: "refused-unpin-put",
        says: "a reference is dropped that the actor does not hold",
        ..PIPELINE
    },
    Defect {
        name: "pin-before-flush",
        targets: &["interleave"],
        says: "a device has atomic access to a page that a TLB still reaches",
        ..PIPELINE
    },
    Defect {
        name: "words-unchecked",
        targets: &["misuse", "words"],
        ..PIPELINE
    },
    Defect {
        name: "dirty-bit-dropped",
        says: "a page is dropped as clean whose contents are not on the disk\na lazily freed page is dropped that was written since",
        ..PIPELINE
    },
    Defect {
        name: "late-flush",
        targets: &["interleave"],
        says: "a read does not see the last write\nmemory does not hold the last write",
        never: "a reference is dropped that the actor does not hold\nis dropped that was written since\nis dropped as clean",
        ..PIPELINE
    },
    Defect {
        name: "busy-huge-page-kept",
        says: "a reference is never dropped",
        ..PIPELINE
    },
    Defect {
        name: "private-data-left",
        says: "a page is left, and nobody will free it",
        never: "pinned\nis never dropped\nisolated",
        ..PIPELINE
    },
    Defect {
        name: "faults-refuse-each-other",
        targets: &["interleave"],
        says: "an access faults for ever\nan actor waits for ever",
        never: "a reference is dropped that the actor does not hold",
        ..PIPELINE
    },
    Defect {
        name: "page-free-drops-bias-only",
        says: "a pair outlives its device page",
        ..DRIVER
    },
    Defect {
        name: "notifier-not-asked",
        targets: &["interleave"],
        says: "a device has a page mapped that the CPU side does not grant it",
        never: "a page is written that several address spaces read as private",
        ..DRIVER
    },
    Defect {
        name: "write-not-looked-at",
        targets: &["interleave", "pipeline"],
        says: "a page is written that several address spaces read as private",
        ..DRIVER
    },
    Defect {
        name: "pair-not-forgotten",
        targets: &["interleave"],
        says: "a page is left isolated",
        never: "a page is left, and nobody will free it",
        ..DRIVER
    },
    Defect {
        name: "zero-page-stand-in",
        says: "an actor waits for ever\nan access faults for ever",
        ..DRIVER
    },
    Defect {
        name: "device-write-not-dirty",
        says: "a lazily freed page is dropped that was written since\na page is dropped as clean whose contents are not on the disk",
        ..DRIVER
    },
    Defect {
        name: "no-device-page-left",
        policy: "as-posted",
        says: "a page is pinned and nothing will release it",
        never: "a pinned page is not isolated",
        ..DRIVER
    },
];

impl From<&Defect> for Prey {
    fn from(defect: &Defect) -> Self {
        Self {
            name: defect.name.to_owned(),
            environment: vec![
                ("MIGRATE_PIN_POLICY", defect.policy.to_owned()),
                ("MIGRATE_PIN_DRIVER", defect.driver.to_owned()),
                ("MIGRATE_PIN_ONLY", defect.says.to_owned()),
                ("MIGRATE_PIN_NEVER", defect.never.to_owned()),
            ],
            targets: defect.targets,
        }
    }
}

impl From<&Bug> for Prey {
    fn from(bug: &Bug) -> Self {
        Self {
            name: bug.name().to_owned(),
            environment: vec![("MIGRATE_PIN_BREAK", bug.name().to_owned())],
            targets: match bug.needs_race() {
                true => &["interleave"],
                false => &["pipeline", "interleave", "misuse"],
            },
        }
    }
}

/// What is asked for.
struct Settings {
    bin: PathBuf,
    runs: u64,
    seconds: u64,
    seeds: u32,
    only: Vec<String>,
    /// Where the inputs that were found go.
    scratch: PathBuf,
}

const USAGE: &str = "usage: hunt [--bin DIR] [--runs N] [--seconds N] [--seeds N] [--only NAME]...";

impl Settings {
    fn from_arguments() -> Result<Self, String> {
        let release = "target/x86_64-unknown-linux-gnu/release";
        let mut settings = Self {
            bin: Path::new(env!("CARGO_MANIFEST_DIR")).join(release),
            runs: 1_000_000,
            seconds: 60,
            seeds: 3,
            only: Vec::new(),
            scratch: std::env::temp_dir().join(format!("migrate-pin-hunt-{}", std::process::id())),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(option) = arguments.next() {
            let value = arguments
                .next()
                .ok_or(format!("{option} needs a value; {USAGE}"))?;
            let number = || {
                let number = value.parse().ok().filter(|number| *number > 0);
                number.ok_or(format!("{option} is '{value}'; expected a number above 0"))
            };
            match option.as_str() {
                "--bin" => settings.bin = value.into(),
                "--runs" => settings.runs = number()?,
                "--seconds" => settings.seconds = number()?,
                "--seeds" => settings.seeds = number()?.try_into().unwrap_or(u32::MAX),
                "--only" => settings.only.push(value),
                _ => return Err(format!("'{option}' is not known; {USAGE}")),
            }
        }
        Ok(settings)
    }
}

/// A hunt of one target with one seed: after how many executions it was found, and what was said; none if it was not.
fn hunt(
    settings: &Settings,
    prey: &Prey,
    target: &str,
    seed: u32,
) -> Result<Option<(u64, String)>, String> {
    let output = Command::new(settings.bin.join(target))
        .args([
            format!("-runs={}", settings.runs),
            format!("-max_total_time={}", settings.seconds),
            format!("-seed={seed}"),
            "-max_len=128".to_owned(),
            "-len_control=0".to_owned(),
            "-entropic=0".to_owned(),
            "-reduce_inputs=0".to_owned(),
            "-print_final_stats=1".to_owned(),
            format!("-artifact_prefix={}/", settings.scratch.display()),
        ])
        .envs(prey.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("{target} does not run: {error}"))?;
    if output.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let executed = text
        .lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse().ok());
    // All that was said stands behind the target's name, what was done is indented.
    let after = text.lines().skip_while(|line| *line != target).skip(1);
    let after: Vec<_> = after.take_while(|line| !line.starts_with(' ')).collect();
    let only = prey
        .environment
        .iter()
        .find(|(name, _)| *name == "MIGRATE_PIN_ONLY");
    let only = only.map_or("", |(_, lines)| lines.as_str());
    let counts = |line: &&&str| only.is_empty() || only.lines().any(|what| line.contains(what));
    let said = after
        .iter()
        .find(counts)
        .copied()
        .unwrap_or_default()
        .to_owned();
    match executed {
        Some(executed) if !said.is_empty() => Ok(Some((executed, said))),
        _ => Err(format!("{target} ends with something else:\n{text}")),
    }
}

/// The lines of the table for one prey. False if it was not found with every seed.
fn track(settings: &Settings, prey: &Prey) -> Result<bool, String> {
    for target in prey.targets {
        if !settings.bin.join(target).exists() {
            eprintln!(
                "{}: {target} is not built, and can't look for it",
                prey.name
            );
            continue;
        }
        let mut found = Vec::new();
        for seed in 1..=settings.seeds {
            found.extend(hunt(settings, prey, target, seed)?);
        }
        if found.is_empty() {
            continue;
        }
        found.sort();
        let (median, said) = &found[found.len() / 2];
        let invariant = said.split(',').next().unwrap_or_default();
        let invariant = invariant.split(" [").next().unwrap_or_default();
        println!(
            "| `{}` | `{target}` | {} of {} | {median} | {invariant} |",
            prey.name,
            found.len(),
            settings.seeds
        );
        return Ok(found.len() == settings.seeds as usize);
    }
    println!("| `{}` | - | 0 of {} | - | - |", prey.name, settings.seeds);
    Ok(false)
}

fn main() -> ExitCode {
    let settings = match Settings::from_arguments() {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = std::fs::create_dir_all(&settings.scratch) {
        eprintln!("{}: {error}", settings.scratch.display());
        return ExitCode::from(2);
    }
    let defects = DEFECTS.iter().map(Prey::from);
    let prey = defects.chain(Bug::ALL.iter().map(Prey::from));
    let wanted = |prey: &Prey| settings.only.is_empty() || settings.only.contains(&prey.name);
    println!("| defect or bug | found by | with | executions (median) | what was said |\n| --- | --- | --- | --- | --- |");
    let mut result = Ok(true);
    for prey in prey.filter(wanted) {
        result = track(&settings, &prey)
            .map(|found| found && result != Ok(false))
            .map_err(|error| format!("{}: {error}", prey.name));
        if result.is_err() {
            break;
        }
    }
    // Nobody needs what is in there: a hunt with the same seed finds it again.
    let _ = std::fs::remove_dir_all(&settings.scratch);
    match result {
        Ok(all) => ExitCode::from(u8::from(!all)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
