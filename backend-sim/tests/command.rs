//! The command, as a user runs it: exit statuses, what is printed where, and recorded schedules.

use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A race that `AsPosted` breaks with no preemption at all, and a cheap one.
const BROKEN_AS_POSTED: &str = "writeback-to-device";

/// A sequential scenario that it breaks.
const BROKEN_STEP_BY_STEP: &str = "pages-pin-of-file";

/// Generated races that the driver as posted breaks, a family, and what hides all else in it.
const FAMILY: &str = "pairs-posted-driver-acquired";
const HIDES: &str = "a pair outlives its device page";

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate-pin"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn status(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory of this test's own, empty.
fn directory(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn rows(output: &Output) -> Vec<Value> {
    out(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn nothing_broken_is_0_and_what_posted_breaks_is_printed() {
    let output = run(&["--scenario", BROKEN_AS_POSTED]);
    assert_eq!(status(&output), 0, "{}", err(&output));
    let text = out(&output);
    for part in [
        "under hardened:",
        "under as-posted:",
        "verdict",
        "shows failed-pin-kept",
        "what as-posted breaks:",
        "nothing will release it",
        "actor 0 step 0: ",
        "page_ref_add",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    // Nobody looks: no bar.
    assert_eq!(err(&output), "");
}

#[test]
fn a_broken_machine_is_1() {
    let output = run(&[
        "check",
        "--policy",
        "hardened",
        "--scenario",
        "acquire-write",
        "--engine",
        "exhaustive",
        "--break",
        "pin-adds-twice",
    ]);
    assert_eq!(status(&output), 1, "{}", out(&output));
    assert!(out(&output).contains("FAILED"), "{}", out(&output));
    let output = run(&["list", "--bugs"]);
    assert!(out(&output).contains("pin-adds-twice"));
}

#[test]
fn wrong_usage_is_2_and_says_what_was_expected() {
    let cases: &[(&[&str], &str)] = &[
        (&["check", "--scenario", ""], "expected a scenario's name"),
        (
            &["check", "--engine", "magic"],
            "exhaustive, loom, random, pct, sequential",
        ),
        (
            &["check", "--scenario", "no-such"],
            "that `migrate-pin list` prints",
        ),
        (&["check", "--known", " "], "expected what a violation says"),
        (
            &["check", "--known", "REF: "],
            "expected what a violation says",
        ),
        (
            &["check", "--releases=1"],
            "expected --releases without a value",
        ),
        (
            &["check", "--nonsense"],
            "expected an option that `migrate-pin check --help` names",
        ),
        (
            &["list", "--engine", "loom"],
            "expected an option that `migrate-pin list --help` names",
        ),
        (&["nonsense"], "expected list, check, or"),
        (
            &["--bound", "1", "check"],
            "expected options of check behind it: migrate-pin check",
        ),
        (
            &["list", "--bugs", "--scenario", "written"],
            "expected --bugs or --scenario, not both",
        ),
        (
            &["check", "--replay", "file", "--bound", "1"],
            "expected --replay FILE alone",
        ),
        (&["check", "--replay", "/no/such"], "expected a file that"),
        (
            &[
                "check",
                "--engine",
                "sequential",
                "--scenario",
                BROKEN_AS_POSTED,
            ],
            "nothing to explore",
        ),
    ];
    for (arguments, expected) in cases {
        let output = run(arguments);
        assert_eq!(status(&output), 2, "{arguments:?}");
        assert!(
            err(&output).contains(expected),
            "{arguments:?}: {}",
            err(&output)
        );
        assert_eq!(out(&output), "");
    }
}

/// Options with values, and what is said of one that is missing, no number, negative, too large, or given twice.
#[test]
fn each_options_value_is_said_if_it_is_wrong() {
    let numbers = [
        ("--bound", "expected a whole number from 0 to 8"),
        (
            "--executions",
            "expected a whole number from 1 to 4294967295",
        ),
        ("--jobs", "expected a whole number from 1 to 256"),
        (
            "--seed",
            "expected a whole number from 0 to 18446744073709551615",
        ),
    ];
    let names = [
        ("--policy", "[possible values: hardened, as-posted, both]"),
        ("--engine", "[possible values: exhaustive, loom, random, "),
        ("--format", "[possible values: text, jsonl]"),
        ("--break", "expected a bug that `migrate-pin list --bugs`"),
        ("--scenario", "expected a scenario's name, or a family's"),
        ("--save", "expected a directory that can be written to"),
        (
            "--replay",
            "expected a file that `migrate-pin check --save`",
        ),
        ("--known", "expected what a violation says behind its inv"),
    ];
    let large = "99999999999999999999";
    let wrong = |arguments: &[&str], expected: &str| {
        let output = run(&[&["check"], arguments].concat());
        let said = err(&output);
        assert_eq!(status(&output), 2, "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(out(&output), "", "{arguments:?}");
    };
    for (option, expected) in numbers.iter().chain(&names) {
        wrong(&[option], expected);
    }
    for (option, expected) in numbers {
        for value in ["", "x", "-1", "1.5", large] {
            wrong(&[option, value], expected);
        }
        wrong(&[option, "1", option, "1"], "once at most");
    }
    wrong(&["--bound", "9"], numbers[0].1);
    wrong(&["--executions", "0"], numbers[1].1);
    wrong(&["--jobs", "0"], numbers[2].1);
    wrong(&["--jobs", "257"], numbers[2].1);
    for (option, expected) in &names[..4] {
        for value in ["", "no-such", "-1", large] {
            wrong(&[option, value], expected);
        }
    }
}

/// A setting that reaches nothing of what is explored would be taken for one that has been obeyed.
#[test]
fn a_setting_that_means_nothing_is_refused() {
    let race = ["--policy", "hardened", "--scenario", "fork-pages"];
    let steps = ["--policy", "hardened", "--scenario", BROKEN_STEP_BY_STEP];
    let large = ["--policy", "hardened", "--scenario", "large"];
    let to_nothing = directory("nothing").join("not-made");
    let save = to_nothing.to_str().unwrap();
    let cases: &[(&[&str], &[&str], &str)] = &[
        (
            &race,
            &["--seed", "1"],
            "exhaustive and loom, which explore",
        ),
        (&race, &["--engine", "loom", "--seed", "1"], "loom, which"),
        (&race, &["--engine", "loom", "--releases"], "loom, which"),
        (&race, &["--engine", "loom", "--save", save], "loom, which"),
        (
            &race,
            &["--engine", "random", "--bound", "1"],
            "random, which",
        ),
        (&large, &["--bound", "1"], "loom and pct and random, which"),
        (&steps, &["--bound", "1"], "sequential, which"),
        (&steps, &["--executions", "5"], "sequential, which"),
        (&steps, &["--seed", "1"], "sequential, which"),
        (&steps, &["--releases"], "sequential, which"),
        (&steps, &["--known", HIDES], "sequential, which"),
        (&steps, &["--save", save], "sequential, which"),
    ];
    for (what, setting, said) in cases {
        let output = run(&[&["check"], *what, setting].concat());
        let text = err(&output);
        assert_eq!(status(&output), 2, "{setting:?}: {text}");
        let parts = ["means nothing to ", said, "expected no --"];
        for part in parts {
            assert!(text.contains(part), "{setting:?}: no {part:?} in {text}");
        }
        assert_eq!(out(&output), "", "{setting:?}");
    }
    assert!(!to_nothing.exists());
    // What reaches some of it is for those.
    let both = [&race[..], &["--scenario", BROKEN_STEP_BY_STEP]].concat();
    for setting in [&["--bound", "1"][..], &["--known", HIDES], &["--releases"]] {
        let output = run(&[&["check"], &both[..], setting].concat());
        assert_eq!(status(&output), 0, "{setting:?}: {}", err(&output));
    }
}

/// So many executions of `acquire-write` by one engine.
fn explore(engine: &str, executions: &str, more: &[&str]) -> Output {
    let race = [
        "check",
        "--scenario",
        "acquire-write",
        "--policy",
        "hardened",
    ];
    let asked = ["--engine", engine, "--executions", executions];
    run(&[&race[..], &asked, more].concat())
}

#[test]
fn incomplete_is_3() {
    for engine in ["exhaustive", "loom"] {
        let output = explore(engine, "1", &["--format", "jsonl"]);
        assert_eq!(status(&output), 3, "{}", out(&output));
        let row = rows(&output).remove(0);
        let said = ["executions", "verdict"].map(|field| row[field].clone());
        assert_eq!(said, [Value::from(1), "incomplete".into()], "{row}");
        let complete = (engine == "exhaustive").then_some(false);
        assert_eq!(row["complete"].as_bool(), complete, "{row}");
    }
}

/// Every schedule of the bound was run, or something was found before, or it gave up.
#[test]
fn a_row_says_of_which_bound_every_schedule_was_run() {
    let check = |arguments: &[&str]| out(&run(&[&["check"], arguments].concat()));
    let cell = |text: &str, name: &str, columns: [usize; 2]| {
        let (cells, _) = cells(text, name);
        columns.map(|column| cells[column].to_owned())
    };
    let seeded = check(&["--scenario", "trylock-not-atomic"]);
    assert_eq!(cell(&seeded, "trylock-not-atomic", [6, 7]), ["2", "found"]);
    // What broke at bound 0 does not keep the rest of the race's own bound from being run; a larger one is not begun.
    let posted = ["--policy", "as-posted", "--scenario", BROKEN_AS_POSTED];
    assert_eq!(
        cell(&check(&posted), BROKEN_AS_POSTED, [6, 7]),
        ["2", "yes"]
    );
    let far = check(&[&posted[..], &["--bound", "3"]].concat());
    assert_eq!(cell(&far, BROKEN_AS_POSTED, [6, 7]), ["2", "yes"]);
    let cut = check(&[&posted[..], &["--executions", "1"]].concat());
    assert_eq!(cell(&cut, BROKEN_AS_POSTED, [6, 7])[1], "no");
}

#[test]
fn sampling_is_never_incomplete() {
    for engine in ["random", "pct"] {
        let output = explore(engine, "5", &["--seed", "7"]);
        assert_eq!(status(&output), 0, "{}", out(&output));
        assert!(out(&output).contains("seed 7"));
    }
}

#[test]
fn json_lines_have_every_field() {
    let output = run(&[
        "check",
        "--scenario",
        BROKEN_STEP_BY_STEP,
        "--scenario",
        BROKEN_AS_POSTED,
        "--format",
        "jsonl",
    ]);
    assert_eq!(status(&output), 0);
    let rows = rows(&output);
    // The race has a row for loom besides.
    assert_eq!(rows.len(), 6);
    for row in &rows {
        for field in [
            "schema",
            "policy",
            "scenario",
            "family",
            "engine",
            "actors",
            "pages",
            "operations",
            "executions",
            "bound",
            "complete",
            "seconds",
            "seed",
            "verdict",
            "says",
            "events",
            "violations",
        ] {
            assert!(row.get(field).is_some(), "no {field} in {row}");
        }
        assert_eq!(row["schema"], 5);
    }
    let broken: Vec<_> = rows
        .iter()
        .filter(|row| row["verdict"] == "broken")
        .collect();
    assert_eq!(broken.len(), 3);
    for row in broken {
        let violation = &row["violations"][0];
        assert_eq!(violation["invariant"], "PIN");
        assert!(violation["message"].is_string());
        let trace = violation["trace"].as_array().unwrap();
        assert_eq!(trace.is_empty(), row["engine"] == "loom");
        // Of one actor's step at a time as of all at once.
        let operation = "mmap_read_lock: mmap_lock of a: free -> read by 1";
        let has = |line: &Value| line.as_str().unwrap().ends_with(operation);
        assert!(trace.is_empty() || trace.iter().any(has), "{trace:?}");
        assert_eq!(violation["defects"][0], "failed-pin-kept", "{row}");
        let steps = violation["steps"].as_array().unwrap();
        assert!(steps[0].as_str().unwrap().starts_with("actor 0 step 0: "));
    }
}

/// The cells of the row that begins with `name`, and its verdict.
fn cells<'t>(text: &'t str, name: &str) -> (Vec<&'t str>, String) {
    let row = |line: &&str| line.split_whitespace().next() == Some(name);
    let line = text.lines().find(row);
    let cells: Vec<_> = line
        .unwrap_or_else(|| panic!("no row {name} in {text}"))
        .split_whitespace()
        .collect();
    let verdict = cells[9..].join(" ");
    (cells, verdict)
}

/// A scenario that is run one actor's step at a time has its primitives told, and what both sides have of the page.
#[test]
fn a_sequential_finding_is_told_like_a_race() {
    let check = ["check", "--policy", "as-posted", "--scenario"];
    let text = out(&run(&[&check[..], &[BROKEN_STEP_BY_STEP]].concat()));
    for part in [
        "page 0x100 (pins: ledger 1, machine 1 in a count of ",
        "(page 0x100 is a4)",
        "\n  actor 0 step 0: Acquire {",
        "  >    1  actor 0 step 0   mmap_read_lock  ",
        "   unlock_page  ",
        "page lock of a4: taken -> free",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// Without `--scenario` the table has a row a family, and findings an example of each way to break. One execution of each
/// race is enough to see it.
#[test]
fn a_family_is_a_row_and_what_breaks_alike_is_told_once() {
    let output = run(&["check", "--executions", "1", "--bound", "0"]);
    let text = out(&output);
    let (hardened, as_posted) = text.split_once("under as-posted:").unwrap();
    let (cells_ok, _) = cells(hardened, "pairs-written");
    let all: usize = {
        let listed = run(&["list", "--scenario", "pairs-written"]);
        out(&listed).lines().count()
    };
    assert!(all > 100);
    assert_eq!(cells_ok[1..4], ["exhaustive", "2", "1"]);
    let executions: usize = cells_ok[5].parse().unwrap();
    assert_eq!(executions, all, "one each");
    let (_, verdict) = cells(as_posted, FAMILY);
    assert!(
        verdict.contains(" of ") && verdict.contains("show page-free-drops-bias-only"),
        "{verdict}"
    );
    assert!(
        !text.contains("\npairs-written-acquire-vs-read "),
        "a row of a race"
    );
    let told = text
        .matches("page-free-drops-bias-only: `page_free` drops the bias and nothing else: in ")
        .count();
    assert_eq!(told, 1, "{text}");
    for part in [
        "; the smallest:",
        "  another: migrate-pin check --scenario pairs-posted-driver-",
        "  every operation: migrate-pin check --scenario ",
        "what as-posted breaks:",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    let lines = text.lines().count();
    assert!(lines < 4000, "{lines} lines are too many to read");
}

#[test]
fn a_family_that_is_asked_for_is_a_row_a_race() {
    let arguments = ["check", "--policy", "as-posted", "--scenario", FAMILY];
    let quick = ["--executions", "1", "--bound", "0"];
    let output = run(&[&arguments[..], &quick[..]].concat());
    let text = out(&output);
    let name = format!("{FAMILY}-drain-vs-drain");
    let (_, verdict) = cells(&text, &name);
    assert_eq!(verdict, "shows page-free-drops-bias-only, incomplete");
    // Not those of "pairs-posted-driver-acquired-to-read".
    let other = format!("{FAMILY}-to-read-drain-vs-drain");
    assert!(!text.contains(&other), "{text}");
    let output = run(&[&arguments[..], &quick[..], &["--format", "jsonl"][..]].concat());
    let rows = rows(&output);
    let listed = run(&["list", "--scenario", FAMILY]);
    assert_eq!(rows.len(), out(&listed).lines().count());
    assert!(rows.iter().all(|row| row["family"] == FAMILY));
}

/// Below its own bound a race is not judged, and says so.
#[test]
fn a_bound_below_a_races_own_is_said() {
    let arguments = [
        "check",
        "--policy",
        "hardened",
        "--scenario",
        "acquire-write",
    ];
    let asked = |engine: &str, option: &str, number: &str| {
        let more = ["--format", "jsonl", "--engine", engine, option, number];
        let output = run(&[&arguments[..], &more[..]].concat());
        assert_eq!(status(&output), 0, "{}", out(&output));
        rows(&output).remove(0)
    };
    for engine in ["exhaustive", "loom"] {
        let below = asked(engine, "--bound", "1");
        assert_eq!(below["says"], "ok up to bound 1 of 2", "{engine}");
        assert_eq!(below["verdict"], "part");
        assert_eq!(asked(engine, "--bound", "2")["says"], "ok", "{engine}");
    }
    // Nor by samples, of which the race asks for none.
    for (engine, samples, said) in [
        ("random", "1", "ok, without "),
        ("pct", "1", "ok, without "),
        ("pct", "5000", "ok, seed"),
    ] {
        let row = asked(engine, "--executions", samples);
        let says = row["says"].as_str().unwrap();
        assert!(says.starts_with(said), "{engine} {samples}: {says}");
    }
    // Nor by fewer changes of priority than PCT has if nobody asks for others.
    let large = [
        "--policy",
        "hardened",
        "--scenario",
        "large",
        "--engine",
        "pct",
        "--bound",
        "0",
    ];
    let output = run(&large);
    assert_eq!(status(&output), 0, "{}", out(&output));
    assert!(out(&output).contains("ok, without "), "{}", out(&output));
}

#[test]
fn families_are_listed_in_one_line_each() {
    let text = out(&run(&["list"]));
    assert!(text.lines().count() < 800, "{text}");
    let family = text.lines().find(|line| line.starts_with("pairs-written "));
    let family = family.unwrap();
    let races = out(&run(&["list", "--scenario", "pairs-written"]));
    let count = format!("{} races of 2 actors", races.lines().count());
    assert!(family.ends_with(&count), "{family}: {count}");
    assert!(races.lines().all(|line| line.starts_with("pairs-written-")));
}

#[test]
fn what_is_known_hides_nothing_else() {
    let race = format!("{FAMILY}-drain-vs-drain");
    let with = |known: &[&str]| {
        let race = ["check", "--policy", "as-posted", "--scenario", &race];
        let output = run(&[&race[..], &["--format", "jsonl"][..], known].concat());
        assert_eq!(status(&output), 0, "{}", err(&output));
        rows(&output).remove(0)
    };
    let says = "shows page-free-drops-bias-only";
    let first = with(&[]);
    assert_eq!(
        (&first["says"], &first["verdict"]),
        (&says.into(), &"broken".into())
    );
    assert_eq!(
        first["violations"][0]["defects"][0],
        "page-free-drops-bias-only"
    );
    let race_with_typo = [
        "--scenario",
        &race,
        "--known",
        "a pear outlives its device page",
    ];
    let typo = run(&[&["check", "--policy", "as-posted"][..], &race_with_typo].concat());
    assert!(
        err(&typo).contains("\"a pear outlives its device page\": nothing has said so"),
        "{}",
        err(&typo)
    );
    // With the invariant before it, as it is printed, or without. There is more to it than this.
    let what = format!("PAIR: {HIDES}");
    let next = with(&["--known", &what]);
    assert_eq!(next, {
        let mut same = with(&["--known", HIDES]);
        same["seconds"] = next["seconds"].clone();
        same
    });
    assert_eq!(next["says"], says);
    let all = with(&[
        "--known",
        HIDES,
        "--known",
        "a page is left isolated",
        "--known",
        "a page is left, and nobody will free it",
    ]);
    assert_eq!(all["verdict"], "ok", "{all}");
    // What a race says must break may be just what is known.
    let output = run(&[
        "check",
        "--policy",
        "as-posted",
        "--scenario",
        BROKEN_AS_POSTED,
        "--known",
        "a page is pinned and nothing will release it",
        "--known",
        "a page is left pinned, and nobody will release it",
        "--bound",
        "0",
    ]);
    assert_eq!(status(&output), 0, "{}", out(&output));
    let said = cells(&out(&output), BROKEN_AS_POSTED).1;
    assert_eq!(said, "ok up to bound 0 of 2");
}

#[test]
fn threads_change_nothing_but_times() {
    let with = |jobs| {
        let output = run(&[
            "check",
            "--scenario",
            "dirty",
            "--scenario",
            BROKEN_AS_POSTED,
            "--scenario",
            "acquire-write",
            "--format",
            "jsonl",
            "--jobs",
            jobs,
        ]);
        let mut rows = rows(&output);
        for row in &mut rows {
            row["seconds"] = Value::Null;
        }
        rows
    };
    let one = with("1");
    assert!(one.len() > 4);
    assert_eq!(one, with("2"));
}

#[test]
fn what_was_saved_is_repeated_to_the_step() {
    for engine in ["exhaustive", "random", "pct"] {
        let directory = directory(&format!("saved-{engine}"));
        let save = directory.to_str().unwrap();
        let output = run(&[
            "check",
            "--scenario",
            BROKEN_AS_POSTED,
            "--policy",
            "as-posted",
            "--engine",
            engine,
            "--save",
            save,
            "--format",
            "jsonl",
        ]);
        let rows = rows(&output);
        let violation = &rows[0]["violations"][0];
        let path = violation["saved"].as_str().unwrap();
        let output = run(&["--replay", path]);
        assert_eq!(status(&output), 0, "{engine}: {}", err(&output));
        let text = out(&output);
        assert!(
            text.contains(violation["message"].as_str().unwrap()),
            "{engine}: {text}"
        );
        let operations = format!(
            "{} operations",
            violation["trace"].as_array().unwrap().len()
        );
        assert!(text.contains(&operations), "{engine}: {operations}: {text}");
    }
}

#[test]
fn each_way_in_which_a_race_breaks_has_a_file() {
    let directory = directory("ways");
    let save = directory.to_str().unwrap();
    let race = "posted-driver-dontneed";
    let args = ["check", "--scenario", race, "--policy", "as-posted"];
    let output = run(&[&args[..], &["--save", save, "--format", "jsonl"]].concat());
    let rows = rows(&output);
    let violations = rows[0]["violations"].as_array().unwrap();
    let saved: Vec<_> = violations
        .iter()
        .filter_map(|violation| Some((violation["saved"].as_str()?, violation)))
        .collect();
    let files: std::collections::BTreeSet<_> = saved.iter().map(|(path, _)| *path).collect();
    assert!(saved.len() > 2 && files.len() == saved.len(), "{files:?}");
    for (path, violation) in saved {
        let output = run(&["--replay", path]);
        assert_eq!(status(&output), 0, "{path}: {}", err(&output));
        let message = violation["message"].as_str().unwrap();
        assert!(out(&output).contains(message), "{path}: {message}");
    }
}

#[test]
fn a_file_that_is_wrong_says_what_was_expected() {
    let directory = directory("wrong-files");
    let record = |scenario: &str, engine: &str, schedule: &str| {
        format!(
            r#"{{"schema":5,"scenario":"{scenario}","policy":"as-posted","engine":"{engine}","bound":0,"seed":1,"schedule":"{schedule}"}}"#
        )
    };
    let cases = [
        ("not JSON".to_owned(), "expected a file that"),
        ("{}".to_owned(), "missing field"),
        (
            record("no-such", "exhaustive", "0"),
            "expected one that `migrate-pin list` prints",
        ),
        (
            record(BROKEN_AS_POSTED, "loom", "0"),
            "expected exhaustive, random or pct",
        ),
        (
            record(BROKEN_AS_POSTED, "exhaustive", "0y3"),
            "expected ACTOR or ACTORxTIMES",
        ),
        (
            record(BROKEN_AS_POSTED, "exhaustive", "0x3"),
            "does not fit",
        ),
        (record(BROKEN_AS_POSTED, "exhaustive", "5"), "does not fit"),
        (
            record(BROKEN_AS_POSTED, "exhaustive", "0").replace(":5,", ":1,"),
            "expected 5",
        ),
        (
            record(BROKEN_AS_POSTED, "exhaustive", "0").replace("as-posted", "posted"),
            "expected hardened or as-posted",
        ),
    ];
    for (number, (text, expected)) in cases.iter().enumerate() {
        let path = directory.join(format!("{number}.json"));
        std::fs::write(&path, text).unwrap();
        let output = run(&["check", "--replay", path.to_str().unwrap()]);
        assert_eq!(status(&output), 2, "{text}");
        assert!(err(&output).contains(expected), "{text}: {}", err(&output));
    }
}

/// An exploration that no machine ends in so short a time, once it has begun.
#[cfg(unix)]
fn begun(how: &[&str]) -> Child {
    let what = [
        "check",
        "--engine",
        "exhaustive",
        "--policy",
        "hardened",
        "--jobs",
        "2",
    ];
    let mut command = command(&[&what, how].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    // The handler is set before the first exploration, which waits for all races to be made.
    std::thread::sleep(Duration::from_secs(5));
    child
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
}

#[cfg(unix)]
#[test]
fn an_interrupt_prints_what_was_found_so_far() {
    let mut child = begun(&["--bound", "8"]);
    // Twice at once, as who signals a process and its group: that is one ^C.
    interrupt(&child);
    interrupt(&child);
    let began = Instant::now();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(3), "{text}");
    assert!(began.elapsed() < Duration::from_secs(20));
    for part in ["verdict", "interrupted", "not begun", "hardened: "] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

/// Nobody reads the rows, soon more than a pipe holds, so that it can't end after the first.
#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_it_at_once() {
    let mut child = begun(&["--scenario", "pairs", "--format", "jsonl"]);
    // There is a row: the handler is set.
    let mut first = [0];
    let mut rows = child.stdout.take().unwrap();
    rows.read_exact(&mut first).unwrap();
    interrupt(&child);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(child.try_wait().unwrap(), None, "it has ended by itself");
    interrupt(&child);
    let until = Instant::now() + Duration::from_secs(20);
    let ended = loop {
        match child.try_wait().unwrap() {
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            ended => break ended,
        }
    };
    // What a shell says of who was killed by ^C.
    let code = ended.map(|status| status.code());
    drop((child.kill(), rows));
    assert_eq!(code, Some(Some(130)));
}

#[test]
fn a_reader_who_has_gone_is_no_error() {
    let mut child = command(&["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((status(&output), err(&output).as_str()), (0, ""));
}
