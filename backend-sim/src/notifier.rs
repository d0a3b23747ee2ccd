//! mmu notifiers: interval notifiers of drivers, with sequence numbers (`mm/mmu_notifier.c`).

use crate::config::MmId;
use crate::cpu::Cpu;
use crate::event::Event;
use crate::ledger::Section;
use crate::sides::{Account, Says};
use crate::sync::{Monitor, Store, Synchronisation};
use crate::violation::Invariant;
use migrate_pin_core::ops::{NotifyEvent, Owner};

/// The sequence number's part of `Subscriptions::state`.
pub(crate) const SEQ: u32 = 0x00ff_ffff;
/// One open section in `Subscriptions::state`.
const SECTION: u32 = SEQ + 1;

impl<S: Synchronisation> Cpu<'_, S> {
    /// `mmu_notifier_invalidate_range_start()`, in pages: the sequence number becomes odd, then every driver that
    /// mirrors the address space is called.
    pub(crate) fn invalidate_start(
        &self,
        mm: MmId,
        first: usize,
        until: usize,
        event: NotifyEvent,
        owner: Option<Owner>,
    ) {
        let Some(space) = self.space(mm) else {
            return;
        };
        // Without a subscription there is nothing to do (`mm_has_notifiers()`), and no lock to take.
        if self.m.mirrors.iter().any(|mirror| mirror.mm == mm) {
            let subscriptions = &space.subscriptions;
            let seq = subscriptions.state.update(|state| {
                let begun = (state | 1) + SECTION;
                (begun, begun & SEQ)
            });
            for (index, mirror) in self.m.mirrors.iter().enumerate() {
                if mirror.mm == mm {
                    self.event(Event::Notified);
                    self.driver_invalidate(index, first, until, event, owner, seq);
                }
            }
        }
        if !S::LEDGER {
            return;
        }
        let section = Section {
            mm,
            first,
            until,
            event,
            owner,
            actor: self.actor.0,
        };
        let _ = self.m.ledger.lock().sections.push(section);
        self.check_invalidated(section);
    }

    /// `mmu_notifier_invalidate_range_end()`.
    pub(crate) fn invalidate_end(
        &self,
        mm: MmId,
        first: usize,
        until: usize,
        event: NotifyEvent,
        owner: Option<Owner>,
    ) {
        let Some(space) = self.space(mm) else {
            return;
        };
        if S::LEDGER {
            let mut books = self.m.ledger.lock();
            let open = books.sections.iter().rposition(|open| {
                open.actor == self.actor.0
                    && open.mm == mm
                    && (open.first, open.until) == (first, until)
                    && (open.event, open.owner) == (event, owner)
            });
            if let Some(index) = open {
                books.sections.remove(index);
            }
            let others = books.sections.len() as u32;
            drop(books);
            if open.is_none() {
                self.disagree(
                    Invariant::Lock,
                    None,
                    "a notifier section ends that was not begun",
                    Account::new("open notifier sections", others, Says::Nothing),
                );
            }
        }
        if self.m.mirrors.iter().any(|mirror| mirror.mm == mm) {
            let subscriptions = &space.subscriptions;
            subscriptions.state.update(|state| {
                let left = state.wrapping_sub(SECTION);
                let last = left & !SEQ == 0 && left & 1 == 1;
                // Wakes who waits in `read_begin()`.
                (
                    if last {
                        (left & !SEQ) | ((left & SEQ) + 1) & SEQ
                    } else {
                        left
                    },
                    (),
                )
            });
        }
    }

    /// NOTIFY: the callbacks have returned.
    fn check_invalidated(&self, section: Section) {
        for device in self.m.devices.iter() {
            // A driver's own migrations are its own affair.
            if section.event == NotifyEvent::Migrate && section.owner == Some(device.id.owner()) {
                continue;
            }
            let left = device.table.lock().iter().find_map(|mapping| {
                let inside = (section.first..section.until).contains(&(mapping.vpn as usize));
                (mapping.mm == section.mm && inside).then_some(mapping.page)
            });
            if let Some(page) = left {
                self.violate(
                    Invariant::Notify,
                    Some(page),
                    "a device mapping survives the invalidation of its range",
                );
            }
        }
    }

    /// NOTIFY: a device gets a mapping; no invalidation whose callback has returned may be under way.
    pub(crate) fn check_not_invalidating(
        &self,
        owner: Owner,
        mm: MmId,
        vpn: usize,
        page: migrate_pin_core::Pfn,
    ) {
        if !S::LEDGER {
            return;
        }
        let open = {
            let books = self.m.ledger.lock();
            let sections = books.sections.iter().filter(|section| {
                section.mm == mm
                    && (section.first..section.until).contains(&vpn)
                    && !(section.event == NotifyEvent::Migrate && section.owner == Some(owner))
            });
            sections.count() as u32
        };
        if open > 0 {
            self.disagree_at(
                Invariant::Notify,
                Some(page),
                (mm, vpn),
                "a device maps a page whose range is being invalidated",
                Account::new("open notifier sections there", open, "mapped by the device"),
            );
        }
    }
}
