// SPDX-License-Identifier: GPL-2.0-only
//! The conformance scenarios on the simulated machine. With the name of a seeded bug the machine is wrong on purpose.

use migrate_pin_conformance::{
    run, Entry, Look, Page, Pages, Select, Words, World, PAGES, SCENARIOS,
};
use migrate_pin_core::ops::Range;
use migrate_pin_core::{Access, PolicyKind, PteBits, ShapeKind, SrcPfn, PAGE_SIZE};
use migrate_pin_sim::config::*;
use migrate_pin_sim::{
    Bug, DeviceOp, GupFlags, GupRef, LruState, Machine, Progress, Purpose, Spin,
};

const PARENT: ActorId = ActorId(0);
const CHILD: ActorId = ActorId(1);
const MM: MmId = MmId(0);
const CHILD_MM: MmId = MmId(1);
const DEVICE: DeviceId = DeviceId(0);

const CONFIG: Config<'static> = Config {
    shape: ShapeKind::V6_12,
    policy: PolicyKind::Hardened,
    actors: &[
        ActorSpec {
            cpu: 0,
            mm: Some(MM),
        },
        ActorSpec {
            cpu: 1,
            mm: Some(CHILD_MM),
        },
    ],
    ..Config::SMALL
};

struct Simulated {
    machine: Box<Machine<Spin>>,
    gup: Option<GupRef>,
    device_pages: usize,
}

fn at(page: usize) -> usize {
    page * PAGE_SIZE
}

fn range((first, n): Pages) -> Range {
    Range {
        start: at(first),
        end: at(first + n),
    }
}

fn done<T>(progress: Progress<T>) -> T {
    progress
        .done()
        .expect("nobody else runs that could block it")
}

impl Simulated {
    fn new(bug: Option<Bug>) -> Self {
        let machine = Box::new(Machine::new(&CONFIG).expect("a valid configuration"));
        if let Some(bug) = bug {
            machine.seed(bug);
        }
        let device_pages = machine.free_device_pages(DEVICE);
        Self {
            machine,
            gup: None,
            device_pages,
        }
    }
}

