//! Goal: evidence records begin, are renewed and prove level L5; whatever breaks a rule of RFC 4998 is refused for that rule.
//! Method: receipts of one operator go through years of renewals by a real authority, and the broken records of the corpus
//! must each be refused with the code of the rule that they break.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use support::{POLICY, World, intent, slot};
use tpw_core::{Instant, PaymentId, Receipt};
use tpw_crypto::{Algorithm, FixedEntropy, Sha2};
use tpw_proof::evidence::{self, Archived, Ends, HashTree, Renewal, StampTrust, Step};
use tpw_proof::timestamp::{
    Authority, CertificateSpec, ClockState, leaf_certificate, root_certificate, serial,
};
use tpw_proof::verdict::TIME_TOLERANCE;
use tpw_proof::{Layer, Level, Outcome, ProofError, Trust, judge, sign};

/// Receipts of different payments.
fn receipts(world: &World, count: u8) -> Vec<Receipt> {
    let one = |n| {
        let mut intent = intent();
        intent.payment = PaymentId::new(1_763_806_500_000, [n; 10]);
        let record = world.record(&intent);
        world.receipt_of(&intent, &record)
    };
    (1..=count).map(one).collect()
}

fn stamp(world: &World, tree: &HashTree, now: &str) -> Vec<u8> {
    let query = evidence::query(tree, None, vec![7; 8]).unwrap();
    let (now, clock): (Instant, _) = (now.parse().unwrap(), ClockState::Good { error_ms: 10 });
    world.authority.answer(&world.slots, &query, now, clock, serial(now.unix_ms(), [5; 11]))
}

/// Finishes one renewal for each receipt under one time-stamp; `place` says where the new record goes.
fn finish(world: &World, receipts: &mut [Receipt], renewals: Vec<Renewal>, now: &str) {
    let tree = Renewal::tree(&renewals).unwrap();
    let response = stamp(world, &tree, now);
    for (receipt, renewal) in receipts.iter_mut().zip(renewals) {
        receipt.evidence = vec![renewal.finish(&tree, &response).unwrap()];
    }
}

fn begin(world: &World, receipts: &mut [Receipt], function: Sha2, now: &str) {
    let renewals = receipts.iter().map(|r| Renewal::begin(r, function).unwrap()).collect();
    finish(world, receipts, renewals, now);
}

fn renew(world: &World, receipts: &mut [Receipt], now: &str) {
    let renewals = receipts.iter().map(|r| Renewal::time_stamp(&r.evidence[0]).unwrap()).collect();
    finish(world, receipts, renewals, now);
}

fn rehash(world: &World, receipts: &mut [Receipt], function: Sha2, now: &str) {
    let renewal = |r: &Receipt| Renewal::hash_tree(r, &r.evidence[0], function).unwrap();
    let renewals = receipts.iter().map(renewal).collect();
    finish(world, receipts, renewals, now);
}

fn detail(world: &World, receipt: &Receipt) -> String {
    let judgement = judge(&receipt.to_bytes(), &world.trust);
    assert!(judgement.is_valid(), "{:?}", judgement.first_failure());
    match judgement.level(Level::Renewed) {
        Outcome::Proved { detail } => detail.clone(),
        other => panic!("{other:?}"),
    }
}

/// What whoever archives many receipts keeps: one record, and each one's way through the tree.
#[test]
fn the_record_of_one_receipt_is_made_that_of_another_also_after_a_renewal() {
    let world = World::new(Algorithm::Ed25519);
    for count in [1, 2, 7] {
        let receipts = receipts(&world, count);
        let begin = |r: &Receipt| Renewal::begin(r, Sha2::Sha512).unwrap();
        let renewals: Vec<Renewal> = receipts.iter().map(begin).collect();
        let tree = Renewal::tree(&renewals).unwrap();
        let response = stamp(&world, &tree, "2027-11-22T10:15:00Z");
        let shared = renewals[0].clone().finish(&tree, &response).unwrap();
        let again = Renewal::time_stamp(&shared).unwrap();
        let above = Renewal::tree(core::slice::from_ref(&again)).unwrap();
        let response_again = stamp(&world, &above, "2028-11-22T10:15:00Z");
        let renewed = again.finish(&above, &response_again).unwrap();
        assert!(evidence::continues(&renewed, &shared) && !evidence::continues(&shared, &renewed));
        for (number, (receipt, renewal)) in receipts.iter().zip(renewals).enumerate() {
            let leaf = renewal.leaf();
            let place = tree.place(&leaf).unwrap();
            assert_eq!(tree.levels()[0][place], leaf);
            let mut siblings = Vec::new();
            let mut index = place;
            for level in tree.levels() {
                siblings.extend(level.get(index ^ 1).cloned());
                index /= 2;
            }
            let own = evidence::placed(&shared, &leaf, &siblings).unwrap();
            assert_eq!(own, renewal.finish(&tree, &response).unwrap());
            let own = evidence::placed(&renewed, &leaf, &siblings).unwrap();
            let whole = Receipt { evidence: vec![own.clone()], ..receipt.clone() };
            assert!(detail(&world, &whole).contains("renewals 1,"));
            // On any other way it does not lead to the root.
            siblings.push(leaf.clone());
            let wrong = evidence::placed(&renewed, &leaf, &siblings).unwrap();
            let whole = Receipt { evidence: vec![wrong], ..receipt.clone() };
            assert!(!judge(&whole.to_bytes(), &world.trust).is_valid());
            // Another receipt's record is not the same one renewed.
            assert_eq!(evidence::continues(&own, &shared), number == 0);
        }
        assert!(!evidence::continues(b"none", b"none"));
    }
}

