//! Goal: cosignatures, witness policies and requests to a witness are those of C2SP, and nothing that breaks a rule passes.
//! Method: notes and subtrees cosigned by `transparency-dev/formats` (`spec/vectors/cosignature.json`), the example of the
//! policy page with keys of our own, then refusals: mostly one change to something that holds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use support::{Memory, ORIGIN, World, hash, slot};
use tpw_core::{Hash32, TreeHead};
use tpw_crypto::{Algorithm, FixedEntropy, Signer, SoftwareSlots};
use tpw_proof::cosignature::Subtree;
use tpw_proof::note::{NoteSignature, parse_lines};
use tpw_proof::tile::{consistency_proof, subtree_proof};
use tpw_proof::tree::{empty_root, root_of};
use tpw_proof::witness::{AddCheckpoint, Refusal, SignSubtree};
use tpw_proof::{
    Checkpoint, Interval, KeyName, Layer, Level, Policy, ProofError, SignedCheckpoint, Trust,
    VerifierKey, judge,
};

fn vectors() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../spec/vectors/cosignature.json")).unwrap()
}

fn text<'v>(value: &'v serde_json::Value, field: &str) -> &'v str {
    value[field].as_str().unwrap()
}

#[test]
fn cosignatures_of_the_reference_verify() {
    for case in vectors()["notes"].as_array().unwrap() {
        let signed = SignedCheckpoint::parse(text(case, "note")).unwrap();
        let keys: Vec<VerifierKey> = case["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| key.as_str().unwrap().parse().unwrap())
            .collect();
        let found = signed.verify(&keys).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        let wanted: Vec<&str> =
            case["signed"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        assert_eq!(found, wanted, "{}", text(case, "what"));
        // Both cosignatures say when.
        for key in keys.iter().filter(|key| key.name().as_str() == "witness.example/w1") {
            let times = signed.times_of(key).unwrap();
            assert!(times.iter().all(|time| *time > 1_700_000_000), "{times:?}");
        }
        // One changed byte anywhere in a line of a known key refuses the note, or makes the line a stranger's.
        for (place, line) in signed.note().signatures.iter().enumerate() {
            for byte in (0..line.signature.len()).step_by(line.signature.len() / 8) {
                let mut lines = signed.note().signatures.clone();
                lines[place].signature[byte] ^= 1;
                let bad = signed.with_lines(&lines).unwrap();
                assert!(bad.verify(&keys).is_err(), "line {place}, byte {byte}");
                assert_eq!(bad.only_of(&keys).note().signatures.len(), lines.len() - 1);
            }
        }
    }
}

#[test]
fn subtrees_of_the_reference_verify() {
    for case in vectors()["subtrees"].as_array().unwrap() {
        let key: VerifierKey = text(case, "key").parse().unwrap();
        let bytes = |field| STANDARD.decode(text(case, field)).unwrap();
        let signature = bytes("signature");
        let number = |field: &str| case[field].as_u64().unwrap();
        let subtree = Subtree {
            origin: KeyName::new(text(case, "origin")).unwrap(),
            start: number("start"),
            end: number("end"),
            hash: Hash32::from_slice(&bytes("hash")).unwrap(),
        };
        assert_eq!(subtree.verify(&key, &signature).unwrap(), 0);
        for other in [
            Subtree { start: subtree.start + 1, ..subtree.clone() },
            Subtree { end: subtree.end + 1, ..subtree.clone() },
            Subtree { hash: hash(9), ..subtree.clone() },
            Subtree { origin: KeyName::new("log.example/other").unwrap(), ..subtree.clone() },
            Subtree { start: subtree.end, end: subtree.start, ..subtree.clone() },
        ] {
            assert!(other.verify(&key, &signature).is_err(), "{other:?}");
        }
        assert!(subtree.verify(&key, &signature[..7]).is_err());
        // A time says "the largest tree": only a tree can be that.
        let mut timed = signature.clone();
        timed[7] = 1;
        assert!(subtree.verify(&key, &timed).is_err());
        let ed: VerifierKey = vectors()["notes"][0]["keys"][1].as_str().unwrap().parse().unwrap();
        assert_eq!(subtree.verify(&ed, &signature), Err(ProofError::Unsupported));
    }
}

/// Witnesses with keys of their own: even numbers cosign with Ed25519, odd ones with ML-DSA-44.
struct Witnesses {
    slots: SoftwareSlots,
    keys: Vec<VerifierKey>,
}

impl Witnesses {
    fn new(count: usize) -> Self {
        let (mut slots, mut keys) = (SoftwareSlots::new(), Vec::new());
        let entropy = &mut FixedEntropy::new(99);
        for number in 0..count {
            let name = slot(&format!("w{number}"));
            let algorithm = if number % 2 == 0 { Algorithm::Ed25519 } else { Algorithm::MlDsa44 };
            slots.generate(name.clone(), algorithm, entropy).unwrap();
            let owner = KeyName::new(&format!("witness{number}.example")).unwrap();
            keys.push(VerifierKey::cosigner(owner, slots.public_key(&name).unwrap()).unwrap());
        }
        Self { slots, keys }
    }

    fn line(&self, checkpoint: &Checkpoint, number: usize, time_s: u64) -> NoteSignature {
        let name = slot(&format!("w{number}"));
        checkpoint.cosign(&self.keys[number], time_s, &self.slots, &name).unwrap()
    }

    fn cosigned(&self, signed: &SignedCheckpoint, numbers: &[usize]) -> SignedCheckpoint {
        let lines: Vec<_> =
            numbers.iter().map(|n| self.line(signed.checkpoint(), *n, 1_000)).collect();
        SignedCheckpoint::parse(&signed.with_lines(&lines).unwrap().to_string()).unwrap()
    }
}

#[test]
fn our_cosignatures_are_read_back_and_bind_all_they_say() {
    let (world, witnesses) = (World::new(Algorithm::Ed25519), Witnesses::new(2));
    let signed = world.sign_checkpoint(TreeHead { size: 7, root: hash(1) });
    let cosigned = witnesses.cosigned(&signed, &[0, 1]);
    assert_eq!(cosigned.verify(&witnesses.keys).unwrap().len(), 2);
    assert_eq!(cosigned.log_signed_bytes(), signed.log_signed_bytes(), "time-stamps still fit");
    cosigned.verify_all(&world.trust.log_keys).unwrap();
    // Under another head, another time, or another name the same line does not hold.
    let other = world.sign_checkpoint(TreeHead { size: 8, root: hash(1) });
    for number in [0, 1] {
        let line = witnesses.line(signed.checkpoint(), number, 1_000);
        let mut later = line.clone();
        later.signature[7] ^= 1;
        for (head, line) in [(&other, &line), (&signed, &later)] {
            let bad = head.with_lines(core::slice::from_ref(line)).unwrap();
            assert_eq!(bad.verify(&witnesses.keys).unwrap_err().code(), "bad_signature");
        }
        let far = signed.checkpoint().cosign(
            &witnesses.keys[number],
            u64::MAX,
            &witnesses.slots,
            &slot(&format!("w{number}")),
        );
        assert_eq!(far.unwrap_err().code(), "malformed");
        let wrong = slot(&format!("w{}", 1 - number));
        let wrong =
            signed.checkpoint().cosign(&witnesses.keys[number], 1, &witnesses.slots, &wrong);
        assert_eq!(wrong.unwrap_err(), ProofError::WrongKey);
    }
    // A log's key makes no cosignature, though it is the same kind of key.
    let key = witnesses.slots.public_key(&slot("w0")).unwrap();
    let plain = VerifierKey::new(KeyName::new("witness0.example").unwrap(), key).unwrap();
    assert_ne!(plain.id(), witnesses.keys[0].id());
    let tried = signed.checkpoint().cosign(&plain, 1, &witnesses.slots, &slot("w0"));
    assert_eq!(tried.unwrap_err(), ProofError::Unsupported);
    let p256 = world.key("tsa");
    assert!(VerifierKey::cosigner(KeyName::new("w").unwrap(), p256).is_err());
    // A newer line takes the place of the older one; a note has no room for more than sixteen.
    let newer = [witnesses.line(signed.checkpoint(), 0, 2_000)];
    let renewed = cosigned.with_lines(&newer).unwrap();
    assert_eq!(renewed.times_of(&witnesses.keys[0]).unwrap(), [2_000]);
    let strangers: Vec<NoteSignature> = (0..15)
        .map(|n| NoteSignature {
            name: KeyName::new(&format!("s{n}")).unwrap(),
            id: [n; 4],
            signature: vec![0],
        })
        .collect();
    assert_eq!(signed.with_lines(&strangers).unwrap_err().code(), "too_large");
    assert_eq!(signed.with_lines(&strangers[1..]).unwrap().note().signatures.len(), 16);
}

#[test]
fn what_a_witness_answers_is_lines_and_nothing_else() {
    let world = World::new(Algorithm::Ed25519);
    let signed = world.sign_checkpoint(TreeHead { size: 7, root: hash(1) });
    let line = signed.note().signatures[0].to_string();
    assert_eq!(parse_lines(&line).unwrap(), signed.note().signatures[..1]);
    let long = line.repeat(17);
    for bad in ["", "\n", line.trim_end(), "ok\n", &line.replace("\u{2014} ", "- "), &long] {
        assert!(parse_lines(bad).is_err(), "{bad:?}");
    }
}

/// The example of the policy page: two of X, one of Y.
fn example(keys: &[VerifierKey]) -> String {
    let mut text = String::from("# two organisations\n\n");
    for (number, key) in keys.iter().enumerate() {
        let name = if number < 3 { format!("X{}", number + 1) } else { format!("Y{}", number - 2) };
        text += &format!("witness {name} {key} https://w{number}.example/\n");
    }
    text + "group  X-witnesses\t2 X1 X2 X3\n group Y-witnesses any Y1 Y2 Y3\n\
            group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
}

#[test]
fn a_quorum_is_met_by_exactly_the_right_witnesses() {
    let (world, witnesses) = (World::new(Algorithm::Ed25519), Witnesses::new(6));
    let signed = world.sign_checkpoint(TreeHead { size: 7, root: hash(1) });
    let policy = Policy::parse(example(&witnesses.keys).as_bytes()).unwrap();
    assert_eq!(policy.witnesses()[2].url(), Some("https://w2.example/"));
    for mask in 0_u32..64 {
        let numbers: Vec<usize> = (0..6).filter(|n| mask & (1 << n) != 0).collect();
        let witnessed = policy.judge(&witnesses.cosigned(&signed, &numbers)).unwrap();
        let met = (mask & 7).count_ones() >= 2 && mask & 56 != 0;
        assert_eq!(witnessed.is_met(), met, "{numbers:?}");
        assert_eq!(witnessed.demand().is_ok(), met);
        assert_eq!(witnessed.cosigned.len(), numbers.len());
    }
    // A line of a known witness that does not hold refuses all, however many others do.
    let all = witnesses.cosigned(&signed, &[0, 1, 2, 3, 4, 5]);
    let other = world.sign_checkpoint(TreeHead { size: 8, root: hash(1) });
    let foreign = [witnesses.line(other.checkpoint(), 5, 1_000)];
    let mixed = all.with_lines(&foreign).unwrap();
    assert_eq!(policy.judge(&mixed).unwrap_err().code(), "bad_signature");
}

#[test]
fn logs_of_a_policy_and_the_quorum_none() {
    let world = World::new(Algorithm::Ed25519);
    let signed = world.sign_checkpoint(TreeHead { size: 7, root: hash(1) });
    let [ed, ml] = &world.trust.log_keys[..] else { panic!("two keys") };
    let parse = |text: &str| Policy::parse(text.as_bytes()).unwrap();
    let one = parse(&format!("log {ml} https://log.example/\nlog {ed}\nquorum none\n"));
    assert_eq!(one.logs()[0].url(), Some("https://log.example/"));
    assert!(one.judge(&signed).unwrap().is_met());
    assert!(parse("quorum none\n").judge(&signed).unwrap().is_met());
    let stranger = World::seeded(Algorithm::Ed25519, 8).trust.log_keys[0].clone();
    let other = parse(&format!("log {stranger}\nquorum none\n"));
    assert_eq!(other.judge(&signed).unwrap_err().code(), "not_signed");
}

#[test]
fn a_policy_that_breaks_a_rule_is_refused() {
    let witnesses = Witnesses::new(3);
    let [a, b, c] = &witnesses.keys[..] else { panic!("three keys") };
    let log = &World::new(Algorithm::Ed25519).trust.log_keys[0];
    let good = format!("witness A {a}\nwitness B {b}\ngroup G any A B\nquorum G\n");
    Policy::parse(good.as_bytes()).unwrap();
    let renamed = VerifierKey::cosigner(KeyName::new("x.example").unwrap(), a.key().clone());
    let renamed = renamed.unwrap();
    let many: String = (0..65).map(|n| format!("group g{n} 1 A\n")).collect();
    for (bad, why) in [
        (String::new(), "empty"),
        ("quorum none".into(), "no end of line"),
        (good.replace("quorum G\n", ""), "no quorum"),
        (good.clone() + "quorum A\n", "two quorums"),
        (good.replace("quorum G", "quorum H"), "unknown quorum"),
        (good.replace("quorum G", "quorum g"), "names are octets"),
        (good.replace("quorum G", "quorum G A"), "two words"),
        (format!("quorum A\nwitness A {a}\n"), "quorum before its name"),
        (format!("group G any A\nwitness A {a}\nquorum G\n"), "member before its name"),
        (format!("group G any G\nquorum G\nwitness A {a}\n"), "itself"),
        (good.replace("any A B", "any A none"), "none is no member"),
        (good.replace("any A B", "any A A"), "a member twice"),
        (good.replace("quorum G", "group H any A\nquorum G"), "a member of two groups"),
        (good.replace("any A B", "any"), "no member"),
        (good.replace("any A B", "0 A B"), "none of two"),
        (good.replace("any A B", "3 A B"), "three of two"),
        (good.replace("any A B", "02 A B"), "a leading zero"),
        (good.replace("any A B", "+1 A B"), "a sign"),
        (good.replace("any A B", "most A B"), "no number"),
        (good.replace("group G", "group A"), "a name twice"),
        (good.replace("witness B", "witness A"), "a witness's name twice"),
        (good.replace("witness B", "witness none"), "the name none"),
        (good.replace("quorum G", &format!("witness C {a}\nquorum G")), "a key twice"),
        (good.replace("quorum G", &format!("witness C {renamed}\nquorum G")), "renamed key"),
        (good.replace("quorum G", &format!("witness C {log}\nquorum G")), "a log's key type"),
        (format!("log {c}\n{good}"), "a witness's key type"),
        (format!("log {log}\nlog {log}\n{good}"), "a log twice"),
        (good.replace("witness A", "witnes A"), "a misspelt word"),
        (good.replace("witness A", "WITNESS A"), "capitals"),
        (good.replace('\n', "\r\n"), "carriage returns"),
        (good.replace("group G", "group\u{7f}G"), "a control character"),
        (good.replace("quorum G", "quorum G # not a comment"), "words after the quorum"),
        (good.replace(&a.to_string(), "x+00000000+AAAA"), "no key"),
        (good.replace("quorum G", &format!("{many}quorum G")), "too many groups"),
        ("#".repeat(1 << 18) + "\n" + &good, "too large"),
    ] {
        assert!(Policy::parse(bad.as_bytes()).is_err(), "{why}");
    }
    // What is allowed and odd: octets that are no UTF-8, tabs, comments anywhere.
    let mut odd = format!("\t# \u{e9}\nwitness \u{2014}K {a}\n").into_bytes();
    odd.extend_from_slice(b"group \xff\xfe all \xe2\x80\x94K\nquorum \xff\xfe\n");
    Policy::parse(&odd).unwrap();
}

#[test]
fn a_receipt_is_witnessed_only_under_the_verifiers_own_policy() {
    let (world, witnesses) = (World::new(Algorithm::Ed25519), Witnesses::new(2));
    let policy = |quorum: &str| {
        let [a, b] = &witnesses.keys[..] else { panic!("two keys") };
        let text = format!("witness A {a}\nwitness B {b}\ngroup both all A B\nquorum {quorum}\n");
        Trust {
            witness_policy: Some(Policy::parse(text.as_bytes()).unwrap()),
            ..world.trust.clone()
        }
    };
    let (_, _, plain) = world.good();
    let mut cosigned = plain.clone();
    let proof: tpw_proof::TlogProof = tpw_proof::TlogProof::parse(&plain.tlog_proof).unwrap();
    let note = witnesses.cosigned(&proof.checkpoint, &[1]);
    cosigned.tlog_proof = tpw_proof::TlogProof { checkpoint: note, ..proof }.to_string();
    let (plain, cosigned) = (plain.to_bytes(), cosigned.to_bytes());
    for (bytes, trust, wanted) in [
        (&plain, &world.trust, None),
        (&cosigned, &world.trust, None),
        (&plain, &policy("none"), Some(true)),
        (&plain, &policy("A"), Some(false)),
        (&cosigned, &policy("A"), Some(false)),
        (&cosigned, &policy("B"), Some(true)),
        (&cosigned, &policy("both"), Some(false)),
    ] {
        let judgement = judge(bytes, trust);
        let outcome = judgement.level(Level::Witnessed);
        let found = (outcome.code() != "absent").then(|| outcome.is_proved());
        assert_eq!(found, wanted, "{outcome:?}");
        assert_eq!(judgement.is_valid(), wanted != Some(false));
        if wanted == Some(false) {
            let (layer, reason) = judgement.first_failure().unwrap();
            assert_eq!((layer, reason.code()), (Layer::Witness, "quorum"));
        }
    }
    // The trust file carries the policy from one machine to another, byte for byte.
    let trust = policy("both");
    assert_eq!(Trust::from_json(&trust.to_json()).unwrap(), trust);
    assert_ne!(trust.hash(), world.trust.hash());
    let bad = trust.to_json().replace("quorum both", "quorum all");
    assert!(Trust::from_json(&bad).is_err());
}

/// A log that grows, and a witness's question about it.
struct Growing {
    world: World,
    leaves: Vec<Hash32>,
}

impl Growing {
    fn new() -> Self {
        let leaves = (0..40).map(hash).collect();
        Self { world: World::new(Algorithm::Ed25519), leaves }
    }

    fn head(&self, size: usize) -> TreeHead {
        TreeHead { size: u64::try_from(size).unwrap(), root: root_of(&self.leaves[..size]) }
    }

    fn ask(&self, old: usize, new: usize) -> AddCheckpoint {
        let (old_size, new_size) = (u64::try_from(old).unwrap(), u64::try_from(new).unwrap());
        let proof = if old <= new {
            consistency_proof(&Memory(self.leaves[..new].to_vec()), old_size, new_size).unwrap()
        } else {
            Vec::new()
        };
        AddCheckpoint { old_size, proof, checkpoint: self.world.sign_checkpoint(self.head(new)) }
    }
}

#[test]
fn a_witness_cosigns_what_follows_and_nothing_else() {
    let log = Growing::new();
    let keys = &log.world.trust.log_keys;
    for (old, new) in [(0, 0), (0, 1), (0, 40), (1, 2), (7, 7), (7, 33), (8, 40), (39, 40)] {
        let latest = (old > 0).then(|| log.head(old));
        let asked = log.ask(old, new);
        let read = AddCheckpoint::parse(&asked.to_string()).unwrap();
        assert_eq!(read, asked);
        assert_eq!(read.judge(keys, latest), Ok(()), "{old} to {new}");
    }
    let status = |asked: &AddCheckpoint, latest: Option<TreeHead>| {
        asked.judge(keys, latest).unwrap_err().status()
    };
    let at7 = Some(log.head(7));
    // Who asks about another size is told the right one, before any proof is looked at.
    for old in [0, 3, 8] {
        let refused = log.ask(old, 33).judge(keys, at7).unwrap_err();
        assert_eq!((refused.status(), &refused), (409, &Refusal::Stale { size: 7 }));
    }
    assert_eq!(log.ask(7, 33).judge(keys, None), Err(Refusal::Stale { size: 0 }));
    assert_eq!(status(&log.ask(8, 7), at7), 400);
    // Proofs that prove nothing.
    let good = log.ask(7, 33);
    let mut shorter = good.clone();
    shorter.proof.pop();
    let mut longer = good.clone();
    longer.proof.push(hash(1));
    let mut changed = good.clone();
    changed.proof[1] = hash(1);
    let empty = AddCheckpoint { proof: Vec::new(), ..good.clone() };
    for bad in [shorter, longer, changed, empty] {
        assert_eq!(status(&bad, at7), 422);
    }
    let first = AddCheckpoint { proof: vec![hash(1)], ..log.ask(0, 5) };
    assert_eq!(status(&first, None), 422);
    // A log that was rewritten: the same size with another root, and a larger one over other leaves.
    let mut forked = Growing::new();
    forked.leaves[3] = hash(99);
    assert_eq!(status(&forked.ask(7, 7), at7), 422);
    assert_eq!(status(&forked.ask(7, 33), at7), 422);
    // An empty tree has one root.
    let nothing = TreeHead { size: 0, root: hash(1) };
    let nothing = AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: log.world.sign_checkpoint(nothing),
    };
    assert_eq!(status(&nothing, None), 422);
    assert_eq!(log.head(0).root, empty_root());
}

#[test]
fn a_witness_knows_its_logs_by_their_keys() {
    let log = Growing::new();
    let asked = log.ask(0, 5);
    let own = &log.world.trust.log_keys;
    // One of two known keys is enough, and unknown lines are passed over.
    assert_eq!(asked.judge(&own[..1], None), Ok(()));
    assert_eq!(asked.judge(&own[1..], None), Ok(()));
    assert_eq!(asked.judge(&[], None), Err(Refusal::UnknownLog));
    let other = World::seeded(Algorithm::Ed25519, 8).trust.log_keys;
    assert_eq!(asked.judge(&other, None).unwrap_err().status(), 403);
    let elsewhere = KeyName::new("example.com/other").unwrap();
    let elsewhere = VerifierKey::new(elsewhere, own[0].key().clone()).unwrap();
    assert_eq!(asked.judge(&[elsewhere], None), Err(Refusal::UnknownLog));
    // A false line of a known key, beside a good one.
    let mut lines = asked.checkpoint.note().signatures.clone();
    lines[1].signature[100] ^= 1;
    let checkpoint = asked.checkpoint.with_lines(&lines).unwrap();
    let bad = AddCheckpoint { checkpoint, ..asked };
    assert_eq!(bad.judge(own, None).unwrap_err().status(), 403);
    assert_eq!(bad.judge(&own[..1], None), Ok(()), "to whom that key is unknown");
}

#[test]
fn requests_in_another_form_are_refused() {
    let text = Growing::new().ask(7, 33).to_string();
    let hashes = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(64);
    for bad in [
        String::new(),
        text.replacen("old 7", "old 07", 1),
        text.replacen("old 7", "old -7", 1),
        text.replacen("old 7", "old", 1),
        text.replacen("old 7", "old  7", 1),
        text.replacen("old 7", "Old 7", 1),
        text.replacen("old 7\n", "", 1),
        text.replacen("old 7\n", "old 7\nold 7\n", 1),
        text.replacen("old 7\n", "old 7\nAAAA\n", 1),
        text.replacen("old 7\n", "old 7\n\n", 1),
        text.replacen("old 7\n", &format!("old 7\n{hashes}"), 1),
        text.replacen("=\n\n", "=\n", 1),
        text.trim_end().to_owned(),
        text.replace('\n', "\r\n"),
        text.clone() + "\n",
        "old 7\n\n".to_owned(),
    ] {
        assert!(AddCheckpoint::parse(&bad).is_err(), "{bad:.80}");
    }
    assert_eq!(ORIGIN, "example.com/log");
}

#[test]
fn a_subtree_is_cosigned_only_under_a_checkpoint_that_was() {
    let (log, witnesses) = (Growing::new(), Witnesses::new(2));
    let (keys, own) = (&log.world.trust.log_keys, &witnesses.keys);
    let checkpoint = witnesses.cosigned(&log.ask(0, 33).checkpoint, &[0, 1]);
    let ask = |start: usize, end: usize| {
        let interval = Interval { start: start as u64, end: end as u64 };
        let tiles = Memory(log.leaves[..33].to_vec());
        let (proof, hash) = (
            subtree_proof(&tiles, interval, 33).unwrap_or_default(),
            root_of(&log.leaves[start..end]),
        );
        SignSubtree { interval, hash, proof, checkpoint: checkpoint.clone() }
    };
    for (start, end) in [(0, 33), (0, 1), (32, 33), (8, 13), (16, 32), (0, 17)] {
        let asked = ask(start, end);
        assert_eq!(SignSubtree::parse(&asked.to_string()).unwrap(), asked);
        let subtree = asked.judge(keys, own).unwrap();
        let line = subtree.cosign(&own[1], &witnesses.slots, &slot("w1")).unwrap();
        assert_eq!(subtree.verify(&own[1], &line.signature).unwrap(), 0, "{start} to {end}");
        // An Ed25519 cosignature can say nothing of a subtree, and a slot has one key.
        let unsupported = subtree.cosign(&own[0], &witnesses.slots, &slot("w0"));
        assert_eq!(unsupported, Err(ProofError::Unsupported));
        assert_eq!(
            subtree.cosign(&own[1], &witnesses.slots, &slot("w0")),
            Err(ProofError::WrongKey)
        );
    }
    let refused = |asked: &SignSubtree| asked.judge(keys, own).unwrap_err();
    for (start, end) in [(5, 5), (5, 7), (4, 9)] {
        assert_eq!(refused(&ask(start, end)).code(), "no_subtree", "{start} to {end}");
    }
    let good = ask(8, 13);
    let beyond = Interval { start: 32, end: 34 };
    assert_eq!(refused(&SignSubtree { interval: beyond, ..good.clone() }).status(), 400);
    let mut shorter = good.clone();
    shorter.proof.pop();
    for bad in [
        shorter,
        SignSubtree { hash: hash(1), ..good.clone() },
        SignSubtree { interval: Interval { start: 8, end: 12 }, ..good.clone() },
        SignSubtree { proof: vec![hash(1); good.proof.len()], ..good.clone() },
    ] {
        assert_eq!((refused(&bad).code(), refused(&bad).status()), ("unproved", 422));
    }
    // What this witness has not cosigned, or somebody else has, or what does not hold.
    let bare = SignSubtree { checkpoint: log.ask(0, 33).checkpoint, ..good.clone() };
    assert_eq!((refused(&bare).code(), refused(&bare).status()), ("not_cosigned", 403));
    let mut lines = checkpoint.note().signatures.clone();
    lines.last_mut().unwrap().signature[70] ^= 1;
    let false_line =
        SignSubtree { checkpoint: checkpoint.with_lines(&lines).unwrap(), ..good.clone() };
    assert_eq!(refused(&false_line).code(), "not_cosigned");
    let strangers = &Witnesses::new(4).keys[2..];
    assert_eq!(good.judge(keys, strangers).unwrap_err().code(), "not_cosigned");
    assert_eq!(good.judge(&[], own).unwrap_err().code(), "unknown_log");
    let text = good.to_string();
    for (from, to) in [
        ("subtree 8 13\n", "subtree 08 13\n"),
        ("subtree 8 13\n", "subtree 8  13\n"),
        ("subtree 8 13\n", "subtree 8\n"),
        ("subtree 8 13\n", "old 8\n"),
        ("subtree 8 13\n", ""),
        ("\n\n", "\n\n\n"),
        ("\n\n", "\n"),
        ("=\n", "\n"),
    ] {
        assert!(SignSubtree::parse(&text.replacen(from, to, 1)).is_err(), "{to:?}");
    }
    let long = good.proof[0];
    let long = SignSubtree { proof: vec![long; 64], ..good };
    assert!(SignSubtree::parse(&long.to_string()).is_err(), "64 hashes");
}

proptest! {
    #[test]
    fn no_text_makes_a_reader_panic_or_has_two_forms(text in "(old 0\n|log |witness |group |quorum |none|any|[a-zA-Z0-9+/= \n#\t]){0,40}") {
        if let Ok(read) = AddCheckpoint::parse(&text) {
            prop_assert_eq!(read.to_string(), text.clone());
        }
        if let Ok(policy) = Policy::parse(text.as_bytes()) {
            prop_assert_eq!(policy.text(), text.as_bytes());
        }
    }
}
