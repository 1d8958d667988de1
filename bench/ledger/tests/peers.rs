//! Goal: the peers are fair ledgers: they refuse what a ledger must refuse, the one with our workload does it in the shares
//! that we say, and the benchmark notices when one does not keep its books.
//!
//! Method: the real server, made and removed by the benchmark's own code, and the functions called by hand.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use bench_ledger::cluster::Cluster;
use bench_ledger::error::BenchError;
use bench_ledger::workload::Shape;
use bench_ledger::{peers, row_locks};

#[test]
fn the_lean_peer_keeps_books_as_a_ledger_does() {
    let cluster = Cluster::start(&std::env::temp_dir(), 5561).unwrap();
    peers::prepare_row_locks_lean(&cluster).unwrap();
    let sql = |words: &str| cluster.sql("row_locks_lean", words);
    let call = |words: &str| sql(&format!("SELECT move_money({words})"));
    assert_eq!(call("1, 1, 2, 500").unwrap(), "done");
    let balances =
        || sql("SELECT id, debits, credits FROM account WHERE id < 4 ORDER BY id").unwrap();
    let after = balances();
    assert_eq!(call("1, 1, 2, 500").unwrap(), "exists");
    for other in ["1, 1, 2, 501", "1, 1, 3, 500", "1, 2, 1, 500"] {
        assert_eq!(call(other).unwrap(), "differs", "{other}");
    }
    for refused in ["2, 1, 1, 5", "3, 1, 2, 0", "4, 1, 2, -5", "5, 3, 2, 1000000000001"] {
        assert!(call(refused).is_err(), "{refused}");
    }
    assert_eq!(balances(), after);

    let peer = peers::row_locks_lean(&cluster, 4, 1).unwrap();
    assert!(peer.per_s > 1.0 && peer.server_cpu_us > 0.0, "{peer:?}");
    let folder = cluster.socket().to_owned();
    drop(cluster);
    assert!(!folder.exists(), "the cluster leaves nothing behind");
}

/// A ledger with row locks that nothing was sent to, and calls to it.
struct Books(Cluster);

impl Books {
    fn new() -> Self {
        let cluster = Cluster::start(&std::env::temp_dir(), 5561).unwrap();
        row_locks::prepare(&cluster).unwrap();
        cluster.copy(row_locks::FILLED, row_locks::DATABASE).unwrap();
        Self(cluster)
    }

    fn sql(&self, sql: &str) -> Result<String, BenchError> {
        self.0.sql(row_locks::DATABASE, sql)
    }

    /// Calls a function; `#7` stands for an id.
    fn call(&self, words: &str) -> Result<String, BenchError> {
        let mut parts = words.split('#');
        let mut sql = format!("SELECT {}", parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            sql.push_str(&format!("'f{:0>31}'::uuid{}", &part[..digits], &part[digits..]));
        }
        self.sql(&sql)
    }

    fn said(&self, words: &str) -> String {
        self.call(words).unwrap_or_else(|error| panic!("{words}: {error}"))
    }

    /// How much the first three accounts have more than at first, both posted and pending, and how many rows there are.
    fn state(&self, first: &str) -> String {
        let sql = format!(
            "SELECT string_agg(concat_ws(' ', a.debits_posted - b.debits_posted, a.credits_posted - b.credits_posted,
                a.debits_pending - b.debits_pending, a.credits_pending - b.credits_pending), ', ' ORDER BY a.id)
                || '; ' || (SELECT count(*) - 300000 FROM transfer)
             FROM account a JOIN {first} b USING (id) WHERE a.id <= 3"
        );
        self.sql(&sql).unwrap()
    }

    fn assert_balanced(&self) {
        let check = include_str!("../sql/row_locks_check.sql");
        assert_eq!(self.sql(check).unwrap(), "t");
    }
}

