//! The graded verdict over a receipt: what is proved, what is absent, what failed and in which layer.
//!
//! INVARIANT: [`Judgement::payment`] is there only when the device's signature and the place in the log
//! are both proved. Nothing else of a receipt is shown as its content.

mod bulk;
mod judge;
mod record;

use crate::anchor;
use crate::error::ProofError;
use crate::evidence::VerifiedEvidence;
use tpw_core::{Hash32, Instant, Intent, Record, TreeHead};

pub use bulk::{BulkJudge, Work};
pub use judge::{TIME_TOLERANCE, judge};

/// What a receipt can prove, from the payer's will to its renewal for decades.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Level {
    /// L0: the payer's device signed the intent, and the record carries it out.
    DeviceSignature,
    /// L1: the record stands in the operator's log.
    InLog,
    /// L2: independent witnesses saw the same log.
    Witnessed,
    /// L3: a time-stamp authority says when the log was so.
    TimeStamped,
    /// L4: a public chain holds the log's head.
    Anchored,
    /// L5: an evidence record renews it all.
    Renewed,
}

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 6] = [
        Self::DeviceSignature,
        Self::InLog,
        Self::Witnessed,
        Self::TimeStamped,
        Self::Anchored,
        Self::Renewed,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DeviceSignature => "device_signature",
            Self::InLog => "in_log",
            Self::Witnessed => "witnessed",
            Self::TimeStamped => "time_stamped",
            Self::Anchored => "anchored",
            Self::Renewed => "renewed",
        }
    }

    /// The number in `L0` to `L5`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::DeviceSignature => 0,
            Self::InLog => 1,
            Self::Witnessed => 2,
            Self::TimeStamped => 3,
            Self::Anchored => 4,
            Self::Renewed => 5,
        }
    }
}

/// A part of a receipt that is checked on its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// The file itself.
    Container,
    /// The payer's signed intent.
    Statement,
    /// The operator's record, and that it carries out the intent.
    Record,
    /// The log entry, and that it commits to statement and record.
    Leaf,
    /// The path from the entry to the checkpoint's root.
    TlogProof,
    /// The checkpoint's signatures.
    Checkpoint,
    /// The witnesses' cosignatures, under the policy of the trust file.
    Witness,
    /// The same inclusion as COSE receipts.
    CoseReceipt,
    /// The time-stamps over the checkpoint.
    Timestamp,
    /// Chain anchors.
    Anchor,
    /// Evidence records.
    Evidence,
}

impl Layer {
    /// Every layer, in the order of checking.
    pub const ALL: [Self; 11] = [
        Self::Container,
        Self::Statement,
        Self::Record,
        Self::Leaf,
        Self::TlogProof,
        Self::Checkpoint,
        Self::Witness,
        Self::CoseReceipt,
        Self::Timestamp,
        Self::Anchor,
        Self::Evidence,
    ];

    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Statement => "statement",
            Self::Record => "record",
            Self::Leaf => "leaf",
            Self::TlogProof => "tlog_proof",
            Self::Checkpoint => "checkpoint",
            Self::Witness => "witness",
            Self::CoseReceipt => "cose_receipt",
            Self::Timestamp => "timestamp",
            Self::Anchor => "anchor",
            Self::Evidence => "evidence",
        }
    }
}

/// What came of checking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It holds; what exactly, for people.
    Proved {
        /// One line: a key, an index, a time.
        detail: String,
    },
    /// The receipt has nothing of this kind.
    Absent,
    /// It does not hold.
    Failed {
        /// Where the fault is.
        layer: Layer,
        /// What is wrong.
        reason: ProofError,
    },
}

impl Outcome {
    /// The stable code: `proved`, `absent` or `failed`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Proved { .. } => "proved",
            Self::Absent => "absent",
            Self::Failed { .. } => "failed",
        }
    }

    /// Whether it holds.
    #[must_use]
    pub const fn is_proved(&self) -> bool {
        matches!(self, Self::Proved { .. })
    }
}

/// One level and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelResult {
    /// The level.
    pub level: Level,
    /// What came of it.
    pub outcome: Outcome,
}

/// One layer and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerResult {
    /// The layer.
    pub layer: Layer,
    /// What came of it.
    pub outcome: Outcome,
}

/// The content of a receipt, proved to be what the payer signed and the log holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProvedPayment {
    /// What the payer asked for.
    pub intent: Intent,
    /// What the operator did.
    pub record: Record,
    /// SHA-256 of the intent's bytes.
    pub intent_hash: Hash32,
    /// Where the record stands in the log.
    pub index: u64,
    /// The tree that it stands in.
    pub head: TreeHead,
    /// The earliest time that a time-stamp proves; absent unless that level is proved.
    pub gen_time: Option<Instant>,
    /// What the evidence record proves that is relied on longest; absent unless that level is proved.
    pub evidence: Option<VerifiedEvidence>,
}

/// The verdict over one receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// One result per level, lowest first.
    pub levels: Vec<LevelResult>,
    /// One result per layer, in the order of checking.
    pub layers: Vec<LayerResult>,
    /// The content; only when [`Level::DeviceSignature`] and [`Level::InLog`] are proved.
    pub payment: Option<ProvedPayment>,
    /// What the anchors say, when all of them hold inside; also those in blocks that the verifier does not know.
    pub anchors: Vec<anchor::Found>,
}

impl Judgement {
    /// What came of a level.
    #[must_use]
    pub fn level(&self, level: Level) -> &Outcome {
        self.levels.iter().find(|r| r.level == level).map_or(&Outcome::Absent, |r| &r.outcome)
    }

    /// What came of a layer.
    #[must_use]
    pub fn layer(&self, layer: Layer) -> &Outcome {
        self.layers.iter().find(|r| r.layer == layer).map_or(&Outcome::Absent, |r| &r.outcome)
    }

    /// Whether nothing failed and signature, log and time are proved.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let outcomes =
            self.levels.iter().map(|r| &r.outcome).chain(self.layers.iter().map(|r| &r.outcome));
        let none_failed = outcomes.into_iter().all(|o| !matches!(o, Outcome::Failed { .. }));
        none_failed
            && [Level::DeviceSignature, Level::InLog, Level::TimeStamped]
                .iter()
                .all(|level| self.level(*level).is_proved())
    }

    /// The first fault, in the order of checking: what to tell a person first.
    #[must_use]
    pub fn first_failure(&self) -> Option<(Layer, &ProofError)> {
        self.layers.iter().find_map(|result| match &result.outcome {
            Outcome::Failed { layer, reason } => Some((*layer, reason)),
            _ => None,
        })
    }
}
