//! Goal: a process that is killed at any instant loses nothing that it acknowledged and repeats nothing.
//! Method: this test binary starts itself as a child that runs the engine under load and writes each acknowledged
//! payment to a pipe; the parent kills it (SIGKILL) at a random instant, opens the same folder, compares every
//! acknowledgement with the books, judges its receipt, sends again all that was not acknowledged, and compares
//! balances with a model that knows only the statements and their outcomes. The folder is the same for all kills, so
//! that each recovery stands on the ones before. Every few kills the log is audited against the books. The books are
//! once in SQLite and once in PostgreSQL, in a database of the server that `TPW_TEST_POSTGRES` names.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, tells by printing, and waits for an instant at which to kill"
)]

#[path = "postgres/server.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests of the books in PostgreSQL use all of it")]
mod server;
mod world;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tpw_core::PaymentId;
use tpw_engines::books::Books as _;
use tpw_engines::clock::SystemClock;
use tpw_engines::files::FileError;
use tpw_engines::log_store::fsck_sharing;
use tpw_engines::postgres::{self, Address};
use tpw_engines::{Config, Engine, EngineError, Paid, Repeated, StoreConfig};
use tpw_proof::Trust;
use world::*;

/// In every test run; `cargo xtask drill kills` asks for more.
const KILLS: u64 = 120;
const KILLS_WANTED: &str = "TPW_KILLS";
const HOLDERS: usize = 8;
const ROUNDS: usize = 5;
const AUDIT_EVERY: u64 = 20;
const OPENING: u128 = 10_000_000;
/// A lock that nobody holds any more is free by then.
const RELEASED: Duration = Duration::from_secs(5);
const FOLDER: &str = "TPW_KILL_FOLDER";
const STORE: &str = "TPW_KILL_STORE";
const STATEMENTS: &str = "TPW_KILL_STATEMENTS";

/// Not a test by itself: what the parent starts and kills.
#[test]
#[ignore = "runs as the child of the kill loop"]
fn child_under_load() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let statements = std::fs::read_to_string(std::env::var_os(STATEMENTS).unwrap()).unwrap();
    let engine = Site { dir: dir.into(), url: std::env::var(STORE).ok() }.open();
    runtime().block_on(async {
        let lines: Vec<_> = statements.lines().collect();
        for round in lines.chunks(HOLDERS) {
            let sent = round.iter().map(|line| {
                let (engine, statement) = (Arc::clone(&engine), unhex(line));
                tokio::spawn(async move {
                    let paid = engine.pay(&statement).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {} {}", paid.payment.id(), status(&paid)).unwrap();
                    out.flush().unwrap();
                })
            });
            for task in sent.collect::<Vec<_>>() {
                task.await.unwrap();
            }
        }
    });
    // Killed while idle, too: no clean end.
    let (_never, wait) = channel::<()>();
    let _ended = wait.recv_timeout(Duration::from_secs(60));
}

/// Where an operator's folder and books are.
#[derive(Clone)]
struct Site {
    dir: PathBuf,
    /// The books are in PostgreSQL at this address, else in the folder.
    url: Option<String>,
}

impl Site {
    fn open(&self) -> Arc<Engine> {
        let mut config = Config::new(name(AUDIENCE));
        if let Some(url) = &self.url {
            config.store = StoreConfig::Postgres(url.clone());
        }
        config.rules_toml = Some(rules());
        let begun = Instant::now();
        loop {
            match Engine::open(&self.dir, config.clone(), Arc::new(SystemClock::new())) {
                // A process that the other test is just starting may hold a copy of our lock until it has begun.
                Err(EngineError::File(FileError::InUse { .. })) if begun.elapsed() < RELEASED => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                opened => return opened.unwrap(),
            }
        }
    }

    /// Demands that the log, audited against the books, has nothing wrong. The engine must be closed.
    fn demand_sound_log(&self, trust: &Trust) -> u64 {
        let Some(url) = &self.url else { return demand_sound_log(&self.dir, trust) };
        let store = postgres::Store::open(Address::parse(url).unwrap()).unwrap();
        let (reader, heads) = (store.reader().unwrap(), Box::new(store.heads()));
        let log = self.dir.join("log");
        let report = fsck_sharing(&log, trust, Some(&reader), Some(heads)).unwrap();
        assert!(report.is_sound(), "{:?}", report.findings.first());
        report.size
    }
}

