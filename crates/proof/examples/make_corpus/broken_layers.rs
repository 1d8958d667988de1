//! What is wrong with container, statement, record and leaf. Everything that a fault would upset elsewhere is made anew:
//! a forged record is committed, logged, signed and time-stamped honestly.

use crate::maker::{
    Cose, INTENT_TYPE, Maker, Plan, account, at, hash, header, money, posting, spliced,
};
use crate::{Case, Change, changed, refused};
use tpw_core::{
    Amount, Approval, DeviceKey, Hash32, Name, PaymentId, RecordKind, StepUpProof, Verdict,
};
use tpw_crypto::{der_ecdsa, sha256};

pub(crate) fn cases(maker: &Maker) -> Vec<Case> {
    let mut cases = container(maker);
    cases.extend(changed(maker, "device", "statement", HEADERS));
    cases.extend(changed(maker, "device-p256", "statement", P256));
    cases.extend(changed(maker, "device", "statement", PAYLOADS));
    cases.extend(changed(maker, "device", "statement", RECORD_FORMS));
    cases.extend(changed(maker, "device", "record", RECORDS));
    cases.extend(changed(maker, "device", "leaf", LEAVES));
    let mut salted = maker.receipt(&Plan::new(maker, "device"));
    salted.salt[31] ^= 1;
    cases.push(refused("leaf-salt-flipped", "leaf", salted.to_bytes()));
    cases
}

/// The bytes of a good receipt in another form.
fn container(maker: &Maker) -> Vec<Case> {
    let receipt = maker.receipt(&Plan::new(maker, "device"));
    let good = receipt.to_bytes();
    let salt = [&[0x02, 0x58, 0x20][..], &receipt.salt].concat();
    let hint = [&[0x09, 0x58, 0x20][..], &receipt.trust_hint].concat();
    let tail = good.windows(hint.len()).position(|window| window == hint).unwrap();
    let record = good[tail + hint.len()..].to_vec();
    let swap = |to: &[u8]| spliced(&good, &salt, to);
    let headed = |head: u8, end: &[u8]| [&[head], &good[1..], end].concat();
    let text = receipt.tlog_proof.as_bytes();
    let text_start = good.windows(text.len()).position(|window| window == text).unwrap();
    let mut as_bytes = good.clone();
    as_bytes[text_start - 3] = 0x59;
    let mut bad_utf8 = good.clone();
    bad_utf8[text_start + 5] = 0xff;
    let mut many = receipt.clone();
    many.timestamps = vec![receipt.timestamps[0].clone(); 17];
    let table = [
        ("container-empty", Vec::new()),
        ("container-cut-off", good[..good.len() - 1].to_vec()),
        ("container-trailing-byte", headed(0xaa, &[0])),
        ("container-long-key", swap(&[&[0x18][..], &salt].concat())),
        ("container-long-length", swap(&[&[2, 0x59, 0, 0x20][..], &receipt.salt].concat())),
        ("container-salt-of-31-bytes", swap(&[&[2, 0x58, 31][..], &receipt.salt[1..]].concat())),
        (
            "container-indefinite-bytes",
            swap(&[&[2, 0x5f, 0x58, 0x20][..], &receipt.salt, &[0xff]].concat()),
        ),
        ("container-indefinite-map", headed(0xbf, &[0xff])),
        ("container-key-order", [&good[..tail], &record, &hint].concat()),
        ("container-repeated-key", headed(0xab, &record)),
        ("container-unknown-key", headed(0xab, &[0x0b, 0x40])),
        ("container-missing-key", [&[0xa9], &good[1..tail]].concat()),
        ("container-salt-is-null", swap(&[2, 0xf6])),
        ("container-text-as-bytes", as_bytes),
        ("container-bad-utf8", bad_utf8),
        ("container-17-timestamps", many.to_bytes()),
        ("container-tagged", [&[0xd9, 0xd9, 0xf7][..], &good].concat()),
        ("container-in-an-array", [&[0x81][..], &good].concat()),
    ];
    table.into_iter().map(|(name, bytes)| refused(name, "container", bytes)).collect()
}

