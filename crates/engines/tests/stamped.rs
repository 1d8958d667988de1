//! Goal: of the checkpoints over an entry its receipt is under the one that proves most, what is stored beside the log is believed
//! only as far as it holds, and the second key counts on when it is switched off or the first one is gone.
//!
//! Method: the running engine with real files; its own second key stands for other authorities, a key of the test for a witness. What is
//! stored is changed behind its back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::path::Path;
use std::sync::Arc;
use tpw_core::{Instant, Receipt, Span};
use tpw_crypto::{Algorithm, FixedEntropy, Signer as _, SlotName, SoftwareSlots, sha256};
use tpw_engines::clock::SystemClock;
use tpw_engines::log_store::SignedHead;
use tpw_engines::stamped::{AUTHORITIES_MAX, OutsideAuthority, StampedError};
use tpw_engines::{
    Config, Engine, EngineError, KeyWish, Paid, ask_for_key_change, is_key_change_done,
};
use tpw_proof::timestamp::{
    CertificateSpec, CertificateWish, Disclosure, Imprint, Query, info, root_certificate, serial,
    verify_answer,
};
use tpw_proof::{KeyName, Level, Policy, Trust, VerifierKey, judge};
use world::*;

const SECOND: &str = "1.3.6.1.4.1.32473.1.3";

/// A witness of the test's own.
struct Witness {
    slots: SoftwareSlots,
    slot: SlotName,
    key: VerifierKey,
}

impl Witness {
    fn new() -> Self {
        let (mut slots, slot) = (SoftwareSlots::new(), SlotName::new("witness").unwrap());
        slots.generate(slot.clone(), Algorithm::Ed25519, &mut FixedEntropy::new(3)).unwrap();
        let name = KeyName::new("witness.example").unwrap();
        let key = VerifierKey::cosigner(name, slots.public_key(&slot).unwrap()).unwrap();
        Self { slots, slot, key }
    }

    fn policy(&self) -> Policy {
        Policy::parse(format!("witness w {}\nquorum w\n", self.key).as_bytes()).unwrap()
    }

    fn cosigns(&self, engine: &Engine, head: &SignedHead) {
        let time = head.issued.unix_ms() / 1000;
        let checkpoint = head.checkpoint.checkpoint();
        let line = checkpoint.cosign(&self.key, time, &self.slots, &self.slot).unwrap();
        assert!(engine.witnessed().unwrap().add(head.head.size, &[line]).unwrap());
    }
}

fn opened(dir: &Path, change: impl FnOnce(&mut Config)) -> Result<Arc<Engine>, EngineError> {
    let mut config = Config::new(name(AUDIENCE));
    change(&mut config);
    Engine::open(dir, config, Arc::new(SystemClock::new()))
}

/// The second key stamps a checkpoint, as it is asked to by the server.
async fn stamps(engine: &Engine, head: &SignedHead) {
    asks(engine, engine.stamped().unwrap().authorities().last().unwrap(), head).await;
}

/// A key of the engine's stamps a checkpoint for this authority.
async fn asks(engine: &Engine, authority: &OutsideAuthority, head: &SignedHead) {
    let stamped = engine.stamped().unwrap();
    let question = stamped.question(authority, head, engine.now()).unwrap();
    let answer = engine.give_stamp(engine.draft_own_stamp(&question.request)).await.unwrap();
    stamped.keep(authority, head, &question, &answer, engine.now()).unwrap();
}

fn newest(engine: &Engine) -> Arc<SignedHead> {
    engine.log().newest().unwrap()
}

/// The receipt of a payment as it is given now: the size of its tree, its time-stamps, and whether it is witnessed.
fn receipt(engine: &Engine, paid: &Paid, witness: Option<&Witness>) -> (u64, usize, bool) {
    let again = engine.paid(Arc::clone(&paid.payment), paid.repeated).unwrap();
    let bytes = again.receipt.unwrap();
    let mut trust = engine.trust().clone();
    trust.witness_policy = witness.map(Witness::policy);
    let judged = judge(&bytes, &trust);
    let proved = judged.payment.as_ref().expect("it is in the log");
    assert!(judged.level(Level::TimeStamped).is_proved(), "{judged:?}");
    let count = Receipt::from_bytes(&bytes).unwrap().timestamps.len();
    (proved.head.size, count, judged.level(Level::Witnessed).is_proved())
}

