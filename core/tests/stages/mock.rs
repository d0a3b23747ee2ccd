//! A small machine: arrays of pages and entries, whose primitives have plain, consistent effects, and a script
//! that lets chosen calls fail or others act between two calls. What the kernel forbids, it panics on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use migrate_pin_core::trace::{Call, Primitive, Trace};
use migrate_pin_core::{
    Access, Device, HugePmd, Mapping, MmOps, NoMemory, NotifyEvent, Owner, Pfn, PinRecord, PmdKind,
    PmdSpan, Present, Pte, PteBits, Range, Revoked, ShapeKind, VmaFacts, VmaFlags, Zone,
    GUP_PIN_COUNTING_BIAS, PAGE_SIZE,
};

/// The handle of the one area there is.
pub(crate) type Vma = u8;
pub(crate) const VMA: Vma = 7;
/// Where it starts.
pub(crate) const BASE: usize = 0x7_0000_0000;
/// How many pages it has, unless it is a [large](Machine::large) one.
pub(crate) const PAGES: usize = 8;
/// The driver.
pub(crate) const OWN: Owner = Owner(0xd0);
/// Another driver.
pub(crate) const OTHER: Owner = Owner(0xd1);

/// A page is named by a letter, which is its pfn: `A`..`M` are in use, `N`..`Z` are free system pages; `a`..`m`
/// are device-private and ours, `n`..`q` another's, `r` is device-coherent and ours, `s` another's, `t` other
/// device memory. Of the letters of [`system`] and [`private`] there is one for each page of a large area.
pub(crate) const fn p(letter: char) -> Pfn {
    Pfn(letter as usize)
}

/// The `nth` system page of a [large](Machine::large) machine.
pub(crate) fn system(nth: usize) -> char {
    assert!(nth < 0x100);
    name(Pfn(0x400 + nth))
}

/// The `nth` of its device-private pages, which are ours.
pub(crate) fn private(nth: usize) -> char {
    assert!(nth < 0x100);
    name(Pfn(0x500 + nth))
}

pub(crate) const fn at(index: usize) -> usize {
    BASE + index * PAGE_SIZE
}

pub(crate) const fn span(from: usize, until: usize) -> Range {
    Range {
        start: at(from),
        end: at(until),
    }
}

pub(crate) const W: PteBits = PteBits::WRITE;
pub(crate) const R: PteBits = PteBits::empty();

pub(crate) fn present(letter: char, bits: PteBits) -> Pte {
    Pte::Present(Present::Page(p(letter)), bits)
}

pub(crate) fn device(letter: char, bits: PteBits) -> Pte {
    Pte::DevicePrivate(p(letter), bits)
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) count: u32,
    pub(crate) mapcount: u32,
    /// References of others, in `count` too.
    pub(crate) extra: u32,
    pub(crate) locked: bool,
    pub(crate) lru: bool,
    /// In the batch of this CPU (0) or another (1).
    pub(crate) batch: Option<u8>,
    pub(crate) isolated: bool,
    pub(crate) mapping: Mapping,
    pub(crate) zone: Zone,
    pub(crate) compound: bool,
    pub(crate) private: bool,
    pub(crate) dirty: bool,
    pub(crate) exclusive: bool,
    pub(crate) uptodate: bool,
    pub(crate) charged: bool,
    pub(crate) frozen: bool,
    /// The cache's slot holds it.
    pub(crate) in_slot: bool,
    /// Whose identity, contents and state it got.
    pub(crate) identity: Option<Pfn>,
    pub(crate) contents: Option<Pfn>,
    pub(crate) states: Option<Pfn>,
    pub(crate) claimed: bool,
    pub(crate) record: Option<PinRecord>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) shape: ShapeKind,
    pub(crate) pages: Vec<Page>,
    pub(crate) flags: VmaFlags,
    pub(crate) ptes: Vec<Pte>,
    /// Entries elsewhere, that only the rmap finds.
    pub(crate) others: Vec<Pte>,
    /// Pages a pmd covers, and what the pmds are.
    pub(crate) pmd_pages: usize,
    pub(crate) pmds: Vec<PmdKind>,
    /// What is behind a huge pmd.
    pub(crate) huge: HugePmd,
    pub(crate) pmd_locked: bool,
    pub(crate) ptl: Option<usize>,
    pub(crate) cache_locked: Option<Pfn>,
    pub(crate) sections: Vec<(Range, NotifyEvent, Option<Owner>)>,
    pub(crate) anon_vma: bool,
    pub(crate) userfault: bool,
    pub(crate) unstable: bool,
    /// Pages whose last reference was dropped.
    pub(crate) freed: Vec<Pfn>,
}

type Hook = Box<dyn FnOnce(&mut State)>;

pub(crate) struct Script {
    /// How often each primitive was called.
    calls: [usize; Primitive::ALL.len()],
    fails: Vec<(Primitive, usize)>,
    hooks: Vec<(Primitive, usize, Option<Hook>)>,
    /// What the next looks at a pmd find, whatever there is.
    pub(crate) pmd_looks: VecDeque<PmdKind>,
    pub(crate) huge_looks: VecDeque<HugePmd>,
    /// How far the next looks reach, whatever is there.
    pub(crate) untils: VecDeque<usize>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            calls: [0; Primitive::ALL.len()],
            fails: Vec::new(),
            hooks: Vec::new(),
            pmd_looks: VecDeque::new(),
            huge_looks: VecDeque::new(),
            untils: VecDeque::new(),
        }
    }
}

/// A handle on the machine.
#[derive(Clone)]
pub(crate) struct Machine(Rc<(RefCell<State>, RefCell<Script>)>);

fn zone(page: Pfn) -> Zone {
    match name(page) {
        'a'..='m' | '\u{500}'..='\u{5ff}' => Zone::DevicePrivate(OWN),
        'n'..='q' => Zone::DevicePrivate(OTHER),
        'r' => Zone::DeviceCoherent(OWN),
        's' => Zone::DeviceCoherent(OTHER),
        't' => Zone::DeviceOther,
        _ => Zone::System,
    }
}

impl State {
    /// The count at which a page is free.
    pub(crate) fn floor(&self, page: Pfn) -> u32 {
        let device = self[page].zone.is_device();
        u32::from(device && self.shape == ShapeKind::V5_11)
    }