/// The statement, signed again with one part changed.
fn resigned(plan: &mut Plan, maker: &Maker, change: impl FnOnce(&mut Cose)) {
    let mut cose = Cose::statement(maker, plan.device, &plan.intent.to_bytes());
    change(&mut cose);
    plan.statement = Some(cose.build(maker));
}

const HEADERS: &[(&str, Change)] = &[
    ("statement-signed-by-another-key", |plan, maker| {
        resigned(plan, maker, |cose| cose.slot = "device-2");
    }),
    ("statement-names-another-key", |plan, maker| {
        let kid = maker.key("device-2").cose_key_thumbprint();
        resigned(plan, maker, |cose| cose.protected = header(-19, INTENT_TYPE, &kid));
    }),
    ("statement-of-another-device", |plan, maker| {
        let payload = plan.intent.to_bytes();
        plan.statement = Some(Cose::statement(maker, "device-2", &payload).build(maker));
    }),
    ("statement-algorithm-of-another-curve", |plan, maker| {
        let kid = maker.key("device").cose_key_thumbprint();
        resigned(plan, maker, |cose| cose.protected = header(-9, INTENT_TYPE, &kid));
    }),
    ("statement-algorithm-unknown", |plan, maker| {
        let kid = maker.key("device").cose_key_thumbprint();
        resigned(plan, maker, |cose| cose.protected = header(-53, INTENT_TYPE, &kid));
    }),
    ("statement-content-type-of-step-up", |plan, maker| {
        let kid = maker.key("device").cose_key_thumbprint();
        let other = StepUpProof::CONTENT_TYPE;
        resigned(plan, maker, |cose| cose.protected = header(-19, other, &kid));
    }),
    ("statement-content-type-of-version-2", |plan, maker| {
        let kid = maker.key("device").cose_key_thumbprint();
        let other = "application/vnd.tpw.intent+cbor;v=2";
        resigned(plan, maker, |cose| cose.protected = header(-19, other, &kid));
    }),
    ("statement-header-in-another-order", |plan, maker| {
        resigned(plan, maker, |cose| {
            let (algorithm, rest) = (cose.protected[1..3].to_vec(), cose.protected[3..].to_vec());
            cose.protected = [&[0xa3], &rest[..], &algorithm].concat();
        });
    }),
    ("statement-header-with-more", |plan, maker| {
        resigned(plan, maker, |cose| {
            cose.protected[0] = 0xa4;
            cose.protected.extend([0x05, 0x40]);
        });
    }),
    ("statement-header-of-long-integers", |plan, maker| {
        resigned(plan, maker, |cose| {
            cose.protected = [&[0xa3, 0x18], &cose.protected[1..]].concat();
        });
    }),
    ("statement-unprotected-header", |plan, maker| {
        resigned(plan, maker, |cose| cose.unprotected = vec![0xa1, 0x04, 0x40]);
    }),
    ("statement-external-data", |plan, maker| {
        resigned(plan, maker, |cose| cose.external = b"other context");
    }),
    ("statement-payload-detached", |plan, maker| {
        resigned(plan, maker, |cose| cose.attached = false);
    }),
    ("statement-untagged", |plan, maker| {
        let payload = plan.intent.to_bytes();
        let bytes = Cose::statement(maker, "device", &payload).build(maker);
        plan.statement = Some(bytes[1..].to_vec());
    }),
    ("statement-of-another-tag", |plan, maker| {
        let payload = plan.intent.to_bytes();
        let mut bytes = Cose::statement(maker, "device", &payload).build(maker);
        bytes[0] = 0xd1;
        plan.statement = Some(bytes);
    }),
    ("statement-trailing-byte", |plan, maker| {
        let payload = plan.intent.to_bytes();
        let bytes = Cose::statement(maker, "device", &payload).build(maker);
        plan.statement = Some([&bytes[..], &[0]].concat());
    }),
    ("statement-signature-flipped", |plan, maker| {
        let cose = Cose::statement(maker, "device", &plan.intent.to_bytes());
        let mut signature = cose.signature(maker);
        signature[40] ^= 4;
        plan.statement = Some(cose.build_with(&signature));
    }),
    ("statement-signature-of-63-bytes", |plan, maker| {
        let cose = Cose::statement(maker, "device", &plan.intent.to_bytes());
        plan.statement = Some(cose.build_with(&cose.signature(maker)[..63]));
    }),
    ("statement-above-4096-bytes", |plan, maker| {
        let cose = Cose::statement(maker, "device", &plan.intent.to_bytes());
        plan.statement = Some(cose.build_with(&[7; 4096]));
    }),
    ("statement-empty", |plan, _| plan.statement = Some(Vec::new())),
    // Under the identity as key, R = s B holds for every message: B and 1 sign anything.
    ("statement-key-of-small-order", |plan, maker| {
        let mut identity = [0; 32];
        identity[0] = 1;
        let cose_key = [&[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20], &identity[..]].concat();
        plan.record.device_key =
            DeviceKey { algorithm: -19, bytes: identity.to_vec(), post_quantum: None };
        let mut cose = Cose::statement(maker, "device", &plan.intent.to_bytes());
        cose.protected = header(-19, INTENT_TYPE, &sha256(&cose_key));
        let mut signature = [0x66; 64];
        signature[0] = 0x58;
        signature[32..].copy_from_slice(&identity);
        plan.statement = Some(cose.build_with(&signature));
    }),
];

