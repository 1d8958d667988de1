//! How judgements and payments look, as text and as JSON.

use crate::device::pay::Outcome;
use crate::say::{Mood, Say};
use serde_json::{Value, json};
use tpw_core::{Approval, Hash32, Money};
use tpw_crypto::PublicKey;
use tpw_proof::anchor::{self, Place, Standing};
use tpw_proof::ots::Network;
use tpw_proof::verdict::{Level, LevelResult, Outcome as Found, ProvedPayment};
use tpw_proof::{DeviceKeys, Judgement, ProofError};
use tpw_server::wire::{Payment, Reason};

/// A judgement as JSON. The content of a receipt is there only when it is proved.
pub(super) fn judgement_json(judgement: &Judgement) -> Value {
    let found = |outcome: &Found| match outcome {
        Found::Proved { detail } => json!({ "outcome": "proved", "detail": detail }),
        Found::Absent => json!({ "outcome": "absent" }),
        Found::Failed { layer, reason } => json!({
            "outcome": "failed", "layer": layer.code(), "reason": reason.code(),
            "detail": reason.to_string(),
        }),
    };
    let level = |result: &LevelResult| {
        let mut value = found(&result.outcome);
        if let Value::Object(members) = &mut value {
            members.insert("level".to_owned(), format!("L{}", result.level.number()).into());
            members.insert("name".to_owned(), result.level.code().into());
        }
        value
    };
    let layers: serde_json::Map<String, Value> = judgement
        .layers
        .iter()
        .map(|result| (result.layer.code().to_owned(), found(&result.outcome)))
        .collect();
    let failure = judgement.first_failure().map(|(layer, reason)| {
        json!({ "layer": layer.code(), "reason": reason.code(), "detail": reason.to_string() })
    });
    let mut value = json!({
        "valid": judgement.is_valid(),
        "levels": judgement.levels.iter().map(level).collect::<Vec<_>>(),
        "layers": layers,
        "failure": failure,
        "payment": judgement.payment.as_ref().map(proved_json),
    });
    if let (false, Value::Object(members)) = (judgement.anchors.is_empty(), &mut value) {
        members.insert("anchors".to_owned(), judgement.anchors.iter().map(anchor_json).collect());
    }
    value
}

fn anchor_json(anchor: &anchor::Found) -> Value {
    let (kind, chain_id, network) = match anchor.place {
        Place::Evm(chain_id) => ("evm", Some(chain_id.to_string()), None),
        Place::Bitcoin(network) => ("bitcoin", None, network.map(Network::name)),
    };
    json!({
        "kind": kind, "chain_id": chain_id, "network": network, "block": anchor.number.to_string(),
        "block_hash": block_hash(anchor), "time": anchor.time.map(|time| time.to_string()),
        "size": anchor.size.to_string(), "standing": standing(anchor.standing),
    })
}

/// The block's hash as its chain writes it.
fn block_hash(anchor: &anchor::Found) -> Option<String> {
    let text = match anchor.place {
        Place::Evm(_) => anchor::hash_text,
        Place::Bitcoin(_) => anchor::bitcoin_hash_text,
    };
    anchor.block.as_ref().map(text)
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Known => "known",
        Standing::UnknownBlock => "unknown_block",
        Standing::UnknownChain => "unknown_chain",
    }
}

/// What is missing before an anchor proves something: the hash of its block, from anywhere.
pub(super) fn anchor_lines(say: &Say, judgement: &Judgement) -> Vec<String> {
    let line = |anchor: &anchor::Found| {
        let key = match (anchor.standing, anchor.place) {
            (Standing::Known, _) => return None,
            (_, Place::Bitcoin(_)) => "anchor-unknown-header",
            (Standing::UnknownBlock, _) => "anchor-unknown-block",
            (Standing::UnknownChain, _) => "anchor-unknown-chain",
        };
        let (chain, number) = (anchor.place.to_string(), anchor.number.to_string());
        let hash = block_hash(anchor).unwrap_or_default();
        Some(say.with(key, &[("chain", &chain), ("number", &number), ("hash", &hash)]))
    };
    judgement.anchors.iter().filter_map(line).collect()
}

/// Which message names an approval of a kind, and the hash that stands for what was given.
fn approval_parts(approval: &Approval) -> (&'static str, Hash32) {
    match approval {
        Approval::StepUp { proof, .. } => ("step_up", *proof),
        Approval::Operator { key, .. } => ("operator", *key),
        Approval::Factor { evidence, .. } => ("factor", *evidence),
    }
}

fn approval_json(approval: &Approval) -> Value {
    let (kind, hash) = approval_parts(approval);
    json!({ "kind": kind, "hash": hash.to_string(), "at": approval.at().to_string() })
}

/// What let a payment go on, in words.
pub(super) fn approval_words(say: &Say, approval: &Approval) -> String {
    let (kind, hash) = approval_parts(approval);
    let (hash, at) = (hash.to_string(), approval.at().to_string());
    say.with(&format!("approval-{kind}"), &[("hash", &hash), ("at", &at)])
}