    /// A page of the driver's that it took: locked, with a reference.
    pub(crate) fn alloc(&mut self, page: Pfn) {
        let floor = self.floor(page);
        let page = &mut self[page];
        assert_eq!(page.count, floor, "not free");
        assert!(!page.locked);
        page.count = floor + 1;
        page.locked = true;
        page.mapping = Mapping::None;
        (page.identity, page.states, page.contents) = (None, None, None);
    }

    /// A mapped anonymous page on the LRU.
    pub(crate) fn anon(&mut self, index: usize, letter: char, bits: PteBits) {
        self.page_in(letter, Mapping::Anon);
        self.map(index, letter, bits);
    }

    /// A page in use that nothing maps yet.
    pub(crate) fn page_in(&mut self, letter: char, mapping: Mapping) {
        let floor = self.floor(p(letter));
        let page = &mut self[p(letter)];
        page.count = floor + u32::from(mapping.cached());
        page.mapping = mapping;
        page.in_slot = mapping.cached();
        page.lru = !page.zone.is_device();
        page.uptodate = true;
        page.charged = true;
    }

    /// Map a page that is in use.
    pub(crate) fn map(&mut self, index: usize, letter: char, bits: PteBits) {
        self.ptes[index] = match self[p(letter)].zone.is_device_private() {
            true => device(letter, bits),
            false => present(letter, bits),
        };
        let page = &mut self[p(letter)];
        page.mapcount += 1;
        page.count += 1;
    }

    /// Map it from elsewhere.
    pub(crate) fn map_elsewhere(&mut self, letter: char, bits: PteBits) {
        self.others.push(present(letter, bits));
        let page = &mut self[p(letter)];
        page.mapcount += 1;
        page.count += 1;
    }

    /// Somebody takes so many references.
    pub(crate) fn get(&mut self, letter: char, references: u32) {
        self[p(letter)].count += references;
        self[p(letter)].extra += references;
    }

    fn put(&mut self, page: Pfn) {
        let floor = self.floor(page);
        assert!(self[page].count > floor, "{page} put once too often");
        self[page].count -= 1;
        if self[page].count == floor {
            let this = &mut self[page];
            assert!(
                !this.locked && this.mapcount == 0 && !this.lru,
                "{page} freed in use"
            );
            assert!(this.record.is_none(), "{page} freed while pinned");
            this.isolated = false;
            this.mapping = Mapping::None;
            self.freed.push(page);
        }
    }

    fn drain(&mut self, cpus: &[u8]) {
        for page in 0..self.pages.len() {
            let this = &mut self.pages[page];
            if this.batch.is_some_and(|cpu| cpus.contains(&cpu)) {
                this.batch = None;
                // Nobody else has it: it is freed instead.
                this.lru = this.count > 1;
                self.put(Pfn(page));
            }
        }
    }

    /// All is quiet: batches are drained.
    pub(crate) fn settle(&mut self) {
        self.drain(&[0, 1]);
    }

    /// All is quiet, and [every count](Self::audit) is right.
    pub(crate) fn audit_settled(&mut self) {
        self.settle();
        self.audit();
    }

    fn entries(&mut self) -> impl Iterator<Item = &mut Pte> {
        self.ptes.iter_mut().chain(self.others.iter_mut())
    }

    fn restore(pages: &mut [Page], pte: &mut Pte, old: Pfn, new: Pfn) {
        let Pte::Migration(page, bits) = *pte else {
            return;
        };
        if page != old {
            return;
        }
        let new_page = &mut pages[new.0];
        new_page.mapcount += 1;
        new_page.count += 1;
        new_page.exclusive |= bits.contains(PteBits::EXCLUSIVE);
        let bits = bits - PteBits::EXCLUSIVE;
        *pte = match new_page.zone.is_device_private() {
            true => Pte::DevicePrivate(new, bits),
            false => Pte::Present(Present::Page(new), bits),
        };
    }

    /// Every count is what the ledger says, and nothing is held: the quiet machine of a policy without defects.
    pub(crate) fn audit(&self) {
        assert!(self.ptl.is_none() && !self.pmd_locked && self.cache_locked.is_none());
        assert!(self.sections.is_empty(), "a notifier section is open");
        for (pfn, page) in self.pages.iter().enumerate() {
            let letter = name(Pfn(pfn));
            let name = Pfn(pfn);
            let of = |pte: &&Pte| matches!(**pte, Pte::Present(Present::Page(page), _) | Pte::DevicePrivate(page, _) if page == name);
            let mapped = self.ptes.iter().chain(&self.others).filter(of).count() as u32;
            let migrating = |pte: &Pte| matches!(*pte, Pte::Migration(page, _) if page == name);
            assert!(
                !self.ptes.iter().chain(&self.others).any(migrating),
                "PTE {letter}"
            );
            assert_eq!(page.mapcount, mapped, "MAP {letter}");
            assert!(!page.locked, "LOCK {letter}");
            assert!(!page.claimed, "claim {letter}");
            assert!(!page.frozen, "frozen {letter}");
            let holders = u32::from(page.isolated)
                + u32::from(page.batch.is_some())
                + u32::from(page.mapping.cached()) * (1 + u32::from(page.private))
                + page.extra
                + mapped
                + self.floor(name);
            let bias = u32::from(page.record.is_some()) * GUP_PIN_COUNTING_BIAS;
            assert_eq!(page.count, holders + bias, "REF {letter}");
            if page.count > self.floor(name) && page.zone == Zone::System {
                let places = [page.lru, page.isolated, page.batch.is_some()];
                assert_eq!(
                    places.iter().filter(|here| **here).count(),
                    1,
                    "LRU {letter}"
                );
            }
            assert_eq!(page.record.is_some(), page.isolated, "PIN {letter}");
        }
    }
}

impl std::ops::Index<Pfn> for State {
    type Output = Page;
    fn index(&self, page: Pfn) -> &Page {
        &self.pages[page.0]
    }
}

impl std::ops::IndexMut<Pfn> for State {
    fn index_mut(&mut self, page: Pfn) -> &mut Page {
        &mut self.pages[page.0]
    }
}

impl Machine {
    /// An empty anonymous writable area, all of it under one page-table page.
    pub(crate) fn new(shape: ShapeKind) -> Self {
        Self::with_pages(shape, PAGES, 128)
    }