const P256: &[(&str, Change)] = &[
    ("statement-p256-signature-in-der", |plan, maker| {
        let cose = Cose::statement(maker, "device-p256", &plan.intent.to_bytes());
        plan.statement = Some(cose.build_with(&der_ecdsa(&cose.signature(maker)).unwrap()));
    }),
    ("statement-p256-signature-of-zeros", |plan, maker| {
        let cose = Cose::statement(maker, "device-p256", &plan.intent.to_bytes());
        plan.statement = Some(cose.build_with(&[0; 64]));
    }),
    ("statement-p256-key-compressed", |plan, _| {
        let key = &mut plan.record.device_key.bytes;
        let form = 2 + (key[64] & 1);
        key.truncate(33);
        key[0] = form;
    }),
    ("statement-p256-key-off-the-curve", |plan, _| plan.record.device_key.bytes[64] ^= 1),
];

/// A payload in another form, signed by the device and named by the record.
fn payload(plan: &mut Plan, maker: &Maker, bytes: Vec<u8>) {
    plan.record.intent_hash = Hash32::new(sha256(&bytes));
    plan.statement = Some(Cose::statement(maker, plan.device, &bytes).build(maker));
}

/// The payload with a part of it replaced. The amount is the pair `06 19 3039`.
fn payload_with(plan: &mut Plan, maker: &Maker, from: &[u8], to: &[u8]) {
    let bytes = spliced(&plan.intent.to_bytes(), from, to);
    payload(plan, maker, bytes);
}

const AMOUNT: &[u8] = &[0x06, 0x19, 0x30, 0x39];
const ASSET: &[u8] = b"\x05\x65USD/2";
/// Fee limit, sequence and the key after it.
const SEQUENCE: &[u8] = &[0x07, 0x0a, 0x08, 0x07, 0x09];

