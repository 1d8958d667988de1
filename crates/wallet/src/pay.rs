//! From an order to a signed statement in the journal.

use tpw_core::codec::Writer;
use tpw_core::{AccountId, Amount, Hash32, Instant, Intent, Money, Name, PaymentId, Purpose, Span};
use tpw_crypto::{Entropy, sha256};

use crate::WalletError;
use crate::journal::{BatchLine, ChainKey, Event, Journal, OrderKey, Plan};
use crate::profile::Profile;
use crate::vault::Vault;

/// How long an intent lives when its owner does not say: long enough for a step-up and for a server that is away.
pub const LIFE_DEFAULT: Span = Span::from_secs(3600);

/// Where an order comes from; it decides what makes the same command again the same payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A command without an id.
    Command,
    /// A command with an id of its own.
    Named(Name),
    /// A line of a batch file.
    Line(BatchLine),
}

/// What the owner of the device wants to pay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// The account to debit; one of the profile's.
    pub payer: AccountId,
    /// The account to credit.
    pub payee: AccountId,
    /// How much of what.
    pub money: Money,
    /// What for.
    pub purpose: Purpose,
    /// The most to be paid as a fee, in minor units of the same asset.
    pub fee_limit: Amount,
    /// How long the intent may be carried out; at most [`Intent::LIFE_MAX`].
    pub life: Span,
    /// Where it comes from.
    pub origin: Origin,
}

impl Order {
    /// The hash of payer, payee, money and purpose: two orders with one fingerprint ask for the same.
    ///
    /// Fee limit and life are not part of it: they say how, not what.
    #[must_use]
    pub fn fingerprint(&self) -> Hash32 {
        let mut w = Writer::new();
        w.array(6).text("tpw/order/v1").bytes(self.payer.as_bytes()).bytes(self.payee.as_bytes());
        w.text(&self.money.asset.to_string()).amount(self.money.amount);
        w.text(self.purpose.as_str());
        Hash32::new(sha256(&w.finish()))
    }

    /// What makes the same command again the same payment.
    #[must_use]
    pub fn key(&self) -> OrderKey {
        match &self.origin {
            Origin::Command => OrderKey::Content(self.fingerprint()),
            Origin::Named(name) => OrderKey::Named(name.clone()),
            Origin::Line(line) => OrderKey::Line(*line),
        }
    }

    /// What the journal writes down of this order before the signed statement of `intent` is sent.
    #[must_use]
    pub fn prepared(&self, intent: Intent, statement: Vec<u8>) -> Event {
        let (key, fingerprint) = (self.key(), self.fingerprint());
        Event::Prepared { intent: Box::new(intent), statement, key, fingerprint }
    }
}

/// Makes the next intent of the payer's chain.
///
/// # Errors
/// [`WalletError::NotEnrolled`], [`WalletError::UnknownAccount`] or [`WalletError::AssetMismatch`] when the profile
/// cannot pay this; [`WalletError::Intent`] when no one could (amount zero, payer is payee, life too long).
pub fn prepare(
    order: &Order,
    profile: &Profile,
    journal: &Journal,
    entropy: &mut dyn Entropy,
    now: Instant,
) -> Result<Intent, WalletError> {
    let device = profile.device.ok_or(WalletError::NotEnrolled)?;
    let account = profile.account(order.payer)?;
    if account.asset != order.money.asset {
        let (holds, wanted) = (account.asset, order.money.asset);
        return Err(WalletError::AssetMismatch { account: order.payer, holds, wanted });
    }
    let link = journal.link(ChainKey { device, account: order.payer });
    let mut random = [0; 10];
    entropy.fill(&mut random)?;
    let intent = Intent {
        payment: PaymentId::new(now.unix_ms(), random),
        device,
        payer: order.payer,
        payee: order.payee,
        money: order.money,
        fee_limit: order.fee_limit,
        sequence: link.next,
        previous: link.previous,
        seen: profile.seen,
        created: now,
        expires: now.plus(order.life),
        audience: profile.audience().clone(),
        purpose: order.purpose.clone(),
    };
    intent.check()?;
    Ok(intent)
}

/// Signs an intent with the key that the vault signs payments with, of a hybrid device with both, and gives the statement.
///
/// # Errors
/// [`WalletError::NotEnrolled`] when the intent names another device than the vault's, [`WalletError::Proof`] when
/// signing fails.
pub fn sign(intent: &Intent, vault: &Vault) -> Result<Vec<u8>, WalletError> {
    if vault.device() != Some(intent.device) {
        return Err(WalletError::NotEnrolled);
    }
    vault.sign(intent)
}

/// What [`begin`] found or made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begun {
    /// A new payment. Record these events in one write and sync it before the statement is sent.
    New {
        /// The payment.
        payment: PaymentId,
        /// What to record: two events or none of them where it takes the place of an expired payment.
        events: Vec<Event>,
    },
    /// The same command was cut off before: send the entry's statement (again).
    Resume {
        /// The payment.
        payment: PaymentId,
    },
    /// The same id or batch line was answered before: show the entry, send nothing.
    Finished {
        /// The payment.
        payment: PaymentId,
    },
}

/// Begins an order: continues the unfinished payment of the same command, or makes a new one and has it signed by `sign`,
/// which is whoever holds the key.
///
/// # Errors
/// Those of [`prepare`], [`Journal::plan`] and `sign`.
pub fn begin<E: From<WalletError>>(
    order: &Order,
    profile: &Profile,
    journal: &Journal,
    entropy: &mut dyn Entropy,
    now: Instant,
    sign: impl FnOnce(&Intent) -> Result<Vec<u8>, E>,
) -> Result<Begun, E> {
    let stale = match journal.plan(&order.key(), order.fingerprint(), now)? {
        Plan::Resume(entry) => return Ok(Begun::Resume { payment: entry.payment() }),
        Plan::Finished(entry) => return Ok(Begun::Finished { payment: entry.payment() }),
        Plan::Stale(entry) => Some(entry.payment()),
        Plan::New => None,
    };
    let (intent, mut events) = match stale {
        None => (prepare(order, profile, journal, entropy, now)?, Vec::new()),
        Some(payment) => {
            let abandoned = Event::Abandoned { payment, code: expired()? };
            // The new payment takes the number that is freed. The rare case pays for a copy.
            let mut after = journal.clone();
            after.record(abandoned.clone())?;
            (prepare(order, profile, &after, entropy, now)?, vec![abandoned])
        }
    };
    let (payment, statement) = (intent.payment, sign(&intent)?);
    events.push(order.prepared(intent, statement));
    Ok(Begun::New { payment, events })
}

fn expired() -> Result<Name, WalletError> {
    let bad = |_text| tpw_core::CodecError::Value { what: "abandonment", field: "code" };
    Ok(Name::new("expired").map_err(bad)?)
}
