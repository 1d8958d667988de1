//! Goal: what was booked some time ago gets evidence records by itself, which come with the receipts, hold, are renewed in time and make
//! nothing worse.
//!
//! Method: dozens of payments under one tree, so that it has several rows on a level, and each receipt judged by the public verifier; OpenSSL as an
//! outside authority, good, bad and away; restarts with other settings; a store that is lost; a clock that goes on for years.

use super::stamping::{Authority, Desk, POLICY, TIMES as STAMPING, is_valid, plain};
use std::time::{Duration, Instant};
use tpw_core::{Receipt, Span};
use tpw_engines::stamped::OutsideAuthority;
use tpw_engines::{Age, Config, Gathering};
use tpw_proof::evidence::continues;
use tpw_proof::timestamp::Disclosure;
use tpw_proof::{Layer, Level, Outcome, Trust, judge, upgraded, with_known_stamps};
use tpw_server::{Archiving, ArchivingTimes};

const TIMES: ArchivingTimes = ArchivingTimes {
    every: Duration::from_millis(200),
    first: Duration::ZERO,
    rest: Duration::from_millis(200),
};

fn with_records(config: &mut Config) {
    config.evidence = true;
}

/// What the verifier says of the evidence record, if it holds.
fn renewed(receipt: &Receipt, trust: &Trust) -> Option<String> {
    let judged = judge(&receipt.to_bytes(), trust);
    assert!(judged.is_valid(), "{:?}", judged.first_failure());
    match judged.level(Level::Renewed) {
        Outcome::Proved { detail } => Some(detail.clone()),
        _ => None,
    }
}

impl Desk {
    /// Begins to archive, a second after all that was paid.
    fn archive(&self, authorities: usize, times: ArchivingTimes) -> Archiving {
        self.wait(Span::from_secs(1));
        let clients = vec![plain(Duration::from_secs(4)); authorities];
        Archiving::start(self.server.engine.clone(), clients, times).unwrap()
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = String::from_utf8(self.server.get("/metrics").await.body.to_vec()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}: {text}")).parse().unwrap()
    }

    /// The receipt at `path` with the record that this authority begins.
    async fn begun_by(&self, authority: &OutsideAuthority, path: &str) -> Receipt {
        let engine = &self.server.engine;
        let age = Age { until: engine.now(), unwitnessed_until: engine.now() };
        let mut batch = engine.next_batch().unwrap();
        assert!(matches!(engine.gather(&mut batch, age, 1000), Gathering::All));
        let tree = batch.tree().unwrap();
        let policy = authority.policies().first().cloned();
        let question = engine.ask_about(&tree, policy).unwrap();
        let (url, kind) = (authority.url().unwrap(), "application/timestamp-query");
        let outbound = plain(Duration::from_secs(4));
        let answer = outbound.post_as(url, kind, question.clone(), 1 << 16).await.unwrap().body;
        engine.keep_records(&batch, &tree, (&question, &answer)).unwrap();
        self.receipt(path).await
    }