const PAYLOADS: &[(&str, Change)] = &[
    ("intent-trailing-byte", |plan, maker| {
        let bytes = [&plan.intent.to_bytes()[..], &[0]].concat();
        payload(plan, maker, bytes);
    }),
    ("intent-long-integer", |plan, maker| {
        payload_with(plan, maker, AMOUNT, &[0x06, 0x1a, 0, 0, 0x30, 0x39]);
    }),
    ("intent-key-order", |plan, maker| {
        let good = plan.intent.to_bytes();
        let bytes = [&good[..1], &good[19..37], &good[1..19], &good[37..]].concat();
        payload(plan, maker, bytes);
    }),
    ("intent-unknown-key", |plan, maker| {
        let good = plan.intent.to_bytes();
        payload(plan, maker, [&[0xaf], &good[1..], &[0x0f, 0]].concat());
    }),
    ("intent-repeated-key", |plan, maker| {
        let good = plan.intent.to_bytes();
        payload(plan, maker, [&[0xaf], &good[1..], &good[good.len() - 2..]].concat());
    }),
    ("intent-indefinite-map", |plan, maker| {
        let good = plan.intent.to_bytes();
        payload(plan, maker, [&[0xbf], &good[1..], &[0xff]].concat());
    }),
    ("intent-bignum-within-64-bits", |plan, maker| {
        payload_with(plan, maker, AMOUNT, &[0x06, 0xc2, 0x42, 0x30, 0x39]);
    }),
    ("intent-bignum-with-leading-zero", |plan, maker| {
        plan.pay(money(1 << 64, "USD/2"));
        payload_with(plan, maker, &[0xc2, 0x49, 1], &[0xc2, 0x4a, 0, 1]);
    }),
    ("intent-bignum-of-17-bytes", |plan, maker| {
        plan.pay(money(1 << 120, "USD/2"));
        payload_with(plan, maker, &[0xc2, 0x50, 1], &[0xc2, 0x51, 1, 0]);
    }),
    ("intent-sequence-as-bignum", |plan, maker| {
        let big = [&[0x07, 0x0a, 0x08, 0xc2, 0x49, 1][..], &[0; 8], &[0x09]].concat();
        payload_with(plan, maker, SEQUENCE, &big);
    }),
    ("intent-amount-negative", |plan, maker| {
        payload_with(plan, maker, AMOUNT, &[0x06, 0x39, 0x30, 0x38]);
    }),
    ("intent-amount-as-float", |plan, maker| {
        payload_with(plan, maker, AMOUNT, &[0x06, 0xf9, 0x3c, 0]);
    }),
    ("intent-amount-as-text", |plan, maker| {
        payload_with(plan, maker, AMOUNT, b"\x06\x6512345");
    }),
    ("intent-sequence-as-true", |plan, maker| {
        payload_with(plan, maker, SEQUENCE, &[0x07, 0x0a, 0x08, 0xf5, 0x09]);
    }),
    ("intent-amount-zero", |plan, _| plan.pay(money(0, "USD/2"))),
    ("intent-sequence-zero", |plan, _| plan.ask(|intent| intent.sequence = 0)),
    ("intent-to-oneself", |plan, _| plan.ask(|intent| intent.payee = intent.payer)),
    ("intent-expires-at-once", |plan, _| plan.ask(|intent| intent.expires = intent.created)),
    ("intent-lives-above-24-hours", |plan, _| {
        plan.ask(|intent| intent.expires = at(24 * 3_600_000 + 1));
    }),
    ("intent-audience-empty", |plan, maker| {
        payload_with(plan, maker, b"\x0d\x6bExample Pay", b"\x0d\x60");
    }),
    ("intent-audience-of-65-bytes", |plan, maker| {
        let long = [&b"\x0d\x78\x41"[..], &[b'E'; 65]].concat();
        payload_with(plan, maker, b"\x0d\x6bExample Pay", &long);
    }),
    ("intent-purpose-with-control-character", |plan, maker| {
        payload_with(plan, maker, b"Example Pay\x0e\x60", b"Example Pay\x0e\x61\x0a");
    }),
    ("intent-purpose-with-c1-control", |plan, maker| {
        payload_with(plan, maker, b"Example Pay\x0e\x60", b"Example Pay\x0e\x62\xc2\x85");
    }),
    ("intent-purpose-of-141-bytes", |plan, maker| {
        let long = [&b"Example Pay\x0e\x78\x8d"[..], &[b'p'; 141]].concat();
        payload_with(plan, maker, b"Example Pay\x0e\x60", &long);
    }),
    ("intent-asset-in-lower-case", |plan, maker| {
        payload_with(plan, maker, ASSET, b"\x05\x65usd/2");
    }),
    ("intent-asset-scale-19", |plan, maker| {
        payload_with(plan, maker, ASSET, b"\x05\x66USD/19");
    }),
    ("intent-asset-scale-with-zero", |plan, maker| {
        payload_with(plan, maker, ASSET, b"\x05\x66USD/02");
    }),
    ("intent-asset-with-line-end", |plan, maker| {
        payload_with(plan, maker, ASSET, b"\x05\x66USD/2\n");
    }),
];

