//! What an operator decides when setting up, and why the engine may not start.

use crate::anchor::{AnchorError, Anchors};
use crate::books::StoreError;
use crate::evidence::KeepError;
use crate::files::FileError;
use crate::log_store::LogError;
use crate::outbox::Outbox;
use crate::pkcs11::{KeyPlace, TokenError};
use crate::stamped::{OutsideAuthority, StampedError};
use core::num::NonZeroU32;
use std::sync::Arc;
use tpw_core::{Asset, Money, Name, Span};
use tpw_crypto::CryptoError;
use tpw_flow::{DeskFault, Rejection};
use tpw_proof::timestamp::{Disclosure, TspError};
use tpw_proof::{Policy, ProofError};
use tpw_screen::ScreenError;

/// Where the books are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreConfig {
    /// In one file of the data folder.
    Sqlite,
    /// In PostgreSQL, at this address, which holds no password: `crate::postgres::Address`. The log's checkpoints are kept
    /// there too, so that another server, in a data folder of its own with the same keys, can go on.
    Postgres(String),
}

/// The settings of one operator.
#[derive(Clone, Debug)]
pub struct Config {
    /// The operator's name: the audience of every intent.
    pub audience: Name,
    /// The name of the log, in every checkpoint: the audience followed by `/log` by default.
    pub origin: String,
    /// The assets that are set up, each with an issuance account.
    pub assets: Vec<Asset>,
    /// Screening rules as TOML; the built-in ones if absent.
    pub rules_toml: Option<String>,
    /// The object identifier of the time-stamp policy.
    pub tsa_policy: String,
    /// That of the second policy, whose times are whole seconds. It is given to whoever asks for it, and no checkpoint has it.
    pub tsa_policy_seconds: String,
    /// That of a second key, of ML-DSA-65, for whoever asks for it; the log's checkpoints then have a second time-stamp now and then.
    pub tsa_second_policy: Option<String>,
    /// How far the clock may be off before no time-stamps are given, in milliseconds.
    pub tsa_accuracy_ms: u64,
    /// Whether the authority hands out its certificate with a token that others ask for.
    pub tsa_certificate: Disclosure,
    /// Where the key is that signs the time-stamps that others ask for. The log's own checkpoints always have theirs from the data
    /// folder: a payment may not wait for a token.
    pub tsa_key: KeyPlace,
    /// For how long a key answers who asks for a time-stamp, from its certificate's first second on.
    pub tsa_key_use: Span,
    /// One in so many answers to who asks for a time-stamp is verified before it leaves (`docs/adr/0018`). What a PKCS #11 token signs is
    /// verified each time, and so are the time-stamps of the log's own checkpoints.
    pub tsa_self_check: NonZeroU32,
    /// How many commands may wait for the writer before more are turned away.
    pub queue: usize,
    /// How many decisions of the policies that changed nothing may wait to be stored, which takes less than a second. When as many wait,
    /// requests are turned away.
    pub decisions: usize,
    /// Where the books are kept.
    pub store: StoreConfig,
    /// The witnesses that are asked to cosign the log's checkpoints, with their addresses.
    pub witnesses: Option<Policy>,
    /// Other time-stamp authorities that are asked to stamp the log's checkpoints as well.
    pub outside: Vec<OutsideAuthority>,
    /// Whether evidence records are made. Those that were made go on being handed out.
    pub evidence: bool,
    /// A payment of such an amount or more is not answered before the witnesses' quorum covers it; one amount for each asset.
    pub witnessed_from: Vec<Money>,
    /// The proofs of the account that anchors the log on a chain: receipts that are asked for later have them.
    pub anchors: Option<Arc<Anchors>>,
    /// The release of a held payment of such an amount or more needs the approval of several people, and so does the lifting of a freeze
    /// or of limits on as much; one amount for each asset.
    pub approvals_above: Vec<Money>,
    /// How many of them, beside whoever asks.
    pub approvals: u8,
    /// Whether nobody else is asked to agree: the way back when all others who could are gone.
    pub operator_alone: bool,
    /// What sends messages to people; without it nobody gets a code.
    pub outbox: Option<Arc<dyn Outbox>>,
}

impl Config {
    /// The policy of checkpoints' time-stamps when none is named. It is under the number that IANA keeps for documentation
    /// (RFC 5612): an operator has its own.
    pub const FIRST_TSA_POLICY: &str = "1.3.6.1.4.1.32473.1.1";

