//! The defects of the patch, of the pipeline under it, and of the driver posted with it: what the scenarios have found, each
//! with a name.
//!
//! The command puts each violation under `AsPosted` down to one of these by what it says ([`explain`], [`explain_run`]); one that fits none is
//! a failure, so that a defect that nobody has described is not taken for one that somebody has. The README's table is made
//! from the same facts, and a test runs every scenario that they name.

mod facts;
mod signs;

use crate::config::{Config, DriverKind, MmId};
use crate::driver::session::Purpose;
use crate::engine::Found;
use crate::event::EventSet;
use crate::paths::populate::Populate;
use crate::race::Race;
use crate::scenario::run::Run;
use crate::scenario::{By, Give, Scenario, Step};
use crate::violation::Violation;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::SrcPfn;

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The patch.
    Patch,
    /// The pipeline that it stands on.
    Pipeline,
    /// The driver that was posted with it.
    Driver,
}

impl Origin {
    /// All of them, in the order of the README's table.
    pub const ALL: [Self; 3] = [Self::Patch, Self::Pipeline, Self::Driver];

    /// As a heading.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Patch => "The patch",
            Self::Pipeline => "The pipeline under it",
            Self::Driver => "The driver posted with it",
        }
    }
}

macro_rules! defects {
    ($( $(#[$doc:meta])* $variant:ident $name:literal ),* $(,)?) => {
        /// A defect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Defect { $( $(#[$doc])* $variant ),* }

        impl Defect {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// A name for tables, in kebab-case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => $name ),* }
            }
        }
    };
}

defects! {
    /// The bias is added although MIGRATE was cleared.
    PinWithoutMigrate "pin-without-migrate",
    /// A pin that comes to nothing after unmap is kept.
    FailedPinKept "failed-pin-kept",
    /// A hole with PIN is counted.
    HoleCounted "hole-counted",
    /// A pin is given a system page.
    PinWithSystemPage "pin-with-system-page",
    /// A destination with UNPIN that is not used is put.
    RefusedUnpinPut "refused-unpin-put",
    /// A page is pinned before another address space that unmapped it has flushed.
    PinBeforeFlush "pin-before-flush",
    /// Words are not checked.
    WordsUnchecked "words-unchecked",
    /// Collect drops the dirty bit.
    DirtyBitDropped "dirty-bit-dropped",
    /// Collect flushes the TLB after the PTL.
    LateFlush "late-flush",
    /// Collect keeps a reference on a huge page whose lock is busy.
    BusyHugePageKept "busy-huge-page-kept",
    /// A file page's private data stay behind.
    PrivateDataLeft "private-data-left",
    /// Two faults refuse each other.
    FaultsRefuseEachOther "faults-refuse-each-other",
    /// `page_free` drops the bias and nothing else.
    PageFreeDropsBiasOnly "page-free-drops-bias-only",
    /// The notifier is not asked.
    NotifierNotAsked "notifier-not-asked",
    /// WRITE is not looked at.
    WriteNotLookedAt "write-not-looked-at",
    /// A pair that came to nothing is not forgotten.
    PairNotForgotten "pair-not-forgotten",
    /// A device page stands for the zero page.
    ZeroPageStandIn "zero-page-stand-in",
    /// What the device wrote is not marked dirty.
    DeviceWriteNotDirty "device-write-not-dirty",
    /// The posted driver has no device page left.
    NoDevicePageLeft "no-device-page-left",
}

/// What there is to say of a defect.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whose fault it is.
    pub origin: Origin,
    /// What goes wrong, in a sentence.
    pub wrong: &'static str,
    /// What a user loses, in a sentence.
    pub loses: &'static str,
    /// Which driver or user reaches it.
    pub who: &'static str,
    /// Only with this driver, if not with both.
    pub driver: Option<DriverKind>,
    /// Only on this shape, if not on both.
    pub shape: Option<ShapeKind>,
    /// Only where this is so.
    pub needs: Option<Peculiarity>,
    /// Scenarios that show it, each with the smallest number of preemptions that it takes.
    pub scenarios: &'static [(&'static str, u32)],
    /// How it shows in an execution: by any of these. Of wrong words by anything at all.
    pub signs: &'static [Sign],
    /// What else violations may say where it shows.
    pub brings: &'static [&'static str],
    /// It corrupts memory: whatever is found after it in an execution may come of it.
    pub corrupts: bool,
}

/// What an execution looks like that shows a defect.
#[derive(Clone, Copy, Debug)]
pub struct Sign {
    /// What its violations say: all of this,
    pub says: &'static [&'static str],
    /// and nothing of this.
    pub never: &'static [&'static str],
    /// What happened in it: all of this,
    pub with: EventSet,
    /// and nothing of this.
    pub without: EventSet,
    /// Only with this driver, if not with both.
    pub driver: Option<DriverKind>,
}

/// What there is in few scenarios, and without which a defect does not show. In a sequential one what its sign says is put down to it and to
/// nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peculiarity {
    /// A driver hands words that nobody who follows the protocol would: whatever breaks then comes of it.
    WrongWords,
    /// A driver gives a pin a system page.
    SystemPageForPin,
    /// A page of a file has private data.
    PrivateData,
}

impl Peculiarity {
    /// The one of a sequential scenario.
    fn of(scenario: &Scenario) -> Option<Self> {
        let mut pins = false;
        let mut found = None;
        for By(_, step) in scenario.given.iter().chain(scenario.steps) {
            pins = match step {
                Step::Setup { purpose, .. } => matches!(purpose, Purpose::Pin(_)),
                _ => pins,
            };
            match step {
                Step::SetupRaw { src, .. } if src.iter().any(|word| !right(*word)) => {
                    return Some(Self::WrongWords)
                }
                Step::ProvideThis(gives) if !gives.iter().all(|give| protocol(*give)) => {
                    return Some(Self::WrongWords);
                }
                Step::ProvideThis(gives) if pins && gives.contains(&Give::System) => {
                    found = Some(Self::SystemPageForPin);
                }
                _ => {}
            }
        }
        found.or_else(|| private_data(scenario.populate))
    }
}

