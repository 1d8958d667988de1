//! Receipts that every verifier must accept, at the edges of what the formats allow.

use crate::maker::{Cose, INTENT_TYPE, Maker, ORIGIN, Plan, account, at, hash, header, money};
use crate::timestamp_support::{
    CertificateDraft, Draft, SHA512, TIME_STAMPING, algorithm, eku, int, name, oid, seq, tlv,
};
use crate::{Case, Change};
use tpw_core::{
    Amount, Approval, Hash32, Purpose, Reason, ReasonCode, RecordKind, TreeHead, Verdict,
};
use tpw_crypto::{sha256, sha512};
use tpw_proof::timestamp::ClockState;

pub(crate) fn cases(maker: &Maker) -> Vec<Case> {
    let tables = [statements(), records(), logs(), times(), certificates()];
    let mut cases: Vec<Case> = Vec::new();
    for (name, change) in tables.iter().flatten() {
        let device = if name.contains("p256") { "device-p256" } else { "device" };
        let mut plan = Plan::new(maker, device);
        change(&mut plan, maker);
        cases.push(good(name, maker.receipt(&plan).to_bytes()));
    }
    let mut hinted = maker.receipt(&Plan::new(maker, "device"));
    hinted.trust_hint = [0; 32];
    cases.push(good("hint-of-another-trust-file", hinted.to_bytes()));
    cases
}

fn good(name: &'static str, bytes: Vec<u8>) -> Case {
    Case { name, bytes, valid: true, layer: None, trust: "trust.json" }
}

fn statements() -> Vec<(&'static str, Change)> {
    vec![
        ("ed25519", |_, _| {}),
        ("p256", |_, _| {}),
        ("ed25519-under-polymorphic-algorithm", |plan, maker| {
            let mut cose = Cose::statement(maker, "device", &plan.intent.to_bytes());
            let kid = maker.key("device").cose_key_thumbprint();
            cose.protected = header(-8, INTENT_TYPE, &kid);
            plan.statement = Some(cose.build(maker));
        }),
        ("p256-under-polymorphic-algorithm", |plan, maker| {
            let mut cose = Cose::statement(maker, "device-p256", &plan.intent.to_bytes());
            let kid = maker.key("device-p256").cose_key_thumbprint();
            cose.protected = header(-7, INTENT_TYPE, &kid);
            plan.statement = Some(cose.build(maker));
        }),
        ("purpose-in-chinese", |plan, _| {
            plan.ask(|intent| intent.purpose = Purpose::new("十一月房租 / 发票 42").unwrap());
        }),
        ("purpose-of-140-bytes", |plan, _| {
            plan.ask(|intent| intent.purpose = Purpose::new(&"é".repeat(70)).unwrap());
        }),
        ("life-of-24-hours", |plan, _| {
            plan.ask(|intent| intent.expires = at(24 * 3_600_000));
        }),
        ("amount-of-64-bits", |plan, _| plan.pay(money(u128::from(u64::MAX), "ETH/18"))),
        ("amount-of-65-bits", |plan, _| plan.pay(money(1 << 64, "ETH/18"))),
        ("amount-of-128-bits", |plan, _| plan.pay(money(u128::MAX, "T2345678901/0"))),
    ]
}

