//! `enum migrate_mode` (patch, hunk `include/linux/migrate_mode.h`) and what `migrate_page()` makes of it.

use crate::Table;
use migrate_pin_core::MigrateMode::{self, Async, Referenced, Sync, SyncLight, SyncNoCopy};

/// | mode | value | copies | `extra_count` |
///
/// Patch, `migrate_page()`: `-1` for MIGRATE_REFERENCED, else `0`;
/// `if (mode != MIGRATE_SYNC_NO_COPY && mode != MIGRATE_REFERENCED) migrate_page_copy()`.
const MODES: [(MigrateMode, u8, bool, i32); 5] = [
    (Async, 0, true, 0),
    (SyncLight, 1, true, 0),
    (Sync, 2, true, 0),
    (SyncNoCopy, 3, false, 0),
    (Referenced, 4, false, -1),
];

#[test]
fn modes() {
    let mut table = Table::new();
    for (mode, value, copies, extra_count) in MODES {
        let found = (mode as u8, mode.copies(), mode.extra_count());
        table.row(mode, (value, copies, extra_count), found);
        for (other, other_value, ..) in MODES {
            table.row((mode, other), value.cmp(&other_value), mode.cmp(&other));
        }
    }
    table.done(5 + 25);
}
