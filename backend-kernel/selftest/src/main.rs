// SPDX-License-Identifier: GPL-2.0-only
//! Self-tests of unmap-and-pin in a live kernel, from user space. Prints TAP.
//!
//! `selftest [rust] [conformance|speed]`: on the devices of the driver in C, or of that in Rust; the tests, or what is
//! named.
//!
//! Each test runs in a child, which exits; then nothing may be left of it: no pin record, no device page in use, no
//! page isolated. Then each runs some times more, after which as much memory is free as before.

mod cases;
mod device;
mod memory;
mod speed;
mod world;

use device::Device;
use std::{fs, thread, time::Duration};

/// The number behind a name in a file of such lines.
fn number_in(path: &str, name: &str) -> Result<u64, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut words = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .ok_or_else(|| format!("{path} has no {name}"))?
        .split_whitespace();
    let number = words.next().and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("{path}: {name} is no number"))
}

/// Pages that are free, or in a CPU's cache of free pages, which may be large.
fn free_pages() -> Result<u64, String> {
    let path = "/proc/zoneinfo";
    let text = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let mut free = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some("nr_free_pages" | "count:"), Some(number)) = (words.next(), words.next()) {
            free += number
                .parse::<u64>()
                .map_err(|_| format!("{path}: {line}"))?;
        }
    }
    Ok(free)
}

/// What has to be as it was when all is quiet.
fn leaks() -> Result<(), String> {
    let devices = [Device::open, Device::open_other].map(|open| [open(0), open(1)]);
    for (number, device) in devices.into_iter().flatten().enumerate() {
        let device = device.map_err(|error| format!("open: {error}"))?;
        let stats = device.stats().map_err(|error| format!("stats: {error}"))?;
        if stats.pins != 0 {
            return Err(format!("{} pages are still pinned", stats.pins));
        }
        if stats.free != stats.all {
            let used = stats.all - stats.free;
            return Err(format!("{used} pages of device {number} are in use"));
        }
        if stats.mappings != 0 {
            return Err(format!("{} mappings in a new mirror", stats.mappings));
        }
    }
    for name in ["nr_isolated_anon ", "nr_isolated_file "] {
        let isolated = number_in("/proc/vmstat", name)?;
        if isolated != 0 {
            return Err(format!("{name}{isolated}"));
        }
    }
    Ok(())
}

/// Children are gone, but what they held may go a moment later.
fn no_leak() -> Result<(), String> {
    let mut found = Ok(());
    for _ in 0..50 {
        found = leaks();
        if found.is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    found
}

fn run(case: cases::Case) -> Result<(), String> {
    let passed = memory::in_child(|| match case() {
        Ok(()) => true,
        Err(error) => {
            println!("# {error}");
            false
        }
    });
    no_leak()?;
    match passed {
        Ok(true) => Ok(()),
        Ok(false) => Err("it failed, or died".to_string()),
        Err(error) => Err(format!("no child: {error}")),
    }
}

/// Run a case some times more: how many pages fewer are free then. Memory that the kernel keeps for later (a slab that is not full,
/// a batch of a CPU) comes and goes, so that who finds too few looks again: what leaks is gone after every two runs.
fn free_again(case: cases::Case, slack: u64) -> Result<u64, String> {
    let mut least = u64::MAX;
    for _ in 0..16 {
        let before = free_pages()?;
        run(case)?;
        run(case)?;
        least = least.min(before.saturating_sub(free_pages()?));
        if least <= slack {
            break;
        }
    }
    Ok(least)
}

/// What is said behind the name of a test of which a part, or all, is not done on these devices.
fn directive(name: &str) -> String {
    let left = cases::NOT_IN_RUST.iter().find(|(case, _)| *case == name);
    match left {
        Some((_, why)) if device::is_rust() => format!(" ({why})"),
        _ => String::new(),
    }
}

fn main() {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if_eq("rust").is_some() {
        device::choose_rust();
    }
    match args.next().as_deref() {
        Some("conformance") => std::process::exit(i32::from(!world::conformance())),
        Some("speed") => return speed::speed(),
        _ => {}
    }
    // A line at a time, so that a child's come in their place.
    println!("TAP version 13");
    println!("1..{}", 2 * cases::ALL.len());
    let mut failed = 0;
    for (i, (name, case)) in cases::ALL.iter().enumerate() {
        let result = run(*case);
        match &result {
            Ok(()) => println!("ok {} {name}{}", i + 1, directive(name)),
            Err(error) => {
                println!("# {error}");
                println!("not ok {} {name}{}", i + 1, directive(name));
            }
        }
        failed += u32::from(result.is_err());
    }
    // More of each, now that what is made once is made: a few pages a run would show.
    let slack = std::env::var("SLACK")
        .ok()
        .and_then(|pages| pages.parse().ok());
    let slack: u64 = slack.unwrap_or(8);
    for (i, (name, case)) in cases::ALL.iter().enumerate() {
        let number = cases::ALL.len() + i + 1;
        let kept = free_again(*case, slack);
        match &kept {
            Ok(kept) if *kept <= slack => {
                println!("ok {number} {name} leaves no memory behind # pages {kept}");
            }
            other => {
                println!("# pages that are not back: {other:?}");
                println!("not ok {number} {name} leaves no memory behind");
                failed += 1;
            }
        }
    }
    std::process::exit(i32::from(failed > 0));
}
