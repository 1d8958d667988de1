//! Why a statement file cannot be read, or two sides cannot be set against each other.

use crate::Balance;
use core::fmt;
use tpw_core::Asset;

/// Where in the file something is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In what all statements have in common.
    Document,
    /// In the head of a statement, counted from 1.
    Statement(u64),
    /// In an entry, counted from 1 in its statement.
    Entry(u64),
    /// In a line of a CSV file, counted from 1.
    Line(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("document"),
            Self::Statement(number) => write!(f, "statement {number}"),
            Self::Entry(number) => write!(f, "entry {number}"),
            Self::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// Why there is no reconciliation.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The file is too large.
    #[error("the file is larger than `{0}` bytes; split it by day")]
    TooLarge(usize),
    /// One side has too many lines.
    #[error("there are more than `{0}` lines; split the statement by day")]
    TooManyLines(usize),
    /// The file is in another encoding.
    #[error("the file is not UTF-8 but `{0}`; save it as UTF-8")]
    Encoding(String),
    /// The XML is not well formed.
    #[error("malformed XML at byte `{at}`: {fault}; ask the partner for the file again")]
    Xml {
        /// Where.
        at: u64,
        /// What the reader says.
        fault: String,
    },
    /// A document type definition: statements have none, attacks do.
    #[error("the file has a document type definition, which no statement has; it is not read")]
    DocumentType,
    /// An entity that is not one of XML's own five.
    #[error("the entity `{0}` is not one of XML's own; the file is not read")]
    Entity(String),
    /// Elements are nested too deep.
    #[error("elements are nested more than `{0}` deep; this is no statement")]
    TooDeep(u32),
    /// A text is too long.
    #[error("{place}: the text of `{element}` is longer than `{max}` bytes")]
    TextTooLong {
        /// Where.
        place: Place,
        /// In which element.
        element: String,
        /// The most bytes.
        max: usize,
    },
    /// The document is something else.
    #[error("this is no camt.053 statement but `{0}`; ask the partner for camt.053 or CSV")]
    NotAStatement(String),
    /// A version that is not known.
    #[error("camt.053 version `{0}` is not known; versions 02 to 13 are read")]
    Version(String),
    /// The file is one page of several.
    #[error("{0}: the statement is only one of several pages; ask for it in one message")]
    Pages(Place),
    /// There is no statement of the account.
    #[error("the file has no statement of the account `{0}`")]
    NoStatement(String),
    /// There are statements of several accounts.
    #[error("the file has statements of `{0}` and of `{1}`; say which account is meant")]
    SeveralAccounts(String, String),
    /// Something that every statement has is missing.
    #[error("{place}: `{field}` is missing")]
    Missing {
        /// Where.
        place: Place,
        /// What.
        field: &'static str,
    },
    /// Something that a statement has once is there twice.
    #[error("{place}: `{field}` is there a second time")]
    Repeated {
        /// Where.
        place: Place,
        /// What.
        field: String,
    },
    /// A value that is not understood.
    #[error("{place}: `{found}` is no {field} that is understood")]
    Field {
        /// Where.
        place: Place,
        /// What should be there.
        field: &'static str,
        /// What is there.
        found: String,
    },
    /// An amount that is no whole number of minor units.
    #[error("{place}: `{found}` is no amount in whole minor units of `{asset}`")]
    Amount {
        /// Where.
        place: Place,
        /// What is there.
        found: String,
        /// Of which asset it should be.
        asset: Asset,
    },
    /// Another currency than that of the account.
    #[error("{place}: the currency is `{found}`, but the account holds `{wanted}`")]
    Currency {
        /// Where.
        place: Place,
        /// What is there.
        found: String,
        /// What the account holds.
        wanted: Asset,
    },
    /// The lines do not lead from the opening to the closing balance.
    #[error("{place}: the lines lead to the balance `{found}`, but the statement says `{said}`")]
    Sum {
        /// Where.
        place: Place,
        /// To where the lines lead, in minor units.
        found: Balance,
        /// What the statement says.
        said: Balance,
    },
    /// The summary does not fit the entries.
    #[error("{place}: the summary says `{said}` for `{field}`, but the entries give `{found}`")]
    Summary {
        /// Where.
        place: Place,
        /// Which number.
        field: &'static str,
        /// What the summary says.
        said: String,
        /// What the entries give.
        found: String,
    },
    /// The details of a collective entry do not add up to it.
    #[error("{place}: the details add up to `{found}`, but the entry says `{said}`")]
    Details {
        /// Where.
        place: Place,
        /// What the entry says.
        said: String,
        /// What its details give.
        found: String,
    },
    /// A column that the header must have.
    #[error("the header has no column `{0}`")]
    ColumnMissing(&'static str),
    /// A column that is not known.
    #[error("the header has the column `{0}`, which is not known; rename it or take it out")]
    ColumnUnknown(String),
    /// The file has no lines and nothing says which days it covers.
    #[error("the file has no lines; say which days it covers")]
    NoLines,
    /// The statement is of another asset than the ledger's account.
    #[error("the statement is of `{partner}`, but the account holds `{ledger}`")]
    Asset {
        /// What the statement is of.
        partner: Asset,
        /// What the ledger's account holds.
        ledger: Asset,
    },
    /// The ledger's lines are not in order of their numbers.
    #[error("the ledger's transfer number `{0}` is out of order; read the account again")]
    LedgerOrder(u64),
    /// The ledger's lines of the period do not lead from its opening to its closing balance.
    #[error("the ledger's lines lead to `{found}`, not to `{said}`; read the account again")]
    LedgerSum {
        /// To where the lines lead.
        found: Balance,
        /// What the extract says.
        said: Balance,
    },
    /// The window is too wide to tell lines apart.
    #[error("a window of `{0}` days is too wide; 0 to 31 are possible")]
    Window(u32),
    /// A sum does not fit in 128 bits.
    #[error("{0}: a sum would not fit in 128 bits")]
    Overflow(Place),
}

impl ReconcileError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge(_) => "too_large",
            Self::TooManyLines(_) => "too_many_lines",
            Self::Encoding(_) => "encoding",
            Self::Xml { .. } => "xml",
            Self::DocumentType => "document_type",
            Self::Entity(_) => "entity",
            Self::TooDeep(_) => "too_deep",
            Self::TextTooLong { .. } => "text_too_long",
            Self::NotAStatement(_) => "not_a_statement",
            Self::Version(_) => "version",
            Self::Pages(_) => "pages",
            Self::NoStatement(_) => "no_statement",
            Self::SeveralAccounts(..) => "several_accounts",
            Self::Missing { .. } => "missing",
            Self::Repeated { .. } => "repeated",
            Self::Field { .. } => "field",
            Self::Amount { .. } => "amount",
            Self::Currency { .. } => "currency",
            Self::Sum { .. } => "sum",
            Self::Summary { .. } => "summary",
            Self::Details { .. } => "details",
            Self::ColumnMissing(_) => "column_missing",
            Self::ColumnUnknown(_) => "column_unknown",
            Self::NoLines => "no_lines",
            Self::Asset { .. } => "asset",
            Self::LedgerOrder(_) => "ledger_order",
            Self::LedgerSum { .. } => "ledger_sum",
            Self::Window(_) => "window",
            Self::Overflow(_) => "overflow",
        }
    }
}

/// A text from a file, short enough for a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(64).collect()
}
