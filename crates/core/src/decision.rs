//! What screening says about a payment, and why.

codes! {
    /// What is to be done with a payment. Ordered from harmless to grave, so that the gravest of several
    /// opinions is their maximum.
    Verdict: u64 {
        /// Go on.
        Clear = 0 "clear",
        /// Ask the payer for a fresh proof first.
        StepUp = 1 "step_up",
        /// Ask an operator first.
        Hold = 2 "hold",
        /// Do not carry it out.
        Refuse = 3 "refuse",
    }
}

codes! {
    /// Why a score is what it is. The texts in each language are in `i18n/`.
    ReasonCode: u64 {
        /// The amount is high in itself.
        AmountHigh = 1 "amount_high",
        /// The amount is far above what this payer usually sends.
        AmountUnusual = 2 "amount_unusual",
        /// Many payments within a minute.
        Velocity1m = 3 "velocity_1m",
        /// Many payments, or a high sum, within an hour.
        Velocity1h = 4 "velocity_1h",
        /// Many payments, or a high sum, within 24 hours.
        Velocity24h = 5 "velocity_24h",
        /// Many payments, or a high sum, within 30 days.
        Velocity30d = 6 "velocity_30d",
        /// The first payment to this payee.
        PayeeNew = 7 "payee_new",
        /// The device was enrolled a short time ago.
        DeviceNew = 8 "device_new",
        /// The payee sent a similar amount to the payer a short time ago.
        RoundTrip = 9 "round_trip",
        /// Above the limit of one payment in this asset.
        AssetLimit = 10 "asset_limit",
        /// Above what this account may send within a day.
        AccountLimit = 11 "account_limit",
        /// A party is on the block list.
        BlockList = 12 "block_list",
        /// Facts needed for a decision were missing or broken; nothing is cleared then.
        InputBroken = 13 "input_broken",
    }
}

/// One reason: a code and how many points it adds to the score.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reason {
    /// What was seen.
    pub code: ReasonCode,
    /// Points out of 1000.
    pub points: u16,
}

/// The outcome of screening one payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Risk from 0 (none seen) to 1000.
    pub score: u16,
    /// What is to be done.
    pub verdict: Verdict,
    /// Why, gravest first; at most 16.
    pub reasons: Vec<Reason>,
    /// The hash of the rule set that was applied.
    pub rules: crate::hash::Hash32,
}

codes! {
    /// Why a payment was refused after it had been accepted: its id is burnt and its sequence number
    /// is used up.
    Refusal: u64 {
        /// The payee's account does not exist.
        UnknownPayee = 1 "unknown_payee",
        /// The payer's account holds another asset.
        PayerAssetMismatch = 2 "payer_asset_mismatch",
        /// The payee's account holds another asset.
        PayeeAssetMismatch = 3 "payee_asset_mismatch",
        /// The available balance does not cover amount and fee.
        InsufficientFunds = 4 "insufficient_funds",
        /// The payer's account is frozen.
        PayerFrozen = 5 "payer_frozen",
        /// The payee's account is frozen.
        PayeeFrozen = 6 "payee_frozen",
        /// A balance would exceed what an account can hold.
        Overflow = 7 "overflow",
        /// Screening refused it; the decision has the reasons.
        Risk = 8 "risk",
        /// No fresh proof came in time.
        StepUpExpired = 9 "step_up_expired",
        /// No operator released it in time.
        HoldExpired = 10 "hold_expired",
        /// An operator rejected it.
        Rejected = 11 "rejected",
        /// A limit of the account would be exceeded.
        AccountLimit = 12 "account_limit",
        /// The fee would exceed the payer's fee limit.
        FeeAboveLimit = 13 "fee_above_limit",
        /// The account is of a kind that devices cannot pay from or to.
        AccountKind = 14 "account_kind",
    }
}