impl World for Simulated {
    fn write(&mut self, page: usize, value: u32) {
        done(self.machine.cpu(PARENT).write(at(page), value)).expect("a write");
    }
    fn read(&mut self, page: usize) -> u32 {
        done(self.machine.cpu(PARENT).read(at(page))).expect("a read")
    }
    fn fork(&mut self) {
        done(self.machine.cpu(PARENT).fork(CHILD_MM)).expect("a fork");
    }
    fn child_read(&mut self, page: usize) -> u32 {
        done(self.machine.cpu(CHILD).read(at(page))).expect("a read")
    }
    fn child_write(&mut self, page: usize, value: u32) {
        done(self.machine.cpu(CHILD).write(at(page), value)).expect("a write");
    }
    fn child_exit(&mut self) {
        done(self.machine.cpu(CHILD).exit());
    }
    fn dont_need(&mut self, pages: Pages) {
        done(self.machine.cpu(PARENT).dontneed(range(pages))).expect("madvise");
    }
    fn free(&mut self, pages: Pages) {
        done(self.machine.cpu(PARENT).madv_free(range(pages))).expect("madvise");
    }
    fn unmap(&mut self, pages: Pages) {
        done(self.machine.cpu(PARENT).munmap(range(pages))).expect("munmap");
    }
    fn protect(&mut self, pages: Pages, write: bool) {
        done(self.machine.cpu(PARENT).mprotect(range(pages), write)).expect("mprotect");
    }
    fn dma_pin(&mut self, page: usize) {
        let flags = GupFlags {
            write: true,
            pin: true,
        };
        let pin = done(self.machine.cpu(PARENT).gup_slow(at(page), flags));
        self.gup = Some(pin.expect("gup"));
    }
    fn dma_unpin(&mut self) {
        let pin = self.gup.take().expect("a pin");
        done(self.machine.cpu(PARENT).gup_dirty(&pin));
        self.machine.cpu(PARENT).gup_put(pin);
    }
    fn acquire(&mut self, pages: Pages) -> (u64, u64) {
        let device = self.machine.cpu(PARENT).device(DEVICE, MM);
        let acquired = done(device.acquire(range(pages), Access::Write)).expect("acquire");
        (acquired.granted as u64, acquired.left as u64)
    }
    fn revoke(&mut self, pages: Pages) -> u64 {
        let device = self.machine.cpu(PARENT).device(DEVICE, MM);
        done(device.give_back(range(pages))).expect("revoke") as u64
    }
    fn device_add(&mut self, page: usize, value: u32) -> Option<u32> {
        let device = self.machine.cpu(PARENT).device(DEVICE, MM);
        device.access(at(page), DeviceOp::Add(value))
    }
    fn migrate(&mut self, pages: Pages) -> u64 {
        let device = self.machine.cpu(PARENT).device(DEVICE, MM);
        done(device.migrate_to_device(range(pages))).expect("migrate") as u64
    }
    fn words(&mut self, pages: Pages, pin: bool, select: Select) -> Words {
        let device = self.machine.cpu(PARENT).device(DEVICE, MM);
        let purpose = match select {
            Select::System => Purpose::Pin(Access::Write),
            Select::Device => Purpose::ToSystem,
        };
        let word = if pin { SrcPfn::PIN } else { SrcPfn::NONE };
        let words = [word; PAGES];
        let mut out = Words {
            setup: 0,
            pages: 0,
            finalize: 0,
            cpages: 0,
            flags: Vec::new(),
        };
        let asked = &words[..pages.1];
        let mut session = match done(device.setup_words(range(pages), purpose, asked)) {
            Ok(session) => session,
            Err(error) => {
                out.setup = error.errno();
                return out;
            }
        };
        out.cpages = session.cpages;
        if let Err(error) = device.pages(&mut session) {
            out.pages = error.errno();
        }
        let flags = session.src.iter().map(|word| word.raw() as u8 & 0x3f);
        out.flags = flags.collect();
        device.finalize(session);
        out
    }
    fn look(&mut self, page: usize) -> Look {
        for actor in [PARENT, CHILD] {
            self.machine.cpu(actor).drain_lru();
        }
        use migrate_pin_sim::Entry as Sim;
        let entry = self.machine.entry(MM, page);
        let named = match entry {
            Sim::Page(page, _) | Sim::DevicePrivate(page, _) => Some(page),
            _ => None,
        };
        let present = matches!(entry, Sim::Page(..));
        Look {
            entry: match entry {
                Sim::None => Entry::None,
                Sim::Zero(_) => Entry::Zero,
                Sim::Page(..) => Entry::Page,
                Sim::DevicePrivate(..) => Entry::Device,
                Sim::Special(_) | Sim::Swap(..) | Sim::Migration(..) | Sim::Other => Entry::Other,
            },
            write: entry.bits().contains(PteBits::WRITE),
            dirty: present && entry.bits().contains(PteBits::DIRTY),
            young: present && entry.bits().contains(PteBits::YOUNG),
            page: named.map(|page| (page.0 as u64, self.page(page.0 as u64))),
        }
    }
    fn page(&mut self, name: u64) -> Page {
        let page = migrate_pin_core::Pfn(name as usize);
        let state = self.machine.page(page).expect("a page frame");
        Page {
            count: state.count,
            mapcount: state.mapcount,
            lru: state.lru == LruState::Listed,
            locked: state.locked,
            pinned: state.record.is_some(),
        }
    }
    fn totals(&mut self) -> (u64, u64) {
        let pinned = self
            .machine
            .pfns()
            .filter_map(|page| self.machine.page(page)?.record);
        let used = self.device_pages - self.machine.free_device_pages(DEVICE);
        (pinned.count() as u64, used as u64)
    }
}

fn main() {
    let name = std::env::args().nth(1);
    let bug = name.map(|name| {
        let known = Bug::ALL.iter().find(|bug| format!("{bug:?}") == name);
        *known.unwrap_or_else(|| panic!("no seeded bug {name}"))
    });
    for scenario in SCENARIOS {
        let mut world = Simulated::new(bug);
        print!("{}", run(&mut world, scenario));
        if bug.is_none() {
            let violations = world.machine.violations();
            assert!(violations.is_empty(), "{}: {violations:?}", scenario.name);
        }
    }
}
