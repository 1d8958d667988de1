//! Goal: other time-stamp authorities make receipts stronger and nothing worse: what they answer is kept only if every rule holds, what
//! does not is counted by its reason, and no payment notices any of them.
//!
//! Method: OpenSSL behind a small HTTP server, which misbehaves in one way for each address; beside it a second server of ours as an
//! authority. What comes with the receipts is judged by the public verifier.

use super::support::{Actor, Server, limits};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, IsCa, KeyPair,
    KeyUsagePurpose,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tpw_core::{Receipt, Span};
use tpw_engines::stamped::{Outcomes, OutsideAuthority};
use tpw_engines::{Config, TokenProof};
use tpw_proof::timestamp::{CertificateWish, Disclosure, Imprint, Query, info, verify_answer};
use tpw_proof::{Layer, Trust, judge, upgraded};
use tpw_server::outbound::Outbound;
use tpw_server::{Stamping, StampingTimes, development_certificate_path};

pub(super) const POLICY: &str = "1.3.6.1.4.1.32473.7.1";
/// That of a server of ours whose times are whole seconds.
const SECONDS: &str = "1.3.6.1.4.1.32473.1.2";

pub(super) const TIMES: StampingTimes = StampingTimes {
    every: Duration::from_millis(100),
    look: Duration::from_millis(20),
    answer: Duration::from_secs(4),
    rest: Duration::from_secs(60),
    rest_max: Duration::from_secs(60),
    patience: Duration::from_secs(60),
};

/// OpenSSL as an authority, good and bad.
pub(super) struct Authority {
    child: Child,
    port: u64,
    /// The root of its good certificate, and of the one that expired.
    pub(super) root: Vec<u8>,
    _folder: tempfile::TempDir,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn root(name: &str) -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a time-stamping certificate with its key, and the configuration that uses them.
fn write_signer(folder: &Path, name: &str, issuer: &Issuer, last_day: time::OffsetDateTime) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // RFC 3161 §2.3: time-stamping alone, critical.
    let usage = b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x08".to_vec();
    let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], usage);
    usage.set_criticality(true);
    params.custom_extensions = vec![usage];
    params.not_before = time::OffsetDateTime::from_unix_timestamp(1_600_000_000).unwrap();
    params.not_after = last_day;
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let put = |end: &str, text: &str| std::fs::write(folder.join(format!("{name}.{end}")), text);
    put("pem", &certificate.pem()).unwrap();
    put("key", &key.serialize_pem()).unwrap();
    let config = format!(
        "[tsa]\ndefault_tsa = own\n[own]\nserial = serial\ncrypto_device = builtin\nsigner_cert = {name}.pem\n\
         signer_key = {name}.key\nsigner_digest = sha256\ndefault_policy = {POLICY}\n\
         other_policies = 1.3.6.1.4.1.32473.7.2\ndigests = sha256, sha512\naccuracy = secs:1\nordering = no\n\
         tsa_name = no\ness_cert_id_alg = sha256\n"
    );
    put("cnf", &config).unwrap();
}

