//! Batch files: CSV lines in, orders out, each with a name of its own so that a file can be run again.

use tpw_core::{AccountId, Amount, Asset, Hash32, Money, Purpose, Span};
use tpw_crypto::sha256;

use crate::WalletError;
use crate::journal::BatchLine;
use crate::pay::{Order, Origin};
use crate::profile::Profile;

/// The header that every batch file begins with.
pub const HEADER: [&str; 5] = ["from", "to", "amount", "asset", "note"];
/// The largest batch file, in bytes.
pub const FILE_LEN_MAX: usize = 256 << 20;

/// What all lines of a batch have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The most to be paid as a fee for each line, in minor units of its asset.
    pub fee_limit: Amount,
    /// How long each intent may be carried out, from when it is made.
    pub life: Span,
}

/// A batch file, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// SHA-256 of the file: what makes it the same batch when it is run again.
    pub key: Hash32,
    /// Its lines in order.
    pub lines: Vec<Result<Order, LineError>>,
}

/// A line that is no order.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, {column}: {fault}")]
pub struct LineError {
    /// The line in the file, from 1.
    pub line: u64,
    /// The column in question, or `line`.
    pub column: &'static str,
    /// What is wrong.
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineFault {
    /// Another number of fields than the header has.
    #[error("{0} fields instead of 5: quote a note that holds a comma")]
    Fields(usize),
    /// Not UTF-8.
    #[error("not UTF-8 text: save the file as UTF-8")]
    Encoding,
    /// No account of the profile.
    #[error("`{0}` is no account of this wallet")]
    Payer(String),
    /// No account id.
    #[error("`{0}` is no account id")]
    Payee(String),
    /// Payer and payee are one.
    #[error("payer and payee are the same account")]
    SelfPayment,
    /// No asset.
    #[error("`{0}` is no asset such as USD/2")]
    Asset(String),
    /// The payer's account holds another asset.
    #[error("the payer's account holds {holds}, not {wanted}")]
    PayerAsset {
        /// What it holds.
        holds: Asset,
        /// What the line says.
        wanted: Asset,
    },
    /// No amount of the asset.
    #[error("`{0}` is no amount of this asset: write whole units such as 12.34")]
    Amount(String),
    /// Nothing to pay.
    #[error("the amount is zero")]
    Zero,
    /// A note that is too long or holds control characters.
    #[error("a note has at most 140 bytes and no control characters")]
    Note,
}

impl LineFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Fields(_) => "fields",
            Self::Encoding => "encoding",
            Self::Payer(_) => "payer",
            Self::Payee(_) => "payee",
            Self::SelfPayment => "self_payment",
            Self::Asset(_) => "asset",
            Self::PayerAsset { .. } => "payer_asset",
            Self::Amount(_) => "amount",
            Self::Zero => "zero",
            Self::Note => "note",
        }
    }
}

/// Reads a batch file. A wrong line does not hide the others: each has its own result.
///
/// # Errors
/// [`WalletError::Batch`] when the file is too large, or its first line is not [`HEADER`].
pub fn parse(file: &[u8], profile: &Profile, terms: Terms) -> Result<Batch, WalletError> {
    if file.len() > FILE_LEN_MAX {
        return Err(WalletError::Batch(format!("it is larger than {FILE_LEN_MAX} bytes")));
    }
    let text = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text);
    let mut records = reader.byte_records();
    let header =
        records.next().transpose().map_err(|error| WalletError::Batch(error.to_string()))?;
    if !header.is_some_and(|header| header.iter().eq(HEADER.map(str::as_bytes))) {
        let wanted = HEADER.join(",");
        return Err(WalletError::Batch(format!("its first line must be `{wanted}`")));
    }
    let key = Hash32::new(sha256(file));
    let mut lines = Vec::new();
    let mut counter = LineCounter { text, at: 0, line: 1 };
    for record in records {
        let record = record.map_err(|error| WalletError::Batch(error.to_string()))?;
        let line = counter.line_of(record.position().map_or(0, csv::Position::byte));
        let origin = Origin::Line(BatchLine { batch: key, line });
        let order = read_line(&record, profile, terms, origin);
        lines.push(order.map_err(|(column, fault)| LineError { line, column, fault }));
    }
    Ok(Batch { key, lines })
}

/// Counts lines as editors do: each of LF, CR LF and CR ends one.
///
/// The reader's own count gives two records one number after CR LF and blank lines. Here the number is the name under
/// which a payment is carried out once: two payments of one name would be one payment.
struct LineCounter<'b> {
    text: &'b [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line on which the record that the reader found at `start` begins; records come in order.
    fn line_of(&mut self, start: u64) -> u64 {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        // The reader leaves the rest of a line's end, and blank lines, to the record after them.
        while let Some(byte) = self.text.get(self.at)
            && (self.at < start || matches!(byte, b'\r' | b'\n'))
        {
            self.at = self.at.saturating_add(1);
            let ends = *byte == b'\n' || *byte == b'\r' && self.text.get(self.at) != Some(&b'\n');
            self.line = self.line.saturating_add(u64::from(ends));
        }
        self.line
    }
}

type Fault = (&'static str, LineFault);

fn read_line(
    record: &csv::ByteRecord,
    profile: &Profile,
    terms: Terms,
    origin: Origin,
) -> Result<Order, Fault> {
    let fields: Result<Vec<&str>, _> = record.iter().map(std::str::from_utf8).collect();
    let fields = fields.map_err(|_not_text| ("line", LineFault::Encoding))?;
    let &[from, to, amount, asset, note] = fields.as_slice() else {
        return Err(("line", LineFault::Fields(fields.len())));
    };
    let payer =
        profile.find_account(from).map_err(|_unknown| ("from", LineFault::Payer(cut(from))))?;
    let payee: AccountId = to.parse().map_err(|_odd| ("to", LineFault::Payee(cut(to))))?;
    if payer.id == payee {
        return Err(("to", LineFault::SelfPayment));
    }
    let wanted: Asset = asset.parse().map_err(|_odd| ("asset", LineFault::Asset(cut(asset))))?;
    if payer.asset != wanted {
        return Err(("asset", LineFault::PayerAsset { holds: payer.asset, wanted }));
    }
    let minor =
        wanted.parse_units(amount).map_err(|_odd| ("amount", LineFault::Amount(cut(amount))))?;
    if minor.is_zero() {
        return Err(("amount", LineFault::Zero));
    }
    let purpose = Purpose::new(note).map_err(|_odd| ("note", LineFault::Note))?;
    Ok(Order {
        payer: payer.id,
        payee,
        money: Money { amount: minor, asset: wanted },
        purpose,
        fee_limit: terms.fee_limit,
        life: terms.life,
        origin,
    })
}

/// What is shown of a field that may be of any length.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}