/// A record that does not decode leaves the statement without its key: that layer fails first.
const RECORD_FORMS: &[(&str, Change)] = &[
    ("record-empty", |plan, _| plan.record_bytes = Some(Vec::new())),
    ("record-trailing-byte", |plan, _| {
        plan.record_bytes = Some([&plan.record.to_bytes()[..], &[0]].concat());
    }),
    ("record-unknown-key", |plan, _| {
        let good = plan.record.to_bytes();
        plan.record_bytes = Some([&[0xaa], &good[1..], &[0x0a, 0]].concat());
    }),
    ("record-long-integer", |plan, _| {
        plan.record_bytes = Some(spliced(&plan.record.to_bytes(), &[1, 1], &[1, 0x18, 1]));
    }),
    ("record-kind-3", |plan, _| {
        plan.record_bytes = Some(spliced(&plan.record.to_bytes(), &[1, 1], &[1, 3]));
    }),
    ("record-score-1001", |plan, _| plan.record.decision.score = 1001),
    ("record-verdict-4", |plan, _| {
        let good = plan.record.to_bytes();
        plan.record_bytes = Some(spliced(&good, &[7, 0x84, 10, 0], &[7, 0x84, 10, 4]));
    }),
    ("record-reason-14", |plan, _| {
        let good = plan.record.to_bytes();
        let more = [7, 0x84, 10, 0, 0x81, 0x82, 14, 1];
        plan.record_bytes = Some(spliced(&good, &[7, 0x84, 10, 0, 0x80], &more));
    }),
    ("record-approval-of-kind-4", |plan, _| {
        let more = [&[8, 0x81, 0x83, 4, 0x58, 0x20][..], &[7; 32], &[0, 9]].concat();
        plan.record_bytes = Some(spliced(&plan.record.to_bytes(), &[8, 0x80, 9], &more));
    }),
    ("record-17-approvals", |plan, _| {
        let one = Approval::Factor { evidence: hash(5), at: at(25) };
        plan.record.approvals = vec![one; 17];
    }),
    ("record-factor-of-31-bytes", |plan, _| {
        let more = [&[8, 0x81, 0x83, 3, 0x58, 0x1f][..], &[7; 31], &[0, 9]].concat();
        plan.record_bytes = Some(spliced(&plan.record.to_bytes(), &[8, 0x80, 9], &more));
    }),
    ("record-17-postings", |plan, _| plan.record.postings = vec![plan.record.postings[0]; 17]),
    ("record-key-of-an-unknown-algorithm", |plan, _| plan.record.device_key.algorithm = -7),
    ("record-key-of-31-bytes", |plan, _| plan.record.device_key.bytes.truncate(31)),
];

