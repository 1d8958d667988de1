//! Readers of evidence: receipts, statements, entries, the log's texts, time-stamps.

use tpw_core::{Hash32, Intent, Receipt, Record, Span, StepUpProof};
use tpw_crypto::{PublicKey, Sha2};
use tpw_proof::anchor::{Anchor, EvmAnchor};
use tpw_proof::evidence::{self, Archived, Renewal, StampTrust};
use tpw_proof::note::{Note, parse_lines};
use tpw_proof::tile::{BundleId, decode_bundle, encode_bundle};
use tpw_proof::timestamp::{
    self, CertificateWish, ClockState, Imprint, TokenCheck, TspError, serial,
};
use tpw_proof::witness::AddCheckpoint;
use tpw_proof::{
    Leaf, Policy, RootSignature, SignedCheckpoint, TileId, TlogProof, Trust, Unverified,
    VerifierKey, cose_receipt, judge, sign,
};

use crate::world::{at, hash, slot, world};

fn text(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// A receipt that is judged valid carries the one statement that the device signed.
pub fn receipt(data: &[u8]) {
    if let Ok(receipt) = Receipt::from_bytes(data) {
        assert_eq!(receipt.to_bytes(), data);
        let judgement = judge(data, &world().trust);
        if judgement.is_valid() {
            assert_eq!(receipt.statement, world().statement);
            assert_eq!(receipt.record, world().record.to_bytes());
        }
    } else {
        assert!(!judge(data, &world().trust).is_valid());
    }
}

pub fn receipt_seeds() -> Vec<Vec<u8>> {
    let mut bare = world().receipt.clone();
    bare.timestamps.clear();
    bare.cose_receipts.clear();
    vec![world().receipt.to_bytes(), bare.to_bytes()]
}

pub fn intent(data: &[u8]) {
    if let Ok(intent) = Intent::from_bytes(data) {
        assert_eq!(intent.to_bytes(), data);
        assert!(intent.check().is_ok());
    }
}

pub fn intent_seeds() -> Vec<Vec<u8>> {
    vec![world().intent.to_bytes()]
}

pub fn step_up(data: &[u8]) {
    if let Ok(proof) = StepUpProof::from_bytes(data) {
        assert_eq!(proof.to_bytes(), data);
    }
}

pub fn step_up_seeds() -> Vec<Vec<u8>> {
    vec![world().step_up().to_bytes()]
}

pub fn record(data: &[u8]) {
    if let Ok(record) = Record::from_bytes(data) {
        assert_eq!(record.to_bytes(), data);
    }
}

pub fn record_seeds() -> Vec<Vec<u8>> {
    vec![world().record.to_bytes()]
}

pub fn leaf(data: &[u8]) {
    if let Ok(leaf) = Leaf::from_bytes(data) {
        assert_eq!(leaf.as_bytes(), data);
    }
}

pub fn leaf_seeds() -> Vec<Vec<u8>> {
    vec![world().leaf.as_bytes().to_vec(), Leaf::genesis("a", 1).as_bytes().to_vec()]
}

/// No bytes but the device's own verify under its key, and one kind of statement is never the other.
pub fn statement(data: &[u8]) {
    let key = world().key("device");
    if let Ok(statement) = Unverified::<Intent>::parse(data)
        && let Ok(verified) = statement.verify(&key)
    {
        assert_eq!(verified.bytes(), data);
        assert_eq!(data, world().statement);
        assert!(Unverified::<StepUpProof>::parse(data).is_err());
    }
    if let Ok(statement) = Unverified::<StepUpProof>::parse(data)
        && let Ok(verified) = statement.verify(&key)
    {
        assert_eq!(verified.bytes(), data);
    }
}

pub fn statement_seeds() -> Vec<Vec<u8>> {
    let step_up = sign(&world().step_up(), &world().slots, &slot("device")).unwrap();
    vec![world().statement.clone(), step_up]
}

/// Every request is answered, and a token that was granted verifies against its request.
pub fn tsp_request(data: &[u8]) {
    let world = world();
    let good = ClockState::Good { error_ms: 1 };
    let answer = world.authority.answer(&world.slots, data, at(0), good, serial(9, [4; 11]));
    let summary = timestamp::info(&answer).expect("every answer is a response");
    if summary.token.is_some() {
        let checked = timestamp::verify_answer(
            &answer,
            data,
            &world.trust.tsa_roots,
            &world.trust.tsa_policies,
        );
        // A request that wants no certificate cannot be checked from its answer alone.
        let uncheckable =
            matches!(checked, Err(TspError::CertificateMissing | TspError::CertificateRequest));
        assert!(checked.is_ok() || uncheckable, "{checked:?}");
    }
}

pub fn tsp_request_seeds() -> Vec<Vec<u8>> {
    let query = |nonce, wish| timestamp::query([5; 32], nonce, wish).unwrap();
    vec![
        query(Some([1, 2, 3, 4, 5, 6, 7, 8]), CertificateWish::Embedded),
        query(None, CertificateWish::Absent),
    ]
}

/// Time and serial of whatever verifies over the checkpoint are those that the authority signed.
pub fn tsp_response(data: &[u8]) {
    let world = world();
    let signed = world.checkpoint.log_signed_bytes();
    if let Ok(token) =
        timestamp::verify(data, &signed, &world.trust.tsa_roots, &world.trust.tsa_policies)
    {
        assert_eq!(token.gen_time, at(900));
        assert_eq!(token.serial, serial(3, [2; 11]));
    }
    let _ = timestamp::info(data);
    // The verifier for other authorities takes more algorithms, and so more of our own authority's forms: no other content.
    if let Ok(function) = timestamp::imprint_hash(data) {
        let check = TokenCheck {
            imprint: &Imprint { function, hash: function.hash(&signed) },
            request: None,
            roots: &world.trust.tsa_roots,
            untrusted: &[],
            policies: None,
            now: at(900),
        };
        if let Ok(token) = timestamp::verify_token(data, &check) {
            assert_eq!((token.gen_time, token.serial), (at(900), serial(3, [2; 11]).to_vec()));
        }
    }
}

pub fn tsp_response_seeds() -> Vec<Vec<u8>> {
    world().receipt.timestamps.clone()
}

/// A record that holds has the times that the authority signed; no bytes make the other functions panic.
pub fn evidence_record(data: &[u8]) {
    let (world, receipt) = (world(), &world().receipt);
    let bytes = evidence::archived_bytes(receipt).expect("the world's receipt is whole");
    let archived = Archived { bytes: &bytes, stamps: &receipt.timestamps };
    let trust = StampTrust {
        roots: &world.trust.tsa_roots,
        policies: &world.trust.tsa_policies,
        tolerance: Span::from_secs(5),
    };
    if let Ok(verified) = evidence::verify(data, &archived, &trust) {
        assert_eq!(verified.begun, at(2000));
        assert_eq!(
            Some(verified.newest),
            [at(2000), at(3000), at(4000)].get(verified.renewals).copied()
        );
        assert!(Renewal::time_stamp(data).is_ok());
    }
    let renewed = Receipt { evidence: vec![data.to_vec()], ..receipt.clone() };
    let _ = evidence::due(&renewed, &world.trust.tsa_roots);
}

/// A record, renewed by a time-stamp and then under another function.
pub fn evidence_record_seeds() -> Vec<Vec<u8>> {
    let (world, receipt) = (world(), &world().receipt);
    let finish = |renewal: Renewal, ms| {
        let tree = Renewal::tree(core::slice::from_ref(&renewal)).unwrap();
        let query = evidence::query(&tree, None, vec![7; 8]).unwrap();
        let clock = ClockState::Good { error_ms: 1 };
        let now = at(ms);
        let answer = world.authority.answer(&world.slots, &query, now, clock, serial(4, [2; 11]));
        renewal.finish(&tree, &answer).unwrap()
    };
    let begun = finish(Renewal::begin(receipt, Sha2::Sha256).unwrap(), 2000);
    let renewed = finish(Renewal::time_stamp(&begun).unwrap(), 3000);
    let next = Renewal::hash_tree(receipt, &renewed, Sha2::Sha512).unwrap();
    let rehashed = finish(next, 4000);
    vec![begun, renewed, rehashed]
}

/// A checkpoint that all of the log's keys have signed is the one they signed.
pub fn checkpoint(data: &[u8]) {
    let text = text(data);
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
    }
    if let Ok(checkpoint) = SignedCheckpoint::parse(text)
        && checkpoint.verify_all(&world().trust.log_keys).is_ok()
    {
        assert_eq!(checkpoint.checkpoint(), world().checkpoint.checkpoint());
    }
}

