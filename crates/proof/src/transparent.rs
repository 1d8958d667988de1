//! Transparent statements (RFC 9943): the payer's signed statement with its COSE receipts attached (RFC 9942 §5.1), in one message that
//! tools for such statements read.
//!
//! The entry that a receipt is about is not the statement itself: it commits to the statement, as its payer signed it (with an empty
//! unprotected header), and to the operator's record (`spec/leaf.md`). Who checks a receipt makes that entry first.

use crate::cose::{Cbor, NO_HEADERS, Sign1};
use crate::error::ProofError;
use crate::statement;

/// RFC 9942: receipts, in the unprotected header.
const RECEIPTS: u64 = 394;

const WHAT: &str = "signed statement";

/// The statement with the receipts in its unprotected header, which no signature covers. Only arranges: nothing is verified here.
///
/// # Errors
/// [`ProofError::Malformed`] for a statement that is none or has receipts already, and without a receipt: the header is never empty.
pub fn attach(statement: &[u8], receipts: &[Vec<u8>]) -> Result<Vec<u8>, ProofError> {
    let wrong = |why| ProofError::Malformed { what: WHAT, why };
    let signed = Sign1::parse(statement, WHAT, statement::SIZE_MAX)?;
    if signed.unprotected != NO_HEADERS {
        return Err(wrong("the unprotected header is not empty"));
    }
    if receipts.is_empty() {
        return Err(wrong("no COSE receipt to attach"));
    }
    let count = u64::try_from(receipts.len()).unwrap_or(u64::MAX);
    let room = receipts.iter().map(Vec::len).sum();
    let unprotected = Cbor::with_room(room).write(|e| {
        e.map(1)?.u64(RECEIPTS)?.array(count)?;
        receipts.iter().try_for_each(|receipt| e.bytes(receipt).map(drop))
    });
    Ok(Sign1 { unprotected: &unprotected, ..signed }.to_bytes())
}

#[cfg(test)]
mod tests {
    //! Goal: attaching changes the unprotected header and nothing else. Method: a statement made here, read again; that a library of
    //! somebody else reads the whole is tested with it.

    use super::*;

    fn statement(unprotected: &[u8]) -> Vec<u8> {
        Sign1 { protected: b"p", unprotected, payload: Some(b"intent"), signature: &[7; 64] }
            .to_bytes()
    }

    #[test]
    fn what_was_signed_stays_as_it_is() {
        let (bare, receipts) = (statement(NO_HEADERS), [vec![1; 30], vec![2; 300]]);
        let whole = attach(&bare, &receipts).unwrap();
        let read = Sign1::parse(&whole, WHAT, statement::SIZE_MAX).unwrap();
        assert_eq!(Sign1 { unprotected: NO_HEADERS, ..read.clone() }.to_bytes(), bare);
        // {394: [bstr of 30 bytes, bstr of 300 bytes]}.
        let head = [0xa1, 0x19, 0x01, 0x8a, 0x82, 0x58, 30];
        assert_eq!(&read.unprotected[..head.len()], head);
        assert_eq!(read.unprotected.len(), head.len() + 30 + 3 + 300);
    }

    #[test]
    fn nothing_is_attached_twice_and_never_nothing() {
        let whole = attach(&statement(NO_HEADERS), &[vec![1]]).unwrap();
        assert!(attach(&whole, &[vec![1]]).is_err());
        assert!(attach(&statement(NO_HEADERS), &[]).is_err());
        assert!(attach(b"", &[vec![1]]).is_err());
    }
}