/// What is refused once the orders of the test below are booked, and a word of why.
const REFUSED: &[(&str, &str)] = &[
    ("move_money(#20, 1, 1, 5)", "not_to_itself"),
    ("move_money(#20, 1, 2, 0)", "some_amount"),
    ("move_money(#20, 1, 2, -5)", "some_amount"),
    ("move_money(#20, 1, 2, 2000000000000)", "no_overdraft"),
    ("move_money(#20, 2, 1, 2000000000000)", "no_overdraft"),
    ("move_money(#20, 1, 10001, 5)", "no account `10001`"),
    ("move_money(#20, 0, 1, 5)", "no account `0`"),
    ("hold_money(#20, 1, 1, 5)", "not_to_itself"),
    ("hold_money(#20, 1, 2, 0)", "some_amount"),
    ("hold_money(#20, 1, 2, -5)", "some_amount"),
    ("hold_money(#20, 2, 1, 2000000000000)", "no_overdraft"),
    ("hold_money(#20, 10001, 1, 5)", "no account `10001`"),
    ("end_hold(#20, #21, 5)", "no hold"),
    ("end_hold(#20, #1, 5)", "no hold"),
    ("end_hold(#20, #10, 5)", "more than the `4` held"),
    ("end_hold(#20, #10, -1)", "some_amount"),
    // Each of these has ended: posted in part, voided, posted wholly.
    ("end_hold(#20, #2, 100)", "transfer_ends"),
    ("end_hold(#20, #2, 0)", "transfer_ends"),
    ("end_hold(#20, #3, 5)", "transfer_ends"),
    ("end_hold(#20, #3, 0)", "transfer_ends"),
    ("end_hold(#20, #4, 20)", "transfer_ends"),
    ("move_pair(#20, 2, 5, #21, 1, 5, 1)", "not_to_itself"),
    ("move_pair(#20, 2, 5, #21, 3, 0, 1)", "some_amount"),
    ("move_pair(#20, 2, 5, #21, 3, -5, 1)", "some_amount"),
    ("move_pair(#20, 2, 5, #21, 10001, 5, 1)", "no account `10001`"),
    ("move_pair(#20, 2, 5, #21, 3, 2000000000000, 1)", "no_overdraft"),
    ("move_pair(#20, 2, 5, #20, 3, 5, 1)", "another order"),
    ("move_pair(#20, 2, 5, #1, 2, 500, 1)", "another order"),
];

#[test]
fn the_peer_with_our_workload_refuses_what_a_ledger_must_refuse() {
    let books = Books::new();
    books.sql("CREATE TABLE first AS SELECT * FROM account").unwrap();
    let state = || books.state("first");
    assert_eq!(state(), "0 0 0 0, 0 0 0 0, 0 0 0 0; 0");
    books.assert_balanced();
    let orders = [
        "move_money(#1, 1, 2, 500)",
        "hold_money(#2, 2, 1, 300)",
        "hold_money(#3, 1, 3, 70)",
        "hold_money(#4, 3, 1, 20)",
        "end_hold(#5, #2, 100)",
        "end_hold(#6, #3, 0)",
        "end_hold(#7, #4, 20)",
        "move_pair(#8, 3, 7, #9, 1, 8, 2)",
        "hold_money(#10, 1, 2, 4)",
        // The second of two to the same account, and one in the middle of both.
        "move_pair(#11, 2, 1, #12, 2, 1, 3)",
    ];
    for order in orders {
        assert_eq!(books.said(order), "done", "{order}");
    }
    let after = state();
    assert_eq!(after, "500 128 4 0, 115 502 0 4, 22 7 0 0; 12");
    for order in orders {
        assert_eq!(books.said(order), "exists", "{order}");
    }
    for other in [
        "move_money(#1, 1, 2, 501)",
        "move_money(#1, 1, 3, 500)",
        "move_money(#1, 2, 1, 500)",
        "move_money(#2, 2, 1, 300)",
        "hold_money(#1, 1, 2, 500)",
        "hold_money(#2, 2, 1, 301)",
        "hold_money(#2, 2, 3, 300)",
        "end_hold(#5, #2, 99)",
        "end_hold(#5, #2, 0)",
        "end_hold(#5, #2, 301)",
        "end_hold(#6, #3, 1)",
        "end_hold(#5, #10, 4)",
        "end_hold(#1, #10, 4)",
        "move_pair(#8, 3, 7, #9, 1, 9, 2)",
        "move_pair(#8, 3, 7, #9, 1, 8, 4)",
        "move_pair(#9, 3, 7, #8, 1, 8, 2)",
    ] {
        assert_eq!(books.said(other), "differs", "{other}");
    }
    for (refused, why) in REFUSED {
        let error = books.call(refused).unwrap_err().to_string();
        assert!(error.contains(why), "{refused}: {error}");
        assert_eq!(state(), after, "{refused}");
    }
    books.assert_balanced();
}

#[test]
fn what_is_held_counts_as_spent_until_it_is_let_go() {
    let books = Books::new();
    let free = "SELECT credits_posted - debits_posted - debits_pending FROM account WHERE id = 5";
    let all: u64 = books.sql(free).unwrap().parse().unwrap();
    assert_eq!(books.said(&format!("hold_money(#1, 5, 6, {})", all - 10)), "done");
    for refused in ["move_money(#2, 5, 6, 11)", "hold_money(#2, 5, 6, 11)"] {
        assert!(books.call(refused).unwrap_err().to_string().contains("no_overdraft"));
    }
    let pair = "move_pair(#2, 6, 5, #3, 7, 6, 5)";
    assert!(books.call(pair).unwrap_err().to_string().contains("no_overdraft"));
    assert_eq!(books.said("end_hold(#4, #1, 1)"), "done");
    assert_eq!(books.said(pair), "done");
    assert_eq!(books.sql(free).unwrap(), (all - 12).to_string());
    books.assert_balanced();
}

