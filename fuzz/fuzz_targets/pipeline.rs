//! Arbitrary machine state, a driver that follows the protocol: nothing breaks, and memory reads as the model says.
#![no_main]

use migrate_pin_fuzz::pipeline;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pipeline::target(bytes));
