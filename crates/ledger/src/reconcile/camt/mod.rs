//! camt.053: the bank-to-customer statement of ISO 20022, versions 02 to 13.
//!
//! The versions differ in elements that are not read here, and in three places where both forms are understood: the
//! status of an entry (text, or a code below it), the other party's name (at once, or below `Pty`), and the amount of
//! a detail (below `AmtDtls`, or its own). What a statement repeats must agree: the balances with the entries, the
//! summary with the entries, a collective entry with its details.

mod entry;
mod statement;
mod xml;

use super::error::shown;
use super::{PartnerStatement, Place, ReconcileError};
use statement::Wanted;
use tpw_core::Asset;
use xml::Xml;

/// What the namespace of every version begins with.
const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.";
const VERSIONS: core::ops::RangeInclusive<u8> = 2..=13;

/// Reads the statements of one account, in the order of the file.
///
/// Without `account`, all statements of the file must be of the same one; with it, the others are passed over. Only
/// spaces and case are ignored when accounts are compared.
///
/// # Errors
/// [`ReconcileError`] naming the place and the field.
pub fn read(
    file: &[u8],
    asset: Asset,
    account: Option<&str>,
) -> Result<Vec<PartnerStatement>, ReconcileError> {
    let mut xml = Xml::new(file)?;
    let (root, namespace) = xml.root()?;
    let version = namespace.strip_prefix(NAMESPACE).filter(|_| root == "Document");
    let Some(version) = version else {
        let found = if namespace.is_empty() { root } else { namespace };
        return Err(ReconcileError::NotAStatement(shown(&found)));
    };
    let number = version.parse::<u8>().ok().filter(|_| version.len() == 2);
    if !number.is_some_and(|number| VERSIONS.contains(&number)) {
        return Err(ReconcileError::Version(shown(version)));
    }
    let wanted = Wanted { asset, account };
    let mut found = Vec::new();
    let mut number = 0_u64;
    xml.children(|xml, element| match element.name.as_str() {
        "BkToCstmrStmt" => xml.children(|xml, element| match element.name.as_str() {
            "GrpHdr" => xml.children(|xml, element| match element.name.as_str() {
                "MsgPgntn" => statement::check_pages(xml),
                _ => xml.skip(),
            }),
            "Stmt" => {
                number = number.saturating_add(1);
                xml.place = Place::Statement(number);
                found.extend(statement::read(xml, &wanted, number)?);
                xml.place = Place::Document;
                Ok(())
            }
            _ => xml.skip(),
        }),
        _ => xml.skip(),
    })?;
    xml.end()?;
    one_account(found, account)
}

/// All statements must be of one account.
fn one_account(
    found: Vec<PartnerStatement>,
    account: Option<&str>,
) -> Result<Vec<PartnerStatement>, ReconcileError> {
    let name = |statement: &PartnerStatement| statement.account.clone().unwrap_or_default();
    let Some(first) = found.first().map(name) else {
        return Err(ReconcileError::NoStatement(shown(account.unwrap_or_default())));
    };
    match found.iter().map(name).find(|other| !same_account(other, &first)) {
        Some(other) => Err(ReconcileError::SeveralAccounts(shown(&first), shown(&other))),
        None => Ok(found),
    }
}

fn same_account(one: &str, other: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase()).collect()
    };
    plain(one) == plain(other)
}
