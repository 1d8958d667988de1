//! Where a log is read from, and whose signatures its checkpoints must have.

use crate::args::{LogAt, LogTrust};
use crate::commands::verify::{policy, trust};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Handle;
use tpw_engines::log_store::{LogError, LogFiles, Resources, TiledLog};
use tpw_proof::{Policy, ProofError, SignedCheckpoint, Trust, VerifierKey};
use tpw_server::outbound::Outbound;

/// The longest that one file of a log may take.
const FILE_TIME_MAX: Duration = Duration::from_secs(20);

/// A log's files, from a folder or over HTTP.
pub(in crate::commands) enum Source {
    Folder(LogFiles),
    Web {
        outbound: Box<Outbound>,
        prefix: String,
        /// Where its checkpoint is looked for first.
        checkpoint: &'static str,
    },
}

impl Source {
    /// The log that the command line names; `None` when it names none.
    pub(in crate::commands) fn of(at: &LogAt, trusted: &Trusted) -> Result<Option<Self>, Failure> {
        // The newest checkpoint of a busy server is newer than any witness has seen.
        let of_server = if trusted.has_policy() { "witnessed-checkpoint" } else { "checkpoint" };
        let checkpoint = if at.server.is_some() { of_server } else { "checkpoint" };
        let prefix = match (&at.log, &at.server) {
            (Some(log), _) if !is_address(log) => {
                return Ok(Some(Self::Folder(LogFiles(PathBuf::from(log)))));
            }
            (Some(address), _) => address.trim_end_matches('/').to_owned(),
            (None, Some(server)) => format!("{}/v1/log", server.trim_end_matches('/')),
            (None, None) => return Ok(None),
        };
        let ca = at.ca.as_ref().map(|path| read_named(path, 4 << 20)).transpose()?;
        let outbound = Outbound::new(ca.as_deref(), FILE_TIME_MAX);
        let outbound = outbound.map_err(|error| Failure::usage("log-address").because(error))?;
        Ok(Some(Self::Web { outbound: Box::new(outbound), prefix, checkpoint }))
    }

    /// As [`Source::of`], of a command that needs a log.
    pub(in crate::commands) fn needed(at: &LogAt, trusted: &Trusted) -> Result<Self, Failure> {
        Self::of(at, trusted)?.ok_or_else(|| Failure::usage("log-source"))
    }

    /// The folder, if it is one.
    pub(in crate::commands) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(LogFiles(path)) => Some(path),
            Self::Web { .. } => None,
        }
    }

    /// The log with its newest checkpoint, verified.
    pub(in crate::commands) fn open(&self, trusted: &Trusted) -> Result<TiledLog<'_>, Failure> {
        TiledLog::open(self, |signed| trusted.verify(signed)).map_err(failed)
    }
}

fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

impl Resources for Source {
    fn read(&self, path: &str, size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        match self {
            Self::Folder(files) => files.read(path, size_max),
            Self::Web { checkpoint, .. } if path == "checkpoint" && *checkpoint != path => {
                match self.fetch(checkpoint, size_max)? {
                    None => self.fetch(path, size_max),
                    found => Ok(found),
                }
            }
            Self::Web { .. } => self.fetch(path, size_max),
        }
    }
}

impl Source {
    fn fetch(&self, path: &str, size_max: u64) -> Result<Option<Vec<u8>>, LogError> {
        let Self::Web { outbound, prefix, .. } = self else { return Ok(None) };
        let away = |why: String| LogError::Away { path: path.to_owned(), why };
        let url = format!("{prefix}/{path}");
        let most = usize::try_from(size_max).unwrap_or(usize::MAX);
        let asked = outbound.get(&url, most);
        // The proofs that are made from these files know nothing of waiting.
        let answer = tokio::task::block_in_place(|| Handle::current().block_on(asked));
        let answer = answer.map_err(|error| away(error.to_string()))?;
        match answer.status {
            200 => Ok(Some(answer.body.to_vec())),
            // A log answers what it has pruned with an error of its choice.
            403 | 404 | 410 => Ok(None),
            status => Err(away(format!("HTTP {status}"))),
        }
    }
}

/// What made reading a log fail: something that does not hold is exit 4.
pub(in crate::commands) fn failed(error: LogError) -> Failure {
    match error {
        LogError::Proof(error) => unproved(error),
        error => Failure::failed("log-read").because(error),
    }
}

/// Something that does not hold.
pub(in crate::commands) fn unproved(error: ProofError) -> Failure {
    let cause_key = Some(format!("proof-{}", error.code()));
    Failure { cause_key, ..Failure::new(Exit::NotVerified, "log-unproved").because(error) }
}

/// Whose signatures a checkpoint must have.
pub(in crate::commands) enum Trusted {
    /// The operator's log, with all its keys.
    File(Box<Trust>),
    /// Any of the logs of a policy, with its quorum.
    Policy(Box<Policy>),
}

impl Trusted {
    pub(in crate::commands) fn of(args: &LogTrust) -> Result<Self, Failure> {
        let policy = args.policy.as_deref().map(policy).transpose()?;
        let Some(path) = &args.trust else {
            let policy = policy.ok_or_else(|| Failure::usage("log-trust"))?;
            // A policy may leave the log to other knowledge; here there is none.
            if policy.logs().is_empty() {
                return Err(Failure::usage("policy-no-log"));
            }
            return Ok(Self::Policy(Box::new(policy)));
        };
        let mut trust = trust(path)?;
        if policy.is_some() {
            trust.witness_policy = policy;
        }
        Ok(Self::File(Box::new(trust)))
    }

    /// The trust file, if one was named.
    pub(in crate::commands) fn file(&self) -> Option<&Trust> {
        match self {
            Self::File(trust) => Some(trust),
            Self::Policy(_) => None,
        }
    }

    fn has_policy(&self) -> bool {
        match self {
            Self::Policy(_) => true,
            Self::File(trust) => trust.witness_policy.is_some(),
        }
    }

    /// The keys of the logs, as a witness has to know them.
    pub(in crate::commands) fn log_keys(&self) -> Vec<VerifierKey> {
        let of_policy = |policy: &Policy| policy.logs().iter().map(|log| log.key.clone()).collect();
        match self {
            Self::Policy(policy) => of_policy(policy),
            Self::File(trust) => {
                let mut keys = trust.log_keys.clone();
                let more = trust.witness_policy.as_ref().map_or_else(Vec::new, of_policy);
                keys.extend(more.into_iter().filter(|key| !trust.log_keys.contains(key)));
                keys
            }
        }
    }

    pub(in crate::commands) fn verify(&self, signed: &SignedCheckpoint) -> Result<(), ProofError> {
        let policy = match self {
            Self::Policy(policy) => Some(policy.as_ref()),
            Self::File(trust) => {
                if signed.checkpoint().origin != trust.origin {
                    let (left, right) = ("the checkpoint", "the trust file");
                    return Err(ProofError::Mismatch { field: "origin", left, right });
                }
                signed.verify_all(&trust.log_keys)?;
                trust.witness_policy.as_ref()
            }
        };
        policy.map_or(Ok(()), |policy| policy.judge(signed)?.demand())
    }
}
