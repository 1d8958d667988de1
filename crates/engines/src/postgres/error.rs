//! What can go wrong between this process and a PostgreSQL server.

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PostgresError {
    /// The address is not one that can be used.
    #[error("the address of the store cannot be used: {0}")]
    Address(String),
    /// No server could be reached that takes writes.
    #[error("no server takes writes at `{at}` ({why}); start one, or correct the address")]
    Unreachable {
        /// The hosts that were tried.
        at: String,
        /// What each of them said.
        why: String,
    },
    /// The server is set up so that an answered commit may be lost, or text may be changed.
    #[error("the server has `{name} = {found}`; set it to `{wanted}`, or payments may be lost")]
    Setting {
        /// The name of the setting.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it has to be.
        wanted: &'static str,
    },
    /// Somebody else writes these books.
    #[error("the books are being written by {by}; stop that process first, or wait for its end")]
    Held {
        /// Who, from where, since when.
        by: String,
    },
    /// Another writer has taken over: what this process has in memory is out of date.
    #[error(
        "another process has taken over the books; this one must stop, and may then start anew"
    )]
    Fenced,
    /// The connection was lost, or took too long to answer.
    #[error("the connection to the server is lost while trying to {doing}: {why}")]
    Lost {
        /// What was being done.
        doing: &'static str,
        /// What became of the connection.
        why: String,
    },
    /// The server refused a statement.
    #[error("the server refuses to {doing}: {why}")]
    Refused {
        /// What was being done.
        doing: &'static str,
        /// What the server says.
        why: String,
    },
    /// The server says that it has committed, but not that its standbys have.
    #[error("the server committed without waiting for its standbys: {0}")]
    Alone(String),
}

impl PostgresError {
    /// From what the client library reports.
    pub(super) fn of(doing: &'static str, error: &tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let why = innermost(error);
            return Self::Lost { doing, why };
        };
        if said.constraint() == Some("fence_held") {
            return Self::Fenced;
        }
        // The detail is left out: it may quote a row.
        let why = format!("{} ({})", said.message(), said.code().code());
        // Class 57 is an operator's intervention, 08 a lost connection: the session is over.
        if said.code().code().starts_with("57P") || said.code().code().starts_with("08") {
            return Self::Lost { doing, why };
        }
        Self::Refused { doing, why }
    }
}

/// The library's own words are general; the cause below says what happened.
fn innermost(error: &tokio_postgres::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}
