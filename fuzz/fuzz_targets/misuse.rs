//! A driver that breaks the protocol in every way that the types allow: an error, and the machine stays sound.
#![no_main]

use migrate_pin_fuzz::misuse;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| misuse::target(bytes));