    /// The same, of so many pages in page-table pages of `pmd_pages`, with the pages of [`system`] and [`private`].
    pub(crate) fn large(shape: ShapeKind, pages: usize, pmd_pages: usize) -> Self {
        let machine = Self::with_pages(shape, pages, 0x600);
        machine.with(|state| {
            state.pmd_pages = pmd_pages;
            state.pmds = vec![PmdKind::Table; pages.div_ceil(pmd_pages)];
        });
        machine
    }

    fn with_pages(shape: ShapeKind, ptes: usize, pages: usize) -> Self {
        let page = |page: usize| Page {
            count: u32::from(zone(Pfn(page)).is_device() && shape == ShapeKind::V5_11),
            mapcount: 0,
            extra: 0,
            locked: false,
            lru: false,
            batch: None,
            isolated: false,
            mapping: Mapping::None,
            zone: zone(Pfn(page)),
            compound: false,
            private: false,
            dirty: false,
            exclusive: false,
            uptodate: false,
            charged: false,
            frozen: false,
            in_slot: false,
            identity: None,
            contents: None,
            states: None,
            claimed: false,
            record: None,
        };
        let state = State {
            shape,
            pages: (0..pages).map(page).collect(),
            flags: VmaFlags::ANONYMOUS | VmaFlags::WRITE,
            ptes: vec![Pte::None; ptes],
            others: Vec::new(),
            pmd_pages: PAGES,
            pmds: vec![PmdKind::Table],
            huge: HugePmd::Changed,
            pmd_locked: false,
            ptl: None,
            cache_locked: None,
            sections: Vec::new(),
            anon_vma: false,
            userfault: false,
            unstable: false,
            freed: Vec::new(),
        };
        Self(Rc::new((RefCell::new(state), RefCell::default())))
    }

    /// Change the state by hand.
    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0 .0.borrow_mut())
    }

    /// A copy of the state.
    pub(crate) fn state(&self) -> State {
        self.0 .0.borrow().clone()
    }

    pub(crate) fn script(&self) -> std::cell::RefMut<'_, Script> {
        self.0 .1.borrow_mut()
    }

    /// Let the `nth` call from now (from 1) of `primitive` fail.
    pub(crate) fn fail(&self, primitive: Primitive, nth: usize) {
        let mut script = self.script();
        let nth = script.calls[primitive as usize] + nth;
        script.fails.push((primitive, nth));
    }

    /// Just before the `nth` call from now (from 1) of `primitive`, somebody does `what`.
    pub(crate) fn before(
        &self,
        primitive: Primitive,
        nth: usize,
        what: impl FnOnce(&mut State) + 'static,
    ) {
        let mut script = self.script();
        let nth = script.calls[primitive as usize] + nth;
        script.hooks.push((primitive, nth, Some(Box::new(what))));
    }

    /// How often `primitive` was called.
    pub(crate) fn calls(&self, primitive: Primitive) -> usize {
        self.script().calls[primitive as usize]
    }

    /// All that was scripted has happened.
    pub(crate) fn script_done(&self) {
        let script = self.script();
        for (primitive, nth) in &script.fails {
            let made = script.calls[*primitive as usize];
            assert!(made >= *nth, "{primitive:?} {nth} was never called");
        }
        for (primitive, nth, hook) in &script.hooks {
            assert!(hook.is_none(), "{primitive:?} {nth} was never called");
        }
        assert!(script.pmd_looks.is_empty() && script.huge_looks.is_empty());
    }

    /// The machine again, every call recorded in this thread's log.
    pub(crate) fn traced(&self) -> Traced {
        LOG.with(|log| log.borrow_mut().clear());
        Trace::new(self.clone(), record)
    }

    /// A primitive is called: true if it is to fail.
    fn enter(&mut self, primitive: Primitive) -> bool {
        let mut script = self.script();
        script.calls[primitive as usize] += 1;
        let nth = script.calls[primitive as usize];
        assert!(nth < 10_000, "{primitive:?} is called for ever");
        let mut due = Vec::new();
        for (which, when, hook) in &mut script.hooks {
            if *which == primitive && *when == nth {
                due.extend(hook.take());
            }
        }
        let fails = script.fails.contains(&(primitive, nth));
        drop(script);
        for hook in due {
            self.with(hook);
        }
        fails
    }

    fn entry<T>(&self, vma: Vma, addr: usize, change: impl FnOnce(&mut State, usize) -> T) -> T {
        assert_eq!(vma, VMA);
        let index = (addr - BASE) / PAGE_SIZE;
        assert_eq!(addr % PAGE_SIZE, 0);
        self.with(|state| {
            let table = state.ptl.expect("no PTL");
            assert_eq!(table, index / state.pmd_pages, "another table's PTL");
            change(state, index)
        })
    }

    fn look(&self, vma: Vma, addr: usize) -> PmdKind {
        assert_eq!(vma, VMA);
        let scripted = self.script().pmd_looks.pop_front();
        self.with(|state| {
            let here = state.pmds[(addr - BASE) / PAGE_SIZE / state.pmd_pages];
            scripted.unwrap_or(here)
        })
    }
}

pub(crate) type Traced = Trace<Machine, fn(&Call<Vma>)>;

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static FACTS: RefCell<bool> = const { RefCell::new(false) };
}

/// Record facts too, from now on.
pub(crate) fn with_facts() {
    FACTS.with(|facts| *facts.borrow_mut() = true);
}

pub(crate) fn note(line: String) {
    LOG.with(|log| log.borrow_mut().push(line));
}

fn record(call: &Call<Vma>) {
    if let Some(line) = show(call) {
        note(line);
    }
}

/// What was called since the last look is this, one call a line or parted by semicolons.
#[track_caller]
pub(crate) fn expect(expected: &str) {
    let calls = LOG.with(|log| std::mem::take(&mut *log.borrow_mut()));
    FACTS.with(|facts| *facts.borrow_mut() = false);
    let expected: Vec<_> = expected
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if calls != expected {
        let same = calls
            .iter()
            .zip(&expected)
            .take_while(|(a, b)| a == b)
            .count();
        panic!(
            "calls differ from the {same}th:\n{}\n--- expected\n{}\n--- here: {:?} expected {:?}",
            calls.join("; "),
            expected.join("; "),
            calls.get(same),
            expected.get(same)
        );
    }
}

/// The first calls, this many at most, of what was recorded since the last look.
pub(crate) fn first_calls(most: usize) -> Vec<String> {
    let mut calls = LOG.with(|log| log.borrow().clone());
    calls.truncate(most);
    calls
}

