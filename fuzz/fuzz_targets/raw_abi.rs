//! Arbitrary bytes between the calls of the raw border: refused, and nothing changed.
#![no_main]

use migrate_pin_fuzz::raw_abi;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| raw_abi::target(bytes));
