//! Checks a receipt layer by layer; a layer that fails does not hide what is wrong with the others.

use super::bulk::Checked;
use super::record;
use super::{Judgement, Layer, LayerResult, Level, LevelResult, Outcome, ProvedPayment};
use crate::anchor;
use crate::cose_receipt;
use crate::device_keys::DeviceKeys;
use crate::error::ProofError;
use crate::evidence::{self, Archived, EvidenceError, StampTrust, VerifiedEvidence};
use crate::leaf::Leaf;
use crate::statement::{Unverified, Verified};
use crate::timestamp;
use crate::tlog_proof::TlogProof;
use crate::trust::Trust;
use tpw_core::{Hash32, Instant, Intent, Receipt, Record, Span};
use tpw_crypto::sha256;

/// How much earlier than the booking a time-stamp may be: two clocks are never quite the same.
pub const TIME_TOLERANCE: Span = Span::from_secs(5);

/// Judges the bytes of a receipt file by what the verifier trusts. Needs nothing else: no network, no
/// clock. Never panics, whatever the bytes are.
#[must_use]
pub fn judge(receipt_bytes: &[u8], trust: &Trust) -> Judgement {
    judge_by(receipt_bytes, trust, &mut Checked::default())
}

/// The same, where `checked` has what was found under this trust file before, and takes what is found now.
pub(super) fn judge_by(receipt_bytes: &[u8], trust: &Trust, checked: &mut Checked) -> Judgement {
    match Receipt::from_bytes(receipt_bytes) {
        Ok(receipt) => Judge { receipt: &receipt, trust, checked, layers: Vec::new() }.judge(),
        Err(error) => unreadable(&error.into()),
    }
}

fn unreadable(reason: &ProofError) -> Judgement {
    let failed = || Outcome::Failed { layer: Layer::Container, reason: reason.clone() };
    let level = |level| match level {
        Level::DeviceSignature | Level::InLog | Level::TimeStamped => failed(),
        Level::Witnessed | Level::Anchored | Level::Renewed => Outcome::Absent,
    };
    Judgement {
        levels: Level::ALL.map(|l| LevelResult { level: l, outcome: level(l) }).to_vec(),
        layers: vec![LayerResult { layer: Layer::Container, outcome: failed() }],
        payment: None,
        anchors: Vec::new(),
    }
}

struct Judge<'r> {
    receipt: &'r Receipt,
    trust: &'r Trust,
    checked: &'r mut Checked,
    layers: Vec<LayerResult>,
}

/// What a layer's check says when it holds.
type Detail = String;

