//! What goes into one tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tpw_core::{Hash32, Receipt};
use tpw_proof::ProofError;
use tpw_proof::evidence::{EvidenceError, FUNCTION, HashTree, Renewal};

/// Other authorities' tokens over one checkpoint.
type Tokens = Arc<[Vec<u8>]>;

/// Receipts that are collected for one tree.
pub struct Batch {
    trust: Hash32,
    /// The last event that was read.
    event: u64,
    entries: Vec<(u64, u64)>,
    known: BTreeSet<u64>,
    renewals: Vec<Renewal>,
    tokens: BTreeMap<u64, Tokens>,
    /// One of them, by which the record is tried before it is kept.
    sample: Option<Receipt>,
}

/// Where a receipt came to stand in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) entry: u64,
    pub(super) size: u64,
    pub(super) place: usize,
}

impl Batch {
    /// None yet, under the trust file with this hash, of events behind `event`.
    pub(crate) fn new(trust: Hash32, event: u64) -> Self {
        let (entries, renewals, known) = (Vec::new(), Vec::new(), BTreeSet::new());
        Self { trust, event, entries, known, renewals, tokens: BTreeMap::new(), sample: None }
    }

    /// How many receipts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() >= super::RECEIPTS_MAX
    }

    pub(crate) const fn event(&self) -> u64 {
        self.event
    }

    pub(crate) const fn passed(&mut self, event: u64) {
        self.event = event;
    }

    pub(super) const fn trust(&self) -> &Hash32 {
        &self.trust
    }

    pub(super) const fn tokens(&self) -> &BTreeMap<u64, Tokens> {
        &self.tokens
    }

    pub(crate) const fn sample(&self) -> Option<&Receipt> {
        self.sample.as_ref()
    }

    pub(crate) fn has(&self, entry: u64) -> bool {
        self.known.contains(&entry)
    }

    /// The tokens that receipts of this batch under the checkpoint of this size have: all have the same, whatever came since.
    pub(crate) fn tokens_over(&self, size: u64) -> Option<Tokens> {
        self.tokens.get(&size).map(Arc::clone)
    }

    /// Takes the receipt of an entry, made under the checkpoint of this size with these tokens.
    pub(crate) fn add(
        &mut self,
        (entry, size): (u64, u64),
        tokens: Tokens,
        receipt: Receipt,
    ) -> Result<(), ProofError> {
        self.renewals.push(Renewal::begin(&receipt, FUNCTION)?);
        self.entries.push((entry, size));
        self.known.insert(entry);
        self.tokens.entry(size).or_insert(tokens);
        self.sample = Some(receipt);
        Ok(())
    }

    /// The tree over all of them.
    ///
    /// # Errors
    /// [`EvidenceError::Empty`] without any.
    pub fn tree(&self) -> Result<HashTree, EvidenceError> {
        Renewal::tree(&self.renewals)
    }

    /// The last one's record under an authority's answer over the root of `tree`.
    pub(crate) fn record(&self, tree: &HashTree, answer: &[u8]) -> Result<Vec<u8>, EvidenceError> {
        self.renewals.last().cloned().ok_or(EvidenceError::Empty)?.finish(tree, answer)
    }

    pub(super) fn placed(&self, tree: &HashTree) -> Result<Vec<Placed>, EvidenceError> {
        let one = |((entry, size), renewal): (&(u64, u64), &Renewal)| {
            let place = tree.place(&renewal.leaf()).ok_or(EvidenceError::Root)?;
            Ok(Placed { entry: *entry, size: *size, place })
        };
        self.entries.iter().zip(&self.renewals).map(one).collect()
    }
}
