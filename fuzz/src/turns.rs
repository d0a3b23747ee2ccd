//! Who has to wait, and until when: somebody who waits is not tried again before what he waits for may have changed, else the
//! machine would take him for one who faults for ever.

use migrate_pin_sim::cpu::WaitFor;
use migrate_pin_sim::grammar::ACTORS;
use migrate_pin_sim::{Machine, Synchronisation};

/// What each actor waits for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns([Option<WaitFor>; ACTORS]);

impl Turns {
    /// Is there a use in trying?
    pub fn may_try<S: Synchronisation>(&self, machine: &Machine<S>, actor: usize) -> bool {
        match self.0[actor] {
            None => true,
            Some(WaitFor::PageLock(page)) => machine.page(page).is_none_or(|page| !page.locked),
            Some(_) => false,
        }
    }

    /// It has to wait.
    pub fn waits(&mut self, actor: usize, wait: WaitFor) {
        self.0[actor] = Some(wait);
    }

    /// It did a step, the last one of a program or not: who waits for `mmap_lock` may look again, and who waits for others to
    /// let go of what they have, when they have done what they had to do.
    pub fn did(&mut self, actor: usize, last: bool) {
        self.0[actor] = None;
        for wait in &mut self.0 {
            let over = match wait {
                Some(WaitFor::MmapRead(_) | WaitFor::MmapWrite(_)) => true,
                Some(WaitFor::Others) => last,
                Some(WaitFor::PageLock(_)) | None => false,
            };
            if over {
                *wait = None;
            }
        }
    }

    /// Nobody got on: all may look once more.
    pub fn last_look(&mut self) {
        self.0 = [None; ACTORS];
    }
}
