//! What an answer of the server means for the number that the intent holds.

/// What the device does with an unfinished payment after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AnswerClass {
    /// The server took the intent; its id is burnt and its number is used. Record `Done` or `Refused`.
    Consumed,
    /// Nothing changed at the server, and this statement can never be taken. Record `Abandoned`: the number is free,
    /// and a new payment takes it with a new id.
    Never,
    /// Nothing changed at the server yet. Record nothing and send the same bytes again later.
    Again,
}

/// The problem codes after which a statement can never be taken, whatever happens later.
///
/// Only for these is it safe to give the number to another payment. A statement that merely was not taken *yet* still
/// lies in somebody's buffers, and could be carried out after its number was given away.
pub const NEVER_CODES: &[&str] = &[
    // Time only goes on.
    "expired",
    // What is signed does not change.
    "bad_statement",
    "wrong_audience",
    "checkpoint_fork",
    // The number belongs to another intent, or the predecessor is another: both for good.
    "sequence_used",
    "chain_mismatch",
    // The id belongs to other bytes.
    "exists_with_different",
    // A key does not come back to life, and a device that its person disowned stays so.
    "device_revoked",
    "forbidden",
];

/// The class of an answer: the problem's or refusal's `code`, and its member `consumed`.
///
/// - `consumed: true`: every code of [`tpw_core::Refusal`] (`insufficient_funds`, `risk`, `step_up_expired`, ...), and
///   every outcome of a payment that was carried out.
/// - `consumed: false` with one of [`NEVER_CODES`]: give it up.
/// - `consumed: false` with any other code, known or not: `sequence_gap` (a payment that was sent earlier has not
///   arrived yet), `from_future`, `not_owner`, `busy`, `rate_limited`,
///   `unavailable`, `internal`: send again.
///   Such a payment ends when it expires: the server then answers its outcome, or `expired`.
#[must_use]
pub fn classify(code: &str, consumed: Option<bool>) -> AnswerClass {
    match consumed {
        Some(true) => AnswerClass::Consumed,
        Some(false) if NEVER_CODES.contains(&code) => AnswerClass::Never,
        Some(false) | None => AnswerClass::Again,
    }
}
