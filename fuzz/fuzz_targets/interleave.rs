//! Actors stepped one primitive at a time, in the order that the bytes say.
#![no_main]

use migrate_pin_fuzz::interleave;
use migrate_pin_sim::engine::meetings::MEETINGS_TOLD;
use std::sync::atomic::AtomicU8;

/// Where libFuzzer looks for more counters, if it can.
#[cfg_attr(target_os = "linux", link_section = "__libfuzzer_extra_counters")]
static MET: [AtomicU8; MEETINGS_TOLD] = [const { AtomicU8::new(0) }; MEETINGS_TOLD];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| interleave::target(bytes, &MET));