#[test]
fn of_several_checkpoints_the_one_that_proves_most_is_taken() {
    let (dir, witness) = (scratch(), Witness::new());
    let engine = opened(dir.path(), |config| {
        config.witnesses = Some(witness.policy());
        config.tsa_second_policy = Some(SECOND.to_owned());
    });
    let engine = engine.unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(1);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let mut heads = Vec::new();
        let mut first = None;
        for _ in 0..4 {
            let signed = ann.next(&engine, &mut dice, bob.account, 100);
            let paid = engine.pay(&signed.bytes).await.unwrap();
            first.get_or_insert(paid);
            heads.push(newest(&engine));
        }
        let (paid, size) = (first.unwrap(), |place: usize| heads[place].head.size);
        let now = || receipt(&engine, &paid, Some(&witness));
        assert_eq!(now(), (size(0), 1, false));
        // Somebody has stamped, nobody has cosigned.
        stamps(&engine, &heads[1]).await;
        assert_eq!(now(), (size(1), 2, false));
        // A later checkpoint is cosigned: what witnesses have seen comes first.
        witness.cosigns(&engine, &heads[2]);
        assert_eq!(now(), (size(2), 1, true));
        // The two together, as the server asks for them.
        stamps(&engine, &heads[2]).await;
        assert_eq!(now(), (size(2), 2, true));
        stamps(&engine, &heads[3]).await;
        witness.cosigns(&engine, &heads[3]);
        assert_eq!(now(), (size(2), 2, true), "a receipt that has all stays where it is");
    });
    engine.close();
}

#[test]
fn tokens_of_who_is_not_asked_any_more_make_up_for_none() {
    let dir = scratch();
    opened(dir.path(), |_usual| {}).unwrap().close();
    let root = std::fs::read(dir.path().join("tsa-root.der")).unwrap();
    // The first key stands for an authority that was asked once.
    let (url, policy) = ("http://tsa.example/", Config::FIRST_TSA_POLICY);
    let once = OutsideAuthority::new("once", url, policy, vec![root]).unwrap().not_asked();
    let engine = opened(dir.path(), |config| {
        config.outside = vec![once];
        config.tsa_second_policy = Some(SECOND.to_owned());
    });
    let engine = engine.unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(5);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let (mut heads, mut first) = (Vec::new(), None);
        for _ in 0..2 {
            let signed = ann.next(&engine, &mut dice, bob.account, 100);
            let paid = engine.pay(&signed.bytes).await.unwrap();
            first.get_or_insert(paid);
            heads.push(newest(&engine));
        }
        let (paid, size) = (first.unwrap(), |place: usize| heads[place].head.size);
        let now = || receipt(&engine, &paid, None);
        let authorities = engine.stamped().unwrap().authorities();
        asks(&engine, &authorities[0], &heads[0]).await;
        assert_eq!(now(), (size(0), 2, false));
        stamps(&engine, &heads[1]).await;
        assert_eq!(now(), (size(1), 2, false), "who is asked has stamped a later one");
        asks(&engine, &authorities[0], &heads[1]).await;
        assert_eq!(now(), (size(1), 3, false));
    });
    engine.close();
}

#[test]
fn a_second_key_that_is_switched_off_is_still_believed() {
    let dir = scratch();
    let engine = opened(dir.path(), |c| c.tsa_second_policy = Some(SECOND.to_owned())).unwrap();
    let (paid, bytes) = runtime().block_on(async {
        let mut dice = Dice::new(6);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 100);
        let paid = engine.pay(&signed.bytes).await.unwrap();
        stamps(&engine, &newest(&engine)).await;
        let again = engine.paid(Arc::clone(&paid.payment), paid.repeated).unwrap();
        (paid, again.receipt.unwrap())
    });
    assert_eq!(receipt(&engine, &paid, None).1, 2);
    let trust = engine.trust().clone();
    engine.close();
    drop(engine);

    // Off, and on under another policy: both times the new trust file takes the receipt.
    for second in [None, Some("1.3.6.1.4.1.32473.1.9".to_owned()), None] {
        let engine = opened(dir.path(), |c| c.tsa_second_policy = second.clone()).unwrap();
        let judged = judge(&bytes, engine.trust());
        assert!(judged.is_valid(), "{second:?}: {:?}", judged.first_failure());
        assert_eq!(engine.trust().tsa_roots, trust.tsa_roots);
        // What it has stamped comes with receipts as before.
        assert_eq!(receipt(&engine, &paid, None).1, 2, "{second:?}");
        engine.close();
    }
}

