//! The same input through both policies: equal wherever `AsPosted` breaks nothing.
#![no_main]

use migrate_pin_fuzz::policies;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| policies::target(bytes));
