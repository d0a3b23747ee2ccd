// SPDX-License-Identifier: GPL-2.0-only
//! The scenarios.

use crate::{Scenario, Select::Device, Select::System, Step::*};

macro_rules! scenarios {
    ($($name:literal: $($step:expr),* ;)*) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[
            $(Scenario { name: $name, steps: &[$($step),*] }),*
        ];
    };
}

scenarios! {
    "words of a written page": Write(0, 7), Words((0, 1), false, System);
    "words of a written page, to be pinned": Write(0, 7), Words((0, 1), true, System), Read(0);
    "words of a hole": Words((0, 2), false, System);
    "words of a hole, to be pinned": Words((0, 2), true, System);
    "words of an empty entry": Write(0, 7), Words((0, 2), false, System);
    "words of an empty entry, to be pinned": Write(0, 7), Words((0, 2), true, System);
    "words of the zero page": Read(0), Words((0, 1), false, System);
    "words of the zero page, to be pinned": Read(0), Words((0, 1), true, System);
    "words of a page that may not be written": Write(0, 7), Protect((0, 1), false), Words((0, 1), false, System);
    "words of a shared page": Write(0, 7), Fork, Words((0, 1), false, System), ChildRead(0);
    "words of a shared page, to be pinned": Write(0, 7), Fork, Words((0, 1), true, System), ChildRead(0);
    "words of a page under a DMA pin": Write(0, 7), DmaPin(0), Words((0, 1), false, System), DmaUnpin;
    "words of a page under a DMA pin, to be pinned": Write(0, 7), DmaPin(0), Words((0, 1), true, System), DmaUnpin;
    "words of a device page, system selected": Write(0, 7), Migrate((0, 1)), Words((0, 1), false, System);
    "words of a device page": Write(0, 7), Migrate((0, 1)), Words((0, 1), false, Device), Read(0);
    "words of a device page, to be pinned": Write(0, 7), Migrate((0, 1)), Words((0, 1), true, Device);
    "words of a pinned page": Write(0, 7), Acquire((0, 1)), Words((0, 1), false, Device), Read(0);
    "words of system memory, device selected": Write(0, 7), Words((0, 2), false, Device);
    "words of many kinds": Write(0, 7), Read(1), Write(3, 9), Acquire((3, 1)), Words((0, 4), false, System);
    "words of many kinds, to be pinned": Write(0, 7), Read(1), Write(3, 9), Acquire((3, 1)), Words((0, 4), true, System);
    "pin and fault": Write(0, 7), Acquire((0, 1)), DeviceAdd(0, 3), Read(0);
    "pin and write": Write(0, 7), Acquire((0, 1)), Write(0, 9), DeviceAdd(0, 1), Read(0);
    "pin twice": Write(0, 7), Acquire((0, 1)), Acquire((0, 1)), DeviceAdd(0, 1), Read(0);
    "pin, fault, pin": Write(0, 7), Acquire((0, 1)), DeviceAdd(0, 1), Read(0), Acquire((0, 1)), DeviceAdd(0, 1), Read(0);
    "pin some of a range": Write(0, 7), Write(2, 8), Acquire((0, 4)), DeviceAdd(2, 1), Read(2), Read(0);
    "pin a hole": Acquire((0, 2)), DeviceAdd(0, 1);
    "pin the zero page": Read(0), Acquire((0, 1)), Read(0);
    "pin what may not be written": Write(0, 7), Protect((0, 1), false), Acquire((0, 1)), DeviceAdd(0, 1), Read(0);
    "pin what a child shares": Write(0, 7), Fork, Acquire((0, 1)), Read(0), ChildRead(0);
    "pin what a child shared": Write(0, 7), Fork, ChildExit, Acquire((0, 1)), Write(0, 8), Acquire((0, 1)), DeviceAdd(0, 1), Read(0);
    "pin what was copied on write": Write(0, 7), Fork, Write(0, 8), Acquire((0, 1)), DeviceAdd(0, 1), ChildRead(0), Read(0);
    "pin under a DMA pin": Write(0, 7), Write(1, 8), DmaPin(0), Acquire((0, 2)), DmaUnpin, Acquire((0, 2)), Read(0), Read(1);
    "fork while pinned": Write(0, 7), Acquire((0, 1)), DeviceAdd(0, 1), Fork, DeviceAdd(0, 1), ChildRead(0), Read(0);
    "fork while pinned, parent first": Write(0, 7), Acquire((0, 1)), Fork, Write(0, 9), ChildRead(0), Read(0);
    "fork while pinned, child writes": Write(0, 7), Acquire((0, 1)), Fork, ChildWrite(0, 9), Read(0), ChildRead(0);
    "fork while pinned, child exits": Write(0, 7), Acquire((0, 1)), Fork, ChildExit, Read(0);
    "fork while pinned, parent unmaps": Write(0, 7), Acquire((0, 1)), DeviceAdd(0, 5), Fork, Unmap((0, 1)), ChildRead(0);
    "munmap while pinned": Write(0, 7), Write(1, 8), Acquire((0, 2)), Unmap((0, 1)), Read(1);
    "mprotect while pinned": Write(0, 7), Acquire((0, 1)), Protect((0, 1), false), DeviceAdd(0, 1), Read(0);
    "mprotect there and back while pinned": Write(0, 7), Acquire((0, 1)), Protect((0, 1), false), Protect((0, 1), true), DeviceAdd(0, 1), Write(0, 9), Read(0);
    "dontneed while pinned": Write(0, 7), Acquire((0, 1)), DontNeed((0, 1)), DeviceAdd(0, 1), Read(0);
    "free while pinned": Write(0, 7), Acquire((0, 1)), Free((0, 1)), DeviceAdd(0, 1), Read(0);
    "revoke": Write(0, 7), Write(1, 8), Acquire((0, 2)), DeviceAdd(1, 1), Revoke((0, 2)), DeviceAdd(1, 1), Read(1);
    "revoke what is none": Write(0, 7), Read(1), Revoke((0, 4));
    "migrate and fault": Write(0, 7), Migrate((0, 1)), Read(0);
    "migrate holes": Write(1, 7), Migrate((0, 4)), Read(0), Read(1), Write(2, 5);
    "migrate the zero page": Read(0), Migrate((0, 1)), Write(0, 4), Read(0);
    "migrate what a child shares": Write(0, 7), Fork, Migrate((0, 1)), ChildRead(0), Read(0);
    "migrate and fork": Write(0, 7), Migrate((0, 1)), Fork, ChildWrite(0, 9), Read(0), ChildRead(0);
    "migrate and munmap": Write(0, 7), Migrate((0, 1)), Unmap((0, 1));
    "migrate, then pin what came home": Write(0, 7), Migrate((0, 1)), Read(0), Acquire((0, 1)), DeviceAdd(0, 1), Read(0);
    "migrate what is pinned": Write(0, 7), Acquire((0, 1)), Migrate((0, 1)), DeviceAdd(0, 1), Read(0);
    "pin what is migrated": Write(0, 7), Migrate((0, 1)), Acquire((0, 1)), Read(0);
}