/// The code of a refusal, or the policy of the time-stamp that was given.
async fn answered(engine: &Engine, policy: &str) -> Result<String, Vec<u8>> {
    let imprint = Imprint { function: tpw_crypto::Sha2::Sha256, hash: vec![7; 32] };
    let (policy, wish) = (Some(policy.to_owned()), CertificateWish::Embedded);
    let request = Query { imprint, policy, nonce: None, wish }.to_der().unwrap();
    let answer = engine.stamp(&request).await.unwrap();
    let trust = engine.trust();
    let found = verify_answer(&answer, &request, &trust.tsa_roots, &trust.tsa_policies);
    found.map(|found| found.policy).map_err(|_refused| info(&answer).unwrap().failure)
}

#[test]
fn the_second_key_goes_on_when_the_first_is_destroyed() {
    let dir = scratch();
    let second = |config: &mut Config| config.tsa_second_policy = Some(SECOND.to_owned());
    let engine = opened(dir.path(), second).unwrap();
    let rt = runtime();
    let demand = |engine: &Engine, first: Result<String, Vec<u8>>| {
        assert_eq!(rt.block_on(answered(engine, Config::FIRST_TSA_POLICY)), first);
        assert_eq!(rt.block_on(answered(engine, SECOND)), Ok(SECOND.to_owned()));
        rt.block_on(stamps(engine, &newest(engine)));
    };
    demand(&engine, Ok(Config::FIRST_TSA_POLICY.to_owned()));
    ask_for_key_change(dir.path(), KeyWish::Destroy).unwrap();
    let begun = std::time::Instant::now();
    while !is_key_change_done(dir.path()).unwrap() {
        assert!(begun.elapsed().as_secs() < 30, "it is not carried out");
        // Nor does it stop while the first one is being destroyed.
        assert_eq!(rt.block_on(answered(&engine, SECOND)), Ok(SECOND.to_owned()));
    }
    demand(&engine, Err(vec![25]));
    engine.close();
    drop(engine);
    let engine = opened(dir.path(), second).unwrap();
    demand(&engine, Err(vec![25]));
    engine.close();
}

#[test]
fn a_trust_file_that_nobody_could_read_is_not_written() {
    // Seven authorities with two roots each and one with one: with the operator's own there are sixteen.
    let root = |n: u64| {
        let (mut slots, slot) = (SoftwareSlots::new(), SlotName::new("root").unwrap());
        slots.generate(slot.clone(), Algorithm::P256, &mut FixedEntropy::new(n)).unwrap();
        let first = Instant::from_unix_ms(1_790_000_000_000).unwrap();
        let spec = CertificateSpec {
            common_name: &format!("root {n}"),
            not_before: first,
            not_after: first.plus(Span::from_secs(86_400)),
            serial: serial(n, [1; 11]),
        };
        root_certificate(&slots, &slot, &spec).unwrap()
    };
    let authorities = |last: Vec<Vec<u8>>| {
        let mut roots: Vec<Vec<Vec<u8>>> =
            (0..7).map(|n| vec![root(2 * n + 1), root(2 * n + 2)]).collect();
        roots.push(last);
        let named = roots.into_iter().enumerate().map(|(n, roots)| {
            OutsideAuthority::new(&format!("a{n}"), "http://tsa.example/", "1.2.3", roots).unwrap()
        });
        named.collect::<Vec<_>>()
    };
    let dir = scratch();
    let fifteen = authorities(vec![root(15)]);
    let engine = opened(dir.path(), |c| c.outside.clone_from(&fifteen)).unwrap();
    let trust = engine.trust().clone();
    assert_eq!(trust.tsa_roots.len(), 16);
    assert_eq!(Trust::from_json(&trust.to_json()).unwrap().tsa_roots, trust.tsa_roots);
    engine.close();
    drop(engine);
    for (last, second) in [(vec![root(15), root(16)], None), (vec![root(15)], Some(SECOND))] {
        let opened = opened(dir.path(), |config| {
            config.outside = authorities(last);
            config.tsa_second_policy = second.map(str::to_owned);
        });
        let said = opened.err().expect("it was opened").to_string();
        assert!(said.contains("17 root certificates") && said.contains("name fewer"), "{said}");
        assert!(!dir.path().join("tsa-second-root.der").exists(), "it would be believed for good");
    }
    // What was refused has left nothing that counts: the settings of before are taken as before.
    let engine = opened(dir.path(), |c| c.outside = fifteen).unwrap();
    assert!(engine.trust() == &trust, "the trust file is another one");
    engine.close();
}

