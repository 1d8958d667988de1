//! A judgement as JSON, in the words of `tpw verify --json`, with what the page draws.

use serde_json::{Map, Value, json};
use tpw_core::{Approval, Hash32, Posting, Reason, Receipt, words};
use tpw_crypto::{PublicKey, sha256};
use tpw_proof::anchor::{self, KnownFault, Place, Standing, with_known};
use tpw_proof::timestamp;
use tpw_proof::tree::{Side, inclusion_steps};
use tpw_proof::verdict::{Layer, Outcome, ProvedPayment};
use tpw_proof::{DeviceKeys, Judgement, Leaf, ProofError, TlogProof, Trust, VerifierKey, judge};

/// Judges the bytes of a receipt by the bytes of a trust file and the blocks that a person has written down. When there is no trust
/// to judge by, the answer has the one member `trust_error`; when a line is no block, the one member `blocks_error`.
#[must_use]
pub fn verdict_json(receipt: &[u8], trust: &[u8], blocks: &[u8]) -> String {
    let wrong = || ProofError::Malformed { what: "trust file", why: "not UTF-8" };
    let read = str::from_utf8(trust).map_err(|_| wrong()).and_then(Trust::from_json);
    let trust = match read {
        Ok(trust) => trust,
        Err(error) => return json!({ "trust_error": fault(&error) }).to_string(),
    };
    let blocks = str::from_utf8(blocks).map_err(|_odd| (1, KnownFault::Form));
    match blocks.and_then(|text| with_known(&trust, text)) {
        Ok(more) => judged(receipt, &trust, &more).to_string(),
        Err((line, fault)) => {
            json!({ "blocks_error": { "line": line.to_string(), "reason": fault.code() } })
                .to_string()
        }
    }
}

/// What is told of the trust is about the file alone, whatever blocks were added to it.
fn judged(bytes: &[u8], trust: &Trust, more: &Trust) -> Value {
    let judgement = judge(bytes, more);
    let receipt = Receipt::from_bytes(bytes).ok();
    let proof = receipt.as_ref().and_then(|receipt| TlogProof::parse(&receipt.tlog_proof).ok());
    let failure = judgement.first_failure().map(|(layer, reason)| {
        let mut failure = fault(reason);
        put(&mut failure, "layer", layer.code());
        failure
    });
    let seen = Seen { judgement: &judgement, trust, receipt, proof };
    json!({
        "valid": judgement.is_valid(),
        "failure": failure,
        "levels": levels(&judgement),
        "layers": layers(&judgement),
        "payment": judgement.payment.as_ref().map(payment),
        "facts": seen.facts(bytes.len()),
        "anchors": judgement.anchors.iter().map(anchor).collect::<Vec<_>>(),
        "file_hash": Hash32::new(sha256(bytes)).to_string(),
        "path": seen.path(),
        "signers": seen.signers(),
        "trust": seen.trust(),
    })
}

fn fault(reason: &ProofError) -> Value {
    json!({ "reason": reason.code(), "detail": reason.to_string() })
}

fn put(value: &mut Value, name: &str, text: impl Into<Value>) {
    if let Value::Object(members) = value {
        members.insert(name.to_owned(), text.into());
    }
}

fn outcome(found: &Outcome) -> Value {
    match found {
        Outcome::Proved { detail } => json!({ "outcome": "proved", "detail": detail }),
        Outcome::Absent => json!({ "outcome": "absent" }),
        Outcome::Failed { layer, reason } => {
            let mut value = fault(reason);
            put(&mut value, "outcome", "failed");
            put(&mut value, "layer", layer.code());
            value
        }
    }
}

fn levels(judgement: &Judgement) -> Vec<Value> {
    let one = |result: &tpw_proof::verdict::LevelResult| {
        let mut value = outcome(&result.outcome);
        put(&mut value, "level", format!("L{}", result.level.number()));
        put(&mut value, "name", result.level.code());
        value
    };
    judgement.levels.iter().map(one).collect()
}

/// A list, because their order is that of checking.
fn layers(judgement: &Judgement) -> Vec<Value> {
    let one = |result: &tpw_proof::verdict::LayerResult| {
        let mut value = outcome(&result.outcome);
        put(&mut value, "name", result.layer.code());
        value
    };
    judgement.layers.iter().map(one).collect()
}

