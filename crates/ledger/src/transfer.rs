//! Transfers: what is asked, what is stored, its bytes, and the links of the hash chains.

use tpw_core::{AccountId, Amount, Asset, Hash32, Instant, Money, Posting, TransferId};
use tpw_crypto::sha256_parts;

tpw_core::codes! {
    /// What a transfer did.
    TransferKind: u8 {
        /// Moved money at once.
        Transfer = 1 "transfer",
        /// Held money for a later post.
        Hold = 2 "hold",
        /// Moved held money, wholly or in part, and released the rest.
        Post = 3 "post",
        /// Released held money.
        Void = 4 "void",
        /// Moved money back.
        Reverse = 5 "reverse",
        /// Released held money because its time had run out.
        Expire = 6 "expire",
    }
}

impl TransferKind {
    /// Whether it changes posted balances.
    #[must_use]
    pub const fn moves_money(self) -> bool {
        matches!(self, Self::Transfer | Self::Post | Self::Reverse)
    }

    /// Whether it ends a hold.
    #[must_use]
    pub const fn resolves_hold(self) -> bool {
        matches!(self, Self::Post | Self::Void | Self::Expire)
    }

    /// Whether it refers to an earlier transfer.
    #[must_use]
    pub const fn refers_back(self) -> bool {
        !matches!(self, Self::Transfer | Self::Hold)
    }
}

/// One leg to transfer or to hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransferRequest {
    /// Its id, never used before: the caller sees to that.
    pub id: TransferId,
    /// The account that gives.
    pub debit: AccountId,
    /// The account that receives.
    pub credit: AccountId,
    /// How much of what.
    pub money: Money,
    /// From when on it counts for the balance by value date; `None` for the time of booking, and never
    /// after that.
    pub effective: Option<Instant>,
}

/// The side of a transfer on which an account stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// It gives.
    Debit,
    /// It receives.
    Credit,
}

/// A transfer as stored. `spec/statement.md` fixes its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransferRow {
    /// Its number in the ledger, from 1, without gaps.
    pub number: u64,
    /// Its id.
    pub id: TransferId,
    /// What it did.
    pub kind: TransferKind,
    /// The account that gives.
    pub debit: AccountId,
    /// The account that receives.
    pub credit: AccountId,
    /// How much of what: of a post, what was posted; of a void or an expiry, what was released.
    pub money: Money,
    /// When it was booked.
    pub at: Instant,
    /// From when on it counts for the balance by value date; not after `at`.
    pub effective: Instant,
    /// The number of the hold that it resolves or of the transfer that it reverses.
    pub pending: Option<u64>,
    /// The number of the previous transfer on the debited account; 0 for none.
    pub prev_debit: u64,
    /// The number of the previous transfer on the credited account; 0 for none.
    pub prev_credit: u64,
    /// The head of the debited account's chain after this transfer.
    pub debit_chain: Hash32,
    /// The head of the credited account's chain after this transfer.
    pub credit_chain: Hash32,
    /// What leaves the pending counters: the whole hold for a post, a void or an expiry, otherwise
    /// zero. No chain commits to it, for it repeats the hold's amount.
    pub released: Amount,
}

