//! How the machine keeps its words here: one thread, everything on the heap, small.

use core::sync::atomic::{fence, AtomicU32, Ordering};
use migrate_pin_sim::sync::{Heap, Shared, SpinMonitor, Synchronisation};

/// The ledger is compared with the machine at every step: what breaks is noticed where it breaks, and also what would have
/// mended itself by the end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stepwise;

/// The ledger is kept, and compared when all is quiet: less is noticed, more is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

macro_rules! one_thread {
    ($name:ident, stepwise $stepwise:literal) => {
        impl Synchronisation for $name {
            type U32 = AtomicU32;
            type Monitor = SpinMonitor<1>;
            type Array<T: Send + Sync, const N: usize> = Heap<T, N>;
            type Room<T: Send + Sync> = Shared<T>;
            const LEDGER: bool = true;
            const STEPWISE: bool = $stepwise;
            const WEAK_MEMORY: bool = false;
            const RMW_IS_FULL: bool = true;
            fn fence() {
                fence(Ordering::SeqCst);
            }
        }
    };
}
one_thread!(Stepwise, stepwise true);
one_thread!(Quiet, stepwise false);
