// SPDX-License-Identifier: GPL-2.0-only
//! Instructions a page, where the guest's clock counts them (`-icount`): the stock code and core, one after the other
//! in one boot, the same migration.

use std::fs;

use crate::device::Device;
use crate::memory::{Memory, PAGE};

const MIGRATE: u64 = 0;
const PIN: u64 = 1;
const EXCLUSIVE: u64 = 2;
const SWITCH: &str = "/sys/kernel/debug/migrate_pin/enabled";
const ROUNDS: u64 = 3;

/// One run on fresh memory, which comes home afterwards.
fn once(device: &Device, npages: usize, what: u64) -> [u64; 5] {
    let memory = Memory::written(npages).expect("memory");
    assert_eq!(memory.npages * PAGE, npages * PAGE);
    let ticks = device.speed(memory.addr, npages, what).expect("speed");
    assert_eq!(ticks[3], npages as u64, "all pages move");
    for i in 0..npages {
        assert_eq!(memory.read(i), 1000 + i as u64);
    }
    ticks
}

fn switch(on: bool) {
    fs::write(SWITCH, if on { "1" } else { "0" }).expect(SWITCH);
}

/// A page's share, with one place behind the point.
fn share(ticks: u64, npages: usize) -> String {
    let tenths = ticks * 10 / (npages as u64 * ROUNDS);
    format!("{}.{}", tenths / 10, tenths % 10)
}

pub fn speed() {
    let device = Device::open(0).expect("a device");
    println!("pages who setup pages finalize (instructions a page)");
    for log in 0..=12 {
        let npages = 1 << log;
        // Once to warm the caches of the allocator.
        let mut sums = [[0; 5]; 4];
        for round in 0..=ROUNDS {
            for (kind, sum) in sums.iter_mut().enumerate() {
                switch(kind == 1);
                let what = [MIGRATE, MIGRATE, PIN, EXCLUSIVE][kind];
                let ticks = once(&device, npages, what);
                if round > 0 {
                    for (sum, ticks) in sum.iter_mut().zip(ticks) {
                        *sum += ticks;
                    }
                }
            }
        }
        for (who, sum) in ["stock", "core"].iter().zip(sums) {
            let shares: Vec<_> = sum[..3].iter().map(|ticks| share(*ticks, npages)).collect();
            println!("{npages} {who} {}", shares.join(" "));
        }
        let whole: u64 = sums[1][..3].iter().sum();
        let stock: u64 = sums[0][..3].iter().sum();
        println!("{npages} ratio {}", whole * 1000 / stock);
        println!(
            "{npages} pin {} copy {} exclusive {}",
            share(sums[2][4], npages),
            share(sums[1][4], npages),
            share(sums[3][4], npages)
        );
    }
    switch(false);
}