    /// The usual settings for an operator called so.
    #[must_use]
    pub fn new(audience: Name) -> Self {
        let plain = |c: char| if c.is_whitespace() || c == '+' { '-' } else { c };
        let origin: String = audience.as_str().chars().map(plain).collect();
        let assets = ["USD/2", "CNY/2", "BTC/8", "ETH/18"];
        Self {
            origin: format!("{origin}/log"),
            audience,
            assets: assets.iter().filter_map(|text| text.parse().ok()).collect(),
            rules_toml: None,
            tsa_policy: Self::FIRST_TSA_POLICY.to_owned(),
            tsa_policy_seconds: "1.3.6.1.4.1.32473.1.2".to_owned(),
            tsa_second_policy: None,
            tsa_accuracy_ms: 1_000,
            tsa_certificate: Disclosure::OnRequest,
            tsa_key: KeyPlace::Folder,
            // CA/Browser Forum, code-signing requirements §6.3.2: no longer than 15 months.
            tsa_key_use: Span::from_secs(365 * 24 * 3600),
            tsa_self_check: NonZeroU32::MIN.saturating_add(31),
            queue: 8_192,
            decisions: 16_384,
            store: StoreConfig::Sqlite,
            witnesses: None,
            outside: Vec::new(),
            evidence: false,
            witnessed_from: Vec::new(),
            anchors: None,
            approvals_above: Vec::new(),
            approvals: 2,
            operator_alone: false,
            outbox: None,
        }
    }
}

/// Why the engine cannot start or read.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The books.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The proof of an anchor.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A key.
    #[error("the operator's keys cannot be used: {0}")]
    Crypto(#[from] CryptoError),
    /// Certificates or trust.
    #[error("the evidence cannot be set up: {0}")]
    Proof(#[from] ProofError),
    /// Nobody could read the trust file.
    #[error(
        "the trust file of these settings, with {roots} root certificates of time-stamp authorities, cannot be read by anybody: {why}; \
         name fewer authorities, or fewer roots of each"
    )]
    Unreadable {
        /// How many root certificates it would have.
        roots: usize,
        /// What its readers say.
        why: ProofError,
    },
    /// The time-stamp authority.
    #[error("the time-stamp authority cannot be set up: {0}")]
    Timestamp(#[from] TspError),
    /// Other authorities, or the store of their tokens.
    #[error(transparent)]
    Stamped(#[from] StampedError),
    /// The store of evidence records, or one that does not hold.
    #[error(transparent)]
    Evidence(#[from] KeepError),
    /// The token with the time-stamping key.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The screening rules.
    #[error(transparent)]
    Rules(#[from] ScreenError),
    /// The state could not be built.
    #[error(transparent)]
    Desk(#[from] DeskFault),
    /// A first account or device could not be set up.
    #[error("setting up failed: {0}")]
    SetUp(#[from] Rejection),
    /// The folder belongs to another operator.
    #[error(
        "the data folder belongs to `{found}`, not to `{wanted}`; name another folder or that operator"
    )]
    OtherOperator {
        /// Whose it is.
        found: String,
        /// Who was named.
        wanted: String,
    },
    /// A key is destroyed, and the log does not have that yet.
    #[error("the end of a key cannot be logged: {0}")]
    KeyEnd(PayError),
    /// A thread could not be started.
    #[error("the system gives no thread: {0}")]
    Thread(std::io::Error),
    /// Payments would wait for ever.
    #[error("payments are to wait for witnesses, but no policy asks for a quorum of them")]
    NoQuorum,
    /// A part of the folder is not there, though the folder was in use.
    #[error(
        "`{what}` is missing from the data folder, which was in use before; restore it from a backup"
    )]
    Missing {
        /// Which.
        what: &'static str,
    },
    /// A part of the folder is damaged.
    #[error("`{what}` in the data folder is damaged; restore it from a backup")]
    Damaged {
        /// Which.
        what: &'static str,
    },
}

/// Why a payment or another command was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayError {
    /// The statement is no statement, or its signature does not hold.
    #[error(transparent)]
    BadStatement(#[from] ProofError),
    /// It is booked, and of an amount that waits for the witnesses, whose quorum is not there yet.
    #[error(
        "the payment is booked, but not witnessed yet; send the same request again in a moment"
    )]
    Unwitnessed,
    /// It was rejected and has changed nothing.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Too much is waiting.
    #[error("the server is busy; send the same request again in a moment")]
    Busy,
    /// The writer or the log has stopped. Whether the command was done is not known here.
    #[error("the server cannot answer now ({0}); send the same request again later")]
    Stopped(String),
}
