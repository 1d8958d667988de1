//! The whole story of a list, with a server of its own: send, verify, compare, audit, send again.

use crate::actor::Actor;
use crate::balances;
use crate::client::Client;
use crate::error::ReplayError;
use crate::input::Input;
use crate::run::{Options, Run, Summary};
use crate::say::tell;
use crate::server::Server;
use crate::state::State;
use crate::verify::{self, Verified};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tpw_core::Asset;

/// What a story is told about.
#[derive(Clone, Debug)]
pub struct Plot {
    /// The program `tpw`.
    pub tpw: PathBuf,
    /// The folder with `nodes.csv` and `transactions.csv`.
    pub lists: PathBuf,
    /// The independent check, `check_balances.py`.
    pub check: PathBuf,
    /// Where server and state lie.
    pub work: PathBuf,
    /// The asset of all amounts.
    pub asset: Asset,
    /// Screening rules in place of the built-in ones.
    pub rules: Option<PathBuf>,
    /// The first transfers only.
    pub limit: Option<usize>,
    /// The most payments under way.
    pub connections: usize,
}

/// What the story came to.
#[derive(Clone, Serialize, Debug)]
pub struct Story {
    /// Sending the list.
    pub run: Summary,
    /// Every receipt.
    pub receipts: Verified,
    /// What the independent check of balances said.
    pub balances: String,
    /// What `tpw log fsck` said after the first run and after the second.
    pub fsck: [String; 2],
    /// Sending the list again, after a restart of the server.
    pub rerun: Summary,
}

impl Plot {
    fn input(&self) -> Result<Input, ReplayError> {
        let (nodes, transfers) = (self.lists.join("nodes.csv"), self.transfers());
        Input::read(&nodes, &transfers, self.asset, self.limit)
    }

    fn transfers(&self) -> PathBuf {
        self.lists.join("transactions.csv")
    }

    fn state(&self) -> PathBuf {
        self.work.join("state")
    }

    fn data(&self) -> PathBuf {
        self.work.join("data")
    }

    /// Tells the story; every step must hold.
    ///
    /// # Errors
    /// [`ReplayError::Check`] names what does not hold.
    pub async fn tell(&self) -> Result<Story, ReplayError> {
        tell("1 sending the list");
        let (run, balances) = self.one_run().await?;
        tell("2 checking the balances with an independent program");
        let balances_path = self.work.join("balances.csv");
        std::fs::write(&balances_path, balances)
            .map_err(ReplayError::io("write", &balances_path))?;
        let said = self.check_balances(&balances_path)?;
        tell(&said);
        tell("3 verifying every receipt");
        let receipts = self.verify()?;
        tell("4 auditing the log");
        let first = self.fsck()?;
        tell("5 sending the list again");
        let (rerun, _) = self.one_run().await?;
        let changed_nothing = rerun.repeated.as_ref().is_some_and(|again| again.changed_nothing());
        if !changed_nothing {
            return Err(ReplayError::Check(format!(
                "the rerun changed something: {:?}",
                rerun.repeated
            )));
        }
        let second = self.fsck()?;
        Ok(Story { run, receipts, balances: said, fsck: [first, second], rerun })
    }

    async fn one_run(&self) -> Result<(Summary, String), ReplayError> {
        let server = Server::start(&self.tpw, &self.data(), self.rules.as_deref())?;
        let input = self.input()?;
        let run = Run {
            client: Arc::new(Client::new(&server.url, &server.ca)?),
            operator: Arc::new(Actor::operator(&server.operator_key())?),
            state: State::open(&self.state(), &input)?,
            input,
            options: Options {
                connections: self.connections,
                sync_every: 256,
                server_pid: Some(server.pid()),
            },
        };
        let summary = run.run().await?;
        let read = balances::read(&run.client, &run.operator, &run.state, self.connections).await?;
        drop(run);
        server.stop()?;
        Ok((summary, balances::to_csv(&read)))
    }

    fn verify(&self) -> Result<Verified, ReplayError> {
        let state = State::existing(&self.state())?;
        let verified = verify::verify(&state, &state.file("trust.json"))?;
        if verified.all() {
            Ok(verified)
        } else {
            Err(ReplayError::Check(format!("receipts do not hold: {verified:?}")))
        }
    }

    fn check_balances(&self, balances: &Path) -> Result<String, ReplayError> {
        let mut command = Command::new("python3");
        command.arg(&self.check).arg(self.lists.join("nodes.csv")).arg(self.transfers());
        command.arg(self.state().join("outcomes.csv")).arg(balances);
        succeed(command, "check_balances.py")
    }

    fn fsck(&self) -> Result<String, ReplayError> {
        let mut command = Command::new(&self.tpw);
        command.args(["--json", "log", "fsck", "--data"]).arg(self.data());
        succeed(command, "tpw log fsck")
    }
}

fn succeed(mut command: Command, program: &str) -> Result<String, ReplayError> {
    let failed = |why: String| ReplayError::Program { program: program.to_owned(), why };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(failed(format!("{text} {}", String::from_utf8_lossy(&output.stderr).trim())))
}