#[test]
fn a_folder_of_receipts_is_archived_under_one_time_stamp() {
    let world = World::new(Algorithm::Ed25519);
    for count in [1, 2, 5, 16] {
        let mut receipts = receipts(&world, count);
        assert!(matches!(
            judge(&receipts[0].to_bytes(), &world.trust).level(Level::Renewed),
            Outcome::Absent
        ));
        begin(&world, &mut receipts, evidence::FUNCTION, "2026-01-01T00:00:00Z");
        for receipt in &receipts {
            assert_eq!(
                detail(&world, receipt),
                "archived 2026-01-01T00:00:00.000Z, renewals 0, newest 2026-01-01T00:00:00.000Z, \
                 relied on until 2031-12-31T23:59:59.999Z"
            );
        }
        let files = tpw_proof::bundle::export(&receipts[0], &world.trust).unwrap();
        let file = |name: &str| files.iter().find(|(n, _)| n == name).map(|(_, b)| b.clone());
        assert_eq!(file("record.ers").as_ref(), receipts[0].evidence.first());
        assert_eq!(file("archived.cbor"), evidence::archived_bytes(&receipts[0]).ok());
        // A record proves its own receipt alone, except that all of one tree share the token.
        if count > 1 {
            let mut swapped = receipts[0].clone();
            swapped.evidence.clone_from(&receipts[1].evidence);
            let judgement = judge(&swapped.to_bytes(), &world.trust);
            let (layer, reason) = judgement.first_failure().unwrap();
            assert_eq!((layer, reason.code()), (Layer::Evidence, "ers_not_covered"));
        }
    }
}

#[test]
fn records_are_renewed_for_years_and_under_other_functions() {
    let world = World::new(Algorithm::P256);
    for functions in [[Sha2::Sha256, Sha2::Sha512], [Sha2::Sha512, Sha2::Sha384]] {
        let mut receipts = receipts(&world, 3);
        begin(&world, &mut receipts, functions[0], "2026-01-01T00:00:00Z");
        renew(&world, &mut receipts, "2027-01-01T00:00:00Z");
        renew(&world, &mut receipts, "2028-01-01T00:00:00Z");
        rehash(&world, &mut receipts, functions[1], "2029-01-01T00:00:00Z");
        // Receipts that were archived at different times come together in one tree.
        let mut late = self::receipts(&world, 4).split_off(3);
        begin(&world, &mut late, functions[1], "2029-06-01T00:00:00Z");
        receipts.extend(late);
        renew(&world, &mut receipts, "2030-01-01T00:00:00Z");
        let begun = "archived 2026-01-01T00:00:00.000Z, renewals 4, ";
        assert!(detail(&world, &receipts[0]).starts_with(begun));
        assert!(detail(&world, &receipts[3]).contains("renewals 1, newest 2030-01-01"));
    }
}

#[test]
fn what_comes_later_leaves_the_record_as_it_is() {
    let world = World::new(Algorithm::Ed25519);
    let mut receipt = receipts(&world, 1);
    begin(&world, &mut receipt, Sha2::Sha512, "2026-01-01T00:00:00Z");
    let mut receipt = receipt.remove(0);
    let archived = evidence::archived_bytes(&receipt).unwrap();
    receipt.tlog_proof += "\u{2014} witness.example.org aGVsbG8gd29ybGQ=\n";
    receipt.anchors.push(vec![1]);
    receipt.evidence.push(vec![2]);
    assert_eq!(evidence::archived_bytes(&receipt).unwrap(), archived);
    receipt.timestamps.push(vec![3]);
    assert_ne!(evidence::archived_bytes(&receipt).unwrap(), archived);
}