impl Judge<'_> {
    fn judge(mut self) -> Judgement {
        let size = self.receipt.to_bytes().len();
        self.proved(Layer::Container, format!("{size} bytes in deterministic CBOR"));
        let record = Record::from_bytes(&self.receipt.record);
        let statement = self.statement(record.as_ref().ok());
        self.record(record.as_ref(), statement.as_ref());
        let leaf = self.leaf(record.as_ref().ok());
        let proof = self.tlog_proof(leaf.as_ref());
        self.checkpoint(proof.as_ref());
        self.witnesses(proof.as_ref());
        self.cose_receipts(leaf.as_ref(), proof.as_ref());
        let gen_time = self.timestamps(record.as_ref().ok(), proof.as_ref());
        let anchors = self.anchors(leaf.as_ref(), proof.as_ref());
        let evidence = self.evidence();

        let levels: Vec<LevelResult> =
            Level::ALL.map(|level| LevelResult { level, outcome: self.level(level) }).to_vec();
        let mut judgement = Judgement { levels, layers: self.layers, payment: None, anchors };
        let proved = |level| judgement.level(level).is_proved();
        if proved(Level::DeviceSignature)
            && proved(Level::InLog)
            && let (Some(statement), Ok(record), Some(proof)) = (statement, record, proof)
        {
            let gen_time = gen_time.filter(|_| proved(Level::TimeStamped));
            judgement.payment = Some(ProvedPayment {
                intent_hash: statement.payload_hash(),
                intent: statement.into_value(),
                record,
                index: proof.index,
                head: proof.checkpoint.checkpoint().head,
                gen_time,
                evidence,
            });
        }
        judgement
    }

    fn push(&mut self, layer: Layer, outcome: Outcome) {
        self.layers.push(LayerResult { layer, outcome });
    }

    fn proved(&mut self, layer: Layer, detail: Detail) {
        self.push(layer, Outcome::Proved { detail });
    }

    fn failed(&mut self, layer: Layer, reason: ProofError) {
        self.push(layer, Outcome::Failed { layer, reason });
    }

    fn settle(&mut self, layer: Layer, result: Result<Detail, ProofError>) {
        match result {
            Ok(detail) => self.proved(layer, detail),
            Err(reason) => self.failed(layer, reason),
        }
    }

    /// A level holds when each of its layers does; the first that does not is its reason.
    fn level(&self, level: Level) -> Outcome {
        let layers: &[Layer] = match level {
            Level::DeviceSignature => &[Layer::Container, Layer::Statement, Layer::Record],
            Level::InLog => &[
                Layer::Container,
                Layer::Leaf,
                Layer::TlogProof,
                Layer::Checkpoint,
                Layer::CoseReceipt,
            ],
            // Without a policy of the verifier's own nobody is known who could have witnessed.
            Level::Witnessed if self.trust.witness_policy.is_none() => return Outcome::Absent,
            Level::Witnessed => &[Layer::Checkpoint, Layer::Witness],
            Level::TimeStamped => &[Layer::Checkpoint, Layer::Timestamp],
            Level::Anchored => &[Layer::Leaf, Layer::Anchor],
            Level::Renewed => &[Layer::Evidence],
        };
        let outcome = |layer: &Layer| {
            self.layers.iter().find(|r| r.layer == *layer).map(|r| r.outcome.clone())
        };
        let outcomes: Vec<Outcome> = layers.iter().filter_map(outcome).collect();
        let failed = outcomes.iter().find(|o| matches!(o, Outcome::Failed { .. }));
        if let Some(failed) = failed {
            return failed.clone();
        }
        if !matches!(level, Level::DeviceSignature | Level::InLog) {
            return outcomes.into_iter().next_back().unwrap_or(Outcome::Absent);
        }
        // The layer that says most: the signer's key for L0, the place in the tree for L1.
        let telling = if level == Level::InLog { 2 } else { 1 };
        outcomes.into_iter().nth(telling).unwrap_or(Outcome::Absent)
    }

    fn statement(&mut self, record: Option<&Record>) -> Option<Verified<Intent>> {
        let result = Unverified::<Intent>::parse(&self.receipt.statement).and_then(|unverified| {
            let record = record.ok_or(ProofError::NeedsLayer(Layer::Record))?;
            unverified.verify_by(&DeviceKeys::from_record(&record.device_key)?)
        });
        match result {
            Ok(statement) => {
                let key = statement.key();
                let thumbprint = Hash32::new(key.cose_key_thumbprint());
                let beside = statement.keys().post_quantum();
                let beside = beside.map(|key| format!(" and {}", key.algorithm().name()));
                let (name, beside) = (key.algorithm().name(), beside.unwrap_or_default());
                let detail = format!("{name}{beside} key {}", thumbprint.short());
                self.proved(Layer::Statement, detail);
                Some(statement)
            }
            Err(reason) => {
                self.failed(Layer::Statement, reason);
                None
            }
        }
    }

    fn record(
        &mut self,
        record: Result<&Record, &tpw_core::CodecError>,
        statement: Option<&Verified<Intent>>,
    ) {
        let check = || {
            let record = record.map_err(Clone::clone)?;
            let statement = statement.ok_or(ProofError::NeedsLayer(Layer::Statement))?;
            let operator = &self.trust.operator;
            record::check(record, statement.value(), statement.payload_hash(), operator)?;
            Ok(format!("{} {} booked {}", record.kind, record.payment, record.booked))
        };
        let result = check();
        self.settle(Layer::Record, result);
    }

    fn leaf(&mut self, record: Option<&Record>) -> Option<Leaf> {
        let leaf = match Leaf::from_bytes(&self.receipt.leaf) {
            Ok(leaf) if leaf.kind().is_of_payments() => leaf,
            unfit => {
                let why = "an entry of orders, a time-stamp or a key, which no receipt is about";
                let other = ProofError::Malformed { what: "log entry", why };
                let reason = unfit.err().unwrap_or(other);
                self.failed(Layer::Leaf, reason);
                return None;
            }
        };
        let hash = |bytes: &[u8]| Hash32::new(sha256(bytes));
        let opens = |record: &Record| {
            let (statement, content) = (hash(&self.receipt.statement), hash(&self.receipt.record));
            leaf.opens(record.kind, &self.receipt.salt, statement, content)
        };
        let result = match record.map(opens) {
            None => Err(ProofError::NeedsLayer(Layer::Record)),
            Some(true) => Ok(format!("leaf hash {}", leaf.leaf_hash().short())),
            Some(false) => Err(ProofError::Mismatch {
                field: "commitment",
                left: "the log entry",
                right: "salt, statement and record",
            }),
        };
        self.settle(Layer::Leaf, result);
        Some(leaf)
    }

    fn tlog_proof(&mut self, leaf: Option<&Leaf>) -> Option<TlogProof> {
        let proof = match TlogProof::parse(&self.receipt.tlog_proof) {
            Ok(proof) => proof,
            Err(reason) => {
                self.failed(Layer::TlogProof, reason);
                return None;
            }
        };
        let result = match leaf {
            None => Err(ProofError::NeedsLayer(Layer::Leaf)),
            // Extra data is authenticated by nothing, and our receipts have none.
            Some(_) if proof.extra.is_some() => {
                Err(ProofError::Malformed { what: "tlog-proof", why: "extra data in a receipt" })
            }
            Some(leaf) => proof.verify_inclusion(&leaf.leaf_hash()).map(|()| {
                let size = proof.checkpoint.checkpoint().head.size;
                format!("index {} of {size}", proof.index)
            }),
        };
        self.settle(Layer::TlogProof, result);
        Some(proof)
    }

    fn checkpoint(&mut self, proof: Option<&TlogProof>) {
        let check = |proof: &TlogProof| {
            let checkpoint = proof.checkpoint.checkpoint();
            if checkpoint.origin != self.trust.origin {
                let (left, right) = ("the checkpoint", "the trust file");
                return Err(ProofError::Mismatch { field: "origin", left, right });
            }
            if self.trust.log_keys.is_empty() {
                return Err(ProofError::NotSigned(checkpoint.origin.to_string()));
            }
            let note = proof.checkpoint.to_string();
            self.checked
                .checkpoints
                .answer(&[note.as_bytes()], || proof.checkpoint.verify_all(&self.trust.log_keys))?;
            let keys = self.trust.log_keys.len();
            Ok(format!("{} signed with {keys} keys", checkpoint.origin))
        };
        let result = proof.map_or(Err(ProofError::NeedsLayer(Layer::TlogProof)), check);
        self.settle(Layer::Checkpoint, result);
    }

    /// A verifier who names a policy demands its quorum.
    fn witnesses(&mut self, proof: Option<&TlogProof>) {
        let Some(policy) = &self.trust.witness_policy else {
            return self.push(Layer::Witness, Outcome::Absent);
        };
        let mut check = || {
            let proof = proof.ok_or(ProofError::NeedsLayer(Layer::TlogProof))?;
            let note = proof.checkpoint.to_string();
            self.checked.witnesses.answer(&[note.as_bytes()], || {
                let witnessed = policy.judge(&proof.checkpoint)?;
                witnessed.demand()?;
                Ok(witnessed.summary())
            })
        };
        let result = check();
        self.settle(Layer::Witness, result);
    }

    fn cose_receipts(&mut self, leaf: Option<&Leaf>, proof: Option<&TlogProof>) {
        if self.receipt.cose_receipts.is_empty() {
            return self.push(Layer::CoseReceipt, Outcome::Absent);
        }
        let mut check = || {
            let leaf = leaf.ok_or(ProofError::NeedsLayer(Layer::Leaf))?.leaf_hash();
            let proof = proof.ok_or(ProofError::NeedsLayer(Layer::TlogProof))?;
            for bytes in &self.receipt.cose_receipts {
                let claimed = cose_receipt::claimed_key(bytes)?;
                let mut keys = self.trust.cose_keys.iter();
                let key = keys
                    .find(|key| key.cose_key_thumbprint() == *claimed.as_bytes())
                    .ok_or_else(|| ProofError::NotSigned(claimed.short()))?;
                let remembered = &mut self.checked.root_signatures;
                let said = cose_receipt::verify_by(bytes, &leaf, key, |message, signature| {
                    let about = [claimed.as_bytes().as_slice(), message, signature];
                    remembered.answer(&about, || Ok(key.verify(message, signature)?))
                })?;
                let (left, right) = ("a COSE receipt", "the tlog-proof");
                if said.index != proof.index {
                    return Err(ProofError::Mismatch { field: "index", left, right });
                }
                if said.head != proof.checkpoint.checkpoint().head {
                    return Err(ProofError::Mismatch { field: "tree head", left, right });
                }
            }
            Ok(format!("{} of the same root", self.receipt.cose_receipts.len()))
        };
        let result = check();
        self.settle(Layer::CoseReceipt, result);
    }

    /// Every time-stamp must hold; the earliest time of them is the one proved.
    fn timestamps(
        &mut self,
        record: Option<&Record>,
        proof: Option<&TlogProof>,
    ) -> Option<Instant> {
        if self.receipt.timestamps.is_empty() {
            self.push(Layer::Timestamp, Outcome::Absent);
            return None;
        }
        let mut check = || {
            let proof = proof.ok_or(ProofError::NeedsLayer(Layer::TlogProof))?;
            let record = record.ok_or(ProofError::NeedsLayer(Layer::Record))?;
            let data = proof.checkpoint.log_signed_bytes();
            let mut earliest = Instant::MAX;
            for token in &self.receipt.timestamps {
                let (roots, policies) = (&self.trust.tsa_roots, &self.trust.tsa_policies);
                let gen_time = self.checked.timestamps.answer(&[token, &data], || {
                    Ok(timestamp::verify(token, &data, roots, policies)?.gen_time)
                })?;
                if gen_time < record.booked.minus(TIME_TOLERANCE) {
                    return Err(ProofError::Times { why: "time-stamped before it was booked" });
                }
                earliest = earliest.min(gen_time);
            }
            Ok(earliest)
        };
        match check() {
            Ok(time) => {
                self.proved(Layer::Timestamp, time.to_string());
                Some(time)
            }
            Err(reason) => {
                self.failed(Layer::Timestamp, reason);
                None
            }
        }
    }

    /// Every record must hold; the one that is relied on longest says until when.
    fn evidence(&mut self) -> Option<VerifiedEvidence> {
        if self.receipt.evidence.is_empty() {
            self.push(Layer::Evidence, Outcome::Absent);
            return None;
        }
        match self.check_evidence() {
            Ok(longest) => {
                let VerifiedEvidence { begun, newest, renewals, until } = longest;
                let detail = format!(
                    "archived {begun}, renewals {renewals}, newest {newest}, relied on until {until}"
                );
                self.proved(Layer::Evidence, detail);
                Some(longest)
            }
            Err(reason) => {
                self.failed(Layer::Evidence, reason);
                None
            }
        }
    }

    /// Every anchor must hold inside; one in a block that the verifier knows proves the layer.
    fn anchors(&mut self, leaf: Option<&Leaf>, proof: Option<&TlogProof>) -> Vec<anchor::Found> {
        let check = || {
            if self.receipt.anchors.is_empty() {
                return Ok(Vec::new());
            }
            let leaf = leaf.ok_or(ProofError::NeedsLayer(Layer::Leaf))?.leaf_hash();
            let index = proof.ok_or(ProofError::NeedsLayer(Layer::TlogProof))?.index;
            anchor::judge(&self.receipt.anchors, &leaf, index, self.trust)
        };
        match check() {
            Ok(found) => {
                let outcome = anchor::summary(&found)
                    .map_or(Outcome::Absent, |detail| Outcome::Proved { detail });
                self.push(Layer::Anchor, outcome);
                found
            }
            Err(reason) => {
                self.failed(Layer::Anchor, reason);
                Vec::new()
            }
        }
    }

    fn check_evidence(&self) -> Result<VerifiedEvidence, ProofError> {
        let failed = |r: &LayerResult| {
            r.layer == Layer::Timestamp && matches!(r.outcome, Outcome::Failed { .. })
        };
        // A record leans on the time-stamps that it covers.
        if self.layers.iter().any(failed) {
            return Err(ProofError::NeedsLayer(Layer::Timestamp));
        }
        let bytes = evidence::archived_bytes(self.receipt)
            .map_err(|_unreadable| ProofError::NeedsLayer(Layer::TlogProof))?;
        let archived = Archived { bytes: &bytes, stamps: &self.receipt.timestamps };
        let trust = StampTrust {
            roots: &self.trust.tsa_roots,
            policies: &self.trust.tsa_policies,
            tolerance: TIME_TOLERANCE,
        };
        let records = self.receipt.evidence.iter();
        let verified = records
            .map(|record| evidence::verify(record, &archived, &trust))
            .collect::<Result<Vec<_>, _>>()?;
        let longest = verified.into_iter().max_by_key(|verified| verified.until);
        Ok(longest.ok_or(EvidenceError::Empty)?)
    }
}