#[test]
fn a_second_key_that_is_refused_for_its_policy_leaves_no_root() {
    let dir = scratch();
    opened(dir.path(), |_usual| {}).unwrap().close();
    for last in 1..8 {
        opened(dir.path(), |c| c.tsa_policy = format!("1.2.{last}")).unwrap().close();
    }
    let before = opened(dir.path(), |_usual| {}).unwrap();
    let trust = before.trust().clone();
    before.close();
    drop(before);
    for policy in ["1.2.9", "nine"] {
        let refused = opened(dir.path(), |c| c.tsa_second_policy = Some(policy.to_owned()));
        assert!(matches!(refused, Err(EngineError::Timestamp(_))), "{policy}");
        assert!(!dir.path().join("tsa-second-root.der").exists(), "{policy}");
        assert!(!dir.path().join("tsa-second-keys").exists(), "{policy}");
    }
    let after = opened(dir.path(), |_usual| {}).unwrap();
    assert!(after.trust() == &trust, "the trust file is another one");
    after.close();
}

#[test]
fn checkpoints_have_the_second_stamp_also_when_nobody_gets_a_certificate() {
    let dir = scratch();
    let engine = opened(dir.path(), |config| {
        config.tsa_second_policy = Some(SECOND.to_owned());
        config.tsa_certificate = Disclosure::Never;
    });
    let engine = engine.unwrap();
    runtime().block_on(async {
        let mut dice = Dice::new(3);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 100);
        let paid = engine.pay(&signed.bytes).await.unwrap();
        let head = newest(&engine);
        // Whoever else asks for the certificate is refused, here as there (RFC 3161 §2.4.2: addInfoNotAvailable is bit 17).
        let stamped = engine.stamped().unwrap();
        let question = stamped.question(&stamped.authorities()[0], &head, engine.now()).unwrap();
        let refused = engine.stamp(&question.request).await.unwrap();
        assert_eq!(info(&refused).unwrap().failure, [17]);
        stamps(&engine, &head).await;
        assert_eq!(receipt(&engine, &paid, None).1, 2);
    });
    engine.close();
}

#[test]
fn what_is_stored_is_believed_only_as_far_as_it_holds() {
    let dir = scratch();
    let second = |config: &mut Config| config.tsa_second_policy = Some(SECOND.to_owned());
    let engine = opened(dir.path(), second).unwrap();
    let paid = runtime().block_on(async {
        let mut dice = Dice::new(2);
        let mut ann = Holder::enrolled(&engine, &mut dice, 10_000).await;
        let bob = Holder::enrolled(&engine, &mut dice, 0).await;
        let signed = ann.next(&engine, &mut dice, bob.account, 100);
        let paid = engine.pay(&signed.bytes).await.unwrap();
        stamps(&engine, &newest(&engine)).await;
        paid
    });
    assert_eq!(receipt(&engine, &paid, None).1, 2);
    engine.close();
    drop(engine);

    let store = || rusqlite::Connection::open(dir.path().join("stamped.db")).unwrap();
    let good: Vec<u8> =
        store().query_row("SELECT answer FROM token", [], |row| row.get(0)).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (answer, size) in [(flipped, 0), (Vec::new(), 0), (good.clone(), 1), (good, 0)] {
        let whole = size == 0 && answer.len() > 9_000;
        store().execute("UPDATE token SET answer = ?1, size = size + ?2", (&answer, size)).unwrap();
        let engine = opened(dir.path(), second).unwrap();
        let (_, count, _) = receipt(&engine, &paid, None);
        assert!(count == 1 || whole, "{} bytes, {size} further", answer.len());
        store().execute("UPDATE token SET size = size - ?1", [size]).unwrap();
        engine.close();
    }
    let engine = opened(dir.path(), second).unwrap();
    assert_eq!(receipt(&engine, &paid, None).1, 2, "the last one was the good one again");
    // A file that is no store at all is said so.
    engine.close();
    drop(engine);
    std::fs::write(dir.path().join("stamped.db"), b"not a database, but long enough for one")
        .unwrap();
    let _gone = std::fs::remove_file(dir.path().join("stamped.db-wal"));
    let error = opened(dir.path(), second).err().expect("it was opened").to_string();
    assert!(error.contains("stamped.db"), "{error}");
}

