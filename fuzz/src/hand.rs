//! A driver's hand with migrations as core's callers in C have them: words in arrays, and destinations to be given, right or
//! wrong, and to be taken back.

use crate::choices::Input;
use migrate_pin_core::{Access, Device, DstPfn, Pfn, SrcPfn, MIGRATE_PFN_SHIFT};
use migrate_pin_sim::grammar::{Choices, PAGES};
use migrate_pin_sim::scenario::Give;
use migrate_pin_sim::{Dev, Machine, Purpose, Synchronisation};

/// One of the purposes.
pub fn purpose(choices: &mut impl Choices) -> Purpose {
    match choices.below(4) {
        0 => Purpose::Pin(Access::Write),
        1 => Purpose::Pin(Access::Read),
        2 => Purpose::ToDevice,
        _ => Purpose::ToSystem,
    }
}

/// The destination that is right for this purpose.
#[must_use]
pub fn right<S: Synchronisation>(dev: &mut Dev<'_, S>, purpose: Purpose, src: SrcPfn) -> Give {
    if !src.migrating() {
        return Give::Nothing;
    }
    match (purpose, src.pfn()) {
        // Whatever it was meant to be migrated for.
        (_, Some(page)) if dev.original(page).is_some() => Give::Original,
        (Purpose::Pin(access), Some(_)) if migrate_pin_core::pin::wanted(src, access) => {
            Give::Device
        }
        (Purpose::Pin(_), _) => Give::Nothing,
        (Purpose::ToDevice, _) => Give::Device,
        (Purpose::ToSystem, Some(_)) => Give::System,
        (Purpose::ToSystem, None) => Give::Nothing,
    }
}

/// Any destination for `src`.
///
/// But for a page that stands for a pin no plain copy: core's border trusts that such a page goes home with UNPIN, since
/// records are kept by original.
pub fn any_give<S: Synchronisation>(
    choices: &mut Input<'_>,
    dev: &mut Dev<'_, S>,
    src: SrcPfn,
) -> Give {
    let machine = dev.cpu().machine();
    let stands = src.pfn().is_some_and(|page| dev.original(page).is_some());
    match choices.below(13) {
        0 => Give::Nothing,
        1 | 4 if stands => Give::Original,
        1 => Give::Device,
        2 => Give::DeviceUnlocked,
        3 => Give::DeviceOfOther,
        4 => Give::System,
        5 => Give::Original,
        6 => Give::OriginalPlain,
        7 => Give::UnpinNew,
        8 => Give::Again,
        9 => Give::Mapped(choices.below(PAGES) as u16),
        10 => Give::Raw(unpin_any(choices, machine)),
        _ => Give::Raw(word(choices, machine)),
    }
}

/// UNPIN of any page that is pinned for somebody; 0 if there is none.
fn unpin_any(choices: &mut Input<'_>, machine: &Machine<impl Synchronisation>) -> usize {
    let pinned = |page: &Pfn| {
        let known = machine.page(*page);
        known.is_some_and(|page| page.record.is_some())
    };
    let nth = choices.below(machine.pfns().filter(pinned).count());
    let page = machine.pfns().filter(pinned).nth(nth);
    page.map_or(0, |page| DstPfn::unpin(page).raw())
}

/// Any word: mostly one that names a page of the machine, with any flags.
pub fn word(choices: &mut Input<'_>, machine: &Machine<impl Synchronisation>) -> usize {
    match choices.below(8) {
        0 => 0,
        1 => choices.word(),
        2 => choices.below(64),
        _ => {
            let pages = machine.pfns().count();
            let first = machine.pfns().next().map_or(0, |page| page.0);
            // One too many: there is no such page.
            let page = first + choices.below(pages + 1);
            page << MIGRATE_PFN_SHIFT | choices.below(64)
        }
    }
}

/// The device lets go of the source of a migration that is not for it: as core trusts, before its contents are copied.
pub fn let_go<S: Synchronisation>(dev: &Dev<'_, S>, purpose: Purpose, src: SrcPfn) {
    let (Purpose::ToSystem, Some(page), true) = (purpose, src.pfn(), src.migrating()) else {
        return;
    };
    let mut dev = *dev;
    dev.lock();
    let _ = dev.unmap_page(page);
    dev.unlock();
}

/// What was given, and has not been taken.
#[derive(Debug, Default)]
pub struct Given(Vec<(Pfn, Give)>);

impl Given {
    /// Give a destination for `src`.
    pub fn give<S: Synchronisation>(
        &mut self,
        dev: &Dev<'_, S>,
        purpose: Purpose,
        src: SrcPfn,
        give: Give,
        last: DstPfn,
    ) -> DstPfn {
        // Without PIN it is moved, whatever the driver is there for: its contents go along, and it gets no pair.
        let purpose = match purpose {
            Purpose::Pin(_) if !src.pin() => Purpose::ToDevice,
            // And what has PIN is pinned: it keeps its contents, and gets a pair.
            Purpose::ToDevice | Purpose::ToSystem if src.pin() => Purpose::Pin(Access::Write),
            purpose => purpose,
        };
        let_go(dev, purpose, src);
        let word = dev.give(purpose, src, give, last);
        let ours = !matches!(
            give,
            Give::Nothing | Give::Again | Give::Mapped(_) | Give::Raw(_)
        );
        if let (Some(page), true) = (word.pfn(), ours) {
            self.0.push((page, give));
        }
        word
    }

    /// Was this page given, and is it still ours?
    #[must_use]
    pub fn has(&self, page: Pfn) -> bool {
        self.0.iter().any(|(given, _)| *given == page)
    }

    /// Take everything back.
    pub fn take_back<S: Synchronisation>(&mut self, dev: &Dev<'_, S>) {
        for (page, give) in self.0.drain(..) {
            dev.take_back(page, give);
        }
    }

    /// A migration has taken what these words name; the rest comes back.
    pub fn taken<S: Synchronisation>(&mut self, dev: &Dev<'_, S>, dst: &[DstPfn]) {
        for (page, give) in self.0.drain(..) {
            if !dst.iter().any(|word| word.pfn() == Some(page)) {
                dev.take_back(page, give);
            }
        }
    }

    /// One of the pages is given back although a word names it: which.
    pub fn free_early<S: Synchronisation>(&mut self, dev: &Dev<'_, S>, choices: &mut impl Choices) {
        if !self.0.is_empty() {
            let (page, give) = self.0.swap_remove(choices.below(self.0.len()));
            dev.take_back(page, give);
        }
    }
}