pub fn checkpoint_seeds() -> Vec<Vec<u8>> {
    vec![world().checkpoint.log_signed_bytes()]
}

/// A request to a witness has one form, and only the head that the log has signed is cosigned.
pub fn add_checkpoint(data: &[u8]) {
    let text = text(data);
    if let Ok(request) = AddCheckpoint::parse(text) {
        assert_eq!(request.to_string(), text);
        if request.judge(&world().trust.log_keys, None).is_ok() {
            assert_eq!(request.checkpoint.checkpoint(), world().checkpoint.checkpoint());
        }
    }
    if let Ok(lines) = parse_lines(text) {
        assert_eq!(lines.iter().map(ToString::to_string).collect::<String>(), text);
    }
}

pub fn add_checkpoint_seeds() -> Vec<Vec<u8>> {
    let checkpoint = world().checkpoint.clone();
    let lines = checkpoint.note().signatures.iter().map(ToString::to_string).collect::<String>();
    let request = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint };
    vec![request.to_string().into_bytes(), lines.into_bytes()]
}

/// No quorum of witnesses that have not signed is ever met.
pub fn witness_policy(data: &[u8]) {
    if let Ok(policy) = Policy::parse(data) {
        assert_eq!(policy.text(), data);
        if let Ok(witnessed) = policy.judge(&world().checkpoint) {
            assert!(witnessed.cosigned.len() <= witnessed.known);
            assert_eq!(witnessed.is_met(), witnessed.demand().is_ok());
        }
    }
}

