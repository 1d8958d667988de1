//! What can go wrong on the device, said to its owner.

use tpw_core::{AccountId, Asset, CodecError, DeviceId, PaymentId};
use tpw_crypto::{Algorithm, CryptoError};
use tpw_proof::ProofError;

/// Why the wallet did not do what it was asked. None of these changed anything.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// The passphrase does not follow the policy.
    #[error("the passphrase {0}: choose 8 to 1024 bytes, not only spaces")]
    PassphrasePolicy(&'static str),
    /// The vault is whole, but this passphrase does not open it.
    #[error("the passphrase is wrong: the vault does not open with it")]
    WrongPassphrase,
    /// The vault file is damaged; no passphrase was tried or none can help.
    #[error("the vault file is damaged ({0}): restore it from a backup")]
    VaultCorrupt(&'static str),
    /// Devices sign with Ed25519 or P-256.
    #[error("a device cannot sign payments with {0}: choose Ed25519 or P-256")]
    SigningAlgorithm(Algorithm),
    /// The vault belongs to another device already.
    #[error("this vault is enrolled as `{0}`: make a new vault for another device")]
    AlreadyEnrolled(DeviceId),
    /// Paying needs an enrolled device.
    #[error("this device is not enrolled: enrol it with a code from the operator first")]
    NotEnrolled,
    /// The profile file is not what the wallet wrote.
    #[error("the profile file is damaged: {0}")]
    ProfileCorrupt(String),
    /// The journal holds something else than what was appended to it.
    #[error("the journal is damaged at byte {offset} ({cause}): restore it from a backup")]
    JournalCorrupt {
        /// Where the damaged record starts, in bytes from the start of the file.
        offset: usize,
        /// What does not fit.
        cause: &'static str,
    },
    /// No account of this profile has this id or label.
    #[error(
        "`{0}` is no account of this wallet: give an account id or a label from the account list"
    )]
    UnknownAccount(String),
    /// The account holds another asset than the payment.
    #[error("`{account}` holds {holds}, not {wanted}: pay from an account that holds {wanted}")]
    AssetMismatch {
        /// The payer's account.
        account: AccountId,
        /// The asset of the account.
        holds: Asset,
        /// The asset of the payment.
        wanted: Asset,
    },
    /// The journal has no such payment.
    #[error("`{0}` is not in this device's journal")]
    UnknownPayment(PaymentId),
    /// The payment is already in the journal.
    #[error("`{0}` is in the journal already: an id is used once")]
    RepeatedPayment(PaymentId),
    /// The journal does not go from one of these states to the other.
    #[error("`{payment}` is {from} and cannot become {to}")]
    Transition {
        /// The payment.
        payment: PaymentId,
        /// Its state.
        from: &'static str,
        /// The state that was asked for.
        to: &'static str,
    },
    /// The intent does not continue the chain of its device and account.
    #[error("`{payment}` does not continue its account's chain: expected number {expected}")]
    OutOfChain {
        /// The payment.
        payment: PaymentId,
        /// The sequence number that comes next.
        expected: u64,
    },
    /// The server says that a number was not used, and also that a later one was.
    #[error(
        "`{payment}` has number {sequence} and a later number is used already: the server contradicts itself, report it to the operator"
    )]
    ChainConflict {
        /// The payment.
        payment: PaymentId,
        /// Its sequence number.
        sequence: u64,
    },
    /// A chain position that the journal knows better, or cannot judge before its open payments are answered.
    #[error(
        "the chain of `{account}` is not moved to number {next}: it is there already, or has payments without an answer"
    )]
    NotAdopted {
        /// The account.
        account: AccountId,
        /// The number that was offered.
        next: u64,
    },
    /// The same id or batch line stands for another order already.
    #[error("`{0}` was made for the same id or line with other content: choose a new id")]
    KeyReused(PaymentId),
    /// Two tree heads of one size with different roots: the log shows different people different pasts.
    #[error("the operator's log is forked at size {0}: keep your files and report it")]
    LogForked(u64),
    /// Only a payment that was sent and not answered finally can be stepped up.
    #[error("`{payment}` is {state} and waits for no step-up")]
    NotWaiting {
        /// The payment.
        payment: PaymentId,
        /// Its state.
        state: &'static str,
    },
    /// A receipt for something else than what this device signed.
    #[error("the receipt is about another statement than the one signed for `{0}`")]
    ReceiptOfAnother(PaymentId),
    /// The batch file as a whole cannot be read.
    #[error("the batch file cannot be read: {0}")]
    Batch(String),
    /// The order would make an intent that no one accepts.
    #[error("the payment cannot be made: {0}")]
    Intent(#[from] CodecError),
    /// A cryptographic operation failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// Evidence could not be made or read.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl WalletError {
    /// The stable code for translations and scripts.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PassphrasePolicy(_) => "passphrase_policy",
            Self::WrongPassphrase => "wrong_passphrase",
            Self::VaultCorrupt(_) => "vault_corrupt",
            Self::SigningAlgorithm(_) => "signing_algorithm",
            Self::AlreadyEnrolled(_) => "already_enrolled",
            Self::NotEnrolled => "not_enrolled",
            Self::ProfileCorrupt(_) => "profile_corrupt",
            Self::JournalCorrupt { .. } => "journal_corrupt",
            Self::UnknownAccount(_) => "unknown_account",
            Self::AssetMismatch { .. } => "asset_mismatch",
            Self::UnknownPayment(_) => "unknown_payment",
            Self::RepeatedPayment(_) => "repeated_payment",
            Self::Transition { .. } => "transition",
            Self::OutOfChain { .. } => "out_of_chain",
            Self::ChainConflict { .. } => "chain_conflict",
            Self::NotAdopted { .. } => "not_adopted",
            Self::KeyReused(_) => "key_reused",
            Self::LogForked(_) => "log_forked",
            Self::NotWaiting { .. } => "not_waiting",
            Self::ReceiptOfAnother(_) => "receipt_of_another",
            Self::Batch(_) => "batch",
            Self::Intent(_) => "intent",
            Self::Crypto(_) => "crypto",
            Self::Proof(_) => "proof",
        }
    }
}