    /// Waits until so many receipts have a record.
    async fn archived(&self, count: u64) {
        let end = Instant::now() + Duration::from_secs(40);
        while self.metric("tpw_archived_receipts").await < count {
            assert!(Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn receipts_of_some_time_ago_come_with_a_record_that_holds() {
    let desk = Desk::of(with_records).await;
    let trust = desk.server.engine.trust().clone();
    let mut paths = Vec::new();
    for _ in 0..70 {
        paths.push(desk.pay().await);
    }
    let undone = paths[3].replace("/receipt", ":recall");
    assert_eq!(desk.server.call(&desk.operator, "POST", &undone, None).await.status, 200);
    paths.push(format!("{}?kind=compensation", paths[3]));
    let mut bare = Vec::new();
    for path in &paths {
        bare.push(desk.receipt(path).await);
    }
    // Nobody is archived before the time.
    let late = ArchivingTimes { every: Duration::from_secs(3600), ..TIMES };
    let archiving = desk.archive(0, late);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(desk.metric("tpw_archived_receipts").await, 0);
    drop(archiving);

    // The clock goes on before anything is archived, so that all are in one tree.
    desk.wait(Span::from_secs(3700));
    let archiving = desk.archive(0, late);
    desk.archived(71).await;
    for (path, bare) in paths.iter().zip(&bare) {
        let fresh = desk.receipt(path).await;
        assert!(renewed(&fresh, &trust).is_some(), "{path}");
        assert_eq!(upgraded(bare, &fresh).unwrap(), fresh, "the file of before takes it over");
    }
    let (first, second) = (desk.receipt(&paths[0]).await, desk.receipt(&paths[1]).await);
    let swapped = Receipt { evidence: second.evidence, ..first };
    let judged = judge(&swapped.to_bytes(), &trust);
    assert_eq!(judged.first_failure().unwrap().0, Layer::Evidence);
    drop(archiving);

    // Those before keep their record; the next ones get another.
    let desk = desk.restarted(with_records).await;
    let before = desk.receipt(&paths[0]).await;
    assert!(renewed(&before, &trust).is_some());
    let next = desk.pay().await;
    assert_eq!(desk.receipt(&next).await.evidence.len(), 0);
    let _archiving = desk.archive(0, TIMES);
    desk.archived(72).await;
    assert!(renewed(&desk.receipt(&next).await, &trust).is_some());
    assert_eq!(desk.receipt(&paths[0]).await, before);
}

#[tokio::test]
async fn records_go_on_when_none_are_made_any_more_and_are_made_again_when_they_are_lost() {
    // The own authority gives its certificate to nobody, but to itself.
    let silent = |config: &mut Config| {
        config.evidence = true;
        config.tsa_certificate = Disclosure::Never;
    };
    let desk = Desk::of(silent).await;
    let trust = desk.server.engine.trust().clone();
    let path = desk.pay().await;
    let archiving = desk.archive(0, TIMES);
    desk.archived(1).await;
    drop(archiving);
    let desk = desk.restarted(|_none_are_made| {}).await;
    let before = desk.receipt(&path).await;
    assert!(renewed(&before, &trust).is_some());

    let folder = desk.server.dir.path().to_owned();
    let engine = desk.server.engine.clone();
    drop(engine);
    for end in ["", "-wal", "-shm"] {
        let file = folder.join(format!("evidence.db{end}"));
        if file.exists() {
            std::fs::remove_file(file).unwrap();
        }
    }
    let desk = desk.restarted(silent).await;
    assert_eq!(desk.receipt(&path).await.evidence.len(), 0);
    let _archiving = desk.archive(0, TIMES);
    desk.archived(1).await;
    let after = desk.receipt(&path).await;
    assert!(renewed(&after, &trust).is_some());
    // Whoever has the old one has both.
    let both = upgraded(&before, &after).unwrap();
    assert_eq!(both.evidence.len(), 2);
    assert!(renewed(&both, &trust).is_some());
}

#[tokio::test]
async fn the_first_authority_that_gives_a_time_stamp_is_taken() {
    let openssl = Authority::start();
    let url = "http://127.0.0.1:1/";
    let away = OutsideAuthority::new("away", url, POLICY, vec![openssl.root.clone()]).unwrap();
    // The file of an authority whose tokens are over another imprint breaks off; one of a stranger's certificate is refused.
    let all = [away, openssl.as_at("stranger"), openssl.as_at("imprint"), openssl.as_at("good")];
    for (count, by_openssl) in [(4, true), (3, false)] {
        let authorities = all[..count].to_vec();
        let desk = Desk::of(|config| {
            config.evidence = true;
            config.outside = authorities.clone();
        });
        let desk = desk.await;
        let trust = desk.server.engine.trust().clone();
        let path = desk.pay().await;
        let _archiving = desk.archive(count, TIMES);
        desk.archived(1).await;
        let receipt = desk.receipt(&path).await;
        assert!(renewed(&receipt, &trust).is_some());
        let mut poorer = trust.clone();
        poorer.tsa_roots.retain(|root| *root != openssl.root);
        let holds = judge(&receipt.to_bytes(), &poorer).is_valid();
        assert_eq!(holds, !by_openssl, "{count}");
        // Whoever does not know the authority takes the receipt without its record.
        let known = with_known_stamps(receipt, &poorer);
        assert!(is_valid(&known, &poorer));
        assert_eq!(known.evidence.is_empty(), by_openssl);
    }
}

#[tokio::test]
async fn a_record_is_renewed_before_it_ends_and_passed_over_when_nobody_trusts_it() {
    let openssl = Authority::start();
    let with_openssl = |config: &mut Config| {
        config.evidence = true;
        config.outside = vec![openssl.as_at("good")];
    };
    let desk = Desk::of(with_openssl).await;
    let trust = desk.server.engine.trust().clone();
    let paths = [desk.pay().await, desk.pay().await];
    let begun = desk.begun_by(&openssl.as_at("good"), &paths[0]).await;
    assert!(renewed(&begun, &trust).is_some());
    // Its certificate ends tomorrow, and a further time-stamp of it gains nothing: this server's own key renews what it began. OpenSSL's
    // times are whole seconds, which may be before what they renew.
    let archiving = desk.archive(1, TIMES);
    let end = Instant::now() + Duration::from_secs(20);
    let renewed_now = loop {
        let receipt = desk.receipt(&paths[0]).await;
        let judged = judge(&receipt.to_bytes(), &trust);
        let renewals =
            judged.payment.and_then(|payment| payment.evidence).map(|record| record.renewals);
        if renewals == Some(1) {
            break receipt;
        }
        assert!(Instant::now() < end, "{renewals:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    drop(archiving);
    // What was renewed takes the place of what it was, whichever of the two a file has.
    assert!(continues(&renewed_now.evidence[0], &begun.evidence[0]));
    assert_eq!(upgraded(&begun, &renewed_now).unwrap(), renewed_now);
    assert_eq!(upgraded(&renewed_now, &begun).unwrap(), renewed_now);
    assert!(renewed(&desk.receipt(&paths[1]).await, &trust).is_some());
    let ends = desk.metric("tpw_evidence_ends_seconds").await;
    assert!(ends > desk.server.engine.now().unix_ms() / 1000 + 90 * 86_400);

    // Nobody trusts the authority any more: the receipt goes out without what began with it.
    let desk = desk.restarted(with_records).await;
    let bare = desk.receipt(&paths[0]).await;
    assert!(bare.evidence.is_empty() && is_valid(&bare, desk.server.engine.trust()));
    let desk = desk.restarted(with_openssl).await;
    assert_eq!(desk.receipt(&paths[0]).await, renewed_now);
}

#[tokio::test]
async fn a_time_stamp_that_has_ended_is_not_archived_and_costs_the_others_nothing() {
    let openssl = Authority::start();
    let desk = Desk::of(|config| {
        config.evidence = true;
        config.outside = vec![openssl.as_at("good")];
    });
    let desk = desk.await;
    let trust = desk.server.engine.trust().clone();
    let path = desk.pay().await;
    let stamping = desk.ask(vec![plain(Duration::from_secs(4))], STAMPING);
    desk.asked(1).await;
    drop(stamping);
    assert_eq!(desk.receipt(&path).await.timestamps.len(), 2);
    // The other authority's certificate was good for a day, and the use of this server's own key ends after a year: it goes on for itself.
    desk.wait(Span::from_secs(400 * 86_400));
    let archiving = desk.archive(0, TIMES);
    desk.archived(1).await;
    drop(archiving);
    let archived = desk.receipt(&path).await;
    assert_eq!(archived.timestamps.len(), 1);
    assert!(renewed(&archived, &trust).is_some());
    // Years after its end nobody renews it, and it goes on proving what it did.
    desk.wait(Span::from_secs(20 * 365 * 86_400));
    let engine = &desk.server.engine;
    let far = engine.now().plus(Span::from_secs(90 * 86_400));
    assert!(engine.renewals_before(far).unwrap().is_none());
    assert!(desk.metric("tpw_evidence_ends_seconds").await < engine.now().unix_ms() / 1000);
}

#[tokio::test]
async fn archiving_that_fails_is_told_and_goes_on_when_it_can() {
    let desk = Desk::of(with_records).await;
    let path = desk.pay().await;
    desk.server.clock.pretend_error(None);
    let _archiving = desk.archive(0, TIMES);
    let end = Instant::now() + Duration::from_secs(20);
    while desk.metric("tpw_archiving_failures").await == 0 {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(desk.receipt(&path).await.evidence.len(), 0);
    desk.server.clock.pretend_error(Some(Span::from_ms(1)));
    let ready = desk.server.get("/readyz?verbose").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["degraded"][0]), (200, &"archiving".into()));
    desk.archived(1).await;
    assert_eq!(desk.receipt(&path).await.evidence.len(), 1);
}
