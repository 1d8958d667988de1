//! Goal: the peer is a fair ledger: it refuses what a ledger must refuse, and the benchmark notices when it does not.
//!
//! Method: the real server, made and removed by the benchmark's own code, and the function called by hand.

use bench_ledger::cluster::Cluster;
use bench_ledger::peers;
use bench_ledger::workload::Shape;

const DATABASE: &str = "row_locks";

#[test]
fn the_peer_keeps_books_as_a_ledger_does() {
    let cluster = Cluster::start(&std::env::temp_dir(), 5561).unwrap();
    peers::prepare_row_locks(&cluster).unwrap();
    let call = |words: &str| cluster.sql(DATABASE, &format!("SELECT move_money({words})"));
    assert_eq!(call("1, 1, 2, 500").unwrap(), "done");
    let balances = || {
        let sql = "SELECT id, debits, credits FROM account WHERE id < 4 ORDER BY id";
        cluster.sql(DATABASE, sql).unwrap()
    };
    let after = balances();
    assert_eq!(call("1, 1, 2, 500").unwrap(), "exists");
    for other in ["1, 1, 2, 501", "1, 1, 3, 500", "1, 2, 1, 500"] {
        assert_eq!(call(other).unwrap(), "differs", "{other}");
    }
    for refused in ["2, 1, 1, 5", "3, 1, 2, 0", "4, 1, 2, -5", "5, 3, 2, 1000000000001"] {
        assert!(call(refused).is_err(), "{refused}");
    }
    assert_eq!(balances(), after);

    for shape in [Shape::Uniform, Shape::Hot] {
        let peer = peers::row_locks(&cluster, shape, 4, 1).unwrap();
        assert!(peer.per_s > 1.0 && peer.server_cpu_us > 0.0, "{peer:?}");
    }
    let hot = cluster.sql(DATABASE, "SELECT count(DISTINCT debit) FROM transfer").unwrap();
    assert_eq!(hot, "1");
    let folder = cluster.socket().to_owned();
    drop(cluster);
    assert!(!folder.exists(), "the cluster leaves nothing behind");
}