pub fn witness_policy_seeds() -> Vec<Vec<u8>> {
    let [ed25519, ml_dsa_44, ..] = &world().trust.log_keys[..] else { return Vec::new() };
    // A log's ML-DSA-44 key has the form of a witness's.
    let text = format!(
        "# two\nlog {ed25519} https://log.example\nwitness A {ml_dsa_44}\n\
         group G any A\ngroup H 1 G\nquorum H\n"
    );
    vec![text.into_bytes(), b"quorum none\n".to_vec()]
}

pub fn tlog_proof(data: &[u8]) {
    let text = text(data);
    if let Ok(proof) = TlogProof::parse(text) {
        assert_eq!(proof.to_string(), text);
        let _ = proof.verify_inclusion(&world().leaf.leaf_hash());
    }
}

pub fn tlog_proof_seeds() -> Vec<Vec<u8>> {
    vec![world().receipt.tlog_proof.clone().into_bytes()]
}

/// Whatever verifies is under the one root that was signed.
pub fn cose_receipt(data: &[u8]) {
    let world = world();
    let _ = cose_receipt::claimed_key(data);
    if let Ok(signature) = RootSignature::from_bytes(data) {
        assert_eq!(signature.to_bytes(), data);
    }
    if let Ok(found) = cose_receipt::verify(data, &world.leaf.leaf_hash(), &world.key("log-cose")) {
        assert_eq!(found.head.root, world.checkpoint.checkpoint().head.root);
    }
}

pub fn cose_receipt_seeds() -> Vec<Vec<u8>> {
    let mut seeds = world().receipt.cose_receipts.clone();
    let root = hash(b"root");
    seeds.push(RootSignature::sign(&root, &world().slots, &slot("log-cose")).unwrap().to_bytes());
    seeds
}

