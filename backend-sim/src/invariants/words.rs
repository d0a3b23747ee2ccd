//! COUNT, WORD: what the stages hand out, for whoever runs them.

use crate::cpu::Cpu;
use crate::sides::{Account, Says};
use crate::sync::Synchronisation;
use crate::violation::Invariant;
use migrate_pin_core::policy::ShapeKind;
use migrate_pin_core::{MigratePfn, SrcPfn};

/// After which stage a source word is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WordStage {
    /// Setup has returned.
    Setup,
    /// Pages has returned.
    Pages,
}

impl<S: Synchronisation> Cpu<'_, S> {
    /// COUNT: `cpages` is the number of entries with MIGRATE when setup returns.
    pub fn check_count(&self, src: &[SrcPfn], cpages: usize) {
        let migrating = src.iter().filter(|word| word.migrating()).count();
        if migrating != cpages {
            self.disagree(
                Invariant::Count,
                None,
                "cpages is not the number of entries with MIGRATE",
                Account::new("words with MIGRATE", migrating as u32, cpages as u32),
            );
        }
    }

    /// WORD: a source word has only the bits that its stage allows.
    pub fn check_word(&self, stage: WordStage, word: SrcPfn) {
        if !word_allowed(self.m.shape, stage, word) {
            self.disagree(
                Invariant::Word,
                word.pfn(),
                "a source word has bits that its stage does not allow",
                Account::new("word", Says::Nothing, Says::Raw(word.raw() as u32)),
            );
        }
    }

    /// [`check_word`](Self::check_word) of a whole array.
    pub fn check_words(&self, stage: WordStage, src: &[SrcPfn]) {
        for word in src {
            self.check_word(stage, *word);
        }
    }
}

/// Is this a source word that a driver may see after `stage`?
#[must_use]
pub fn word_allowed(shape: ShapeKind, stage: WordStage, word: SrcPfn) -> bool {
    let flags = word.flags();
    let raw = word.raw();
    let pfn = raw >> migrate_pin_core::MIGRATE_PFN_SHIFT;
    if raw & migrate_pin_core::pfn::RESERVED_BITS != 0 {
        return false;
    }
    if flags.contains(MigratePfn::VALID) != (pfn != 0) {
        return false;
    }
    if !flags.contains(MigratePfn::VALID) {
        // Nothing, a pin that was asked for and not even tried, an empty entry, or the zero page, whose word keeps PIN.
        return MigratePfn::PIN.union(MigratePfn::MIGRATE).contains(flags);
    }
    let locked = match shape {
        ShapeKind::V5_11 => flags.contains(MigratePfn::LOCKED),
        ShapeKind::V6_12 => !flags.contains(MigratePfn::LOCKED),
    };
    let migrating = match stage {
        WordStage::Setup => flags.contains(MigratePfn::MIGRATE),
        WordStage::Pages => true,
    };
    locked && migrating
}