/// Throw the log away.
pub(crate) fn forget_calls() {
    FACTS.with(|facts| *facts.borrow_mut() = false);
    LOG.with(|log| log.borrow_mut().clear());
}

fn bits(bits: PteBits) -> String {
    let letters = [
        (PteBits::WRITE, 'w'),
        (PteBits::DIRTY, 'd'),
        (PteBits::YOUNG, 'y'),
        (PteBits::SOFT_DIRTY, 's'),
        (PteBits::UFFD_WP, 'u'),
        (PteBits::EXCLUSIVE, 'x'),
    ];
    let set = letters.iter().filter(|(bit, _)| bits.contains(*bit));
    set.map(|(_, letter)| *letter).collect()
}

fn name(page: Pfn) -> char {
    char::from_u32(page.0 as u32).unwrap()
}

pub(crate) fn entry(pte: Pte) -> String {
    match pte {
        Pte::None => "-".into(),
        Pte::Other => "other".into(),
        Pte::Present(Present::Zero, _) => "zero".into(),
        Pte::Present(Present::Special, _) => "special".into(),
        Pte::Present(Present::Page(page), b) => format!("{}:{}", name(page), bits(b)),
        Pte::DevicePrivate(page, b) => format!("device {}:{}", name(page), bits(b)),
        Pte::Migration(page, b) => format!("migration {}:{}", name(page), bits(b)),
    }
}

fn index(addr: usize) -> String {
    match addr.wrapping_sub(BASE) {
        offset if offset % PAGE_SIZE == 0 && offset / PAGE_SIZE < 100 => {
            (offset / PAGE_SIZE).to_string()
        }
        _ => format!("{addr:#x}"),
    }
}

fn range(range: Range) -> String {
    format!("{}..{}", index(range.start), index(range.end))
}

fn owner(owner: Option<Owner>) -> &'static str {
    match owner {
        None => "nobody",
        Some(OWN) => "own",
        Some(_) => "other",
    }
}

fn failed(result: bool) -> &'static str {
    match result {
        true => "",
        false => " fails",
    }
}

#[rustfmt::skip]
fn show(call: &Call<Vma>) -> Option<String> {
    use Call as C;
    let facts = FACTS.with(|facts| *facts.borrow());
    let n = call.primitive().name();
    Some(match *call {
        C::PageCount { page, .. } | C::PageMapcount { page, .. } | C::PageLru { page, .. }
        | C::PageLocked { page, .. } | C::PinRecord { page, .. } | C::PageExists { page, .. }
        | C::PageZone { page, .. } | C::PageCompound { page, .. } | C::PageMapping { page, .. }
        | C::PageHasPrivate { page, .. } | C::AnonExclusive { page, .. } => {
            if !facts {
                return None;
            }
            format!("{n} {}", name(page))
        }
        C::VmaFacts { .. } => return None,
        C::NotifyStart { range: r, event, owner: o, .. }
        | C::NotifyEnd { range: r, event, owner: o, .. } => {
            format!("{n} {} {event:?} {}", range(r), owner(o))
        }
        C::PmdSpan { addr, end, returned, .. } => {
            format!("{n} {}..{} = {:?} ..{}", index(addr), index(end), returned.kind, index(returned.until))
        }
        C::PmdLockHuge { addr, returned, .. } => format!("{n} {} = {}", index(addr), match returned {
            HugePmd::Page(page) => name(page).to_string(),
            other => format!("{other:?}"),
        }),
        C::SplitHugePage { page, returned } | C::TrylockPage { page, returned }
        | C::IsolateLruPage { page, returned } | C::ShareAnonRmap { page, returned }
        | C::FreeSwapCache { page, returned } | C::CacheHolds { page, returned }
        | C::ClaimDestination { page, returned } | C::GetPageUnlessZero { page, returned } => format!("{n} {}{}", name(page), failed(returned)),
        C::PteAlloc { addr, returned, .. } => format!("{n} {}{}", index(addr), failed(returned.is_ok())),
        C::PteLock { addr, returned, .. } => format!("{n} {}{}", index(addr), failed(returned)),
        C::PmdUnlock { addr, .. } | C::SplitHugePmd { addr, .. } | C::PteUnlock { addr, .. } => {
            format!("{n} {}", index(addr))
        }
        C::PteGet { addr, returned, .. } | C::PteGetAndClear { addr, returned, .. }
        | C::PteClearFlush { addr, returned, .. } => format!("{n} {} = {}", index(addr), entry(returned)),
        C::PteSet { addr, pte, .. } => format!("{n} {} {}", index(addr), entry(pte)),
        C::FlushTlbRange { range: r, .. } => format!("{n} {}", range(r)),
        C::AddNewAnonRmap { page, addr, .. } => format!("{n} {} {}", name(page), index(addr)),
        C::RestorePte { addr, new, .. } => format!("{n} {} {}", index(addr), name(new)),
        C::RemoveMigrationPte { addr, old, new, .. } => format!("{n} {} {} {}", index(addr), name(old), name(new)),
        C::RemoveMigrationPtes { old, new, .. } | C::CacheReplace { old, new, .. } => format!("{n} {} {}", name(old), name(new)),
        C::CopyMapping { new, old, .. } | C::CopyPage { new, old, .. }
        | C::MigrateStates { new, old, .. } => format!("{n} {} {}", name(new), name(old)),
        C::RemoveRmap { page, .. } | C::TryToUnmap { page, .. } | C::UnlockPage { page, .. }
        | C::GetPage { page, .. } | C::PutPage { page, .. } | C::PutbackLruPage { page, .. }
        | C::LruCacheAdd { page, .. } | C::MarkUptodate { page, .. } | C::SetPageDirty { page, .. }
        | C::CacheLock { page, .. } | C::CacheUnlock { page, .. } | C::UnclaimDestination { page, .. }
        | C::PinRemove { page, .. } => format!("{n} {}", name(page)),
        C::PageRefAdd { page, count, .. } | C::PageRefSub { page, count, .. }
        | C::PageRefUnfreeze { page, count, .. } => format!("{n} {} {count}", name(page)),
        C::PageRefFreeze { page, expected, returned } => format!("{n} {} {expected}{}", name(page), failed(returned)),
        C::LruAddDrain { .. } | C::LruAddDrainAll { .. } | C::FlushTlbAll { .. } => n.to_string(),
        C::MemCgroupCharge { page, returned, .. } => format!("{n} {}{}", name(page), failed(returned.is_ok())),
        C::AnonVmaPrepare { returned, .. } => format!("{n}{}", failed(returned.is_ok())),
        C::AddressSpaceStable { returned, .. } | C::UserfaultfdMissing { returned, .. } => format!("{n} = {returned}"),
        C::PinInsert { page, owner: o, returned } => format!("{n} {} {}{}", name(page), owner(Some(o)), failed(returned.is_ok())),
        C::PinPair { page, device, .. } => format!("{n} {} {}", name(page), name(device)),
        C::Never(..) => return None,
    })
}

