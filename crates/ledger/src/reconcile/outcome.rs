//! What became of each line, and the proof that nothing is missing.

use super::{LedgerLine, PartnerLine};
use crate::Balance;

tpw_core::codes! {
    /// What became of lines.
    OutcomeKind: u8 {
        /// Both sides have it.
        Matched = 1 "matched",
        /// Both sides have it, the ledger in another period.
        Carried = 2 "carried",
        /// Both sides have it by its reference, and a field differs.
        Differing = 3 "differing",
        /// The partner has it, the ledger does not.
        MissingInLedger = 4 "missing_in_ledger",
        /// The ledger has it, the partner does not.
        MissingAtPartner = 5 "missing_at_partner",
        /// The partner has announced it and not booked it.
        PendingAtPartner = 6 "pending_at_partner",
        /// The partner has it once more than the ledger.
        DuplicateAtPartner = 7 "duplicate_at_partner",
        /// The ledger has it once more than the partner.
        DuplicateInLedger = 8 "duplicate_in_ledger",
        /// Lines that cannot be told apart.
        Ambiguous = 9 "ambiguous",
        /// A transfer of the ledger around the period that the statement does not have.
        OutsidePeriod = 10 "outside_period",
        /// The partner tells it for information only.
        Information = 11 "information",
    }
}

tpw_core::codes! {
    /// How two lines were found to be the same.
    MatchedBy: u8 {
        /// They share a reference.
        Reference = 1 "reference",
        /// They are the only ones of this amount and direction within the window.
        AmountAndDay = 2 "amount_and_day",
    }
}

/// What differs between two lines of the same reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DifferingFields {
    /// The amounts.
    pub amount: bool,
    /// The directions.
    pub direction: bool,
    /// The days, by more than the window.
    pub day: bool,
}

/// What became of some lines. Every line occurs in exactly one outcome.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<'l> {
    /// Both sides have it. It is carried if the ledger's day lies outside the statement's period.
    Matched {
        /// The ledger's line.
        ledger: &'l LedgerLine,
        /// The partner's line.
        partner: &'l PartnerLine,
        /// How they were found to be the same.
        by: MatchedBy,
        /// Whether the ledger has it in another period.
        carried: bool,
    },
    /// Both sides have it by its reference.
    Differing {
        /// The ledger's line.
        ledger: &'l LedgerLine,
        /// The partner's line.
        partner: &'l PartnerLine,
        /// What differs.
        fields: DifferingFields,
    },
    /// The ledger does not have it.
    MissingInLedger {
        /// The partner's line.
        partner: &'l PartnerLine,
    },
    /// The partner does not have it.
    MissingAtPartner {
        /// The ledger's line.
        ledger: &'l LedgerLine,
    },
    /// The partner has announced it and not booked it.
    PendingAtPartner {
        /// The ledger's line, if it has one by reference.
        ledger: Option<&'l LedgerLine>,
        /// The partner's line.
        partner: &'l PartnerLine,
    },
    /// The partner has it once more than the ledger.
    DuplicateAtPartner {
        /// The line too many.
        partner: &'l PartnerLine,
        /// The line that was matched.
        of: &'l PartnerLine,
    },
    /// The ledger has it once more than the partner.
    DuplicateInLedger {
        /// The line too many.
        ledger: &'l LedgerLine,
        /// The line that was matched.
        of: &'l LedgerLine,
    },
    /// Lines that cannot be told apart: whoever has more knowledge decides.
    Ambiguous {
        /// The ledger's lines.
        ledger: Vec<&'l LedgerLine>,
        /// The partner's lines.
        partner: Vec<&'l PartnerLine>,
    },
    /// A transfer around the period that the statement does not have, as is to be expected.
    OutsidePeriod {
        /// The ledger's line.
        ledger: &'l LedgerLine,
    },
    /// The partner tells it for information only: it is no movement, and no transfer is expected for it.
    Information {
        /// The partner's line.
        partner: &'l PartnerLine,
    },
}

