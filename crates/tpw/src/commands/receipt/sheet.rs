//! What stands on a printed receipt, whatever it is printed as.

use super::super::show::{self, LevelRow};
use crate::say::{Lang, Say};
use tpw_core::{Hash32, Posting, words};
use tpw_crypto::sha256;
use tpw_proof::verdict::{LayerResult, Outcome as Found, ProvedPayment};
use tpw_proof::{Judgement, Trust};

/// A printed receipt: only what was proved.
pub(super) struct Sheet {
    pub(super) lang: Lang,
    pub(super) title: String,
    /// That it was verified, and that paper alone proves nothing.
    pub(super) verdict: String,
    pub(super) amount: String,
    /// The amount in words.
    pub(super) in_words: String,
    pub(super) sections: Vec<Section>,
    /// How to verify it again, and the commands for that.
    pub(super) guide: String,
    pub(super) commands: Vec<String>,
    /// What the download of the receipt is called, and under which name.
    pub(super) download: String,
    pub(super) file_name: String,
    /// What the QR code says: `spec/receipt.md`, "Printed".
    pub(super) code: String,
}

/// The sections whose rows are a list: levels, and parts checked.
const LEVELS: &str = "print-levels";
const LAYERS: &str = "print-layers";

/// Rows under a heading.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

/// A name and a value beside it.
pub(super) struct Row {
    /// What a page that judges the receipt itself compares the value by: the key of the name, or of a list.
    pub(super) fact: &'static str,
    pub(super) name: String,
    pub(super) value: String,
}

impl Sheet {
    /// Of a receipt that was judged valid.
    pub(super) fn of(
        say: &Say,
        judgement: &Judgement,
        proved: &ProvedPayment,
        bytes: &[u8],
        trust: &Trust,
    ) -> Self {
        let intent = &proved.intent;
        let file_name = format!("{}.tpr", intent.payment);
        let in_words = match say.lang() {
            Lang::En => words::english(intent.money),
            Lang::ZhCn => words::formal_chinese(intent.money),
        };
        let file_hash = Hash32::new(sha256(bytes));
        let sections = vec![
            payment(say, proved),
            levels(say, judgement),
            decision(say, proved),
            evidence(say, proved, trust, file_hash),
            layers(say, judgement),
        ];
        Self {
            lang: say.lang(),
            title: say.text(&format!("print-title-{}", proved.record.kind.code())),
            verdict: say.text("print-verdict"),
            amount: intent.money.to_string(),
            in_words,
            sections,
            guide: say.text("print-guide"),
            commands: commands(&file_name),
            download: say.text("print-download"),
            code: code(proved, file_hash, trust),
            file_name,
        }
    }
}

fn commands(file: &str) -> Vec<String> {
    vec![
        format!("tpw verify {file} --trust trust.json"),
        format!("tpw receipt export {file} --trust trust.json --out loose"),
        "openssl ts -verify -data loose/checkpoint -in loose/token.tsr -CAfile loose/tsa-root.pem"
            .to_owned(),
    ]
}

/// Enough to find the entry in the log, and to know that a file is the one that was printed.
fn code(proved: &ProvedPayment, file_hash: Hash32, trust: &Trust) -> String {
    let (payment, intent) = (proved.intent.payment, proved.intent_hash);
    let index = proved.index;
    format!("tpw-receipt:1:{payment}:{file_hash}:{intent}:{index}:{}", trust.origin)
}

fn section(say: &Say, title: &str, rows: Vec<(&'static str, String)>) -> Section {
    let shown = rows.into_iter().filter(|(_, text)| !text.is_empty());
    let row = |(key, value)| Row { fact: key, name: say.text(key), value };
    Section { title: say.text(title), rows: shown.map(row).collect() }
}

fn payment(say: &Say, proved: &ProvedPayment) -> Section {
    let (intent, record) = (&proved.intent, &proved.record);
    let rows = vec![
        ("field-payment", intent.payment.to_string()),
        ("field-kind", say.text(&format!("kind-{}", record.kind.code()))),
        ("field-from", intent.payer.to_string()),
        ("field-to", intent.payee.to_string()),
        ("field-note", intent.purpose.as_str().to_owned()),
        ("field-operator", intent.audience.as_str().to_owned()),
        ("field-device", intent.device.to_string()),
        ("field-sequence", intent.sequence.to_string()),
        ("field-created", intent.created.to_string()),
        ("field-received", record.received.to_string()),
        ("field-booked", record.booked.to_string()),
        ("field-time", proved.gen_time.map(|at| at.to_string()).unwrap_or_default()),
    ];
    section(say, "print-payment", rows)
}

fn levels(say: &Say, judgement: &Judgement) -> Section {
    let row = |row: LevelRow| {
        let found = format!("{} {}", row.word, row.detail);
        Row { fact: LEVELS, name: row.name, value: found.trim_end().to_owned() }
    };
    let rows = show::level_rows(say, judgement).into_iter().map(row).collect();
    Section { title: say.text(LEVELS), rows }
}

fn decision(say: &Say, proved: &ProvedPayment) -> Section {
    let record = &proved.record;
    let reasons: Vec<String> = record
        .decision
        .reasons
        .iter()
        .map(|r| format!("+{} {}", r.points, say.text(&format!("reason-{}", r.code.code()))))
        .collect();
    let rows = vec![
        ("field-score", record.decision.score.to_string()),
        ("field-reasons", reasons.join("; ")),
    ];
    let mut section = section(say, "print-decision", rows);
    let approval = |given| Row {
        fact: "field-approval",
        name: say.text("field-approval"),
        value: show::approval_words(say, given),
    };
    section.rows.extend(record.approvals.iter().map(approval));
    let posting = |posting: &Posting| {
        let value = format!("{} → {}: {}", posting.debit, posting.credit, posting.money);
        let name = format!("{} {}", say.text("field-posting"), posting.number);
        Row { fact: "field-posting", name, value }
    };
    section.rows.extend(record.postings.iter().map(posting));
    section
}

fn evidence(say: &Say, proved: &ProvedPayment, trust: &Trust, file_hash: Hash32) -> Section {
    let rows = vec![
        ("field-log", trust.origin.to_string()),
        ("field-leaf", format!("{} / {}", proved.index, proved.head.size)),
        ("field-root", proved.head.root.to_string()),
        ("field-intent-hash", proved.intent_hash.to_string()),
        ("field-file-hash", file_hash.to_string()),
        ("field-trust-hash", trust.hash().to_string()),
    ];
    section(say, "print-evidence", rows)
}

fn layers(say: &Say, judgement: &Judgement) -> Section {
    let word = |found: &Found| say.text(&format!("word-{}", found.code()));
    let row = |r: &LayerResult| {
        let name = say.text(&format!("layer-{}", r.layer.code()));
        Row { fact: LAYERS, name, value: word(&r.outcome) }
    };
    Section { title: say.text(LAYERS), rows: judgement.layers.iter().map(row).collect() }
}

/// The dark modules of a QR code, those beside each other as one: column, row and how many.
pub(super) fn runs(code: &qrcodegen::QrCode) -> Vec<(i32, i32, i32)> {
    let mut runs: Vec<(i32, i32, i32)> = Vec::new();
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            match runs.last_mut() {
                Some((first, row, length)) if *row == y && first.saturating_add(*length) == x => {
                    *length = length.saturating_add(1);
                }
                _ => runs.push((x, y, 1)),
            }
        }
    }
    runs
}
