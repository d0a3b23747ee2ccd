//! Compaction, or any other migration of a page to another frame (`unmap_and_move()`).

use crate::cpu::Cpu;
use crate::event::Event;
use crate::frame::PageFlags;
use crate::ledger::Hold;
use crate::rmap::Unmap;
use crate::sync::Synchronisation;
use migrate_pin_core::mapping::migrate_page;
use migrate_pin_core::ops::Mapping;
use migrate_pin_core::policy::Rules;
use migrate_pin_core::{MigrateMode, Pfn};

impl<S: Synchronisation> Cpu<'_, S> {
    /// Move `page` to another frame; the new one if it was done.
    pub fn compact(&self, page: Pfn) -> Option<Pfn> {
        self.at("unmap_and_move");
        if !self.isolate_from_list(page) {
            self.event(Event::CompactionRefused);
            return None;
        }
        let moved = self.move_isolated(page);
        if moved.is_none() {
            self.event(Event::CompactionRefused);
            self.lru_putback(page);
        }
        moved
    }

    /// The page is isolated; if it moved, it is gone.
    fn move_isolated(&self, page: Pfn) -> Option<Pfn> {
        if self.test_flag(page, PageFlags::HEAD) || self.cached_as(page) == Mapping::None {
            return None;
        }
        let new = self.alloc_page()?;
        if !self.trylock(page) {
            self.put(new);
            return None;
        }
        self.trylock(new);
        let anon_vma = self.hold_anon_vma(page);
        let was_mapped = self.mapcount(page) > 0;
        if was_mapped {
            self.unmap_everywhere(page, Unmap::Migrate);
        }
        let mut moved = false;
        if self.mapcount(page) == 0 {
            let rules = Rules {
                policy: self.m.policy,
                shape: self.m.shape,
            };
            if self.test_flag(page, PageFlags::PRIVATE) {
                // `fallback_migrate_page()`: the file system lets go of its buffers first.
                self.clear_flag(page, PageFlags::PRIVATE);
                self.put_as(page, Hold::Private);
            }
            let mut ops = *self;
            moved = migrate_page(&mut ops, rules, new, page, MigrateMode::Sync, 0);
        }
        self.at("unmap_and_move");
        if was_mapped {
            self.restore_everywhere(page, if moved { new } else { page });
        }
        if let Some(id) = anon_vma {
            self.drop_anon_vma(id);
        }
        self.unlock(new);
        self.unlock(page);
        if !moved {
            self.put(new);
            return None;
        }
        self.event(Event::Compacted);
        self.lru_add(new);
        self.put(new);
        // The isolation's reference is the last one.
        self.hand_over(page, Hold::Isolation, Hold::Actor);
        self.put(page);
        Some(new)
    }
}
