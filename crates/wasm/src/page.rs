//! The three functions that the page calls, and the memory that both sides see.
//!
//! The page asks for room, writes the receipt, the trust file and the blocks that a person knows into it one after the other, has
//! it judged, and reads the answer. Nothing here follows an address that the page gives: both sides meet in two vectors that this
//! module owns. An exported name is an unsafe attribute because another function of that name would be replaced; in a module that imports
//! nothing and is linked from this workspace alone, the prefix `tpw_` belongs to this file.

#![expect(unsafe_code, reason = "exported names are unsafe attributes")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::verdict_json;
use tpw_core::Receipt;
use tpw_proof::{anchor, trust};

/// The largest input: both files and the blocks at their limits, and one byte of each more, so that too large ones are told as such.
const INPUT_MAX: usize = Receipt::SIZE_MAX + trust::SIZE_MAX + anchor::KNOWN_LEN_MAX + 3;

static INPUT: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn held(mutex: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for so many bytes and says where; null when that is too much.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn tpw_input(length: usize) -> *mut u8 {
    let mut input = held(&INPUT);
    input.clear();
    if length > INPUT_MAX {
        return std::ptr::null_mut();
    }
    input.resize(length, 0);
    input.as_mut_ptr()
}

/// Judges the receipt, which is that many bytes long, by the trust file behind it and the blocks behind that. Gives the length of
/// the answer.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn tpw_judge(receipt_length: usize, trust_length: usize) -> usize {
    let input = held(&INPUT);
    let (receipt, rest) = input.split_at_checked(receipt_length).unwrap_or((&[], &[]));
    let (trust, blocks) = rest.split_at_checked(trust_length).unwrap_or((&[], &[]));
    let mut answer = held(&ANSWER);
    *answer = verdict_json(receipt, trust, blocks).into_bytes();
    answer.len()
}

/// Where the answer is.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn tpw_answer() -> *const u8 {
    held(&ANSWER).as_ptr()
}
