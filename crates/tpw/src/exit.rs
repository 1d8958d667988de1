//! How a command ends: an exit code, and for people what went wrong, why, and what to do.

use crate::client::ClientError;
use std::process::ExitCode;
use tpw_engines::files::FileError;
use tpw_wallet::WalletError;

/// The exit codes. They are part of the interface and never change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// What was asked is done.
    Done,
    /// It failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Refused by the operator, by policy or by risk.
    Refused,
    /// A receipt or a log does not hold.
    NotVerified,
    /// The passphrase has to be given again.
    StepUp,
    /// An operator has to look at it first.
    Held,
    /// Not now: the same command later may succeed.
    Later,
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotVerified => 4,
            Self::StepUp => 5,
            Self::Held => 6,
            Self::Later => 75,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

/// A command that did not do what it was asked.
///
/// `key` names texts in `i18n/`: `error-<key>` says what, `error-<key>-help` what to do where there is such a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// The stable name, also the `code` of the JSON form.
    pub key: String,
    /// What the texts say it about.
    pub args: Vec<(&'static str, String)>,
    /// Why, in the words of whatever found it.
    pub cause: Option<String>,
    /// A text key that says why in the person's language, where there is one.
    pub cause_key: Option<String>,
}

impl Failure {
    /// A failure with this name.
    #[must_use]
    pub fn new(exit: Exit, key: &str) -> Self {
        Self { exit, key: key.to_owned(), args: Vec::new(), cause: None, cause_key: None }
    }

    /// Says what it is about.
    #[must_use]
    pub fn arg(mut self, name: &'static str, value: impl ToString) -> Self {
        self.args.push((name, value.to_string()));
        self
    }

    /// Says why.
    #[must_use]
    pub fn because(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// A mistake in what was given on the command line.
    #[must_use]
    pub fn usage(key: &str) -> Self {
        Self::new(Exit::Usage, key)
    }

    /// Something in this machine failed.
    #[must_use]
    pub fn failed(key: &str) -> Self {
        Self::new(Exit::Failed, key)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        let key = if matches!(error, FileError::InUse { .. }) { "in-use" } else { "file" };
        Self::failed(key).because(error)
    }
}

impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        let (exit, key) = match &error {
            WalletError::UnknownAccount(_)
            | WalletError::AssetMismatch { .. }
            | WalletError::Intent(_)
            | WalletError::KeyReused(_)
            | WalletError::Batch(_)
            | WalletError::PassphrasePolicy(_) => (Exit::Usage, "wallet-order"),
            WalletError::NotEnrolled => (Exit::Failed, "wallet-not-enrolled"),
            WalletError::WrongPassphrase => (Exit::Failed, "wallet-passphrase"),
            WalletError::VaultCorrupt(_)
            | WalletError::JournalCorrupt { .. }
            | WalletError::ProfileCorrupt(_) => (Exit::Failed, "wallet-damaged"),
            WalletError::LogForked(_) | WalletError::ReceiptOfAnother(_) => {
                (Exit::NotVerified, "wallet-evidence")
            }
            _ => (Exit::Failed, "wallet"),
        };
        let cause_key = Some(format!("wallet-error-{}", error.code()));
        Self { cause_key, ..Self::new(exit, key).because(error) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let cause_key = Some(format!("client-error-{}", error.code()));
        let (exit, key) = match error {
            // The server has said it in the language that was asked for.
            ClientError::Problem(problem) => {
                let exit = match problem.status {
                    429 | 503 => Exit::Later,
                    403 => Exit::Refused,
                    _ => Exit::Failed,
                };
                let said = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
                return Self::new(exit, "server-said").arg("code", &problem.code).because(said);
            }
            ClientError::Prove(cause) => return cause,
            ClientError::Address(_) | ClientError::Authority(_) => (Exit::Usage, "server-address"),
            ClientError::Connect(_) => (Exit::Later, "server-away"),
            ClientError::Lost(_) | ClientError::Timeout => (Exit::Later, "server-silent"),
            ClientError::Tls(_) => (Exit::Failed, "server-tls"),
            ClientError::AnswerTooLong => (Exit::Failed, "server-answer-long"),
            ClientError::Answer(_) => (Exit::Failed, "server-answer"),
        };
        Self { cause_key, ..Self::new(exit, key).because(error) }
    }
}
