//! Whose processes database servers are: PostgreSQL refuses to run as root.

use std::path::{Path, PathBuf};
use std::process::Child;

use crate::shell::{Call, Failure, Workplace};

/// The account of Debian's packages.
const SERVICE: &str = "postgres";

/// The operating system's account under which servers run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Account {
    /// This process is root: servers run as `postgres`.
    Service,
    /// Servers run as the person who started this.
    Own,
}

impl Account {
    pub(crate) fn find(place: &Workplace) -> Result<Self, Failure> {
        let root = place.call("id").word("-u").read()?.trim() == "0";
        Ok(if root { Self::Service } else { Self::Own })
    }

    /// A call of a program under this account. When this process ends, whatever ends it, the kernel sends a server that is
    /// started so `SIGINT`: PostgreSQL and etcd stop then, Patroni asks its PostgreSQL to, which may take long.
    pub(crate) fn call(self, place: &Workplace, program: impl AsRef<Path>) -> Call {
        self.after(place.call("setpriv"), program)
    }

    /// The same behind another program that runs what follows it.
    pub(crate) fn after(self, call: Call, program: impl AsRef<Path>) -> Call {
        let call = match self {
            Self::Own => call,
            // With a home of its own: the caller's may not be entered.
            Self::Service => call.words(&[
                "--reuid",
                SERVICE,
                "--regid",
                SERVICE,
                "--init-groups",
                "--reset-env",
            ]),
        };
        call.words(&["--pdeathsig", "INT", "--"]).word(program.as_ref())
    }

    /// Gives a folder to this account, for it alone.
    pub(crate) fn own(self, place: &Workplace, folder: &Path) -> Result<(), Failure> {
        place.call("chmod").words(&["-R", "go="]).word(folder).pass()?;
        match self {
            Self::Own => Ok(()),
            Self::Service => {
                let owner = format!("{SERVICE}:{SERVICE}");
                place.call("chown").words(&["-R", &owner]).word(folder).pass()
            }
        }
    }
}

/// A server in a process of its own. It is killed when this value goes.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn new(child: Child, log: &Path) -> Self {
        Self { child, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said last, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let ended = self.child.try_wait().ok().flatten()?;
        Some(format!("{ended}\n{}", last_words(&self.log)))
    }

    /// Sends it a signal by its name, as `kill` knows it.
    pub(crate) fn signal(&self, place: &Workplace, name: &str) -> Result<(), Failure> {
        signal(place, name, &[self.pid()])
    }

    /// Waits for its end.
    pub(crate) fn reap(&mut self) {
        // Nothing is left to do for a process that is gone already.
        let _gone = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        self.reap();
    }
}

/// Sends processes a signal; one that is gone already is no failure.
pub(crate) fn signal(place: &Workplace, name: &str, pids: &[u32]) -> Result<(), Failure> {
    for pid in pids {
        place.call("kill").words(&["-s", name, &pid.to_string()]).quiet()?;
    }
    Ok(())
}

/// The end of a server's log.
pub(crate) fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
}
