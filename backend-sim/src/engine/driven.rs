//! [`Driven`]: the scheduler that shuttle asks, which asks the [`board`].

use crate::engine::board::{board, Chooser};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};

/// Shuttle's first task sets the machine up, and looks at it when all is quiet; the actors come after it.
const FIRST_ACTOR: usize = 1;

/// Before each execution: whether there is to be one more.
pub(crate) trait Gate {
    /// One more?
    fn open(&mut self) -> bool;
}

impl<F: FnMut() -> bool> Gate for F {
    fn open(&mut self) -> bool {
        self()
    }
}

/// The board decides; where it leaves the choice to somebody outside, that is a scheduler of shuttle's.
pub(crate) struct Driven<G> {
    gate: G,
    outside: Option<Box<dyn Scheduler + Send>>,
}

impl<G: Gate> Driven<G> {
    pub(crate) fn new(gate: G, outside: Option<Box<dyn Scheduler + Send>>) -> Self {
        Self { gate, outside }
    }
}

impl<G: Gate> Scheduler for Driven<G> {
    fn new_execution(&mut self) -> Option<Schedule> {
        if !self.gate.open() {
            // Dropped with an execution begun, shuttle's random scheduler would print a seed as if something had failed.
            std::mem::forget(self.outside.take());
            return None;
        }
        let more = board(|board| match &mut board.chooser {
            Chooser::Search(search) => search.begin(),
            _ => true,
        });
        match &mut self.outside {
            Some(outside) if more => outside.new_execution(),
            _ => more.then(|| Schedule::new(0)),
        }
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        _is_yielding: bool,
    ) -> Option<TaskId> {
        if !board(|board| board.racing()) {
            let mine = |task: &&&Task| Some(task.id()) == current;
            return runnable
                .iter()
                .find(mine)
                .or(runnable.first())
                .map(|task| task.id());
        }
        let chosen = match (board(|board| board.take_next()), &mut self.outside) {
            (Some(actor), _) => TaskId::from(FIRST_ACTOR + usize::from(actor)),
            (None, Some(outside)) => {
                let (candidates, yielding) = board(|board| (board.candidates(), board.yielding()));
                let can_run = |task: &Task| {
                    usize::from(task.id())
                        .checked_sub(FIRST_ACTOR)
                        .is_some_and(|actor| candidates >> actor & 1 != 0)
                };
                let tasks: Vec<&Task> = runnable.iter().copied().filter(|t| can_run(t)).collect();
                if tasks.is_empty() {
                    return None;
                }
                outside.next_task(&tasks, current, yielding)?
            }
            (None, None) => return None,
        };
        board(|board| board.runs((usize::from(chosen) - FIRST_ACTOR) as u8));
        Some(chosen)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