const RECORDS: &[(&str, Change)] = &[
    ("record-another-intent", |plan, _| plan.record.intent_hash = hash(9)),
    ("record-another-payment", |plan, _| plan.record.payment = PaymentId::from_bytes([5; 16])),
    ("record-another-audience", |plan, _| {
        plan.ask(|intent| intent.audience = Name::new("Another Pay").unwrap());
    }),
    ("record-booked-before-received", |plan, _| plan.record.booked = at(9)),
    ("record-received-at-expiry", |plan, _| {
        plan.ask(|intent| intent.expires = at(10));
    }),
    ("record-booked-at-expiry", |plan, _| {
        plan.ask(|intent| intent.expires = at(30));
    }),
    ("record-refused", |plan, _| plan.record.decision.verdict = Verdict::Refuse),
    ("record-step-up-not-given", |plan, _| plan.record.decision.verdict = Verdict::StepUp),
    ("record-hold-not-released", |plan, _| plan.record.decision.verdict = Verdict::Hold),
    ("record-factor-after-hold", |plan, _| {
        plan.record.decision.verdict = Verdict::Hold;
        plan.record.approvals = vec![Approval::Factor { evidence: hash(5), at: at(25) }];
    }),
    ("record-step-up-after-hold", |plan, _| {
        plan.record.decision.verdict = Verdict::Hold;
        plan.record.approvals = vec![Approval::StepUp { proof: hash(5), at: at(25) }];
    }),
    ("record-operator-after-step-up", |plan, _| {
        plan.record.decision.verdict = Verdict::StepUp;
        plan.record.approvals = vec![Approval::Operator { key: hash(5), at: at(25) }];
    }),
    ("record-of-genesis", |plan, _| plan.record.kind = RecordKind::Genesis),
    ("record-no-posting", |plan, _| plan.record.postings.clear()),
    ("record-only-a-fee", |plan, _| {
        plan.record.postings.remove(0);
    }),
    ("record-posted-twice", |plan, _| plan.record.postings[1] = plan.record.postings[0]),
    ("record-amount-higher", |plan, _| {
        plan.record.postings[0].money.amount = Amount::from_minor(12_346);
    }),
    ("record-amount-lower", |plan, _| {
        plan.record.postings[0].money.amount = Amount::from_minor(12_344);
    }),
    ("record-asset-of-another-scale", |plan, _| {
        plan.record.postings[0].money = money(12_345, "USD/3");
    }),
    ("record-posting-turned-round", |plan, _| {
        let main = &mut plan.record.postings[0];
        (main.debit, main.credit) = (main.credit, main.debit);
    }),
    ("record-another-payee", |plan, _| plan.record.postings[0].credit = account(8)),
    ("record-another-payer", |plan, _| plan.record.postings[0].debit = account(8)),
    ("record-fee-above-the-limit", |plan, _| {
        plan.record.postings[1].money.amount = Amount::from_minor(11);
    }),
    ("record-fee-in-another-asset", |plan, _| {
        plan.record.postings[1].money = money(1, "CNY/2");
    }),
    ("record-fee-of-the-payee", |plan, _| plan.record.postings[1].debit = account(2)),
    ("record-fee-to-the-payer", |plan, _| {
        plan.record.postings[1] = posting(account(1), account(1), money(1, "USD/2"));
    }),
    ("record-two-fees", |plan, _| plan.record.postings.push(plan.record.postings[1])),
    ("record-compensation-not-turned-round", |plan, _| plan.record.kind = RecordKind::Compensation),
];

const LEAVES: &[(&str, Change)] = &[
    ("leaf-of-another-kind", |plan, _| plan.leaf_kind = Some(RecordKind::Compensation)),
    ("leaf-genesis", |plan, _| {
        plan.leaf = Some(tpw_proof::Leaf::genesis(crate::maker::ORIGIN, 0).as_bytes().to_vec());
    }),
    ("leaf-kind-byte-alone", |plan, maker| {
        let mut leaf = maker.receipt(&Plan::new(maker, "device")).leaf;
        leaf[4] = 2;
        plan.leaf = Some(leaf);
    }),
    ("leaf-of-a-kind-unknown", |plan, maker| {
        let mut leaf = maker.receipt(&Plan::new(maker, "device")).leaf;
        leaf[4] = 3;
        plan.leaf = Some(leaf);
    }),
    ("leaf-of-another-version", |plan, maker| {
        let mut leaf = maker.receipt(&Plan::new(maker, "device")).leaf;
        leaf[3] = b'2';
        plan.leaf = Some(leaf);
    }),
    ("leaf-of-36-bytes", |plan, maker| {
        plan.leaf = Some(maker.receipt(&Plan::new(maker, "device")).leaf[..36].to_vec());
    }),
    ("leaf-trailing-byte", |plan, maker| {
        let leaf = maker.receipt(&Plan::new(maker, "device")).leaf;
        plan.leaf = Some([&leaf[..], &[0]].concat());
    }),
    ("leaf-of-another-statement", |plan, maker| {
        let mut other = Plan::new(maker, "device");
        other.ask(|intent| intent.sequence = 8);
        plan.leaf = Some(maker.receipt(&other).leaf);
    }),
];