#[test]
fn a_record_with_any_byte_changed_proves_nothing() {
    let world = World::new(Algorithm::Ed25519);
    let mut receipts = receipts(&world, 3);
    begin(&world, &mut receipts, Sha2::Sha512, "2026-01-01T00:00:00Z");
    let receipt = &receipts[1];
    let bytes = evidence::archived_bytes(receipt).unwrap();
    let archived = Archived { bytes: &bytes, stamps: &receipt.timestamps };
    let trust = StampTrust {
        roots: &world.trust.tsa_roots,
        policies: &world.trust.tsa_policies,
        tolerance: TIME_TOLERANCE,
    };
    let verify = |record: &[u8]| evidence::verify(record, &archived, &trust);
    let record = &receipt.evidence[0];
    assert!(verify(record).is_ok());
    for place in 0..record.len() {
        let mut changed = record.clone();
        changed[place] ^= 1 << (place % 8);
        assert!(verify(&changed).is_err(), "{place}");
    }
    for length in 0..record.len() {
        assert!(verify(&record[..length]).is_err(), "{length}");
    }
}

/// An operator whose authority stamps with ML-DSA-65.
fn post_quantum() -> World {
    let mut world = World::new(Algorithm::Ed25519);
    let entropy = &mut FixedEntropy::new(65);
    for name in ["pq-root", "pq-tsa"] {
        world.slots.generate(slot(name), Algorithm::MlDsa65, entropy).unwrap();
    }
    let spec = |common_name, number| CertificateSpec {
        common_name,
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        not_after: "2045-01-01T00:00:00Z".parse().unwrap(),
        serial: serial(number, [1; 11]),
    };
    let issuer = slot("pq-root");
    let root = root_certificate(&world.slots, &issuer, &spec("Second root", 8)).unwrap();
    let (key, own) = (world.key("pq-tsa"), spec("Second TSA", 9));
    let leaf = leaf_certificate(&world.slots, &issuer, &root, &key, &own).unwrap();
    world.authority = Authority::new(slot("pq-tsa"), &leaf, POLICY, 1000).unwrap();
    world.trust.tsa_roots = vec![root];
    world
}

#[test]
fn a_signature_that_lasts_longer_does_not_make_its_imprint_last() {
    // ML-DSA-65 and SHA-512 outlive the SHA-256 that the token of a receipt is over.
    let world = post_quantum();
    let intent = intent();
    let statement = sign(&intent, &world.slots, &slot("device")).unwrap();
    let begun = "2031-12-31T23:59:58.000Z";
    for (stamped, failure) in [
        ("2031-12-31T23:59:59.999Z", None),
        ("2032-01-01T00:00:00.000Z", Some((Layer::Evidence, "ers_weak"))),
    ] {
        let stamped = stamped.parse().unwrap();
        let mut receipts = [world.receipt_with(&statement, &world.record(&intent), stamped)];
        begin(&world, &mut receipts, Sha2::Sha512, begun);
        let judgement = judge(&receipts[0].to_bytes(), &world.trust);
        let found = judgement.first_failure().map(|(layer, reason)| (layer, reason.code()));
        assert_eq!(found, failure, "{stamped}");
    }
}

#[test]
fn renewals_that_do_not_fit_are_not_made() {
    let world = World::new(Algorithm::Ed25519);
    let receipts = receipts(&world, 2);
    let begin = |n: usize, function| Renewal::begin(&receipts[n], function).unwrap();
    assert!(Renewal::tree(&[]).is_err());
    assert!(Renewal::tree(&[begin(0, Sha2::Sha256), begin(1, Sha2::Sha512)]).is_err());
    let tree = Renewal::tree(&[begin(0, Sha2::Sha512)]).unwrap();
    let other = Renewal::tree(&[begin(1, Sha2::Sha512)]).unwrap();
    let response = stamp(&world, &tree, "2026-01-01T00:00:00Z");
    assert!(begin(1, Sha2::Sha512).finish(&tree, &response).is_err());
    assert!(begin(0, Sha2::Sha512).finish(&other, &response).is_err());
    assert!(begin(0, Sha2::Sha256).finish(&tree, &response).is_err());
    let refused = tpw_proof::timestamp::refuse(tpw_proof::timestamp::Refusal::BadAlg, "no");
    assert!(begin(0, Sha2::Sha512).finish(&tree, &refused).is_err());
    assert!(begin(0, Sha2::Sha512).finish(&tree, &response).is_ok());
    assert!(Renewal::time_stamp(&[0x30, 0]).is_err());
}