/// An anchor has one encoding, and leads from an entry that is not the world's to nothing.
pub fn chain_anchor(data: &[u8]) {
    if let Ok(Anchor::Evm(anchor)) = Anchor::from_bytes(data) {
        assert_eq!(anchor.to_bytes(), data);
        let _ = anchor.announcement.tell();
        assert!(anchor.tell(&Hash32::ZERO, 0).is_err());
    }
}

pub fn chain_anchor_seeds() -> Vec<Vec<u8>> {
    let receipt = include_bytes!("../../spec/vectors/anchors/good/alone-in-its-block.tpr");
    let anchors = Receipt::from_bytes(receipt).expect("the published receipt").anchors;
    for anchor in &anchors {
        let anchor = EvmAnchor::from_bytes(anchor).expect("the published anchor");
        anchor.announcement.tell().expect("the published block");
    }
    anchors
}

/// A path has one reading and one writing; nothing that is read leaves the log's folders.
pub fn tile_path(data: &[u8]) {
    let text = text(data);
    if let Some(tile) = TileId::parse(text) {
        assert_eq!(tile.path(), text);
        assert!(!text.contains(".."));
    }
    if let Some(bundle) = BundleId::parse(text) {
        assert_eq!(bundle.path(), text);
    }
}

pub fn tile_path_seeds() -> Vec<Vec<u8>> {
    ["tile/0/000", "tile/1/x001/234.p/5", "tile/entries/x001/x234/067", "tile/entries/000.p/255"]
        .map(|path| path.as_bytes().to_vec())
        .to_vec()
}

/// The first byte is the width less one, the rest a bundle.
pub fn bundle(data: &[u8]) {
    let Some((width, bytes)) = data.split_first() else { return };
    if let Ok(entries) = decode_bundle(bytes, u16::from(*width) + 1) {
        let again = encode_bundle(entries.iter().copied()).unwrap();
        assert_eq!(again, bytes);
    }
}

pub fn bundle_seeds() -> Vec<Vec<u8>> {
    let entries = [world().leaf.as_bytes().to_vec(), b"x".to_vec(), Vec::new()];
    let mut seed = vec![2];
    seed.extend(encode_bundle(entries.iter().map(Vec::as_slice)).unwrap());
    vec![seed]
}

pub fn trust(data: &[u8]) {
    if let Ok(trust) = Trust::from_json(text(data)) {
        assert_eq!(Trust::from_json(&trust.to_json()).as_ref(), Ok(&trust));
    }
}

pub fn trust_seeds() -> Vec<Vec<u8>> {
    vec![world().trust.to_json().into_bytes()]
}

/// Keys as text and as DER.
pub fn public_key(data: &[u8]) {
    if let Ok(key) = PublicKey::from_spki_der(data) {
        assert_eq!(key.spki_der(), data);
    }
    if let Ok(key) = text(data).parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text(data));
    }
}

pub fn public_key_seeds() -> Vec<Vec<u8>> {
    let keys = ["device", "tsa"].map(|name| world().key(name).spki_der());
    let log = world().trust.log_keys.iter().map(|key| key.to_string().into_bytes());
    keys.into_iter().chain(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        let receipt = world().receipt.to_bytes();
        assert!(judge(&receipt, &world().trust).is_valid());
        assert!(Intent::from_bytes(&intent_seeds()[0]).is_ok());
        assert!(StepUpProof::from_bytes(&step_up_seeds()[0]).is_ok());
        assert!(Record::from_bytes(&record_seeds()[0]).is_ok());
        assert!(tile_path_seeds().iter().all(|path| {
            TileId::parse(text(path)).is_some() || BundleId::parse(text(path)).is_some()
        }));
        assert!(decode_bundle(&bundle_seeds()[0][1..], 3).is_ok());
        assert!(TlogProof::parse(&world().receipt.tlog_proof).is_ok());
        assert!(SignedCheckpoint::parse(text(&checkpoint_seeds()[0])).is_ok());
        assert!(AddCheckpoint::parse(text(&add_checkpoint_seeds()[0])).is_ok());
        assert!(parse_lines(text(&add_checkpoint_seeds()[1])).is_ok());
        assert!(witness_policy_seeds().iter().all(|seed| Policy::parse(seed).is_ok()));
    }
}