use Primitive as P;

impl MmOps for Machine {
    type Vma = Vma;

    fn vma_facts(&mut self, vma: Vma) -> VmaFacts {
        self.enter(P::VmaFacts);
        assert_eq!(vma, VMA);
        VmaFacts {
            range: span(0, self.with(|state| state.ptes.len())),
            flags: self.with(|state| state.flags),
        }
    }

    fn address_space_stable(&mut self, vma: Vma) -> bool {
        let fails = self.enter(P::AddressSpaceStable);
        assert_eq!(vma, VMA);
        !fails && self.with(|state| !state.unstable)
    }

    fn userfaultfd_missing(&mut self, vma: Vma) -> bool {
        self.enter(P::UserfaultfdMissing);
        assert_eq!(vma, VMA);
        self.with(|state| state.userfault)
    }

    fn anon_vma_prepare(&mut self, vma: Vma) -> Result<(), NoMemory> {
        if self.enter(P::AnonVmaPrepare) {
            return Err(NoMemory);
        }
        assert_eq!(vma, VMA);
        self.with(|state| state.anon_vma = true);
        Ok(())
    }

    fn notify_start(&mut self, vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) {
        self.enter(P::NotifyStart);
        assert_eq!(vma, VMA);
        self.with(|state| {
            assert!(state.ptl.is_none(), "sleeps under the PTL");
            state.sections.push((range, event, owner));
        });
    }

    fn notify_end(&mut self, vma: Vma, range: Range, event: NotifyEvent, owner: Option<Owner>) {
        self.enter(P::NotifyEnd);
        assert_eq!(vma, VMA);
        let open = self.with(|state| state.sections.pop());
        assert_eq!(open, Some((range, event, owner)));
    }

    fn pmd_span(&mut self, vma: Vma, addr: usize, end: usize) -> PmdSpan {
        self.enter(P::PmdSpan);
        let kind = self.look(vma, addr);
        let pages = self.with(|state| state.pmd_pages);
        if let Some(until) = self.script().untils.pop_front() {
            return PmdSpan { kind, until };
        }
        let until = BASE + ((addr - BASE) / PAGE_SIZE / pages + 1) * pages * PAGE_SIZE;
        PmdSpan {
            kind,
            until: until.min(end),
        }
    }

    fn pmd_lock_huge(&mut self, vma: Vma, addr: usize) -> HugePmd {
        self.enter(P::PmdLockHuge);
        assert_eq!(vma, VMA);
        let scripted = self.script().huge_looks.pop_front();
        self.with(|state| {
            assert!(!state.pmd_locked);
            state.pmd_locked = true;
            let here = state.pmds[(addr - BASE) / PAGE_SIZE / state.pmd_pages];
            match (scripted, here) {
                (Some(scripted), _) => scripted,
                (None, PmdKind::Huge) => state.huge,
                _ => HugePmd::Changed,
            }
        })
    }

    fn pmd_unlock(&mut self, vma: Vma, _: usize) {
        self.enter(P::PmdUnlock);
        assert_eq!(vma, VMA);
        self.with(|state| assert!(std::mem::take(&mut state.pmd_locked)));
    }

    fn split_huge_pmd(&mut self, vma: Vma, addr: usize) {
        self.enter(P::SplitHugePmd);
        assert_eq!(vma, VMA);
        self.with(|state| {
            assert!(!state.pmd_locked);
            let table = (addr - BASE) / PAGE_SIZE / state.pmd_pages;
            state.pmds[table] = PmdKind::Table;
            let pages = state.pmd_pages;
            for pte in &mut state.ptes[table * pages..(table + 1) * pages] {
                *pte = Pte::Present(Present::Zero, R);
            }
        });
    }

    fn split_huge_page(&mut self, page: Pfn) -> bool {
        if self.enter(P::SplitHugePage) {
            return false;
        }
        self.with(|state| {
            assert!(state[page].locked && state[page].count > 1);
            // The entries behind it were there all along; the huge mapping's reference is theirs.
            state[page].compound = false;
            for pmd in &mut state.pmds {
                if *pmd == PmdKind::Huge {
                    *pmd = PmdKind::Table;
                }
            }
        });
        true
    }

    fn pte_alloc(&mut self, vma: Vma, addr: usize) -> Result<(), NoMemory> {
        if self.enter(P::PteAlloc) {
            return Err(NoMemory);
        }
        assert_eq!(vma, VMA);
        self.with(|state| {
            let pmd = &mut state.pmds[(addr - BASE) / PAGE_SIZE / state.pmd_pages];
            if *pmd == PmdKind::Hole {
                *pmd = PmdKind::Table;
            }
        });
        Ok(())
    }

    fn pte_lock(&mut self, vma: Vma, addr: usize) -> bool {
        if self.enter(P::PteLock) {
            return false;
        }
        assert_eq!(vma, VMA);
        self.with(|state| {
            assert!(state.ptl.is_none(), "the PTL is held");
            state.ptl = Some((addr - BASE) / PAGE_SIZE / state.pmd_pages);
        });
        true
    }

    fn pte_unlock(&mut self, vma: Vma, addr: usize) {
        self.enter(P::PteUnlock);
        self.entry(vma, addr, |state, _| state.ptl = None);
    }

    fn pte_get(&mut self, vma: Vma, addr: usize) -> Pte {
        self.enter(P::PteGet);
        self.entry(vma, addr, |state, index| state.ptes[index])
    }

    fn pte_get_and_clear(&mut self, vma: Vma, addr: usize) -> Pte {
        self.enter(P::PteGetAndClear);
        self.entry(vma, addr, |state, index| {
            std::mem::replace(&mut state.ptes[index], Pte::None)
        })
    }