fn payment(proved: &ProvedPayment) -> Value {
    let (intent, record) = (&proved.intent, &proved.record);
    json!({
        "id": intent.payment.to_string(),
        "kind": record.kind.code(),
        "device": intent.device.to_string(),
        "payer": intent.payer.to_string(),
        "payee": intent.payee.to_string(),
        "money": intent.money.to_string(),
        "amount": intent.money.amount.to_string(),
        "asset": intent.money.asset.to_string(),
        "in_words": {
            "en": words::english(intent.money),
            "zh-CN": words::formal_chinese(intent.money),
        },
        "operator": intent.audience.as_str(),
        "sequence": intent.sequence.to_string(),
        "purpose": intent.purpose.as_str(),
        "created": intent.created.to_string(),
        "received": record.received.to_string(),
        "booked": record.booked.to_string(),
        "intent_hash": proved.intent_hash.to_string(),
        "score": record.decision.score.to_string(),
        "reasons": record.decision.reasons.iter().map(reason).collect::<Vec<_>>(),
        "approvals": record.approvals.iter().map(approval).collect::<Vec<_>>(),
        "postings": record.postings.iter().map(posting).collect::<Vec<_>>(),
        "leaf_index": proved.index.to_string(),
        "tree_size": proved.head.size.to_string(),
        "root": proved.head.root.to_string(),
        "time_stamped": proved.gen_time.map(|at| at.to_string()),
    })
}

fn reason(reason: &Reason) -> Value {
    json!({ "code": reason.code.code(), "points": reason.points.to_string() })
}

/// What let a payment go on, and the hash that stands for what was given.
fn approval(given: &Approval) -> Value {
    let (kind, hash) = match given {
        Approval::StepUp { proof, .. } => ("step_up", proof),
        Approval::Operator { key, .. } => ("operator", key),
        Approval::Factor { evidence, .. } => ("factor", evidence),
    };
    json!({ "kind": kind, "hash": hash.to_string(), "at": given.at().to_string() })
}

fn posting(posting: &Posting) -> Value {
    json!({
        "number": posting.number.to_string(),
        "debit": posting.debit.to_string(),
        "credit": posting.credit.to_string(),
        "money": posting.money.to_string(),
    })
}

/// Where an anchor is, and what is known of its block. Not the hash that it claims: whoever copied that from here would have asked
/// nobody else.
fn anchor(found: &anchor::Found) -> Value {
    let standing = match found.standing {
        Standing::Known => "known",
        Standing::UnknownBlock => "unknown-block",
        Standing::UnknownChain => "unknown-chain",
    };
    let kind = match found.place {
        Place::Evm(_) => "evm",
        Place::Bitcoin(_) => "bitcoin",
    };
    let (chain, block) = (found.place.to_string(), found.number.to_string());
    json!({ "kind": kind, "chain": chain, "block": block, "standing": standing })
}

/// What the judge saw.
struct Seen<'s> {
    judgement: &'s Judgement,
    trust: &'s Trust,
    receipt: Option<Receipt>,
    proof: Option<TlogProof>,
}

