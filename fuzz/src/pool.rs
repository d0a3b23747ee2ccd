//! Machines that are put back instead of built: building one takes longer than most inputs.

use migrate_pin_sim::grammar::Setting;
use migrate_pin_sim::{Machine, Synchronisation};

/// A machine to act on, and the one to put it back by.
struct Pair<S: Synchronisation> {
    machine: Box<Machine<S>>,
    pattern: Box<Machine<S>>,
}

/// A machine of each setting, built when it is first asked for.
pub struct Pool<S: Synchronisation> {
    pairs: Vec<Option<Pair<S>>>,
}

impl<S: Synchronisation> Default for Pool<S> {
    fn default() -> Self {
        Self {
            pairs: (0..Setting::COUNT).map(|_| None).collect(),
        }
    }
}

impl<S: Synchronisation> Pool<S> {
    /// A machine on which nothing was done yet.
    ///
    /// # Panics
    /// If the setting's machine can't be built: the grammar is wrong.
    pub fn machine(&mut self, setting: Setting) -> &Machine<S> {
        let pair = self.pairs[setting.index()].get_or_insert_with(|| {
            let build = || match Machine::new(&setting.config()) {
                Ok(machine) => Box::new(machine),
                Err(error) => panic!("{setting:?}: {error:?}"),
            };
            Pair {
                machine: build(),
                pattern: build(),
            }
        });
        pair.machine.restore(&mut pair.pattern);
        &pair.machine
    }
}