/// The bytes are no transfer row.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the bytes are no transfer row: the field `{0}` holds a value that is not allowed")]
pub struct RowError(&'static str);

const ASSET_CODE_LEN: usize = 11;

impl TransferRow {
    /// Length of the bytes that the chains commit to.
    pub const LINKED_LEN: usize = 125;
    /// Length of all bytes.
    pub const LEN: usize = Self::LINKED_LEN + 80;
    /// What the bytes of a link begin with.
    pub const CHAIN_PREFIX: &'static [u8] = b"tpw/chain/v2\0";

    /// The bytes that both chains commit to: all fields but the chain heads
    /// and what is released, at fixed places.
    #[must_use]
    pub fn linked_bytes(&self) -> [u8; Self::LINKED_LEN] {
        let mut out = [0; Self::LINKED_LEN];
        self.write_linked(&mut out);
        out
    }

    fn write_linked(&self, out: &mut [u8; Self::LINKED_LEN]) {
        let mut rest = out.as_mut_slice();
        let mut put = |bytes: &[u8], width: usize| {
            // The widths add up to the length, and no field is longer than its width.
            if let Some((field, after)) = core::mem::take(&mut rest).split_at_mut_checked(width) {
                if let Some(place) = field.get_mut(..bytes.len()) {
                    place.copy_from_slice(bytes);
                }
                rest = after;
            }
        };
        put(&self.number.to_be_bytes(), 8);
        put(self.id.as_bytes(), 16);
        put(&[self.kind.number()], 1);
        put(self.debit.as_bytes(), 16);
        put(self.credit.as_bytes(), 16);
        put(&asset_bytes(&self.money.asset), ASSET_CODE_LEN + 1);
        put(&self.money.amount.minor().to_be_bytes(), 16);
        put(&self.at.unix_ms().to_be_bytes(), 8);
        put(&self.effective.unix_ms().to_be_bytes(), 8);
        put(&self.pending.unwrap_or(0).to_be_bytes(), 8);
        put(&self.prev_debit.to_be_bytes(), 8);
        put(&self.prev_credit.to_be_bytes(), 8);
    }

    /// All bytes: those that the chains commit to, both chain heads, and what is released.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let parts: [&[u8]; 4] = [
            &self.linked_bytes(),
            self.debit_chain.as_bytes(),
            self.credit_chain.as_bytes(),
            &self.released.minor().to_be_bytes(),
        ];
        parts.concat()
    }

    /// Reads exactly what [`TransferRow::to_bytes`] writes. The chain heads are not checked here.
    ///
    /// # Errors
    /// [`RowError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RowError> {
        if bytes.len() != Self::LEN {
            return Err(RowError("length"));
        }
        let mut cursor = Cursor(bytes);
        let row = Self {
            number: cursor.number("number")?,
            id: TransferId::from_bytes(cursor.take("id")?),
            kind: TransferKind::from_number(u8::from_be_bytes(cursor.take("kind")?))
                .ok_or(RowError("kind"))?,
            debit: AccountId::from_bytes(cursor.take("debit")?),
            credit: AccountId::from_bytes(cursor.take("credit")?),
            money: cursor.money()?,
            at: cursor.time("at")?,
            effective: cursor.time("effective")?,
            pending: Some(cursor.number("pending")?).filter(|number| *number != 0),
            prev_debit: cursor.number("prev_debit")?,
            prev_credit: cursor.number("prev_credit")?,
            debit_chain: Hash32::new(cursor.take("debit_chain")?),
            credit_chain: Hash32::new(cursor.take("credit_chain")?),
            released: Amount::from_minor(u128::from_be_bytes(cursor.take("released")?)),
        };
        row.check()?;
        row.check_released()?;
        Ok(row)
    }

    /// Checks what holds for every row by itself, whoever made it. What is released is not looked at:
    /// a statement need not say it.
    pub(crate) fn check(&self) -> Result<(), RowError> {
        let referred = self.pending.unwrap_or(0);
        match () {
            () if self.number == 0 => Err(RowError("number")),
            () if self.debit == self.credit => Err(RowError("credit")),
            () if self.money.amount.is_zero() => Err(RowError("amount")),
            () if self.kind.refers_back() != self.pending.is_some() => Err(RowError("pending")),
            () if referred >= self.number => Err(RowError("pending")),
            () if self.prev_debit >= self.number => Err(RowError("prev_debit")),
            () if self.prev_credit >= self.number => Err(RowError("prev_credit")),
            () if self.effective > self.at => Err(RowError("effective")),
            () => Ok(()),
        }
    }

    /// Checks that what is released fits what the transfer did.
    pub(crate) fn check_released(&self) -> Result<(), RowError> {
        let fits = match self.kind {
            TransferKind::Transfer | TransferKind::Hold | TransferKind::Reverse => {
                self.released.is_zero()
            }
            TransferKind::Post => self.released >= self.money.amount,
            TransferKind::Void | TransferKind::Expire => self.released == self.money.amount,
        };
        if fits { Ok(()) } else { Err(RowError("released")) }
    }

    /// The head of a chain after this row, given the head before it and the account's side.
    #[must_use]
    pub fn link(&self, head: &Hash32, side: Side) -> Hash32 {
        link(&self.linked_bytes(), head, side)
    }

    /// The side on which an account stands; `None` if it has no part in this transfer.
    #[must_use]
    pub fn side_of(&self, account: &AccountId) -> Option<Side> {
        match () {
            () if self.debit == *account => Some(Side::Debit),
            () if self.credit == *account => Some(Side::Credit),
            () => None,
        }
    }

    /// What the log commits to about it.
    #[must_use]
    pub const fn posting(&self) -> Posting {
        Posting {
            transfer: self.id,
            number: self.number,
            debit: self.debit,
            credit: self.credit,
            money: self.money,
            debit_chain: self.debit_chain,
            credit_chain: self.credit_chain,
        }
    }
}

/// An asset's code, filled up with zeros, and its scale.
pub(crate) fn asset_bytes(asset: &Asset) -> [u8; ASSET_CODE_LEN + 1] {
    let mut bytes = [0; ASSET_CODE_LEN + 1];
    for (to, from) in bytes.iter_mut().zip(asset.code().bytes().take(ASSET_CODE_LEN)) {
        *to = from;
    }
    if let Some(last) = bytes.last_mut() {
        *last = asset.scale();
    }
    bytes
}

/// One link: SHA-256 over prefix, head, side and row. Every part has a fixed length, so the borders
/// between them are certain.
pub(crate) fn link(row: &[u8; TransferRow::LINKED_LEN], head: &Hash32, side: Side) -> Hash32 {
    let side: &[u8] = match side {
        Side::Debit => b"D",
        Side::Credit => b"C",
    };
    Hash32::new(sha256_parts(&[TransferRow::CHAIN_PREFIX, head.as_bytes(), side, row]))
}

struct Cursor<'b>(&'b [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], RowError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(RowError(field))?;
        self.0 = rest;
        Ok(*head)
    }

    fn number(&mut self, field: &'static str) -> Result<u64, RowError> {
        self.take(field).map(u64::from_be_bytes)
    }

    fn time(&mut self, field: &'static str) -> Result<Instant, RowError> {
        Instant::from_unix_ms(self.number(field)?).ok_or(RowError(field))
    }

    fn money(&mut self) -> Result<Money, RowError> {
        let padded: [u8; ASSET_CODE_LEN] = self.take("asset")?;
        let [scale] = self.take("asset")?;
        let end = padded.iter().position(|byte| *byte == 0).unwrap_or(ASSET_CODE_LEN);
        let (code, padding) = padded.split_at(end);
        if padding.iter().any(|byte| *byte != 0) {
            return Err(RowError("asset"));
        }
        let code = core::str::from_utf8(code).map_err(|_| RowError("asset"))?;
        let asset: Asset = format!("{code}/{scale}").parse().map_err(|_| RowError("asset"))?;
        let amount = Amount::from_minor(u128::from_be_bytes(self.take("amount")?));
        Ok(Money { amount, asset })
    }
}