#[test]
fn an_upgrade_loses_nothing() {
    let world = World::new(Algorithm::Ed25519);
    let mut own = receipts(&world, 2);
    let other = own.pop().unwrap();
    let bare = own[0].clone();
    assert!(tpw_proof::upgraded(&bare, &other).is_err());
    begin(&world, &mut own, Sha2::Sha512, "2026-01-01T00:00:00Z");
    let archived = own.remove(0);
    // Lines of both sides are kept, and the record still holds.
    let line = |name: &str| format!("\u{2014} {name} aGVsbG8gd29ybGQ=\n");
    let mut fresh = bare.clone();
    fresh.tlog_proof += &line("one.example");
    let mut have = archived.clone();
    have.tlog_proof += &line("two.example");
    let both = tpw_proof::upgraded(&have, &fresh).unwrap();
    assert_eq!(both.evidence, archived.evidence);
    assert!(both.tlog_proof.contains("one.example") && both.tlog_proof.contains("two.example"));
    detail(&world, &both);
    assert_eq!(tpw_proof::upgraded(&both, &fresh).unwrap(), both);
    assert_eq!(tpw_proof::upgraded(&fresh, &both).unwrap().evidence, archived.evidence);
    // Under another checkpoint a bare receipt becomes the newer one, an archived one stays.
    let mut moved = bare.clone();
    moved.timestamps.push(bare.timestamps[0].clone());
    assert_eq!(tpw_proof::upgraded(&bare, &moved).unwrap(), moved);
    assert_eq!(tpw_proof::upgraded(&archived, &moved).unwrap(), archived);
    assert_eq!(tpw_proof::upgraded(&moved, &bare).unwrap(), moved);
}

#[test]
fn the_plan_says_what_ends_first() {
    let world = World::new(Algorithm::Ed25519);
    let mut receipts = receipts(&world, 1);
    let due = |receipt: &Receipt| evidence::due(receipt, &world.trust.tsa_roots).unwrap();
    let end: Instant = "2031-12-31T23:59:59.999Z".parse().unwrap();
    let next = due(&receipts[0]);
    assert_eq!((next.step, next.until, next.function), (Step::Begin, end, None));
    assert!(matches!(next.ends, Ends::Algorithm("ECDSA P-256" | "SHA-256")));
    begin(&world, &mut receipts, Sha2::Sha256, "2026-01-01T00:00:00Z");
    let next = due(&receipts[0]);
    assert_eq!((next.step, next.until), (Step::HashTree, end));
    assert_eq!((next.ends, next.function), (Ends::Algorithm("SHA-256"), Some(Sha2::Sha256)));
    rehash(&world, &mut receipts, Sha2::Sha512, "2027-01-01T00:00:00Z");
    let next = due(&receipts[0]);
    assert_eq!((next.step, next.until), (Step::TimeStamp, end));
    receipts[0].evidence[0].push(0);
    let broken = evidence::due(&receipts[0], &world.trust.tsa_roots);
    assert!(matches!(broken, Err(ProofError::Evidence(_))));
    // The certificate of the corpus ends first.
    let (receipt, trust) = of_corpus("good/evidence-renewed-in-the-last-second");
    let mut begun = receipt;
    begun.evidence = vec![first_stamp_only(&begun.evidence[0])];
    let next = evidence::due(&begun, &trust.tsa_roots).unwrap();
    assert_eq!(next.ends, Ends::Certificate);
    assert_eq!(next.until.to_string(), "2028-06-01T00:00:00.999Z");
}

/// The record before its newest time-stamp, cut off by hand.
fn first_stamp_only(record: &[u8]) -> Vec<u8> {
    let short = |part: &[u8]| part[4..].to_vec();
    let long = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82][..], &length, content].concat()
    };
    // A sequence of version and functions, the chains, the chain, and its first time-stamp.
    let body = short(record);
    let head = 3 + 2 + usize::from(body[4]);
    let chain = short(&short(&body[head..]));
    let first = 4 + usize::from(u16::from_be_bytes([chain[2], chain[3]]));
    let chains = long(&long(&chain[..first]));
    long(&[&body[..head], &chains].concat())
}

