//! Goal: the whole story holds on a list made up from a seed, and a run that is killed loses and repeats nothing.
//!
//! Method: the real programs `tpw` and `replay` as processes, on folders of their own. The lists have transfers to
//! oneself, transfers beyond the payer's means and money sent straight back; balances are compared by the independent
//! Python program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const REPLAY: &str = env!("CARGO_BIN_EXE_replay");

fn check() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../check_balances.py")
}

fn make(folder: &Path, accounts: u32, transfers: u32) {
    let status = Command::new(REPLAY)
        .args(["make", "--seed", "5", "--accounts", &accounts.to_string()])
        .args(["--transfers", &transfers.to_string(), "--out"])
        .arg(folder)
        .status();
    assert!(status.unwrap().success());
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or_else(|| panic!("{path} in {value}"))
}

#[test]
fn the_whole_story_holds() {
    let folder = tempfile::tempdir().unwrap();
    let lists = folder.path().join("lists");
    make(&lists, 300, 2_000);
    let mut command = Command::new(REPLAY);
    command.arg("story").arg("--data").arg(&lists).arg("--check").arg(check());
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    let story: Value = serde_json::from_slice(&output.stdout).unwrap();
    let booked = number(&story, "/run/outcomes/booked");
    let refused = number(&story, "/run/outcomes/refused~1insufficient_funds");
    let not_sendable = number(&story, "/run/not_sendable");
    assert_eq!(booked + refused + not_sendable, 2_000, "{story}");
    assert!(booked > 1_000 && refused > 10 && not_sendable > 0, "{story}");
    assert_eq!(number(&story, "/receipts/valid"), booked);
    // What the policies decided about the operator's last reads comes into the log with the stop; sending again adds nothing.
    assert!(number(&story, "/run/tree_size") <= number(&story, "/rerun/tree_size"), "{story}");
    let again = |place| number(&story, &format!("/rerun/repeated/tree_size/{place}"));
    assert_eq!(again(0), again(1), "{story}");
    assert_eq!(number(&story, "/rerun/repeated/same"), booked + refused);
    assert_eq!(number(&story, "/rerun/sent"), 0);
}

struct Served {
    child: Child,
    url: String,
    ca: String,
    data: PathBuf,
}

impl Served {
    fn start(data: PathBuf) -> Self {
        let mut command = Command::new(replay::server::find_tpw().unwrap());
        command.args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "100000", "--data"]);
        let child = command.arg(&data).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Whatever happens from here on, the process ends with this value.
        let mut served = Self { child, url: String::new(), ca: String::new(), data };
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let text = std::fs::read_to_string(served.data.join("address")).unwrap_or_default();
            if let [url, ca] = text.lines().collect::<Vec<_>>()[..] {
                (served.url, served.ca) = (url.to_owned(), ca.to_owned());
                return served;
            }
            assert!(Instant::now() < until, "the server does not start");
            std::thread::yield_now();
        }
    }

    fn replay(&self, what: &[&str], state: &Path) -> Command {
        let mut command = Command::new(REPLAY);
        command.args(what).args(["--server", &self.url, "--ca", &self.ca, "--operator-key"]);
        command.arg(self.data.join("operator.key")).arg("--state").arg(state);
        command.stderr(Stdio::null());
        command
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (lists, state) = (folder.path().join("lists"), folder.path().join("state"));
    make(&lists, 60, 1_500);
    let served = Served::start(folder.path().join("data"));
    let run = || {
        let mut command = served.replay(&["run", "--json"], &state);
        command.arg("--nodes").arg(lists.join("nodes.csv"));
        command.arg("--transfers").arg(lists.join("transactions.csv"));
        command
    };
    let mut kills = 0;
    // Killed each time a little further on, until one run comes to its end.
    for wanted in [200_u64, 20_000, 200_000, 400_000] {
        let mut child = run().stdout(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        loop {
            let len = std::fs::metadata(state.join("statements")).map_or(0, |data| data.len());
            if len >= wanted || child.try_wait().unwrap().is_some() {
                break;
            }
            assert!(Instant::now() < until, "the run does not go on");
            std::thread::yield_now();
        }
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills >= 3, "the runs ended before they were killed");
    let output = run().output().unwrap();
    assert!(output.status.success());
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let not_sendable = number(&summary, "/not_sendable");
    let booked = number(&summary, "/outcomes/booked");
    let refused = number(&summary, "/outcomes/refused~1insufficient_funds");
    assert_eq!(booked + refused + not_sendable, 1_500, "{summary}");
    let balances = served.replay(&["balances"], &state).output().unwrap();
    assert!(balances.status.success());
    let balances_path = folder.path().join("balances.csv");
    std::fs::write(&balances_path, balances.stdout).unwrap();
    let mut checked = Command::new("python3");
    checked.arg(check()).arg(lists.join("nodes.csv")).arg(lists.join("transactions.csv"));
    checked.arg(state.join("outcomes.csv")).arg(&balances_path);
    assert!(checked.status().unwrap().success());
    let again: Value = serde_json::from_slice(&run().output().unwrap().stdout).unwrap();
    assert_eq!(number(&again, "/repeated/same"), booked + refused);
    assert_eq!(number(&again, "/repeated/different"), 0);
}

/// The check is worth something only if it finds faults.
#[test]
fn the_independent_check_finds_a_cent_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
    write("nodes.csv", "nodeid,isFraud,init_balance,fraudStep\na,0,10.5,-1\nb,0,1,-1\n");
    let rows = "a,b,0.25,1\nb,a,100,1\nb,b,1,2\n";
    write("transactions.csv", &format!("sourceNodeId,targetNodeId,value,time\n{rows}"));
    let outcomes = "1,booked,\n2,refused,insufficient_funds\n3,not_sendable,\n";
    write("outcomes.csv", &format!("number,status,code\n{outcomes}"));
    for (a, b, good) in
        [(1025, 125, true), (1026, 125, false), (1026, 124, false), (1025, 0, false)]
    {
        let text = format!("nodeid,account,posted,pending\na,x,{a},0\nb,y,{b},0\n");
        write("balances.csv", &text);
        let mut command = Command::new("python3");
        command.arg(check());
        for name in ["nodes.csv", "transactions.csv", "outcomes.csv", "balances.csv"] {
            command.arg(path(name));
        }
        assert_eq!(command.output().unwrap().status.success(), good, "{a} {b}");
    }
    // The money is there: refusing the first transfer for want of funds is unjust.
    write("balances.csv", "nodeid,account,posted,pending\na,x,1050,0\nb,y,100,0\n");
    let unjust = "number,status,code\n1,refused,insufficient_funds\n2,refused,insufficient_funds\n";
    for (outcomes, good) in [(unjust, false), ("number,status,code\n1,refused,limit\n", true)] {
        write("outcomes.csv", outcomes);
        let mut command = Command::new("python3");
        command.arg(check());
        for name in ["nodes.csv", "transactions.csv", "outcomes.csv", "balances.csv"] {
            command.arg(path(name));
        }
        assert_eq!(command.output().unwrap().status.success(), good, "{outcomes}");
    }
}