    fn pte_clear_flush(&mut self, vma: Vma, addr: usize) -> Pte {
        self.enter(P::PteClearFlush);
        self.entry(vma, addr, |state, index| {
            std::mem::replace(&mut state.ptes[index], Pte::None)
        })
    }

    fn pte_set(&mut self, vma: Vma, addr: usize, pte: Pte) {
        self.enter(P::PteSet);
        self.entry(vma, addr, |state, index| state.ptes[index] = pte);
    }

    fn flush_tlb_range(&mut self, vma: Vma, _: Range) {
        self.enter(P::FlushTlbRange);
        assert_eq!(vma, VMA);
    }

    fn flush_tlb_all(&mut self) {
        self.enter(P::FlushTlbAll);
        self.with(|state| assert!(state.ptl.is_none(), "flush_tlb_all() under the PTL"));
    }

    fn anon_exclusive(&mut self, page: Pfn) -> bool {
        self.enter(P::AnonExclusive);
        self.with(|state| state[page].exclusive)
    }

    fn share_anon_rmap(&mut self, page: Pfn) -> bool {
        if self.enter(P::ShareAnonRmap) {
            return false;
        }
        self.with(|state| state[page].exclusive = false);
        true
    }

    fn add_new_anon_rmap(&mut self, page: Pfn, vma: Vma, _: usize) {
        self.enter(P::AddNewAnonRmap);
        assert_eq!(vma, VMA);
        self.with(|state| {
            assert!(state.anon_vma && state.ptl.is_some());
            state[page].mapping = Mapping::Anon;
            state[page].mapcount += 1;
        });
    }

    fn remove_rmap(&mut self, page: Pfn, vma: Vma) {
        self.enter(P::RemoveRmap);
        assert_eq!(vma, VMA);
        self.with(|state| {
            assert!(state.ptl.is_some() && state[page].mapcount > 0);
            state[page].mapcount -= 1;
        });
    }

    fn try_to_unmap(&mut self, page: Pfn) {
        if self.enter(P::TryToUnmap) {
            return;
        }
        self.with(|state| {
            assert!(state[page].locked && state.ptl.is_none());
            let (mut gone, mut dirty) = (0, false);
            for pte in state.entries() {
                let (here, bits) = match *pte {
                    Pte::Present(Present::Page(here), bits) | Pte::DevicePrivate(here, bits) => {
                        (here, bits)
                    }
                    _ => continue,
                };
                if here == page {
                    dirty |= bits.contains(PteBits::DIRTY);
                    *pte = Pte::Migration(page, bits - (PteBits::DIRTY | PteBits::YOUNG));
                    gone += 1;
                }
            }
            state[page].dirty |= dirty;
            state[page].mapcount -= gone;
            state[page].count -= gone;
        });
    }

    fn remove_migration_pte(&mut self, vma: Vma, addr: usize, old: Pfn, new: Pfn) {
        self.enter(P::RemoveMigrationPte);
        assert_eq!(vma, VMA);
        self.with(|state| {
            assert!(state.ptl.is_none() && state[old].locked);
            let State { pages, ptes, .. } = state;
            State::restore(pages, &mut ptes[(addr - BASE) / PAGE_SIZE], old, new);
        });
    }

    fn remove_migration_ptes(&mut self, old: Pfn, new: Pfn) {
        self.enter(P::RemoveMigrationPtes);
        self.with(|state| {
            assert!(state.ptl.is_none() && state[old].locked && state[new].locked);
            let State {
                pages,
                ptes,
                others,
                ..
            } = state;
            for pte in ptes.iter_mut().chain(others) {
                State::restore(pages, pte, old, new);
            }
        });
    }

    fn restore_pte(&mut self, vma: Vma, addr: usize, new: Pfn) {
        self.enter(P::RestorePte);
        self.entry(vma, addr, |state, index| {
            let Pte::Migration(old, bits) = state.ptes[index] else {
                panic!("no migration entry is turned back");
            };
            assert!(bits.intersects(PteBits::WRITE | PteBits::EXCLUSIVE));
            assert!(state[old].locked && state[new].locked);
            let State { pages, ptes, .. } = state;
            State::restore(pages, &mut ptes[index], old, new);
        });
    }

    fn page_exists(&mut self, page: Pfn) -> bool {
        self.enter(P::PageExists);
        self.with(|state| page.0 < state.pages.len())
    }

    fn page_zone(&mut self, page: Pfn) -> Zone {
        self.enter(P::PageZone);
        self.with(|state| state[page].zone)
    }

    fn page_compound(&mut self, page: Pfn) -> bool {
        self.enter(P::PageCompound);
        self.with(|state| state[page].compound)
    }

    fn page_mapping(&mut self, page: Pfn) -> Mapping {
        self.enter(P::PageMapping);
        self.with(|state| state[page].mapping)
    }

    fn page_has_private(&mut self, page: Pfn) -> bool {
        self.enter(P::PageHasPrivate);
        self.with(|state| state[page].private)
    }

    fn page_count(&mut self, page: Pfn) -> u32 {
        self.enter(P::PageCount);
        self.with(|state| state[page].count)
    }

    fn page_mapcount(&mut self, page: Pfn) -> u32 {
        self.enter(P::PageMapcount);
        self.with(|state| state[page].mapcount)
    }

    fn page_lru(&mut self, page: Pfn) -> bool {
        self.enter(P::PageLru);
        self.with(|state| state[page].lru)
    }

    fn page_locked(&mut self, page: Pfn) -> bool {
        self.enter(P::PageLocked);
        self.with(|state| state[page].locked)
    }

    fn trylock_page(&mut self, page: Pfn) -> bool {
        if self.enter(P::TrylockPage) {
            return false;
        }
        self.with(|state| {
            assert!(state[page].count > 0, "a free page is locked");
            !std::mem::replace(&mut state[page].locked, true)
        })
    }

    fn unlock_page(&mut self, page: Pfn) {
        self.enter(P::UnlockPage);
        self.with(|state| assert!(std::mem::take(&mut state[page].locked), "not locked"));
    }

    fn get_page(&mut self, page: Pfn) {
        self.enter(P::GetPage);
        self.with(|state| {
            assert!(state[page].count > state.floor(page), "get of a free page");
            state[page].count += 1;
        });
    }