impl Seen<'_> {
    fn is_proved(&self, layer: Layer) -> bool {
        self.judgement.layer(layer).is_proved()
    }

    /// For each layer that is proved the values that a sentence about it names.
    fn facts(&self, bytes: usize) -> Value {
        let Some(receipt) = &self.receipt else { return json!({}) };
        let mut facts = Map::new();
        let mut tell = |layer: Layer, value: Value| {
            if self.is_proved(layer) {
                facts.insert(layer.code().to_owned(), value);
            }
        };
        tell(Layer::Container, json!({ "bytes": bytes.to_string() }));
        if let Some(keys) = self.device_keys() {
            let all = [Some(keys.classical()), keys.post_quantum()].into_iter().flatten();
            let names: Vec<&str> = all.map(|key| key.algorithm().name()).collect();
            let key = thumbprint(keys.classical()).short();
            tell(Layer::Statement, json!({ "algorithm": names.join(" + "), "key": key }));
        }
        if let Ok(leaf) = Leaf::from_bytes(&receipt.leaf) {
            tell(Layer::Leaf, json!({ "hash": leaf.leaf_hash().to_string() }));
        }
        if let Some(proof) = &self.proof {
            let checkpoint = proof.checkpoint.checkpoint();
            let (index, size) = (proof.index.to_string(), checkpoint.head.size.to_string());
            tell(Layer::TlogProof, json!({ "index": index, "size": size }));
            let keys = self.trust.log_keys.len().to_string();
            tell(
                Layer::Checkpoint,
                json!({ "origin": checkpoint.origin.to_string(), "keys": keys }),
            );
        }
        let witnesses = self.witnesses();
        let known = self.trust.witness_policy.as_ref().map_or(0, |policy| policy.witnesses().len());
        let count = witnesses.len().to_string();
        tell(Layer::Witness, json!({ "count": count, "known": known.to_string() }));
        tell(Layer::CoseReceipt, json!({ "count": receipt.cose_receipts.len().to_string() }));
        if let Outcome::Proved { detail } = self.judgement.layer(Layer::Timestamp) {
            tell(Layer::Timestamp, json!({ "time": detail }));
        }
        let known = |found: &&anchor::Found| found.standing == Standing::Known;
        if let Some(found) = self.judgement.anchors.iter().find(known) {
            let (block, chain) = (found.number.to_string(), found.place.to_string());
            let time = found.time.map(|time| time.to_string());
            let value = json!({ "block": block, "chain": chain, "time": time });
            tell(Layer::Anchor, value);
        }
        let payment = self.judgement.payment.as_ref();
        if let Some(evidence) = payment.and_then(|proved| proved.evidence) {
            let (begun, until) = (evidence.begun.to_string(), evidence.until.to_string());
            let renewals = evidence.renewals.to_string();
            tell(Layer::Evidence, json!({ "begun": begun, "renewals": renewals, "until": until }));
        }
        Value::Object(facts)
    }

    fn device_keys(&self) -> Option<DeviceKeys> {
        let record = tpw_core::Record::from_bytes(&self.receipt.as_ref()?.record).ok()?;
        DeviceKeys::from_record(&record.device_key).ok()
    }

    /// The way from the entry to the root as the file claims it; `leads` tells whether it is the checkpoint's root.
    fn path(&self) -> Value {
        let (Some(receipt), Some(proof)) = (&self.receipt, &self.proof) else { return Value::Null };
        let Ok(leaf) = Leaf::from_bytes(&receipt.leaf) else { return Value::Null };
        let (leaf, head) = (leaf.leaf_hash(), proof.checkpoint.checkpoint().head);
        let Ok(steps) = inclusion_steps(&leaf, proof.index, head.size, &proof.path) else {
            return Value::Null;
        };
        let reached = steps.last().map_or(leaf, |step| step.node);
        let steps = steps.iter().map(|step| {
            let side = match step.side {
                Side::Left => "left",
                Side::Right => "right",
            };
            json!({ "sibling": step.sibling.to_string(), "side": side, "node": step.node.to_string() })
        });
        json!({
            "index": proof.index.to_string(),
            "size": head.size.to_string(),
            "leaf": leaf.to_string(),
            "steps": steps.collect::<Vec<_>>(),
            "root": head.root.to_string(),
            "leads": reached == head.root,
        })
    }

    fn witnesses(&self) -> Vec<String> {
        let (Some(policy), Some(proof)) = (&self.trust.witness_policy, &self.proof) else {
            return Vec::new();
        };
        let cosigned = policy.judge(&proof.checkpoint).map(|witnessed| witnessed.cosigned);
        cosigned.unwrap_or_default().into_iter().map(|cosigned| cosigned.witness).collect()
    }

    /// Whose signatures hold.
    fn signers(&self) -> Vec<Value> {
        let mut signers = Vec::new();
        if self.is_proved(Layer::Statement)
            && let Some(keys) = self.device_keys()
        {
            let keys = [Some(keys.classical()), keys.post_quantum()].into_iter().flatten();
            signers.extend(keys.map(|key| signer("device", "", key)));
        }
        if self.is_proved(Layer::Checkpoint) {
            let of_log = |key: &VerifierKey| signer("log", key.name().as_str(), key.key());
            signers.extend(self.trust.log_keys.iter().map(of_log));
        }
        if self.is_proved(Layer::Witness) {
            let witness = |name: String| json!({ "role": "witness", "name": name });
            signers.extend(self.witnesses().into_iter().map(witness));
        }
        if self.is_proved(Layer::Timestamp) {
            let tokens = self.receipt.iter().flat_map(|receipt| &receipt.timestamps);
            signers.extend(tokens.filter_map(|token| authority(token)));
        }
        signers
    }

    fn trust(&self) -> Value {
        let hash = self.trust.hash();
        let hint = self.receipt.as_ref().map(|receipt| receipt.trust_hint);
        json!({
            "operator": self.trust.operator.as_str(),
            "origin": self.trust.origin.as_str(),
            "hash": hash.to_string(),
            "is_hinted": hint.map(|hint| hint == *hash.as_bytes()),
        })
    }
}

fn thumbprint(key: &PublicKey) -> Hash32 {
    Hash32::new(key.cose_key_thumbprint())
}

fn signer(role: &str, name: &str, key: &PublicKey) -> Value {
    let (algorithm, thumbprint) = (key.algorithm().name(), thumbprint(key).to_string());
    json!({ "role": role, "name": name, "algorithm": algorithm, "key": thumbprint })
}

/// The authority of a token that holds, by the subjects of the certificates in it.
fn authority(token: &[u8]) -> Option<Value> {
    let token = timestamp::info(token).ok()?.token?;
    let (name, time) = (token.certificates.join("; "), token.gen_time.to_string());
    Some(json!({ "role": "authority", "name": name, "time": time }))
}
