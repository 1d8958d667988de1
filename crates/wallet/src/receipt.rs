//! Whether a receipt is the one for a payment of this device.

use tpw_core::Receipt;
use tpw_proof::{Judgement, Trust, judge};

use crate::WalletError;
use crate::journal::Entry;

/// Judges a receipt file offline and checks that it is about the very statement that this device signed.
///
/// A receipt for somebody else's payment can be flawless; only the comparison shows that it is not this one's.
///
/// # Errors
/// [`WalletError::ReceiptOfAnother`] when it carries another statement. Everything else that is wrong with it is in the
/// [`Judgement`], which the caller must read: no error does not mean valid.
pub fn check(entry: &Entry, bytes: &[u8], trust: &Trust) -> Result<Judgement, WalletError> {
    match Receipt::from_bytes(bytes) {
        Ok(receipt) if receipt.statement != entry.statement() => {
            Err(WalletError::ReceiptOfAnother(entry.payment()))
        }
        // Bytes that are no receipt fail in the judgement, which names the layer.
        Ok(_) | Err(_) => Ok(judge(bytes, trust)),
    }
}