    fn get_page_unless_zero(&mut self, page: Pfn) -> bool {
        let fails = self.enter(P::GetPageUnlessZero);
        self.with(|state| {
            let free = state[page].count == state.floor(page);
            if fails || free {
                return false;
            }
            state[page].count += 1;
            true
        })
    }

    fn put_page(&mut self, page: Pfn) {
        self.enter(P::PutPage);
        self.with(|state| state.put(page));
    }

    fn page_ref_add(&mut self, page: Pfn, count: u32) {
        self.enter(P::PageRefAdd);
        self.with(|state| {
            assert!(state[page].count > 0);
            state[page].count += count;
        });
    }

    fn page_ref_sub(&mut self, page: Pfn, count: u32) {
        self.enter(P::PageRefSub);
        self.with(|state| {
            assert!(state[page].count > count);
            state[page].count -= count;
        });
    }

    fn page_ref_freeze(&mut self, page: Pfn, expected: u32) -> bool {
        if self.enter(P::PageRefFreeze) {
            return false;
        }
        self.with(|state| {
            let this = &mut state[page];
            if this.count != expected {
                return false;
            }
            this.count = 0;
            this.frozen = true;
            true
        })
    }

    fn page_ref_unfreeze(&mut self, page: Pfn, count: u32) {
        self.enter(P::PageRefUnfreeze);
        self.with(|state| {
            assert!(std::mem::take(&mut state[page].frozen));
            state[page].count = count;
        });
    }

    fn lru_add_drain(&mut self) {
        self.enter(P::LruAddDrain);
        self.with(|state| state.drain(&[0]));
    }

    fn lru_add_drain_all(&mut self) {
        self.enter(P::LruAddDrainAll);
        self.with(|state| {
            assert!(state.ptl.is_none());
            state.drain(&[0, 1]);
        });
    }

    fn isolate_lru_page(&mut self, page: Pfn) -> bool {
        if self.enter(P::IsolateLruPage) {
            return false;
        }
        self.with(|state| {
            let this = &mut state[page];
            if !std::mem::take(&mut this.lru) {
                return false;
            }
            this.isolated = true;
            this.count += 1;
            true
        })
    }

    fn putback_lru_page(&mut self, page: Pfn) {
        self.enter(P::PutbackLruPage);
        self.with(|state| {
            let this = &mut state[page];
            assert!(!this.lru && this.batch.is_none() && this.zone == Zone::System);
            assert!(this.count > 0);
            this.isolated = false;
            this.batch = Some(0);
        });
    }

    fn lru_cache_add(&mut self, page: Pfn) {
        self.enter(P::LruCacheAdd);
        self.with(|state| {
            let this = &mut state[page];
            assert!(!this.lru && this.batch.is_none() && this.zone == Zone::System);
            this.isolated = false;
            this.batch = Some(0);
            this.count += 1;
        });
    }

    fn mem_cgroup_charge(&mut self, page: Pfn, vma: Vma) -> Result<(), NoMemory> {
        if self.enter(P::MemCgroupCharge) {
            return Err(NoMemory);
        }
        assert_eq!(vma, VMA);
        self.with(|state| state[page].charged = true);
        Ok(())
    }

    fn mark_uptodate(&mut self, page: Pfn) {
        self.enter(P::MarkUptodate);
        self.with(|state| state[page].uptodate = true);
    }

    fn set_page_dirty(&mut self, page: Pfn) {
        self.enter(P::SetPageDirty);
        self.with(|state| state[page].dirty = true);
    }

    fn free_swap_cache(&mut self, page: Pfn) -> bool {
        if self.enter(P::FreeSwapCache) {
            return false;
        }
        self.with(|state| {
            let this = &mut state[page];
            assert!(this.locked && this.mapping == Mapping::SwapCache);
            this.mapping = Mapping::Anon;
            this.in_slot = false;
            this.count -= 1;
        });
        true
    }

    fn cache_lock(&mut self, page: Pfn) {
        self.enter(P::CacheLock);
        self.with(|state| {
            assert!(state[page].locked && state.cache_locked.is_none());
            state.cache_locked = Some(page);
        });
    }

    fn cache_unlock(&mut self, page: Pfn) {
        self.enter(P::CacheUnlock);
        self.with(|state| assert_eq!(state.cache_locked.take(), Some(page)));
    }

    fn cache_holds(&mut self, page: Pfn) -> bool {
        let fails = self.enter(P::CacheHolds);
        self.with(|state| {
            assert_eq!(state.cache_locked, Some(page));
            !fails && state[page].in_slot
        })
    }

    fn cache_replace(&mut self, old: Pfn, new: Pfn) {
        self.enter(P::CacheReplace);
        self.with(|state| {
            assert!(state.cache_locked == Some(old) && state[old].frozen);
            assert!(std::mem::take(&mut state[old].in_slot));
            let dirty = std::mem::take(&mut state[old].dirty);
            let this = &mut state[new];
            this.in_slot = true;
            this.dirty |= dirty;
            this.count += 1;
        });
    }

    fn copy_mapping(&mut self, new: Pfn, old: Pfn) {
        self.enter(P::CopyMapping);
        self.with(|state| {
            assert!(state[new].locked && state[old].locked);
            state[new].mapping = state[old].mapping;
            state[new].identity = Some(old);
        });
    }

    fn copy_page(&mut self, new: Pfn, old: Pfn) {
        self.enter(P::CopyPage);
        self.with(|state| state[new].contents = Some(old));
    }

    fn migrate_states(&mut self, new: Pfn, old: Pfn) {
        self.enter(P::MigrateStates);
        self.with(|state| {
            state[new].states = Some(old);
            state[new].uptodate = state[old].uptodate;
            state[new].charged = state[old].charged;
            if state.shape == ShapeKind::V6_12 {
                state[old].charged = false;
            }
        });
    }

    fn claim_destination(&mut self, page: Pfn) -> bool {
        self.enter(P::ClaimDestination);
        self.with(|state| {
            assert!(state[page].locked);
            !std::mem::replace(&mut state[page].claimed, true)
        })
    }

    fn unclaim_destination(&mut self, page: Pfn) {
        self.enter(P::UnclaimDestination);
        self.with(|state| state[page].claimed = false);
    }

    fn pin_insert(&mut self, page: Pfn, owner: Owner) -> Result<(), NoMemory> {
        if self.enter(P::PinInsert) {
            return Err(NoMemory);
        }
        self.with(|state| {
            assert!(state[page].record.is_none());
            state[page].record = Some(PinRecord {
                owner,
                device: None,
            });
        });
        Ok(())
    }

