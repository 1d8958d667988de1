//! Goal: a run of the benchmark on either store keeps its own rules: every answer is checked, the books balance, a stop and a
//! start in between changes nothing, and the parts by themselves measure something.
//!
//! Method: a real engine with few accounts and few orders, through the same code as the measurement.

use bench_ledger::alone;
use bench_ledger::cluster::Cluster;
use bench_ledger::subject::{Plan, Subject, config};
use bench_ledger::workload::{Shape, Workload};
use std::time::Duration;
use tpw_engines::{Config, StoreConfig};

const ACCOUNTS: u32 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_round_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let mut subject = Subject::open(folder.path(), config().unwrap()).unwrap();
    subject.open_accounts(ACCOUNTS).await.unwrap();
    let mut work = Workload::new(5, Shape::Uniform, ACCOUNTS);
    let plan = Plan { orders: 20_000, batch: 700, in_flight: 3 };
    let run = subject.run(&mut work, plan).await.unwrap();
    assert_eq!(run.orders, 20_000);
    assert!(run.repeats > 100 && run.transfers > 20_000 && run.per_s > 0.0, "{run:?}");
    assert_eq!(run.latency.count, 20_000_usize.div_ceil(700));
    subject.check().await.unwrap();

    let one = subject.run(&mut work, Plan::one_by_one(30)).await.unwrap();
    assert_eq!((one.orders, one.latency.count), (30, 30));
    let paced = subject.run_paced(&mut work, 20_000.0, Duration::from_millis(900)).await.unwrap();
    assert!((1..=3).contains(&paced.latency.count), "{paced:?}");
    subject.check().await.unwrap();

    let (mut subject, took) = subject.restarted(folder.path(), config().unwrap()).await.unwrap();
    assert!(took > Duration::ZERO);
    subject.check().await.unwrap();
    let mut work = work.with_shape(Shape::Hot);
    let hot = subject.run(&mut work, Plan { orders: 2_000, ..plan }).await.unwrap();
    assert!(hot.repeats > 0, "orders from before the start are repeated after it");
    subject.check().await.unwrap();
    subject.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_round_on_postgres() {
    let cluster = Cluster::start(&std::env::temp_dir(), 5561).unwrap();
    cluster.fresh("ledger").unwrap();
    let store = StoreConfig::Postgres(cluster.url("ledger"));
    let folder = tempfile::tempdir().unwrap();
    let config = || Config { store: store.clone(), ..config().unwrap() };
    let mut subject = Subject::open(folder.path(), config()).unwrap();
    subject.open_accounts(ACCOUNTS).await.unwrap();
    let mut work = Workload::new(6, Shape::Hot, ACCOUNTS);
    let plan = Plan { orders: 20_000, batch: 700, in_flight: 3 };
    let run = subject.run(&mut work, plan).await.unwrap();
    assert!(run.orders == 20_000 && run.repeats > 100, "{run:?}");
    subject.check().await.unwrap();
    let (mut subject, _took) = subject.restarted(folder.path(), config()).await.unwrap();
    subject.check().await.unwrap();
    subject.run(&mut work, Plan { orders: 1_000, ..plan }).await.unwrap();
    subject.check().await.unwrap();
    subject.close();
}

#[test]
fn the_parts_alone_take_some_time() {
    assert!(alone::hashing_us() > 0.0);
    assert!(alone::signature_us().unwrap() > 0.0);
    assert!(alone::generator_us(Shape::Zipf, ACCOUNTS) > 0.0);
    assert!(alone::memory_bytes() > 0);
}
