//! What was sent and what became of it: `journal.json`, written before anything is sent.
//!
//! INVARIANT: at most one order is open, all its attempts have the same nonce, and each stands here before it leaves. So of
//! all that was ever sent for an order the chain takes at most one, whatever stops this process.

use super::AnchorError;
use super::transaction::{Fees, Signed};
use crate::files::{self, Access, Durability};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tpw_core::{Hash32, TreeHead};
use tpw_proof::anchor::Address;

/// An open order has at most [`ATTEMPTS_MAX`] attempts of a few hundred bytes, the deployment's more.
const LEN_MAX: u64 = 1 << 20;

/// How often the fee of an order is raised at most.
pub(super) const ATTEMPTS_MAX: usize = 32;

/// What an order is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Make the contract.
    Deploy,
    /// Announce this head.
    Anchor(TreeHead),
}

/// One transaction that was, or may have been, sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Attempt {
    pub(super) signed: Signed,
    pub(super) fees: Fees,
    /// The chain's newest block when it was made.
    pub(super) at_block: u64,
}

/// What has to get into the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Order {
    pub(super) purpose: Purpose,
    pub(super) nonce: u64,
    pub(super) gas: u64,
    /// Oldest first; never empty.
    pub(super) attempts: Vec<Attempt>,
}

/// Everything that must survive a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Journal {
    pub(super) chain_id: u64,
    pub(super) contract: Option<Address>,
    /// The newest head whose block is final.
    pub(super) anchored: Option<TreeHead>,
    pub(super) open: Option<Order>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    version: u32,
    chain_id: u64,
    contract: Option<String>,
    anchored: Option<WireHead>,
    open: Option<WireOrder>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireHead {
    size: u64,
    root: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireOrder {
    /// Without one the order is to make the contract.
    head: Option<WireHead>,
    nonce: u64,
    gas: u64,
    attempts: Vec<WireAttempt>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireAttempt {
    raw: String,
    hash: String,
    /// Strings: JSON has no numbers of 128 bits.
    max_wei: String,
    tip_wei: String,
    at_block: u64,
}

impl Journal {
    pub(super) const fn new(chain_id: u64) -> Self {
        Self { chain_id, contract: None, anchored: None, open: None }
    }

    /// Reads the journal; `None` where there is none.
    pub(super) fn load(path: &Path) -> Result<Option<Self>, AnchorError> {
        let Some(bytes) = files::read(path, LEN_MAX)? else { return Ok(None) };
        let wire: Option<Wire> = serde_json::from_slice(&bytes).ok();
        let journal = wire.filter(|wire| wire.version == 1).and_then(Wire::read);
        journal.map(Some).ok_or(AnchorError::Damaged { file: "journal.json" })
    }

    /// Writes it durably. Whoever reads it could only send what is in it.
    pub(super) fn store(&self, path: &Path) -> Result<(), AnchorError> {
        let head = |head: &TreeHead| WireHead { size: head.size, root: head.root.to_string() };
        let attempt = |attempt: &Attempt| WireAttempt {
            raw: hex::encode(&attempt.signed.raw),
            hash: attempt.signed.hash.to_string(),
            max_wei: attempt.fees.max_wei.to_string(),
            tip_wei: attempt.fees.tip_wei.to_string(),
            at_block: attempt.at_block,
        };
        let order = |order: &Order| WireOrder {
            head: match &order.purpose {
                Purpose::Deploy => None,
                Purpose::Anchor(announced) => Some(head(announced)),
            },
            nonce: order.nonce,
            gas: order.gas,
            attempts: order.attempts.iter().map(attempt).collect(),
        };
        let wire = Wire {
            version: 1,
            chain_id: self.chain_id,
            contract: self.contract.map(hex::encode),
            anchored: self.anchored.as_ref().map(head),
            open: self.open.as_ref().map(order),
        };
        // Structs of strings and numbers always serialise.
        let text = serde_json::to_vec_pretty(&wire).unwrap_or_default();
        Ok(files::write_atomic(path, &text, Durability::Synced, Access::Private)?)
    }
}

impl Wire {
    fn read(self) -> Option<Journal> {
        let contract = match self.contract {
            Some(text) => Some(hex::decode(text).ok()?.try_into().ok()?),
            None => None,
        };
        let anchored = match self.anchored {
            Some(head) => Some(head.read()?),
            None => None,
        };
        let open = match self.open {
            Some(order) => Some(order.read()?),
            None => None,
        };
        Some(Journal { chain_id: self.chain_id, contract, anchored, open })
    }
}

impl WireHead {
    fn read(self) -> Option<TreeHead> {
        Some(TreeHead { size: self.size, root: self.root.parse().ok()? })
    }
}

impl WireOrder {
    fn read(self) -> Option<Order> {
        let purpose = match self.head {
            Some(head) => Purpose::Anchor(head.read()?),
            None => Purpose::Deploy,
        };
        let attempts: Option<Vec<Attempt>> =
            self.attempts.into_iter().map(WireAttempt::read).collect();
        let attempts = attempts.filter(|attempts| (1..=ATTEMPTS_MAX).contains(&attempts.len()))?;
        Some(Order { purpose, nonce: self.nonce, gas: self.gas, attempts })
    }
}

impl WireAttempt {
    fn read(self) -> Option<Attempt> {
        let raw = hex::decode(self.raw).ok()?;
        let hash: Hash32 = self.hash.parse().ok()?;
        let fees =
            Fees { max_wei: self.max_wei.parse().ok()?, tip_wei: self.tip_wei.parse().ok()? };
        let whole = tpw_crypto::keccak256(&raw) == *hash.as_bytes();
        whole.then_some(Attempt { signed: Signed { raw, hash }, fees, at_block: self.at_block })
    }
}