fn of_corpus(name: &str) -> (Receipt, Trust) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts");
    let bytes = std::fs::read(folder.join(format!("{name}.tpr"))).unwrap();
    let trust = std::fs::read_to_string(folder.join("trust.json")).unwrap();
    (Receipt::from_bytes(&bytes).unwrap(), Trust::from_json(&trust).unwrap())
}

#[test]
fn each_broken_record_is_refused_for_the_rule_that_it_breaks() {
    let mut wrong = Vec::new();
    for (name, code) in CODES {
        let (receipt, trust) = of_corpus(&format!("broken/evidence-{name}"));
        let judgement = judge(&receipt.to_bytes(), &trust);
        let found = judgement.first_failure().map_or("valid", |(_, reason)| reason.code());
        if found != *code {
            wrong.push(format!("{name}: {found}, wanted {code}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/receipts/broken");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let there = files.filter(|name| name.to_str().unwrap().starts_with("evidence-")).count();
    assert_eq!(there, CODES.len());
}

const CODES: &[(&str, &str)] = &[
    ("above-256-kib", "ers_too_large"),
    ("before-its-certificate", "tsp_outside_validity"),
    ("begun-after-the-algorithms", "ers_weak"),
    ("begun-after-the-certificate", "ers_expired"),
    ("begun-before-the-token", "ers_order"),
    ("chain-empty", "ers_empty"),
    ("empty", "ers_malformed"),
    ("function-sha1", "ers_hash_function"),
    ("function-stated-other", "ers_chain_function"),
    ("functions-in-another-order", "ers_digest_algorithms"),
    ("functions-none", "ers_digest_algorithms"),
    ("functions-one-more", "ers_digest_algorithms"),
    ("functions-other", "ers_digest_algorithms"),
    ("functions-repeated", "ers_digest_algorithms"),
    ("functions-with-parameters", "ers_digest_algorithms"),
    ("hash-in-the-second-list", "ers_not_covered"),
    ("hash-of-another-length", "ers_hash_list"),
    ("hash-renewal-missing", "ers_chain_function"),
    ("hash-renewal-of-another-receipt", "ers_not_covered"),
    ("hash-renewal-of-the-newest-chain", "ers_not_covered"),
    ("hash-renewal-turned-round", "ers_not_covered"),
    ("hash-renewal-under-the-old-function", "ers_not_covered"),
    ("hash-renewal-without-the-chains", "ers_not_covered"),
    ("hash-renewal-without-the-receipt", "ers_not_covered"),
    ("hash-renewed-after-the-certificate", "ers_expired"),
    ("hash-renewed-before-it-began", "ers_order"),
    ("imprint-under-another-function", "tsp_imprint"),
    ("indefinite-length", "ers_malformed"),
    ("list-empty", "ers_hash_list"),
    ("list-not-sorted", "ers_hash_list"),
    ("list-with-a-hash-twice", "ers_hash_list"),
    ("list-with-the-hash-of-the-one-before", "ers_hash_list"),
    ("long-length", "ers_malformed"),
    ("over-another-receipt", "ers_not_covered"),
    ("over-another-trust-hint", "ers_not_covered"),
    ("over-the-renewed-receipt", "ers_not_covered"),
    ("renewal-of-another-token", "ers_not_covered"),
    ("renewal-of-the-receipt", "ers_not_covered"),
    ("renewal-skips-one", "ers_not_covered"),
    ("renewed-after-the-algorithms", "ers_weak"),
    ("renewed-after-the-certificate", "ers_expired"),
    ("renewed-before-it-began", "ers_order"),
    ("second-record-bad", "ers_chain_function"),
    ("sibling-altered", "ers_root"),
    ("sibling-left-out", "ers_root"),
    ("token-as-response", "tsp_malformed"),
    ("token-certificates-not-sorted", "tsp_not_canonical"),
    ("token-over-another-hash", "ers_not_covered"),
    ("token-signed-by-another-key", "tsp_bad_signature"),
    ("token-under-another-policy", "tsp_policy"),
    ("token-under-another-root", "tsp_certificate_signature"),
    ("trailing-byte", "ers_malformed"),
    ("tree-empty", "ers_not_covered"),
    ("tree-with-65-lists", "ers_too_large"),
    ("unknown", "ers_malformed"),
    ("version-2", "ers_version"),
    ("with-attributes", "ers_malformed"),
    ("with-crypto-infos", "ers_malformed"),
    ("with-encryption-info", "ers_malformed"),
    ("without-chains", "ers_empty"),
];