/// The peculiarity of what stands there.
fn private_data(populate: &[(MmId, u16, Populate)]) -> Option<Peculiarity> {
    let mut all = populate.iter();
    all.any(|(.., what)| *what == Populate::WithPrivate)
        .then_some(Peculiarity::PrivateData)
}

/// Is it a source word that a caller may give: nothing, or a pin that is asked for?
fn right(word: usize) -> bool {
    [SrcPfn::NONE.raw(), SrcPfn::PIN.raw()].contains(&word)
}

/// Is it a destination that the protocol knows, for whatever?
const fn protocol(give: Give) -> bool {
    matches!(
        give,
        Give::Nothing | Give::Device | Give::System | Give::Original
    )
}

/// What is to be explained, and where it was found.
struct Seen<'s> {
    config: &'s Config<'static>,
    peculiarity: Option<Peculiarity>,
    /// It is there for the defect of its peculiarity, and shows no other.
    alone: bool,
    violations: &'s [Violation],
    events: EventSet,
}

impl Seen<'_> {
    /// Has a device this driver?
    fn has(&self, driver: DriverKind) -> bool {
        let mut devices = self.config.devices.iter();
        devices.any(|one| one.driver == driver)
    }
}

impl Sign {
    fn fits(&self, seen: &Seen<'_>) -> bool {
        let says = |what: &&str| seen.violations.iter().any(|one| one.what == *what);
        self.driver.is_none_or(|driver| seen.has(driver))
            && self.says.iter().all(says)
            && !self.never.iter().any(says)
            && self.with.without(seen.events).is_empty()
            && self.without.both(seen.events).is_empty()
    }
}

impl Defect {
    /// What there is to say of it.
    #[must_use]
    pub const fn facts(self) -> Facts {
        facts::of(self)
    }

    /// Can it be met there: with this driver, on this shape, by this peculiarity?
    fn can_be(self, seen: &Seen<'_>) -> bool {
        let facts = self.facts();
        facts.driver.is_none_or(|driver| seen.has(driver))
            && facts.shape.is_none_or(|shape| shape == seen.config.shape)
            && facts
                .needs
                .is_none_or(|this| seen.peculiarity == Some(this))
    }

    /// A line of the README's table.
    #[must_use]
    pub fn row(self) -> String {
        let facts = self.facts();
        let mut bounds: Vec<_> = facts.scenarios.iter().map(|(_, bound)| *bound).collect();
        bounds.sort_unstable();
        bounds.dedup();
        let several = bounds.len() > 1;
        let bounds: Vec<_> = bounds.iter().map(ToString::to_string).collect();
        let scenarios: Vec<_> = facts
            .scenarios
            .iter()
            .map(|(name, bound)| match several {
                true => format!("`{name}` ({bound})"),
                false => format!("`{name}`"),
            })
            .collect();
        format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            self.name(),
            facts.wrong,
            facts.loses,
            facts.who,
            bounds.join(", "),
            scenarios.join(", ")
        )
    }
}

/// By which events executions that say the same are told apart.
pub const TELLING: EventSet = signs::TELLING;

/// The defects that `found`, an execution of `race` under `AsPosted`, shows, in their order.
///
/// # Errors
/// The first violation that none of these accounts for.
pub fn explain(race: &Race, found: &Found) -> Result<Vec<Defect>, Box<Violation>> {
    explained(&Seen {
        config: &race.config,
        peculiarity: private_data(&race.populate),
        alone: false,
        violations: &found.violations,
        events: found.events,
    })
}

/// The same of a run of a sequential scenario.
///
/// # Errors
/// The first violation that none of these accounts for.
pub fn explain_run(scenario: &Scenario, run: &Run) -> Result<Vec<Defect>, Box<Violation>> {
    explained(&Seen {
        config: &scenario.config,
        peculiarity: Peculiarity::of(scenario),
        alone: true,
        violations: &run.violations,
        events: run.events,
    })
}

fn explained(seen: &Seen<'_>) -> Result<Vec<Defect>, Box<Violation>> {
    // Nothing that breaks behind wrong words tells whose fault it is.
    if seen.peculiarity == Some(Peculiarity::WrongWords) && !seen.violations.is_empty() {
        return Ok(vec![Defect::WordsUnchecked]);
    }
    let fits = |defect: &Defect| defect.facts().signs.iter().any(|sign| sign.fits(seen));
    let shown = Defect::ALL.iter().copied();
    let mut shown: Vec<_> = shown
        .filter(|defect| defect.can_be(seen) && fits(defect))
        .collect();
    // A peculiar scenario is there for its own defect.
    if seen.alone && shown.iter().any(|defect| defect.facts().needs.is_some()) {
        shown.retain(|defect| defect.facts().needs.is_some());
    }
    let mut corrupt = false;
    for violation in seen.violations {
        let says = |defect: &&Defect| {
            let signs = defect.facts().signs;
            let mut fits = signs.iter().filter(|sign| sign.fits(seen));
            fits.any(|sign| sign.says.contains(&violation.what))
        };
        let by = shown.iter().find(says);
        corrupt |= by.is_some_and(|defect| defect.facts().corrupts);
        let brings = |defect: &Defect| defect.facts().brings.contains(&violation.what);
        if by.is_none() && !corrupt && !shown.iter().any(brings) {
            return Err(Box::new(*violation));
        }
    }
    Ok(shown)
}