impl<'l> Outcome<'l> {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> OutcomeKind {
        match self {
            Self::Matched { carried: false, .. } => OutcomeKind::Matched,
            Self::Matched { carried: true, .. } => OutcomeKind::Carried,
            Self::Differing { .. } => OutcomeKind::Differing,
            Self::MissingInLedger { .. } => OutcomeKind::MissingInLedger,
            Self::MissingAtPartner { .. } => OutcomeKind::MissingAtPartner,
            Self::PendingAtPartner { .. } => OutcomeKind::PendingAtPartner,
            Self::DuplicateAtPartner { .. } => OutcomeKind::DuplicateAtPartner,
            Self::DuplicateInLedger { .. } => OutcomeKind::DuplicateInLedger,
            Self::Ambiguous { .. } => OutcomeKind::Ambiguous,
            Self::OutsidePeriod { .. } => OutcomeKind::OutsidePeriod,
            Self::Information { .. } => OutcomeKind::Information,
        }
    }

    /// The ledger's lines that it accounts for.
    #[must_use]
    pub fn ledger_lines(&self) -> Vec<&'l LedgerLine> {
        match self {
            Self::Matched { ledger, .. }
            | Self::Differing { ledger, .. }
            | Self::MissingAtPartner { ledger }
            | Self::DuplicateInLedger { ledger, .. }
            | Self::OutsidePeriod { ledger } => vec![ledger],
            Self::PendingAtPartner { ledger, .. } => ledger.iter().copied().collect(),
            Self::Ambiguous { ledger, .. } => ledger.clone(),
            Self::MissingInLedger { .. }
            | Self::DuplicateAtPartner { .. }
            | Self::Information { .. } => Vec::new(),
        }
    }

    /// The partner's lines that it accounts for.
    #[must_use]
    pub fn partner_lines(&self) -> Vec<&'l PartnerLine> {
        match self {
            Self::Matched { partner, .. }
            | Self::Differing { partner, .. }
            | Self::MissingInLedger { partner }
            | Self::PendingAtPartner { partner, .. }
            | Self::Information { partner }
            | Self::DuplicateAtPartner { partner, .. } => vec![partner],
            Self::Ambiguous { partner, .. } => partner.clone(),
            Self::MissingAtPartner { .. }
            | Self::DuplicateInLedger { .. }
            | Self::OutsidePeriod { .. } => Vec::new(),
        }
    }
}

/// How much of one kind there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Total {
    /// The kind.
    pub kind: OutcomeKind,
    /// How many outcomes.
    pub outcomes: u64,
    /// How many of the ledger's lines.
    pub ledger_lines: u64,
    /// How many of the partner's lines.
    pub partner_lines: u64,
    /// By how much more the partner's closing balance grew than the ledger's because of them.
    pub difference: Balance,
}

/// Why the closing balances differ, to the last minor unit: `closing = opening + unmatched`. Each is the partner's less
/// the ledger's, as the partner counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proof {
    /// The difference of the opening balances.
    pub opening: Balance,
    /// The sum of the differences of all outcomes. What is matched contributes nothing to it.
    pub unmatched: Balance,
    /// The difference of the closing balances.
    pub closing: Balance,
}

/// A partner's statement set against the ledger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reconciliation<'l> {
    /// What became of each line: first in the order of the partner's lines, then of the ledger's.
    pub outcomes: Vec<Outcome<'l>>,
    /// How much of each kind there is; all kinds, in the order of their numbers.
    pub totals: Vec<Total>,
    /// Why the closing balances differ; `None` if the statement has none.
    pub proof: Option<Proof>,
}

impl Reconciliation<'_> {
    /// Whether every line of both sides is as it should be, and the balances agree if they are known.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.totals.iter().all(|total| total.outcomes == 0 || self.is_fine(total.kind))
            && self.proof.is_none_or(|proof| proof.closing == Balance::ZERO)
    }

    /// Whether nobody has to look at what became of lines in this way. A carried line may be the partner's second one of a
    /// transfer of the day before: only balances can tell.
    #[must_use]
    pub const fn is_fine(&self, kind: OutcomeKind) -> bool {
        match kind {
            OutcomeKind::Matched | OutcomeKind::OutsidePeriod | OutcomeKind::Information => true,
            OutcomeKind::Carried => self.proof.is_some(),
            _ => false,
        }
    }
}