#[test]
fn the_peer_is_sent_our_workload() {
    let books = Books::new();
    let peer = row_locks::measure(&books.0, Shape::Uniform, 4, 2).unwrap();
    assert!(peer.per_s > 1.0 && peer.server_cpu_us > 0.0 && peer.mean_ms > 0.0, "{peer:?}");
    replay::say::tell(&format!("the peer made {:.0} rows/s", peer.per_s));
    let run = "FROM transfer t WHERE t.id >= '00000000-0000-0100-0000-000000000000'";
    let count = |what: &str| -> f64 {
        books.sql(&format!("SELECT count(*) {run} AND {what}")).unwrap().parse().unwrap()
    };
    // The second leg of a pair has an odd id.
    let pairs = count("right(t.id::text, 1)::int % 2 = 1");
    let (plain, holds) = (count("t.kind = 1") - 2.0 * pairs, count("t.kind = 2"));
    let (posts, voids) = (count("t.kind = 3"), count("t.kind = 4"));
    let part =
        count("t.kind = 3 AND t.amount < (SELECT h.amount FROM transfer h WHERE h.id = t.hold)");
    let near = |name: &str, found: f64, wanted: f64, by: f64| {
        assert!((found - wanted).abs() < by, "{name}: {found} instead of {wanted}");
    };
    // Of each client a hold in six orders, counted before the first of them end.
    let open = 4.0 * f64::from(row_locks::HOLD_LIFE) / 6.0;
    near("open holds", holds - posts - voids, open, 8.0);
    let (orders, ends) = (plain + pairs + holds + posts + voids, posts + voids);
    near("holds of orders", holds / orders, 1.0 / 6.0, 0.005);
    // In the place of the ends of no hold at the beginning there are plain orders and pairs.
    near("pairs of the others", pairs / (plain + pairs), 1.0 / 16.0, 0.03);
    assert!(ends > 100.0, "{ends} holds ended");
    near("voids of ends", voids / ends, 0.2, 0.1);
    near("parts of ends", part / ends, 0.4, 0.12);
    let debits = "SELECT count(DISTINCT debit) > 900 FROM transfer WHERE id >= '00000000-0000-0100-0000-000000000000'";
    assert_eq!(books.sql(debits).unwrap(), "t");

    let hot = row_locks::measure(&books.0, Shape::Hot, 4, 1).unwrap();
    assert!(hot.per_s > 1.0, "{hot:?}");
    assert_eq!(books.sql(&format!("SELECT count(DISTINCT t.debit) {run}")).unwrap(), "1");
}

#[test]
fn one_order_in_a_hundred_is_sent_again_and_makes_no_row() {
    let books = Books::new();
    let script = books.0.socket().join("script");
    std::fs::write(&script, include_str!("../sql/row_locks.pgbench")).unwrap();
    let send = |each: u32, life: u32, repeats: u32| {
        let words = format!(
            "--no-vacuum --random-seed 7 --client 4 --protocol prepared --transactions {each} --define n=0 --define hot=0 \
             --define life={life} --define repeats={repeats} --file {} {}",
            script.display(),
            row_locks::DATABASE
        );
        books.0.pgbench(&words.split(' ').collect::<Vec<_>>())
    };
    send(1_000, 11, 1).unwrap();
    let new = "SELECT count(*) FROM transfer WHERE id >= '00000000-0000-0100-0000-000000000000' AND right(id::text, 1)::int % 2 = 0";
    let new: u32 = books.sql(new).unwrap().parse().unwrap();
    assert!((10..=80).contains(&(4_000 - new)), "{new} of 4,000 were new");
    let open = "SELECT count(*) FROM transfer h WHERE kind = 2 AND NOT EXISTS (SELECT FROM transfer e WHERE e.hold = h.id)";
    assert!((4..=12).contains(&books.sql(open).unwrap().parse::<u32>().unwrap()));
    books.assert_balanced();
    // The same orders under the same ids are not new any more: a wrong answer stops the run.
    let error = send(10, 11, 0).unwrap_err().to_string();
    assert!(error.contains("division by zero"), "{error}");
}

#[test]
fn a_peer_that_keeps_wrong_books_gives_no_figure() {
    let books = Books::new();
    let spoil = |function: &str, from: &str, to: &str| {
        let sql = format!(
            "DO $do$ BEGIN EXECUTE replace(pg_get_functiondef('{function}'::regproc), '{from}', '{to}'); END $do$"
        );
        books.0.sql(row_locks::FILLED, &sql).unwrap();
    };
    let (right, wrong) = ("debits_pending + minor", "debits_pending + minor + 1");
    spoil("hold_money", right, wrong);
    let error = row_locks::measure(&books.0, Shape::Uniform, 2, 1).unwrap_err();
    assert!(matches!(&error, BenchError::Check(why) if why.contains("balance")), "{error}");
    spoil("hold_money", wrong, right);
    spoil("move_pair", "''done''", "''exists''");
    let error = row_locks::measure(&books.0, Shape::Uniform, 2, 1).unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
}