#[test]
fn an_answer_is_held_against_its_own_question() {
    let dir = scratch();
    let engine = opened(dir.path(), |c| c.tsa_second_policy = Some(SECOND.to_owned())).unwrap();
    runtime().block_on(async {
        let stamped = engine.stamped().unwrap();
        let (authority, head) = (&stamped.authorities()[0], newest(&engine));
        let ask = || stamped.question(authority, &head, engine.now()).unwrap();
        let (one, other) = (ask(), ask());
        assert_ne!(one.request, other.request, "each has a nonce of its own");
        let answer = engine.stamp(&one.request).await.unwrap();
        let code = |question, answer: &[u8], now: Instant| {
            let kept = stamped.keep(authority, &head, question, answer, now);
            kept.err().map(|error| error.code())
        };
        assert_eq!(code(&other, &answer, engine.now()), Some("tsp_nonce"));
        let query = |policy: &str, hash: [u8; 32]| {
            let imprint = Imprint { function: tpw_crypto::Sha2::Sha256, hash: hash.to_vec() };
            let (policy, wish) = (Some(policy.to_owned()), CertificateWish::Embedded);
            Query { imprint, policy, nonce: None, wish }.to_der().unwrap()
        };
        let hash = sha256(&head.checkpoint.log_signed_bytes());
        let usual = engine.stamp(&query(Config::FIRST_TSA_POLICY, hash)).await.unwrap();
        assert_eq!(code(&one, &usual, engine.now()), Some("tsp_policy"));
        let elsewhere = engine.stamp(&query(SECOND, [1; 32])).await.unwrap();
        assert_eq!(code(&one, &elsewhere, engine.now()), Some("tsp_imprint"));
        assert_eq!(code(&one, &vec![0x30; 32 * 1024 + 1], engine.now()), Some("tsp_too_long"));
        let before = engine.now().minus(Span::from_secs(301));
        assert_eq!(code(&one, &answer, before), Some("time"), "from the future");
        let mut late = one.clone();
        late.asked = engine.now().plus(Span::from_secs(301));
        assert_eq!(code(&late, &answer, late.asked), Some("time"), "from the past");
        assert_eq!(code(&one, &answer, engine.now()), None);
    });
    engine.close();
}

#[test]
fn too_many_authorities_and_two_of_one_name_are_refused() {
    let own = scratch();
    opened(own.path(), |_usual| {}).unwrap().close();
    let root = std::fs::read(own.path().join("tsa-root.der")).unwrap();
    let called = |name: &str| {
        OutsideAuthority::new(name, "http://tsa.example/", "1.2.3", vec![root.clone()]).unwrap()
    };
    let refused = |names: Vec<String>| {
        let dir = scratch();
        let authorities = names.iter().map(|name| called(name)).collect();
        opened(dir.path(), |config| config.outside = authorities).err().map(|e| e.to_string())
    };
    let many = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>();
    assert_eq!(refused(many(AUTHORITIES_MAX)), None);
    assert!(refused(many(AUTHORITIES_MAX + 1)).unwrap().contains("eight others"));
    assert!(refused(vec!["a".to_owned(); 2]).unwrap().contains("the same name"));
    for (name, url, policy) in [
        ("A", "http://tsa.example/", "1.2.3"),
        ("a", "tsa.example", "1.2.3"),
        ("a", "http://user@tsa.example/", "1.2.3"),
        ("a", "http://tsa.example/", "1.2"),
        ("ml-dsa-65", "http://tsa.example/", "1.2.3"),
    ] {
        let made = OutsideAuthority::new(name, url, policy, vec![root.clone()]);
        assert!(matches!(made, Err(StampedError::Authority { .. })), "{name} {url} {policy}");
    }
    for roots in [Vec::new(), vec![root.clone(); 3]] {
        assert!(OutsideAuthority::new("a", "http://tsa.example/", "1.2.3", roots).is_err());
    }
}