    fn pin_pair(&mut self, page: Pfn, device: Pfn) {
        self.enter(P::PinPair);
        self.with(|state| {
            let record = state[page].record.as_mut().expect("no record");
            record.device = Some(device);
        });
    }

    fn pin_record(&mut self, page: Pfn) -> Option<PinRecord> {
        self.enter(P::PinRecord);
        self.with(|state| state[page].record)
    }

    fn pin_remove(&mut self, page: Pfn) {
        self.enter(P::PinRemove);
        self.with(|state| assert!(state[page].record.take().is_some(), "no record"));
    }
}

/// A device of the driver.
#[derive(Clone)]
pub(crate) struct Dev {
    machine: Machine,
    pub(crate) owner: Owner,
    pub(crate) free: Vec<Pfn>,
    /// Free system pages for copies.
    pub(crate) system: Vec<Pfn>,
    /// Pages it hands out as they are.
    pub(crate) careless: Vec<Pfn>,
    /// Device page and original.
    pub(crate) pairs: Vec<(Pfn, Pfn)>,
    /// The device's page table.
    pub(crate) table: Vec<(usize, Pfn, Access)>,
    /// The device writes whatever it has mapped.
    pub(crate) writes: bool,
    pub(crate) seq: u64,
    /// How often `read_retry` says that the range was invalidated, whatever the numbers say.
    pub(crate) retries: u32,
    /// Calls of `map` that fail, counted from 1.
    pub(crate) full_at: Vec<u32>,
    pub(crate) maps: u32,
    pub(crate) locked: bool,
}

impl Dev {
    pub(crate) fn new(machine: &Machine) -> Self {
        Self {
            machine: machine.clone(),
            owner: OWN,
            free: ['d', 'c', 'b', 'a'].map(p).to_vec(),
            system: ['O', 'N'].map(p).to_vec(),
            careless: Vec::new(),
            pairs: Vec::new(),
            table: Vec::new(),
            writes: false,
            seq: 40,
            retries: 0,
            full_at: Vec::new(),
            maps: 0,
            locked: false,
        }
    }
}

impl Device for Dev {
    fn owner(&mut self) -> Owner {
        self.owner
    }

    fn alloc_device_page(&mut self) -> Option<Pfn> {
        let page = self.free.pop();
        note(format!("device alloc {}", page.map_or('-', name)));
        let new = page.filter(|page| !self.careless.contains(page));
        if let Some(page) = new {
            self.machine.with(|state| state.alloc(page));
        }
        page
    }

    fn copy_to_system(&mut self, device: Pfn) -> Option<Pfn> {
        let page = self.system.pop();
        note(format!(
            "device copy {} {}",
            name(device),
            page.map_or('-', name)
        ));
        let new = page.filter(|page| !self.careless.contains(page));
        if let Some(page) = new {
            self.machine.with(|state| {
                state.alloc(page);
                state[page].contents = Some(device);
            });
        }
        page
    }

    fn remember(&mut self, device: Pfn, original: Pfn) {
        note(format!(
            "device remember {} {}",
            name(device),
            name(original)
        ));
        self.pairs.push((device, original));
    }

    fn original(&mut self, device: Pfn) -> Option<Pfn> {
        let pair = self.pairs.iter().find(|(page, _)| *page == device);
        pair.map(|(_, original)| *original)
    }

    fn forget(&mut self, device: Pfn) {
        note(format!("device forget {}", name(device)));
        self.pairs.retain(|(page, _)| *page != device);
    }

    fn read_begin(&mut self) -> u64 {
        assert!(!self.locked);
        note("device read_begin".into());
        self.seq
    }

    fn read_retry(&mut self, seq: u64) -> bool {
        assert!(self.locked);
        let forced = self.retries > 0;
        self.retries = self.retries.saturating_sub(1);
        forced || seq != self.seq
    }

    fn set_seq(&mut self, seq: u64) {
        assert!(self.locked);
        self.seq = seq;
    }

    fn lock(&mut self) {
        assert!(!std::mem::replace(&mut self.locked, true));
    }

    fn unlock(&mut self) {
        assert!(std::mem::take(&mut self.locked));
    }

    fn map(&mut self, addr: usize, page: Pfn, access: Access) -> Result<(), NoMemory> {
        assert!(self.locked);
        self.maps += 1;
        if self.full_at.contains(&self.maps) {
            note(format!("device map {} {} fails", index(addr), name(page)));
            return Err(NoMemory);
        }
        note(format!(
            "device map {} {} {access:?}",
            index(addr),
            name(page)
        ));
        self.table.retain(|(here, ..)| *here != addr);
        self.table.push((addr, page, access));
        Ok(())
    }

    fn unmap_page(&mut self, page: Pfn) -> Option<Revoked> {
        assert!(self.locked);
        note(format!("device unmap {}", name(page)));
        let here = self
            .table
            .iter()
            .position(|(_, mapped, _)| *mapped == page)?;
        self.table.remove(here);
        Some(Revoked {
            page,
            dirty: self.writes,
        })
    }

    fn unmap_next(&mut self, range: Range) -> Option<Revoked> {
        assert!(self.locked);
        let within = |addr: usize| range.start <= addr && addr < range.end;
        let here = self.table.iter().position(|(addr, ..)| within(*addr))?;
        let (_, page, _) = self.table.remove(here);
        Some(Revoked {
            page,
            dirty: self.writes,
        })
    }
}

/// Run a generic test under every policy on every shape.
macro_rules! all {
    ($body:ident) => {
        $body::<migrate_pin_core::AsPosted, migrate_pin_core::V5_11>();
        $body::<migrate_pin_core::AsPosted, migrate_pin_core::V6_12>();
        $body::<migrate_pin_core::Hardened, migrate_pin_core::V5_11>();
        $body::<migrate_pin_core::Hardened, migrate_pin_core::V6_12>();
    };
}

/// Run a generic test under [`Hardened`](migrate_pin_core::Hardened) on every shape.
macro_rules! hardened {
    ($body:ident) => {
        $body::<migrate_pin_core::Hardened, migrate_pin_core::V5_11>();
        $body::<migrate_pin_core::Hardened, migrate_pin_core::V6_12>();
    };
}
pub(crate) use {all, hardened};