fn proved_json(proved: &ProvedPayment) -> Value {
    let (intent, record) = (&proved.intent, &proved.record);
    let postings = record.postings.iter().map(|posting| {
        json!({
            "number": posting.number.to_string(),
            "debit": posting.debit.to_string(), "credit": posting.credit.to_string(),
            "amount": posting.money.amount.to_string(), "asset": posting.money.asset.to_string(),
        })
    });
    json!({
        "id": intent.payment.to_string(),
        "kind": record.kind.code(),
        "device": intent.device.to_string(),
        "payer": intent.payer.to_string(),
        "payee": intent.payee.to_string(),
        "amount": intent.money.amount.to_string(),
        "asset": intent.money.asset.to_string(),
        "purpose": intent.purpose.as_str(),
        "sequence": intent.sequence.to_string(),
        "created": intent.created.to_string(),
        "received": record.received.to_string(),
        "booked": record.booked.to_string(),
        "intent_hash": proved.intent_hash.to_string(),
        "score": record.decision.score,
        "reasons": record.decision.reasons.iter().map(|r| r.code.code()).collect::<Vec<_>>(),
        "approvals": record.approvals.iter().map(approval_json).collect::<Vec<_>>(),
        "postings": postings.collect::<Vec<_>>(),
        "leaf_index": proved.index.to_string(),
        "tree_size": proved.head.size.to_string(),
        "root": proved.head.root.to_string(),
        "time_stamped": proved.gen_time.map(|at| at.to_string()),
        "evidence": proved.evidence.map(|evidence| json!({
            "begun": evidence.begun.to_string(), "newest": evidence.newest.to_string(),
            "renewals": evidence.renewals, "until": evidence.until.to_string(),
        })),
    })
}

/// A level and what came of it, in words.
pub(super) struct LevelRow {
    /// `L0` and its name.
    pub(super) name: String,
    /// Whether it is proved, absent or failed.
    pub(super) word: String,
    pub(super) mood: Mood,
    /// What exactly is proved, or why not.
    pub(super) detail: String,
}

/// One row for each level.
pub(super) fn level_rows(say: &Say, judgement: &Judgement) -> Vec<LevelRow> {
    let row = |result: &LevelResult| {
        let level = say.text(&format!("level-{}", result.level.code()));
        let (key, mood, detail) = match &result.outcome {
            Found::Proved { detail } => {
                let words = proved_words(say, result.level, judgement.payment.as_ref());
                ("word-proved", Mood::Good, words.unwrap_or_else(|| detail.clone()))
            }
            Found::Absent => ("word-absent", Mood::Dim, String::new()),
            Found::Failed { layer, reason } => {
                let layer = say.text(&format!("layer-{}", layer.code()));
                let reason = fault(say, reason);
                let args = [("layer", layer.as_str()), ("reason", reason.as_str())];
                ("word-failed", Mood::Bad, say.with("failed-in", &args))
            }
        };
        let name = format!("L{} {level}", result.level.number());
        LevelRow { name, word: say.text(key), mood, detail }
    };
    judgement.levels.iter().map(row).collect()
}

/// One line for each level.
pub(super) fn level_lines(say: &Say, judgement: &Judgement) -> Vec<String> {
    let line = |row: LevelRow| {
        let word = say.paint(row.mood, &row.word);
        format!("  {}: {word} {}", row.name, row.detail).trim_end().to_owned()
    };
    level_rows(say, judgement).into_iter().map(line).collect()
}

/// What exactly is proved, in the reader's language; a time needs no words.
fn proved_words(say: &Say, level: Level, proved: Option<&ProvedPayment>) -> Option<String> {
    let proved = proved?;
    match level {
        Level::DeviceSignature => {
            let keys = DeviceKeys::from_record(&proved.record.device_key).ok()?;
            let one = |key: &PublicKey| {
                let thumbprint = Hash32::new(key.cose_key_thumbprint()).short().to_string();
                let args = [("algorithm", key.algorithm().name()), ("key", &thumbprint)];
                say.with("proved-device-signature", &args)
            };
            let first = one(keys.classical());
            let Some(second) = keys.post_quantum().map(one) else { return Some(first) };
            Some(say.with("proved-hybrid-signature", &[("first", &first), ("second", &second)]))
        }
        Level::InLog => {
            let (index, size) = (proved.index.to_string(), proved.head.size.to_string());
            Some(say.with("proved-in-log", &[("index", &index), ("size", &size)]))
        }
        Level::Renewed => {
            let evidence = proved.evidence?;
            let (begun, until) = (evidence.begun.to_string(), evidence.until.to_string());
            let renewals = evidence.renewals.to_string();
            let args = [("begun", begun.as_str()), ("renewals", &renewals), ("until", &until)];
            Some(say.with("proved-renewed", &args))
        }
        _ => None,
    }
}

