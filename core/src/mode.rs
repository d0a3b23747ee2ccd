//! How a page is moved: the kernel's `enum migrate_mode`, with the mode that the patch adds.

/// What [`migrate_page`](crate::mapping::migrate_page) does beyond moving the mapping (`enum migrate_mode`,
/// `include/linux/migrate_mode.h`, in the kernel's order).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MigrateMode {
    /// `MIGRATE_ASYNC`: never block; the contents are copied.
    Async = 0,
    /// `MIGRATE_SYNC_LIGHT`: may block, but not on writeback; the contents are copied.
    SyncLight = 1,
    /// `MIGRATE_SYNC`: may block; the contents are copied.
    Sync = 2,
    /// `MIGRATE_SYNC_NO_COPY`: may block; a device copies the contents, the CPU does not.
    SyncNoCopy = 3,
    /// `MIGRATE_REFERENCED` (new): the contents stay where they are; only metadata moves, and
    /// references that nobody accounts for are tolerated.
    Referenced = 4,
}

impl MigrateMode {
    /// Does the CPU copy the page's contents in this mode?
    ///
    /// ```
    /// use migrate_pin_core::MigrateMode;
    /// assert!(MigrateMode::Sync.copies());
    /// assert!(!MigrateMode::SyncNoCopy.copies() && !MigrateMode::Referenced.copies());
    /// ```
    #[must_use]
    pub const fn copies(self) -> bool {
        !matches!(self, Self::SyncNoCopy | Self::Referenced)
    }

    /// The `extra_count` handed to `migrate_page_move_mapping()`: `-1` means that extra references
    /// are tolerated, and that a page with a mapping is refused.
    #[must_use]
    pub const fn extra_count(self) -> i32 {
        match self {
            Self::Referenced => -1,
            _ => 0,
        }
    }
}

static_assertions::const_assert!(MigrateMode::Referenced as u8 == 4);
static_assertions::assert_eq_size!(MigrateMode, u8);
