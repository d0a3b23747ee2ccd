//! Depth first through every schedule with at most N preemptions.
//!
//! A *preemption* is a switch away from an actor that could go on; switches at an actor that blocks, yields or ends are
//! free, and all of them are taken. So when [`Search::begin`] says that there is nothing left, every schedule within the
//! bound has been run.
//!
//! What can be switched at is what the machine's synchronisation makes visible. Letting go of a lock other than a page's is
//! no such place: it is done in one piece with the operation before it. Whatever can be reached by a switch in between is
//! reached without, though where somebody else then blocks on the lock it may take one preemption more. With
//! [`Settings::releases`](crate::engine::Settings) it is such a place, at a third more executions with one preemption;
//! `tests/releases.rs` compares what the two reach.
//!
//! Who yields may look again when anybody else has run. So of three actors two who yield by turns, each for the third, are never done
//! by some schedule, and that is reported as LIVE, though the kernel's scheduler would run the third.

use crate::engine::board::Actors;

/// A switch at which there was a choice.
#[derive(Clone, Copy, Debug)]
struct Node {
    /// Who could have run.
    candidates: Actors,
    /// Who was not tried yet.
    left: Actors,
    /// Who was taken.
    chosen: u8,
    /// Who could have gone on.
    running: Option<u8>,
    /// Preemptions before this one.
    used: u32,
}

/// The search: a path of choices, the last of which is changed from execution to execution.
#[derive(Debug)]
pub(crate) struct Search {
    bound: u32,
    path: Vec<Node>,
    depth: usize,
    used: u32,
    begun: bool,
    /// The program did something else when it was run again: it depends on more than the schedule.
    strayed: bool,
}

impl Search {
    /// Every schedule with at most `bound` preemptions.
    pub(crate) fn new(bound: u32) -> Self {
        Self {
            bound,
            path: Vec::new(),
            depth: 0,
            used: 0,
            begun: false,
            strayed: false,
        }
    }

    /// Prepare the next execution. False if there is none.
    pub(crate) fn begin(&mut self) -> bool {
        if self.begun {
            loop {
                let Some(node) = self.path.last_mut() else {
                    return false;
                };
                if node.left != 0 {
                    node.chosen = node.left.trailing_zeros() as u8;
                    node.left &= node.left - 1;
                    break;
                }
                self.path.pop();
            }
        }
        self.begun = true;
        (self.depth, self.used) = (0, 0);
        true
    }

    /// Has every schedule within the bound been run, when those that were begun have ended? There is nothing left to try on
    /// the way of the last one then, whether or not one more was asked for. Never, if the program behaved differently
    /// under the same schedule.
    pub(crate) fn exhausted(&self) -> bool {
        self.begun && self.path.iter().all(|node| node.left == 0) && !self.strayed
    }

    /// Who runs next, of `candidates` (not empty). `running` is who would go on if nobody else is taken.
    #[inline]
    pub(crate) fn choose(&mut self, candidates: Actors, running: Option<u8>) -> u8 {
        let first = running.unwrap_or(candidates.trailing_zeros() as u8);
        let others = candidates & !(1 << first);
        if others == 0 || (running.is_some() && self.used >= self.bound) {
            return first;
        }
        let node = match self.path.get(self.depth) {
            Some(node) => {
                self.strayed |= node.candidates != candidates || node.running != running;
                *node
            }
            None => {
                let node = Node {
                    candidates,
                    left: others,
                    chosen: first,
                    running,
                    used: self.used,
                };
                self.path.push(node);
                node
            }
        };
        self.depth += 1;
        let preempts = node.running.is_some_and(|running| running != node.chosen);
        self.used = node.used + u32::from(preempts);
        node.chosen
    }
}
