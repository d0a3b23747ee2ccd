//! The schedule as input: more actors and pages than can be exhausted.
#![no_main]

use migrate_pin_fuzz::interleave;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| interleave::target(bytes));