/// The built-in rules, for accounts that pay more often in a minute than people do: a quick machine kills 500 times in one.
fn rules() -> String {
    let (built_in, count) =
        (include_str!("../../../policies/screen.toml"), "count_step_up = 2000\ncount_hold = 5000");
    assert!(built_in.contains(count));
    built_in.replace(count, "count_step_up = 5000\ncount_hold = 10000")
}

/// How many kills: as many as are asked for, else the usual number.
fn kills() -> u64 {
    match std::env::var(KILLS_WANTED) {
        Ok(text) => text.parse().expect("a number of kills"),
        Err(_) => KILLS,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The child and the lines that it has written.
struct Load {
    child: Child,
    lines: Receiver<String>,
}

impl Load {
    fn start(site: &Site, statements: &Path) -> Self {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_under_load", "--ignored", "--nocapture"])
            .env(FOLDER, &site.dir)
            .envs(site.url.iter().map(|url| (STORE, url)))
            .env(STATEMENTS, statements)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // libtest prints its own words on the same line as the first acknowledgement.
                if let Some(at) = line.find("ack ") {
                    let _gone = sender.send(line[at..].to_owned());
                }
            }
        });
        Self { child, lines }
    }

    /// Lets it work for `pause`, counted from its start or from its first acknowledgement, then kills it.
    fn kill_after(mut self, pause: Duration, from_start: bool) -> HashMap<PaymentId, String> {
        let mut lines = Vec::new();
        if !from_start {
            match self.lines.recv_timeout(Duration::from_secs(20)) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no payment within 20 s"),
                Err(RecvTimeoutError::Disconnected) => panic!("the child failed"),
            }
        }
        std::thread::sleep(pause);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // The pipe holds what was written before the kill; the reader ends at its end.
        lines.extend(self.lines.iter());
        lines.iter().map(|line| acknowledged(line)).collect()
    }
}

fn acknowledged(line: &str) -> (PaymentId, String) {
    let mut words = line.split(' ').skip(1);
    (words.next().unwrap().parse().unwrap(), words.next().unwrap().to_owned())
}

struct Loop {
    site: Site,
    dice: Dice,
    holders: Vec<Holder>,
    balances: HashMap<tpw_core::AccountId, u128>,
    acks: usize,
    unsettled: usize,
    recovered: usize,
    open_max: Duration,
    receipts: Vec<(PaymentId, Vec<u8>)>,
}

impl Loop {
    fn opened(&mut self) -> Arc<Engine> {
        let begun = Instant::now();
        let engine = self.site.open();
        self.open_max = self.open_max.max(begun.elapsed());
        engine
    }

    /// Statements for one life of the child: each holder in each round, now and then one that is refused.
    fn statements(&mut self, engine: &Engine) -> Vec<Signed> {
        let mut signed = Vec::new();
        for _round in 0..ROUNDS {
            for from in 0..HOLDERS {
                let to = (from + 1 + usize::try_from(self.dice.below(7)).unwrap()) % HOLDERS;
                let to = self.holders[to].account;
                let minor = match self.dice.below(20) {
                    0 => 9_999_999_999, // above what one payment may move
                    _ => u128::from(1 + self.dice.below(500)),
                };
                signed.push(self.holders[from].next(engine, &mut self.dice, to, minor));
            }
        }
        signed
    }

    /// Ends with the engine open, as the next one begins.
    fn one_kill(&mut self, engine: Arc<Engine>, kill: u64) -> Arc<Engine> {
        let signed = self.statements(&engine);
        let trust = engine.trust().clone();
        engine.close();
        drop(engine);
        if kill.is_multiple_of(AUDIT_EVERY) {
            self.site.demand_sound_log(&trust);
        }
        let file = self.site.dir.with_extension("statements");
        let lines: Vec<String> = signed.iter().map(|s| hex(&s.bytes)).collect();
        std::fs::write(&file, lines.join("\n")).unwrap();
        // Every fourth dies around its opening, the others while they pay.
        let from_start = kill % 4 == 3;
        let pause = Duration::from_micros(if from_start {
            self.dice.below(80_000)
        } else {
            self.dice.below(60_000)
        });
        let acks = Load::start(&self.site, &file).kill_after(pause, from_start);
        let engine = self.opened();
        self.check(&engine, &signed, &acks);
        engine
    }