/// What a proved payment says, line by line.
pub(super) fn proved_lines(say: &Say, proved: &ProvedPayment) -> Vec<String> {
    let intent = &proved.intent;
    let texts = [
        ("field-payment", intent.payment.to_string()),
        ("field-kind", say.text(&format!("kind-{}", proved.record.kind.code()))),
        ("field-amount", intent.money.to_string()),
        ("field-from", intent.payer.to_string()),
        ("field-to", intent.payee.to_string()),
        ("field-note", intent.purpose.as_str().to_owned()),
        ("field-booked", proved.record.booked.to_string()),
        ("field-intent-hash", proved.intent_hash.to_string()),
        ("field-leaf", format!("{} / {}", proved.index, proved.head.size)),
        ("field-time", proved.gen_time.map(|at| at.to_string()).unwrap_or_default()),
    ];
    let shown = texts.into_iter().filter(|(_, text)| !text.is_empty());
    shown.map(|(key, text)| format!("  {}: {text}", say.text(key))).collect()
}

/// The reasons of a score, in words.
pub(super) fn reasons(say: &Say, reasons: &[Reason]) -> String {
    let one = |reason: &Reason| {
        // The server's text is in the language that was asked for; ours is the fallback.
        let own = || say.text(&format!("reason-{}", reason.code));
        let text = if reason.text.is_empty() { own() } else { reason.text.clone() };
        format!("+{} {text}", reason.points)
    };
    let all: Vec<String> = reasons.iter().map(one).collect();
    if all.is_empty() { say.text("word-none") } else { all.join(" ") }
}

/// The amount of a payment, for people.
pub(super) fn money(payment: &Payment) -> String {
    Money { amount: payment.amount.0, asset: payment.asset.0 }.to_string()
}

/// An outcome as JSON: one flat object, the same for a single payment and for a line of a batch.
pub(super) fn outcome_json(id: &str, outcome: &Outcome) -> Value {
    let mut value = json!({ "payment": id, "outcome": outcome.code() });
    let Value::Object(members) = &mut value else { return value };
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    match outcome {
        Outcome::Booked(kept) | Outcome::Compensated(kept) => {
            put("receipt", kept.receipt.clone().into());
            put("compensation_receipt", kept.compensation.clone().into());
            put("score", kept.payment.decision.score.into());
            put("leaf_index", kept.payment.leaf_index.map(|index| index.to_string()).into());
            put("verified", kept.judgement.as_ref().map(Judgement::is_valid).into());
        }
        Outcome::Refused { code, text, .. } => {
            put("code", code.clone().into());
            put("detail", text.clone().into());
        }
        Outcome::Rejected { problem, .. } => {
            put("code", problem.code.clone().into());
            put("detail", problem.detail.clone().into());
        }
        Outcome::StepUp(_) | Outcome::Held(_) => {}
    }
    value
}

/// An outcome in words: what became of it, and what to do next.
pub(super) fn outcome_lines(say: &Say, id: &str, outcome: &Outcome) -> Vec<String> {
    let line = |key: &str, mood: Mood, args: &[(&str, &str)]| say.paint(mood, &say.with(key, args));
    match outcome {
        Outcome::Booked(kept) => {
            let index = kept.payment.leaf_index.unwrap_or_default().to_string();
            let mut lines = vec![line("paid-booked", Mood::Good, &[("id", id), ("index", &index)])];
            if let Some(name) = &kept.receipt {
                lines.push(say.with("paid-receipt", &[("file", name)]));
            }
            if kept.judgement.as_ref().is_some_and(Judgement::is_valid) {
                lines.push(say.text("paid-verified"));
            }
            lines
        }
        Outcome::Compensated(_) => vec![line("paid-compensated", Mood::Warn, &[("id", id)])],
        Outcome::Refused { code, text, payment } => {
            let mut lines = vec![line(
                "paid-refused",
                Mood::Bad,
                &[("id", id), ("code", code), ("text", text)],
            )];
            if let Some(payment) = payment
                && !payment.decision.reasons.is_empty()
            {
                let text = reasons(say, &payment.decision.reasons);
                lines.push(say.with("paid-reasons", &[("text", &text)]));
            }
            lines
        }
        Outcome::StepUp(_) => vec![line("paid-step-up", Mood::Warn, &[("id", id)])],
        Outcome::Held(_) => vec![line("paid-held", Mood::Warn, &[("id", id)])],
        Outcome::Rejected { problem, .. } => {
            let args = [("id", id), ("code", problem.code.as_str()), ("text", &problem.detail)];
            vec![line("paid-rejected", Mood::Bad, &args)]
        }
    }
}

/// Why a layer does not hold, in the reader's language.
pub(super) fn fault(say: &Say, reason: &ProofError) -> String {
    let detail = reason.to_string();
    say.find(&format!("proof-{}", reason.code()), &[("detail", &detail)]).unwrap_or(detail)
}