fn records() -> Vec<(&'static str, Change)> {
    vec![
        ("step-up-approved", |plan, _| {
            plan.record.decision.score = 600;
            plan.record.decision.verdict = Verdict::StepUp;
            plan.record.decision.reasons =
                vec![Reason { code: ReasonCode::AmountUnusual, points: 600 }];
            plan.record.approvals = vec![Approval::StepUp { proof: hash(5), at: at(25) }];
        }),
        ("operator-approved-after-expiry", |plan, _| {
            plan.record.decision.verdict = Verdict::Hold;
            plan.record.decision.reasons =
                vec![Reason { code: ReasonCode::InputBroken, points: u16::MAX }];
            plan.record.approvals = vec![Approval::Operator { key: hash(5), at: at(60_100) }];
            plan.record.booked = at(60_200);
            plan.tokens = |maker, data| {
                vec![maker.token(data, |d| d.gen_time = tlv(0x18, b"20261122101600.3Z"))]
            };
        }),
        ("factor-given-after-step-up", |plan, _| {
            plan.record.decision.verdict = Verdict::StepUp;
            plan.record.approvals = vec![Approval::Factor { evidence: hash(5), at: at(25) }];
        }),
        ("step-up-and-factor", |plan, _| {
            plan.record.decision.verdict = Verdict::StepUp;
            plan.record.approvals = vec![
                Approval::Factor { evidence: hash(6), at: at(24) },
                Approval::StepUp { proof: hash(5), at: at(25) },
            ];
        }),
        ("hold-released-by-16", |plan, _| {
            plan.record.decision.verdict = Verdict::Hold;
            let by = |n| Approval::Operator { key: hash(n), at: at(25) };
            plan.record.approvals = (1..=16).map(by).collect();
        }),
        ("compensation", |plan, _| {
            plan.record.kind = RecordKind::Compensation;
            for posting in &mut plan.record.postings {
                (posting.debit, posting.credit) = (posting.credit, posting.debit);
            }
        }),
        ("no-fee", |plan, _| plan.record.postings.truncate(1)),
        ("fee-first", |plan, _| plan.record.postings.reverse()),
        ("fee-at-the-limit", |plan, _| {
            plan.record.postings[1].money.amount = Amount::from_minor(10);
        }),
        ("received-and-booked-at-once", |plan, _| plan.record.booked = plan.record.received),
        ("booked-in-the-last-millisecond", |plan, _| {
            (plan.record.received, plan.record.booked) = (at(59_999), at(59_999));
            plan.tokens = |maker, data| {
                vec![maker.token(data, |d| d.gen_time = tlv(0x18, b"20261122101559.999999999Z"))]
            };
        }),
        ("payee-with-a-high-number", |plan, _| {
            plan.ask(|intent| intent.payee = account(255));
            plan.record.postings[0].credit = account(255);
            plan.record.postings[0].number = u64::MAX;
        }),
    ]
}

fn logs() -> Vec<(&'static str, Change)> {
    vec![
        ("big-tree", |plan, _| (plan.index, plan.size) = ((1 << 40) + 12_345, (1 << 41) + 7)),
        ("last-leaf", |plan, _| (plan.index, plan.size) = (6, 7)),
        ("last-leaf-of-a-ragged-tree", |plan, _| (plan.index, plan.size) = (1024, 1025)),
        ("witness-line", |plan, _| {
            plan.note = |maker, head| {
                let other =
                    maker.checkpoint_by(head, "w.example", "other-ed25519", "log-ml-dsa-44");
                let line = other.note().signatures[0].to_string();
                maker.checkpoint(head).to_string() + &line
            };
        }),
        ("unknown-key-of-the-origin", |plan, _| {
            plan.note = |maker, head| {
                let other = maker.checkpoint_by(head, ORIGIN, "other-ed25519", "log-ml-dsa-44");
                maker.checkpoint(head).to_string() + &other.note().signatures[0].to_string()
            };
        }),
        ("ml-dsa-line-with-a-time", |plan, _| {
            plan.note = |maker, head| crate::broken_log::note_with_time(maker, head, 1_795_342_500);
        }),
        ("ml-dsa-line-first", |plan, _| {
            plan.note = |maker, head| {
                let note = maker.checkpoint(head);
                let lines = &note.note().signatures;
                format!("{}\n{}{}", note.note().text, lines[1], lines[0])
            };
        }),
        ("no-cose-receipt", |plan, _| plan.roots = |_, _| Vec::new()),
        ("two-cose-receipts", |plan, _| {
            plan.roots =
                |maker, place| vec![maker.cose("log-cose-2", place), maker.cose("log-cose", place)];
        }),
    ]
}