    /// What was acknowledged is there; the rest is sent again and has one outcome each.
    fn check(
        &mut self,
        engine: &Arc<Engine>,
        signed: &[Signed],
        acks: &HashMap<PaymentId, String>,
    ) {
        self.acks += acks.len();
        let ids: HashSet<_> = signed.iter().map(Signed::id).collect();
        assert!(acks.keys().all(|id| ids.contains(id)));
        for (id, outcome) in acks {
            let payment = engine.payment(*id).unwrap();
            let payment = payment.unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
            assert_eq!(payment.status().unwrap().code(), outcome, "{id}");
        }
        let known: Vec<_> = signed.iter().map(|s| engine.payment(s.id()).unwrap()).collect();
        let again = runtime().block_on(send_all(engine, signed));
        for ((statement, known), paid) in signed.iter().zip(known).zip(again) {
            match known {
                None => self.unsettled += 1,
                Some(known) => {
                    assert_eq!(paid.repeated, Repeated::Yes);
                    assert_eq!(*known, *paid.payment);
                    self.recovered += usize::from(!acks.contains_key(&statement.id()));
                }
            }
            let minor = statement.intent.money.amount.minor();
            if status(&paid) == "booked" {
                *self.balances.get_mut(&statement.intent.payer).unwrap() -= minor;
                *self.balances.get_mut(&statement.intent.payee).unwrap() += minor;
                demand_receipt(engine, &paid);
                self.receipts.push((statement.id(), paid.receipt.unwrap()));
            } else {
                assert_eq!((status(&paid), minor), ("refused", 9_999_999_999));
            }
        }
        for (account, minor) in &self.balances {
            assert_eq!(balance(engine, *account), *minor, "the balance of {account}");
        }
        demand_balanced(engine);
    }
}

/// All at once, in order: what was booked is answered again, the rest is booked now.
async fn send_all(engine: &Arc<Engine>, signed: &[Signed]) -> Vec<Paid> {
    let sent: Vec<_> = signed
        .iter()
        .map(|statement| {
            let (engine, bytes) = (Arc::clone(engine), statement.bytes.clone());
            tokio::spawn(async move { engine.pay(&bytes).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::with_capacity(sent.len());
    for task in sent {
        answers.push(task.await.unwrap());
    }
    answers
}

#[test]
fn no_kill_loses_or_repeats_anything() {
    let scratch = scratch();
    kill_again_and_again(Site { dir: scratch.path().join("data"), url: None });
}

#[test]
fn no_kill_loses_or_repeats_anything_in_postgresql() {
    let (scratch, database) = (scratch(), server::Database::new());
    // The server needs a moment to notice that a process which held the lock is gone.
    let url = database.url().replace("lock_wait=0", "lock_wait=20");
    kill_again_and_again(Site { dir: scratch.path().join("data"), url: Some(url) });
}

fn kill_again_and_again(site: Site) {
    let mut dice = Dice::new(11);
    let engine = site.open();
    let holders = runtime().block_on(async {
        let mut holders = Vec::new();
        for _ in 0..HOLDERS {
            holders.push(Holder::enrolled(&engine, &mut dice, OPENING).await);
        }
        holders
    });
    let balances = holders.iter().map(|holder| (holder.account, OPENING)).collect();
    let (acks, unsettled, recovered) = (0, 0, 0);
    let (open_max, receipts) = (Duration::ZERO, Vec::new());
    let mut run =
        Loop { site, dice, holders, balances, acks, unsettled, recovered, open_max, receipts };
    let begun = Instant::now();
    let mut engine = engine;
    let kills = kills();
    for kill in 0..kills {
        engine = run.one_kill(engine, kill);
    }
    // Receipts given out long ago are given again, byte for byte.
    for (id, receipt) in run.receipts.iter().step_by(97) {
        let payment = engine.payment(*id).unwrap().unwrap();
        assert_eq!(engine.paid(payment, Repeated::Yes).unwrap().receipt.as_ref(), Some(receipt));
    }
    let trust = engine.trust().clone();
    engine.close();
    drop(engine);
    let size = run.site.demand_sound_log(&trust);
    println!(
        "{kills} kills: {} acknowledged, {} booked but not yet acknowledged, {} not yet booked; {size} leaves; \
         slowest opening {} ms; {:.0} s",
        run.acks,
        run.recovered,
        run.unsettled,
        run.open_max.as_millis(),
        begun.elapsed().as_secs_f32()
    );
    let acks_min = usize::try_from(3 * kills).unwrap();
    assert!(run.acks > acks_min && run.recovered > 0 && run.unsettled > 0, "the load was no load");
}
