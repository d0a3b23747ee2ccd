//! *gup*: short references and DMA pins, by GUP-fast and the slow way, before, while and after a page is acquired.

use super::short::*;
use crate::event::Event;
use crate::paths::populate::Populate;
use crate::race::Race;
use crate::scenario::{By, Step};

pub(super) fn races() -> Vec<Race> {
    vec![
        race(
            "gup-before",
            "a short reference from before is written through and put while the page is acquired",
            &[&[acquire(1, 1)], &[Step::GupWrite(9), Step::GupPut]],
            &[Event::Pinned, Event::OlderReference],
        )
        .given(&[By(1, gup(1))]),
        race(
            "gup-while",
            "a short reference is taken while the page is acquired",
            &[&[acquire(1, 1)], &[gup(1), Step::GupWrite(9), Step::GupPut]],
            &[
                Event::GupFast,
                Event::GupFastBackedOut,
                Event::GupSlow,
                Event::FaultedBack,
            ],
        ),
        race(
            "gup-after",
            "a short reference is taken on a pinned page that the device writes",
            &[
                &[Step::DeviceAdd(1, 1)],
                &[gup(1), Step::GupWrite(9), Step::GupPut],
            ],
            &[Event::GupSlow, Event::FaultedBack, Event::DeviceFault],
        )
        .given(ACQUIRED),
        race(
            "dma-before",
            "a page under a DMA pin is refused, until the pin is gone",
            &[&[acquire(1, 1)], &[Step::GupWrite(9), Step::GupPut]],
            &[Event::PinRefused, Event::Pinned],
        )
        .given(&[By(1, dma_pin(1))]),
        race(
            "dma-while",
            "a DMA pin is taken while the page is acquired",
            &[
                &[acquire(1, 1)],
                &[dma_pin(1), Step::GupWrite(9), Step::GupPut],
            ],
            &[
                Event::GupPinned,
                Event::GupFast,
                Event::GupSlow,
                Event::PinRefused,
                Event::FaultedBack,
            ],
        ),
        // Who pins raises the count and then looks at the fork's sequence number, who forks raises that and then looks at the count: one
        // must see the other, or the child shares a page that DMA writes. That takes a full barrier on both sides, so only
        // loom can miss one.
        Race {
            never: &[Event::GupStaleWrite],
            ..race(
                "dma-fork",
                "a page is pinned for DMA while its process forks",
                &[
                    &[Step::Fork(B)],
                    &[dma_pin(1), Step::GupWrite(9), Step::GupPut],
                ],
                &[Event::GupPinned],
            )
        },
        race(
            "dma-after",
            "a DMA pin is taken on a pinned page that the device writes",
            &[
                &[Step::DeviceAdd(1, 1)],
                &[dma_pin(1), Step::GupWrite(9), Step::GupPut],
            ],
            &[Event::GupSlow, Event::GupPinned, Event::FaultedBack],
        )
        .given(ACQUIRED),
        race(
            "dma-slow-while",
            "a DMA pin has to fault the page in from swap while it is acquired",
            &[&[acquire(1, 1)], &[dma_pin(1), Step::GupPut]],
            &[Event::GupSlow, Event::SwapIn, Event::Pinned],
        )
        .standing(&[(A, 1, Populate::Swapped(7))]),
        race(
            "gup-to-device",
            "a short reference is taken while the page is migrated to a device",
            &[&[TO_DEVICE], &[gup(1), Step::GupWrite(9), Step::GupPut]],
            &[
                Event::GupFastBackedOut,
                Event::MigratedToDevice,
                Event::MigratedToSystem,
            ],
        ),
        race(
            "dma-huge",
            "a DMA pin on a huge page that is split to be migrated",
            &[&SPLIT, &[dma_pin(1), Step::GupPut]],
            &[Event::HugePageSplit, Event::HugeSplitFailed, Event::GupFast],
        )
        .standing(&[(A, 0, Populate::Huge(7))]),
    ]
}
