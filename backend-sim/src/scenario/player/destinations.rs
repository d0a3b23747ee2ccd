//! Destinations as a scenario gives them, right or wrong.

use super::Player;
use crate::config::DeviceId;
use crate::cpu::Cpu;
use crate::device::Dev;
use crate::driver::session::{Purpose, Session};
use crate::scenario::Give;
use crate::sync::Synchronisation;
use migrate_pin_core::{Device, DstPfn, MmOps, Pfn, SrcPfn};

impl<S: Synchronisation> Player<'_, S> {
    /// Give back what [`Step::ProvideThis`] gave a session that has not taken it, as a driver does that knows what it
    /// did wrong.
    pub(super) fn take_back(&mut self, session: &mut Session) {
        let given = core::mem::take(&mut self.hands.given);
        let Some(dev) = self.driver() else {
            return;
        };
        for (word, give) in session.dst.iter_mut().zip(given) {
            if let Some(page) = core::mem::take(word).pfn() {
                dev.take_back(page, give);
            }
        }
    }

    /// Fill the destinations as the scenario says, right or wrong.
    pub(super) fn provide(&self, session: &mut Session, gives: &[Give]) {
        let mut last = DstPfn::NONE;
        for (index, give) in gives.iter().enumerate() {
            let Some(src) = session.src.get(index).copied() else {
                break;
            };
            let word = self.driver().map_or(DstPfn::NONE, |dev| {
                dev.give(session.purpose(), src, *give, last)
            });
            last = word;
            if let Some(dst) = session.dst.get_mut(index) {
                *dst = word;
            }
        }
    }
}

/// Destinations, right or wrong.
impl<S: Synchronisation> Dev<'_, S> {
    /// A destination word for `src`; `last` is that of the entry before.
    #[must_use]
    pub fn give(&self, purpose: Purpose, src: SrcPfn, give: Give, last: DstPfn) -> DstPfn {
        let (mut dev, mut cpu) = (*self, self.cpu);
        let system = |dev: &mut Dev<'_, S>, cpu: &mut Cpu<'_, S>| match src.pfn() {
            Some(old) => dev.copy_to_system(old),
            None => {
                let page = cpu.alloc_page().filter(|page| cpu.trylock_page(*page))?;
                fill(cpu, page, src);
                Some(page)
            }
        };
        match give {
            Give::Nothing => DstPfn::NONE,
            Give::Raw(word) => DstPfn::from_raw(word),
            Give::Again => last,
            Give::Mapped(at) => {
                let page = cpu.m.glance_at(self.mm, at.into());
                page.map_or(DstPfn::NONE, DstPfn::page)
            }
            Give::System => system(&mut dev, &mut cpu).map_or(DstPfn::NONE, DstPfn::page),
            Give::UnpinNew => system(&mut dev, &mut cpu).map_or(DstPfn::NONE, DstPfn::unpin),
            Give::DeviceOfOther => {
                let other = DeviceId(u8::from(dev.device.0 == 0));
                let mut other = cpu.device(other, cpu.mm().unwrap_or_default());
                other.alloc_device_page().map_or(DstPfn::NONE, DstPfn::page)
            }
            Give::Device | Give::DeviceUnlocked => {
                let Some(page) = dev.alloc_device_page() else {
                    return DstPfn::NONE;
                };
                match (src.pfn(), purpose) {
                    (Some(original), Purpose::Pin(_)) => dev.remember(page, original),
                    _ => fill(&cpu, page, src),
                }
                if give == Give::DeviceUnlocked {
                    cpu.unlock_page(page);
                }
                DstPfn::page(page)
            }
            Give::Original | Give::OriginalPlain => {
                let original = src.pfn().and_then(|page| dev.original(page));
                match original.filter(|page| cpu.trylock_page(*page)) {
                    None => DstPfn::NONE,
                    Some(page) if give == Give::Original => DstPfn::unpin(page),
                    Some(page) => DstPfn::page(page),
                }
            }
        }
    }

    /// Take back what [`give`](Self::give) gave in a word that nobody has taken, as a driver does that knows what it did.
    pub fn take_back(&self, page: Pfn, give: Give) {
        let (mut dev, mut cpu) = (*self, self.cpu);
        match give {
            Give::Nothing | Give::Again | Give::Mapped(_) | Give::Raw(_) => {}
            Give::Original | Give::OriginalPlain => cpu.unlock_page(page),
            Give::DeviceUnlocked => {
                dev.forget(page);
                cpu.put_page(page);
            }
            Give::Device | Give::DeviceOfOther | Give::System | Give::UnpinNew => {
                dev.forget(page);
                cpu.unlock_page(page);
                cpu.put_page(page);
            }
        }
    }
}

/// A new page gets the contents of the source, or zeroes if there is none.
fn fill<S: Synchronisation>(cpu: &Cpu<'_, S>, page: Pfn, src: SrcPfn) {
    match (src.pfn(), cpu.m.frame(page)) {
        (Some(old), _) => cpu.copy_contents(page, old),
        (None, Some(frame)) => frame.contents.set(0),
        (None, None) => {}
    }
}
