//! Truth tables of the pure decisions: every input of each, against an expectation written from the
//! kernel's source and the patch (a table, or an oracle in the C code's own order), not from this crate.
//!
//! Sources, by the names that the comments use: *the patch* ("mm/migrate: Add a unmap and pin migration
//! mode", 2021-02-08), by its hunks; *5.11*: `mm/migrate.c` before it; *6.12*: `mm/migrate_device.c`, with
//! the diff ported to it line by line. For `Hardened` an oracle is that of `AsPosted` and the differences
//! that `policy` names.

mod border;
mod check;
mod collect;
mod error;
mod finalize;
mod insert;
mod mapping;
mod mode;
mod pages;
mod pfn;
mod pin;
mod policy;
mod prepare;
mod unmap;

use core::fmt::Debug;
use migrate_pin_core::{Owner, PolicyKind, Rules, ShapeKind, Zone};

/// Both values of a fact.
const BOTH: [bool; 2] = [false, true];
/// The caller in these tables.
const ME: Owner = Owner(0xa);
/// Somebody else.
const OTHER: Owner = Owner(0xb);
/// Each kind of memory, once of the caller and once of somebody else.
const ZONES: [Zone; 6] = [
    Zone::System,
    Zone::DevicePrivate(ME),
    Zone::DevicePrivate(OTHER),
    Zone::DeviceCoherent(ME),
    Zone::DeviceCoherent(OTHER),
    Zone::DeviceOther,
];

/// Which policy, without asking [`Rules`]' own methods.
fn hardened(rules: Rules) -> bool {
    rules.policy == PolicyKind::Hardened
}

/// Which kernel, without asking [`Rules`]' own methods.
fn v6_12(rules: Rules) -> bool {
    rules.shape == ShapeKind::V6_12
}

/// `is_zone_device_page()`.
fn is_zone_device(zone: Zone) -> bool {
    !matches!(zone, Zone::System)
}

/// `is_device_private_page()`.
fn is_device_private(zone: Zone) -> bool {
    matches!(zone, Zone::DevicePrivate(_))
}

/// `is_device_coherent_page()`: 6.12 only, 5.11 knows no such memory.
fn is_device_coherent(rules: Rules, zone: Zone) -> bool {
    v6_12(rules) && matches!(zone, Zone::DeviceCoherent(_))
}

/// Compares row by row, and reports all that differ at the end.
struct Table {
    rows: usize,
    wrong: Vec<String>,
}

impl Table {
    fn new() -> Self {
        Self {
            rows: 0,
            wrong: Vec::new(),
        }
    }

    /// One input.
    fn row<I: Debug, T: Debug + PartialEq>(&mut self, input: I, expected: T, found: T) {
        self.rows += 1;
        if expected != found {
            self.wrong.push(format!(
                "{input:?}\n    expected {expected:?}\n    found    {found:?}"
            ));
        }
    }

    /// All rows were right, and there were `rows` of them.
    #[track_caller]
    fn done(self, rows: usize) {
        assert!(
            self.wrong.is_empty(),
            "{} of {} rows are wrong, the first of them:\n{}",
            self.wrong.len(),
            self.rows,
            self.wrong[..self.wrong.len().min(16)].join("\n")
        );
        assert_eq!(self.rows, rows, "the space of inputs has changed");
    }
}