impl Authority {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (known, unknown) = (root("known"), root("unknown"));
        let now = time::OffsetDateTime::now_utc();
        let day = time::Duration::days(1);
        write_signer(folder.path(), "good", &known, now + day);
        write_signer(folder.path(), "expired", &known, now - day);
        write_signer(folder.path(), "stranger", &unknown, now + day);
        std::fs::write(folder.path().join("serial"), "01\n").unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/timestamp_authority.py");
        let mut child = Command::new("python3")
            .args([script.as_path(), folder.path()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("these tests need python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value =
            serde_json::from_str(&line).expect("these tests need python3 and openssl");
        let port = said["port"].as_u64().unwrap();
        Self { child, port, root: known.der().to_vec(), _folder: folder }
    }

    /// It under the address that has it behave so.
    pub(super) fn as_at(&self, path: &str) -> OutsideAuthority {
        let url = format!("http://127.0.0.1:{}/{path}", self.port);
        OutsideAuthority::new(path, &url, POLICY, vec![self.root.clone()]).unwrap()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

pub(super) fn plain(time: Duration) -> Outbound {
    Outbound::new(None, time).unwrap()
}

/// An operator with some authorities, and somebody who pays.
pub(super) struct Desk {
    pub(super) server: Server,
    pub(super) operator: Actor,
    ann: Actor,
    bob: Actor,
}

impl Desk {
    async fn with(authorities: Vec<OutsideAuthority>) -> Self {
        Self::of(|config| config.outside = authorities).await
    }

    pub(super) async fn of(change: impl FnOnce(&mut Config)) -> Self {
        let server = Server::start_as(limits(), change).await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "100000").await;
        let bob = server.person(&operator, "Bob", "0").await;
        Self { server, operator, ann, bob }
    }

    pub(super) fn ask(&self, outbound: Vec<Outbound>, times: StampingTimes) -> Stamping {
        Stamping::start(self.server.engine.clone(), outbound, times).unwrap()
    }

    /// The same desk after its server was stopped and started with other settings.
    pub(super) async fn restarted(self, change: impl FnOnce(&mut Config)) -> Self {
        let Self { server, operator, ann, bob } = self;
        let server = server.restart(change).await;
        for actor in [&operator, &ann, &bob] {
            *actor.token.borrow_mut() = None;
        }
        Self { server, operator, ann, bob }
    }

    /// Some time goes by, and all have to log in again.
    pub(super) fn wait(&self, span: Span) {
        self.server.clock.advance(span);
        for actor in [&self.operator, &self.ann, &self.bob] {
            *actor.token.borrow_mut() = None;
        }
    }

    /// A payment, and where its receipt is.
    pub(super) async fn pay(&self) -> String {
        let (signed, answer) = self.server.pay(&self.ann, self.bob.account(), 100).await;
        assert_eq!(answer.status, 201);
        format!("/v1/payments/{}/receipt", signed.id)
    }

    pub(super) async fn receipt(&self, path: &str) -> Receipt {
        let answer = self.server.call(&self.operator, "GET", path, None).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        Receipt::from_bytes(&answer.body).unwrap()
    }

    fn outcomes(&self) -> Outcomes {
        self.server.engine.stamped().unwrap().outcomes()
    }

    /// Waits until so many questions came to something.
    pub(super) async fn asked(&self, count: u64) -> BTreeMap<String, &'static str> {
        let end = Instant::now() + Duration::from_secs(40);
        while self.outcomes().values().sum::<u64>() < count {
            assert!(Instant::now() < end, "{:?}", self.outcomes());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.outcomes().into_keys().collect()
    }
}

pub(super) fn is_valid(receipt: &Receipt, trust: &Trust) -> bool {
    judge(&receipt.to_bytes(), trust).is_valid()
}

#[tokio::test]
async fn what_others_have_stamped_comes_with_the_receipt_when_it_is_fetched_again() {
    let openssl = Authority::start();
    let second = Server::start().await;
    let roots = second.engine.trust().tsa_roots.clone();
    let url = format!("{}/tsa", second.url);
    let ours = OutsideAuthority::new("second", &url, SECONDS, roots.clone()).unwrap();
    let desk = Desk::with(vec![openssl.as_at("good"), ours]).await;
    let trust = desk.server.engine.trust().clone();
    assert_eq!((trust.tsa_roots.len(), trust.tsa_policies.len()), (3, 3));

    let path = desk.pay().await;
    let first = desk.receipt(&path).await;
    assert_eq!(first.timestamps.len(), 1);
    let ca = std::fs::read(development_certificate_path(second.dir.path())).unwrap();
    let over_tls = Outbound::new(Some(&ca), TIMES.answer).unwrap();
    let stamping = desk.ask(vec![plain(TIMES.answer), over_tls], TIMES);
    let kept = desk.asked(2).await;
    assert!(kept.values().all(|outcome| *outcome == "kept"), "{kept:?}");
    let fresh = desk.receipt(&path).await;
    assert_eq!(fresh.timestamps.len(), 3);
    assert!(is_valid(&first, &trust) && is_valid(&fresh, &trust));
    assert_eq!(upgraded(&first, &fresh).unwrap(), fresh, "the file of before takes it over");

    // Each of them is judged: a verifier who knows one root less does not believe the receipt.
    for root in &roots {
        let mut poorer = trust.clone();
        poorer.tsa_roots.retain(|known| known != root);
        let judged = judge(&fresh.to_bytes(), &poorer);
        let (layer, reason) = judged.first_failure().unwrap();
        assert_eq!((layer, reason.code()), (Layer::Timestamp, "tsp_untrusted_chain"));
    }
    // An idle log rests, also from being asked about.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(desk.outcomes().values().sum::<u64>(), 2);
    let text = String::from_utf8(desk.server.get("/metrics").await.body.to_vec()).unwrap();
    let line = "tpw_outside_timestamps_total{authority=\"second\",outcome=\"kept\"} 1";
    assert!(text.lines().any(|found| found == line), "{text}");
    drop(stamping);

    // What is not asked any more is no longer trusted, and no longer in receipts.
    let desk = desk.restarted(|config| config.outside = vec![openssl.as_at("good")]).await;
    let fewer = desk.receipt(&path).await;
    assert_eq!(fewer.timestamps, fresh.timestamps[..2]);
    assert!(is_valid(&fewer, desk.server.engine.trust()));
    let desk = desk.restarted(|_usual| {}).await;
    let none = desk.receipt(&path).await;
    assert_eq!(none, Receipt { trust_hint: none.trust_hint, ..first });
}

#[tokio::test]
async fn an_answer_that_breaks_a_rule_is_not_kept_and_counted_by_the_rule() {
    let openssl = Authority::start();
    let groups: [&[(&str, &str)]; 2] = [
        &[
            ("good", "kept"),
            ("nonce", "tsp_nonce"),
            ("imprint", "tsp_imprint"),
            ("policy", "tsp_policy"),
            ("expired", "tsp_outside_validity"),
            ("stranger", "tsp_untrusted_chain"),
            ("huge", "too_long"),
            ("hanging", "late"),
        ],
        &[
            ("good", "kept"),
            ("torn", "tsp_malformed"),
            ("rejected", "tsp_refused"),
            ("empty", "tsp_malformed"),
            ("text", "media_type"),
            ("moved", "http_status"),
            ("broken", "http_status"),
        ],
    ];
    for group in groups {
        let desk = Desk::with(group.iter().map(|(path, _)| openssl.as_at(path)).collect()).await;
        let path = desk.pay().await;
        let clients = group.iter().map(|_| plain(TIMES.answer)).collect();
        let stamping = desk.ask(clients, TIMES);
        // While one of them hangs, payments go on as ever.
        let begun = Instant::now();
        for _ in 0..5 {
            desk.pay().await;
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        let all = u64::try_from(group.len()).unwrap();
        let outcomes = desk.asked(all).await;
        drop(stamping);
        for (name, outcome) in group {
            assert_eq!(outcomes.get(*name), Some(outcome), "{name}");
        }
        let receipt = desk.receipt(&path).await;
        assert_eq!(receipt.timestamps.len(), 2);
        assert!(is_valid(&receipt, desk.server.engine.trust()));
    }
}

#[tokio::test]
async fn a_time_that_is_not_the_present_one_is_refused() {
    let openssl = Authority::start();
    for ahead_s in [600, 0] {
        let desk = Desk::with(vec![openssl.as_at("good")]).await;
        desk.server.clock.advance(Span::from_secs(ahead_s));
        desk.pay().await;
        let _stamping = desk.ask(vec![plain(TIMES.answer)], TIMES);
        let wanted = if ahead_s > 0 { "time" } else { "kept" };
        assert_eq!(desk.asked(1).await["good"], wanted);
    }
}

#[tokio::test]
async fn authorities_are_asked_at_a_bounded_rate_and_left_alone_when_they_fail() {
    let openssl = Authority::start();
    let desk = Desk::with(vec![openssl.as_at("good")]).await;
    let rare = StampingTimes { every: Duration::from_secs(3600), ..TIMES };
    let stamping = desk.ask(vec![plain(TIMES.answer)], rare);
    let mut last = desk.pay().await;
    desk.asked(1).await;
    for _ in 0..5 {
        last = desk.pay().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(desk.outcomes().values().sum::<u64>(), 1);
    // Nobody was asked about this one: it has the log's own token alone.
    assert_eq!(desk.receipt(&last).await.timestamps.len(), 1);
    drop(stamping);

    // One that is away: at 0, 0.2, 0.6, 1.4 and 3 seconds, whatever is paid meanwhile.
    let nobody =
        OutsideAuthority::new("away", "http://127.0.0.1:1/", POLICY, vec![openssl.root.clone()]);
    let desk = Desk::with(vec![nobody.unwrap()]).await;
    let times = StampingTimes {
        every: Duration::from_millis(10),
        rest: Duration::from_millis(200),
        ..TIMES
    };
    let _stamping = desk.ask(vec![plain(TIMES.answer)], times);
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        desk.pay().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let outcomes = desk.outcomes();
    let away = outcomes[&("away".to_owned(), "away")];
    assert!((2..=5).contains(&away) && outcomes.len() == 1, "{outcomes:?}");
}

#[tokio::test]
async fn a_later_checkpoint_with_more_time_stamps_is_preferred() {
    let openssl = Authority::start();
    let desk = Desk::with(vec![openssl.as_at("good"), openssl.as_at("broken")]).await;
    let path = desk.pay().await;
    let times = StampingTimes { rest: Duration::from_millis(50), ..TIMES };
    let stamping = desk.ask(vec![plain(TIMES.answer), plain(TIMES.answer)], times);
    desk.asked(2).await;
    drop(stamping);
    let one = desk.receipt(&path).await;
    assert_eq!(one.timestamps.len(), 2);

    // The second one works again, and answers about a later checkpoint.
    let mended = |config: &mut Config| {
        let url = format!("http://127.0.0.1:{}/good", openssl.port);
        let roots = vec![openssl.root.clone()];
        let again = OutsideAuthority::new("broken", &url, POLICY, roots).unwrap();
        config.outside = vec![openssl.as_at("good"), again];
    };
    let desk = desk.restarted(mended).await;
    desk.pay().await;
    let _stamping = desk.ask(vec![plain(TIMES.answer), plain(TIMES.answer)], times);
    desk.asked(2).await;
    let two = desk.receipt(&path).await;
    assert_eq!(two.timestamps.len(), 3);
    assert!(is_valid(&two, desk.server.engine.trust()));
    assert_eq!(upgraded(&one, &two).unwrap().timestamps, two.timestamps);
}

#[tokio::test]
async fn a_second_key_stamps_for_who_asks_for_it_and_over_checkpoints() {
    const LATTICE: &str = "1.3.6.1.4.1.32473.1.3";
    let change = |config: &mut Config| config.tsa_second_policy = Some(LATTICE.to_owned());
    let server = Server::start_as(limits(), change).await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "100000").await;
    let bob = server.person(&operator, "Bob", "0").await;
    let desk = Desk { server, operator, ann, bob };
    let trust = desk.server.engine.trust().clone();
    assert_eq!(trust.tsa_policies[1], LATTICE);
    let path = desk.pay().await;

    let ask = async |policy: Option<&str>| {
        let imprint = Imprint { function: tpw_crypto::Sha2::Sha256, hash: vec![7; 32] };
        let (nonce, wish) = (Some(vec![5; 8]), CertificateWish::Embedded);
        let query = Query { imprint, policy: policy.map(str::to_owned), nonce, wish };
        let request = query.to_der().unwrap();
        let headers = [("content-type", "application/timestamp-query")];
        let answer = desk.server.send("POST", "/tsa", &headers, request.clone()).await;
        let (roots, policies) = (&trust.tsa_roots, &trust.tsa_policies);
        let found = verify_answer(&answer.body, &request, roots, policies).unwrap();
        (found.policy, found.serial, answer.body.len())
    };
    let (policy, serial, long) = ask(Some(LATTICE)).await;
    assert!(policy == LATTICE && long > 9_000, "{policy} {long}");
    let (usual, _, short) = ask(None).await;
    assert!(usual == trust.tsa_policies[0] && short < 2_000, "{usual} {short}");

    let stamping = desk.ask(Vec::new(), TIMES);
    assert_eq!(desk.asked(1).await["ml-dsa-65"], "kept");
    let fresh = desk.receipt(&path).await;
    assert_eq!(fresh.timestamps.len(), 2);
    assert!(is_valid(&fresh, &trust));
    // It is an entry of the log that waits, and causes no checkpoint that would be stamped again.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(desk.outcomes().values().sum::<u64>(), 1);
    let proof = |serial: &[u8]| desk.server.engine.token_proof(serial.try_into().unwrap()).unwrap();
    assert_eq!(proof(&serial), TokenProof::Waiting);
    desk.pay().await;
    let TokenProof::Proved(text) = proof(&serial) else { panic!("no proof") };
    assert!(text.starts_with("c2sp.org/tlog-proof@v1"));
    let token = info(&fresh.timestamps[1]).unwrap().token.unwrap();
    let own = hex(&token.serial_hex);
    let TokenProof::Proved(text) = proof(&own) else { panic!("no proof of the checkpoint's") };
    tpw_proof::logged::verify_token(&fresh.timestamps[1], &text, &trust).unwrap();
    drop(stamping);

    // Nobody gets a certificate any more: the checkpoints' tokens have theirs all the same.
    let desk = desk
        .restarted(|config| {
            change(config);
            config.tsa_certificate = Disclosure::Never;
        })
        .await;
    let later = desk.pay().await;
    let stamping = desk.ask(Vec::new(), TIMES);
    assert_eq!(desk.asked(1).await["ml-dsa-65"], "kept");
    assert_eq!(desk.receipt(&later).await.timestamps.len(), 2);
    drop(stamping);

    // The key stays, and what it has stamped is believed, whatever is switched off and on.
    let desk = desk.restarted(|_usual| {}).await;
    assert_eq!(desk.server.engine.trust(), &trust);
    let desk = desk.restarted(change).await;
    assert_eq!(desk.server.engine.trust(), &trust);
    assert_eq!(desk.receipt(&path).await.timestamps, fresh.timestamps);
}

fn hex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
