#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[macro_use]
mod codes;

mod approval;
pub mod codec;
mod decision;
mod decision_record;
mod hash;
mod ids;
mod instant;
mod intent;
mod letter;
mod money;
mod prompt;
mod receipt;
mod record;
pub mod words;

pub use approval::{Consent, Vote};
pub use codec::CodecError;
pub use decision::{Decision, Reason, ReasonCode, Refusal, Verdict};
pub use decision_record::{Asker, DecisionRecord, Ruling};
pub use hash::{Hash32, ParseHashError};
pub use ids::{
    AccountId, AccountSetId, ApprovalId, DecisionId, DeviceId, ParseIdError, PaymentId, PersonId,
    TransferId,
};
pub use instant::{Instant, ParseInstantError, Span};
pub use intent::{Intent, Name, Purpose, StepUpProof, TextError, TreeHead};
pub use letter::Letter;
pub use money::{Amount, Asset, Money, ParseAmountError, ParseAssetError};
pub use prompt::{PromptAnswer, PromptReply, PromptSubject, Unlocked};
pub use receipt::Receipt;
pub use record::{
    Approval, DeviceKey, FactorMethod, Posting, Record, RecordKind, read_decision, read_device_key,
    read_posting, write_decision, write_device_key, write_posting,
};
