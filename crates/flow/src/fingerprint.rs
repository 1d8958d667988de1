//! What tells an order from another one under the same id.
//!
//! Nearly all of most orders stands in the rows of their transfers, and a repetition is compared with these. What no row says is that
//! legs are linked, where a linked order ends, when a hold runs out, and which conditions were set. An order with any of that leaves a
//! digest of all of it beside each of its rows. One that its row tells wholly leaves none and costs nothing.

use crate::order::{Order, Ordered};
use tpw_core::codec::Writer;
use tpw_core::{Hash32, Instant};
use tpw_ledger::{Condition, TransferRequest};

/// The beginning of the fingerprint of an order that its rows do not tell wholly: kept with each of its transfers.
///
/// 16 bytes: whoever has one cannot make another order with the same, and who makes two with the same, at the cost of 2^64 hashes,
/// deceives nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderDigest([u8; Self::LEN]);

impl OrderDigest {
    /// How many bytes it has.
    pub const LEN: usize = 16;

    /// From stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl Ordered {
    /// The first part of it that no row of a transfer tells; `None` if its row tells all of it.
    ///
    /// A value date that is the time of booking looks like none in a row, and a part that is the whole looks like all: therefore both
    /// count as not told whenever they are given.
    pub(crate) fn beyond_rows(&self) -> Option<&'static str> {
        match &self.order {
            Order::Linked(_) => Some("legs"),
            Order::Hold { .. } => Some("expires"),
            Order::Transfer(request) if request.effective.is_some() => Some("effective"),
            Order::Post { amount: Some(_), .. } => Some("amount"),
            _ if !self.conditions.is_empty() => Some("conditions"),
            Order::Transfer(_)
            | Order::Post { .. }
            | Order::Void { .. }
            | Order::Reverse { .. } => None,
        }
    }

    /// What is kept with its transfers; `None` for an order that its row tells wholly.
    #[must_use]
    pub fn digest(&self) -> Option<OrderDigest> {
        self.beyond_rows()?;
        self.fingerprint().as_bytes().first_chunk().copied().map(OrderDigest)
    }

    /// A hash of everything in it. No two orders have the same.
    #[must_use]
    pub fn fingerprint(&self) -> Hash32 {
        let mut w = Writer::new();
        w.array(2);
        write_order(&mut w, &self.order);
        w.array(count(self.conditions.len()));
        self.conditions.iter().for_each(|condition| write_condition(&mut w, condition));
        Hash32::new(tpw_crypto::sha256_parts(&[b"tpw/order/v2\0", &w.finish()]))
    }
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}

fn write_order(w: &mut Writer, order: &Order) {
    match order {
        Order::Transfer(request) => write_request(w.array(2).uint(1), request),
        Order::Linked(legs) => {
            w.array(2).uint(2).array(count(legs.len()));
            legs.iter().for_each(|leg| write_request(w, leg));
        }
        Order::Hold { request, expires } => {
            write_request(w.array(3).uint(3), request);
            w.uint(expires.unix_ms());
        }
        Order::Post { hold, id, amount } => {
            w.array(4).uint(4).bytes(hold.as_bytes()).bytes(id.as_bytes());
            w.array(u64::from(amount.is_some()));
            if let Some(amount) = amount {
                w.amount(*amount);
            }
        }
        Order::Void { hold, id } => {
            w.array(3).uint(5).bytes(hold.as_bytes()).bytes(id.as_bytes());
        }
        Order::Reverse { of, id } => {
            w.array(3).uint(6).uint(*of).bytes(id.as_bytes());
        }
    }
}

fn write_request(w: &mut Writer, request: &TransferRequest) {
    let TransferRequest { id, debit, credit, money, effective } = request;
    w.array(7).bytes(id.as_bytes()).bytes(debit.as_bytes()).bytes(credit.as_bytes());
    w.text(&money.asset.to_string()).amount(money.amount);
    w.uint(u64::from(effective.is_some())).uint(effective.map_or(0, Instant::unix_ms));
}

fn write_condition(w: &mut Writer, condition: &Condition) {
    let Condition { account, on, is, than } = condition;
    w.array(5).bytes(account.as_bytes()).uint(on.number().into()).uint(is.number().into());
    w.uint(u64::from(than.is_negative())).amount(than.magnitude());
}
