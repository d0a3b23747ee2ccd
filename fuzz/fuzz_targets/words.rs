//! Arbitrary words, ranges and lengths at the border: an error that has changed nothing, or a valid migration.
#![no_main]

use migrate_pin_fuzz::words;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| words::target(bytes));
