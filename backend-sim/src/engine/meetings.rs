//! Who met whom: which two primitives of two actors did something with one object, one right after the other.
//!
//! What a fuzzer's instrumentation sees of an execution is which code was run, and that is nearly the same for every schedule. This is
//! what a schedule changes: an input whose actors meet where none did before is worth keeping.

use crate::config::MAX_ACTORS;

/// Numbers of pairs are below this.
pub const MEETINGS_TOLD: usize = 1 << 13;

/// Objects whose last user is known; of two that share a place the older one is forgotten.
const OBJECTS: usize = 256;

/// Operations of a primitive that are told apart: the first ones.
const APART: u8 = 4;

/// Where an actor is.
#[derive(Clone, Copy, Debug, Default)]
struct Site {
    /// Where the name of the primitive stands.
    primitive: usize,
    /// Operations in it so far.
    operations: u8,
}

/// Who did something with an object last.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    object: usize,
    actor: u8,
    primitive: usize,
}

/// What is known of an execution.
#[derive(Debug)]
pub(crate) struct Meetings {
    sites: [Site; MAX_ACTORS],
    uses: Vec<Use>,
    /// A bit for each number.
    met: Vec<u64>,
}

impl Meetings {
    pub(crate) const NONE: Self = Self {
        sites: [Site {
            primitive: 0,
            operations: 0,
        }; MAX_ACTORS],
        uses: Vec::new(),
        met: Vec::new(),
    };

    /// A new execution.
    pub(crate) fn begin(&mut self) {
        self.sites = [Site::default(); MAX_ACTORS];
        self.uses.clear();
        self.uses.resize(OBJECTS, Use::default());
        self.met.clear();
        self.met.resize(MEETINGS_TOLD / 64, 0);
    }

    /// An actor begins a primitive.
    pub(crate) fn at(&mut self, actor: usize, primitive: &'static str) {
        if let Some(site) = self.sites.get_mut(actor) {
            *site = Site {
                primitive: primitive.as_ptr().addr(),
                operations: 0,
            };
        }
    }

    /// It does something with `object`.
    pub(crate) fn operate(&mut self, actor: usize, object: usize) {
        let (Some(site), Some(last)) = (
            self.sites.get_mut(actor),
            self.uses.get_mut(spread(object) % OBJECTS),
        ) else {
            return;
        };
        let now = Use {
            object,
            actor: actor as u8,
            primitive: site.primitive,
        };
        let before = std::mem::replace(last, now);
        if before.object == object && before.actor != now.actor {
            let pair = spread(before.primitive).wrapping_add(site.primitive);
            let number = spread(pair.wrapping_add(usize::from(site.operations))) % MEETINGS_TOLD;
            self.met[number / 64] |= 1 << (number % 64);
        }
        site.operations = (site.operations + 1).min(APART - 1);
    }

    /// The numbers of all pairs that met.
    pub(crate) fn met(&self) -> Vec<u16> {
        let words = self.met.iter().enumerate();
        let in_word = |(nth, word): (usize, &u64)| {
            let word = *word;
            let set = (0..64).filter(move |bit| word >> bit & 1 != 0);
            set.map(move |bit| (nth * 64 + bit) as u16)
        };
        words.flat_map(in_word).collect()
    }
}

/// So that neighbours are far from each other (Fibonacci hashing).
const fn spread(word: usize) -> usize {
    (word as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(24) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_meet_where_one_follows_the_other_at_an_object() {
        let met = |operations: &[(usize, &'static str, usize)]| {
            let mut meetings = Meetings::NONE;
            meetings.begin();
            for (actor, primitive, object) in operations {
                meetings.at(*actor, primitive);
                meetings.operate(*actor, *object);
            }
            meetings.met()
        };
        let nobody: [u16; 0] = [];
        assert_eq!(
            met(&[(0, "read", 8), (0, "write", 8), (1, "read", 16)]),
            nobody
        );
        let one = met(&[(0, "read", 8), (1, "write", 8)]);
        assert_eq!(one.len(), 1);
        // It is the same whoever they are and whatever they meet at, and another one the other way round.
        assert_eq!(met(&[(2, "read", 16), (0, "write", 16)]), one);
        assert_ne!(met(&[(0, "write", 8), (1, "read", 8)]), one);
    }
}
