//! The invariants of the design's table, each a small function: what is compared, and when.
//!
//! The ones that a single step can break are called from the place that takes the step;
//! [`Machine::check_quiescent`](crate::Machine::check_quiescent) looks at everything when nobody is doing anything.
//!
//! | Room | Invariants |
//! |---|---|
//! | `refs` | REF, PIN, UAF: counts, and the end of a page with all that must be gone by then |
//! | `maps` | MAP, RMAP, PTE: entries and the pages they name |
//! | `exclusive` | EXCL, TLB, COW: who may reach a page beside whom |
//! | `lists` | LRU, CHARGE: a page on its way to the LRU and off it |
//! | `data` | DATA: the words that reads must see |
//! | `words` | COUNT, WORD: what setup and pages say to the driver |
//! | `quiet` | all that can be told when nobody runs; LOCK, NOTIFY and PAIR are whole only there |

mod data;
mod exclusive;
mod lists;
mod maps;
mod quiet;
mod refs;
mod words;

pub use words::{word_allowed, WordStage};
