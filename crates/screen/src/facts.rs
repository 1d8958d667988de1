//! What is known about a payment when it is screened.

use tpw_core::{AccountId, DeviceId, Instant, Money, PaymentId, Span};

/// How far a device may seem to be enrolled after the payment before the facts count as broken:
/// two servers' clocks may disagree a little, never by more.
const CLOCK_TOLERANCE: Span = Span::from_secs(300);

/// The facts of one payment. The caller reads them from the ledger and the directory; none is taken
/// from the payer's own claims.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// The payment.
    pub payment: PaymentId,
    /// The account that pays.
    pub payer: AccountId,
    /// The account that is paid.
    pub payee: AccountId,
    /// How much of what.
    pub money: Money,
    /// The device that signed the intent.
    pub device: DeviceId,
    /// When that device was enrolled.
    pub device_enrolled: Instant,
    /// When the payer's account was opened.
    pub payer_opened: Instant,
    /// When the payee's account was opened; `None` when the ledger does not know it.
    pub payee_opened: Option<Instant>,
    /// Event time: when the server received the payment; it does not go back at one writer.
    pub at: Instant,
}

impl Facts {
    /// Whether the facts contradict themselves or lack something, so that nothing may be cleared.
    pub(crate) fn are_broken(&self) -> bool {
        let after = |instant: Instant| instant > self.at.plus(CLOCK_TOLERANCE);
        self.money.amount.is_zero()
            || self.payer == self.payee
            || self.payer_opened > self.at
            || after(self.device_enrolled)
            || self.payee_opened.is_none_or(after)
    }
}
