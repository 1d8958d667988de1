//! Instructions to the clearing partner: one file each, under the payment's id, so that writing it again is
//! the same instruction.

use crate::files::{self, Access, Durability, FileError};
use std::path::{Path, PathBuf};
use tpw_flow::RailInstruction;

fn path(dir: &Path, instruction: &RailInstruction) -> PathBuf {
    dir.join(format!("{}.json", instruction.payment))
}

/// Writes the instruction if it has no file yet. A file is written as a whole or not at all.
pub(super) fn write_if_missing(dir: &Path, instruction: &RailInstruction) -> Result<(), FileError> {
    if path(dir, instruction).exists() { Ok(()) } else { write(dir, instruction) }
}

/// Writes the instruction as a small JSON file `<payment id>.json`.
pub(super) fn write(dir: &Path, instruction: &RailInstruction) -> Result<(), FileError> {
    let path = path(dir, instruction);
    let text = serde_json::json!({
        "payment": instruction.payment.to_string(),
        "account": instruction.account.to_string(),
        "amount": instruction.money.amount.to_string(),
        "asset": instruction.money.asset.to_string(),
        "purpose": instruction.purpose,
        "at": instruction.at.to_string(),
    });
    let mut text = text.to_string();
    text.push('\n');
    files::write_atomic(&path, text.as_bytes(), Durability::Synced, Access::Private)
}
