//! Actors stepped one primitive at a time, in the order that the bytes say.
#![no_main]

use migrate_pin_fuzz::interleave;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| interleave::target(bytes));