fn times() -> Vec<(&'static str, Change)> {
    vec![
        ("token-of-the-authority", |plan, _| {
            plan.tokens = |maker, data| {
                let serial = tpw_proof::timestamp::serial(3, [2; 11]);
                let clock = ClockState::Good { error_ms: 1500 };
                let (authority, slots) = (maker.kit.authority(), &maker.kit.slots);
                vec![authority.stamp(slots, data, at(900), clock, serial).unwrap()]
            };
        }),
        ("two-tokens", |plan, _| {
            plan.tokens = |maker, data| {
                vec![maker.token(data, |_| {}), maker.token(data, |d| d.serial = int(0))]
            };
        }),
        ("token-granted-with-modifications", |plan, _| {
            plan.tokens = |maker, data| vec![maker.token(data, |d| d.status = seq(&[int(1)]))];
        }),
        ("token-with-sha512-imprint", |plan, _| {
            plan.tokens = |maker, data| {
                vec![maker.token(data, |d| {
                    (d.imprint_algorithm, d.imprint) = (algorithm(SHA512), sha512(data).to_vec());
                })]
            };
        }),
        ("token-with-everything-optional", |plan, _| {
            plan.tokens = |maker, data| {
                vec![maker.token(data, |d| {
                    d.accuracy = seq(&[int(1), tlv(0x80, &[0x03, 0xe7]), tlv(0x81, &[1])]);
                    d.ordering = tlv(0x01, &[0xff]);
                    d.nonce = int(0xff);
                    d.tsa = tlv(0xa0, &tlv(0xa4, &name("Test TSA")));
                    let body =
                        crate::timestamp_support::extension("1.3.6.1.4.1.32473.9", false, b"x");
                    d.tst_extensions = tlv(0xa1, &body);
                    let time = tlv(0x17, b"261122101500Z");
                    d.extra_attributes =
                        vec![seq(&[oid("1.2.840.113549.1.9.5"), tlv(0x31, &time)])];
                    d.ess_serial = Some(d.leaf_serial.clone());
                })]
            };
        }),
        ("token-five-seconds-before-the-booking", |plan, _| {
            plan.record.booked = at(5_900);
        }),
    ]
}

fn certificates() -> Vec<(&'static str, Change)> {
    vec![
        ("token-with-the-root-embedded", |plan, _| {
            plan.tokens = |maker, data| {
                let kit = &maker.kit;
                let leaf = CertificateDraft {
                    extensions: vec![eku(true, &[TIME_STAMPING])],
                    ..CertificateDraft::leaf()
                };
                let mut draft = Draft::over(leaf.build(kit));
                draft.imprint = sha256(data).to_vec();
                draft.certificates.push(kit.root.clone());
                vec![draft.build(kit)]
            };
        }),
        ("token-with-an-unreadable-certificate", |plan, _| {
            plan.tokens =
                |maker, data| vec![maker.token(data, |d| d.certificates.insert(0, seq(&[int(1)])))];
        }),
        ("token-named-by-its-own-name", |plan, _| {
            plan.tokens = |maker, data| {
                let mut leaf = CertificateDraft::leaf();
                let other = seq(&[tlv(0xa4, &name("Another name"))]);
                leaf.extensions.push(crate::timestamp_support::extension(
                    "2.5.29.17",
                    false,
                    &other,
                ));
                let mut draft = Draft::over(leaf.build(&maker.kit));
                draft.imprint = sha256(data).to_vec();
                draft.tsa = tlv(0xa0, &tlv(0xa4, &name("Another name")));
                vec![draft.build(&maker.kit)]
            };
        }),
        ("head-of-a-tree-never-seen", |plan, _| {
            plan.ask(|intent| intent.seen = TreeHead { size: u64::MAX, root: Hash32::ZERO });
        }),
    ]
}
