//! Payments during a fault: people who pay each other through the API, go on by themselves, and are counted afterwards.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::account::{Account, Running, last_words};
use super::operators::Operators;
use super::wait;
use crate::shell::{self, Call, Failure, Workplace};

const PEOPLE: &str = "40";
const START_TIME_MAX: Duration = Duration::from_secs(60);
const END_TIME_MAX: Duration = Duration::from_secs(180);

/// One list of payments, being sent.
pub(crate) struct Town<'p> {
    place: &'p Workplace,
    folder: PathBuf,
    connection: Vec<String>,
    payments: u32,
    run: Option<Running>,
}

/// What came of it.
pub(crate) struct Counted {
    pub(crate) payments: u64,
    /// The longest that one payment took, from the first attempt to its answer.
    pub(crate) longest: Duration,
}

impl<'p> Town<'p> {
    /// Begins to send.
    pub(crate) fn start(
        place: &'p Workplace,
        operators: &Operators,
        folder: &Path,
        seed: u32,
        payments: u32,
    ) -> Result<Self, Failure> {
        let folder = folder.join(format!("town{seed}"));
        let make = place.call(place.program("replay")).words(&["make", "--accounts", PEOPLE]);
        let make = make.words(&["--transfers", &payments.to_string(), "--seed"]);
        make.word(seed.to_string()).word("--out").word(folder.join("lists")).read()?;
        let first = operators.servers.first();
        let key =
            first.ok_or_else(|| Failure::new("there is no server"))?.data.join("operator.key");
        let mut connection: Vec<String> =
            ["--server", &Operators::url(), "--connect", &operators.addresses()]
                .map(str::to_owned)
                .to_vec();
        for (word, path) in [("--ca", &operators.authority), ("--operator-key", &key)] {
            connection.extend([word.to_owned(), path.to_string_lossy().into_owned()]);
        }
        let mut town = Self { place, folder, connection, payments, run: None };
        town.run = Some(town.begin("first")?);
        Ok(town)
    }

    fn replay(&self, account: Account, words: &[&str]) -> Call {
        let connection: Vec<&str> = self.connection.iter().map(String::as_str).collect();
        let call = account.call(self.place, self.place.program("replay")).words(words);
        call.words(&connection).word("--state").word(self.state())
    }

    fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    fn list(&self, name: &str) -> PathBuf {
        self.folder.join("lists").join(name)
    }

    fn begin(&self, what: &str) -> Result<Running, Failure> {
        let log = self.log(what);
        let call = self.replay(Account::Own, &["run", "--json", "--connections", "32"]);
        let call = call.word("--nodes").word(self.list("nodes.csv"));
        let call = call.word("--transfers").word(self.list("transactions.csv"));
        Ok(Running::new(call.background(&self.output(what), &log)?, &log))
    }

    fn log(&self, what: &str) -> PathBuf {
        self.folder.join(what).with_extension("log")
    }

    fn output(&self, what: &str) -> PathBuf {
        self.folder.join(what).with_extension("json")
    }

    /// Waits until a part of the payments is answered: then it is time for a fault.
    pub(crate) fn under_way(&mut self) -> Result<(), Failure> {
        let (wanted, answers) = (self.payments / 5, self.state().join("answers.jsonl"));
        wait::until("load of payments", START_TIME_MAX, || {
            if let Some(why) = self.run.as_mut().and_then(Running::ended) {
                return Err(Failure::new(format!("payments ended too early: {why}")));
            }
            let lines = fs::read_to_string(&answers).map_or(0, |text| text.lines().count());
            Ok(u32::try_from(lines).is_ok_and(|lines| lines >= wanted).then_some(()))
        })
    }

    /// Waits until everything is answered, then checks every receipt, every balance, and that each statement, sent once
    /// more, is answered as before.
    pub(crate) fn counted(&mut self) -> Result<Counted, Failure> {
        let summary = self.end("first")?;
        let verify = self.place.call(self.place.program("replay")).words(&["verify", "--state"]);
        verify.word(self.state()).read()?;
        let balances = self.folder.join("balances.csv");
        shell::write(&balances, &self.replay(Account::Own, &["balances"]).read()?)?;
        let check = self.place.call("python3").word("bench/check_balances.py");
        let check = check.word(self.list("nodes.csv")).word(self.list("transactions.csv"));
        check.word(self.state().join("outcomes.csv")).word(&balances).read()?;
        self.run = Some(self.begin("again")?);
        let again = self.end("again")?;
        let (sent, same) = (number(&summary, "/sent"), number(&again, "/repeated/same"));
        if sent == 0 || sent != same || number(&again, "/repeated/different") != 0 {
            return Err(Failure::new(format!(
                "{sent} payments were answered, and {same} of them are answered the same again:\n{again}"
            )));
        }
        let longest = summary.pointer("/latency/max_ms").and_then(Value::as_f64);
        let longest = Duration::from_secs_f64(longest.unwrap_or_default().max(0.0) / 1000.0);
        Ok(Counted { payments: sent, longest })
    }

    /// Waits for the end of a run and reads its summary.
    fn end(&mut self, what: &str) -> Result<Value, Failure> {
        wait::until("end of the payments", END_TIME_MAX, || {
            Ok(self.run.as_mut().and_then(Running::ended))
        })?;
        self.run = None;
        let log = self.log(what);
        let summary = serde_json::from_str(&shell::read(&self.output(what))?).ok();
        summary.ok_or_else(|| Failure::new(format!("payments failed:\n{}", last_words(&log))))
    }
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}
