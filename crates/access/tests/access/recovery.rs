//! Goal: each code of a sheet proves once, codes of other sheets prove nothing, and slips of a key are told before they cost an attempt.
//! Method: sheets from fixed entropy; each single change of a code's characters; each cut of a record.

use crate::forge::at;
use proptest::prelude::*;
use std::collections::BTreeSet;
use tpw_access::factor::recovery::{CODES, RecoveryCode, RecoverySheet};
use tpw_access::factor::{FactorError, Method, Why};
use tpw_core::Instant;
use tpw_crypto::{CryptoError, Entropy, FixedEntropy};

const NOW: u64 = 1_800_000_000;

fn sheet(seed: u64) -> (RecoverySheet, Vec<RecoveryCode>) {
    RecoverySheet::issue(at(NOW), &mut FixedEntropy::new(seed)).unwrap()
}

fn parse(text: &str) -> Result<RecoveryCode, FactorError> {
    text.parse()
}

#[test]
fn each_code_proves_once() {
    let (mut sheet, codes) = sheet(1);
    assert_eq!((codes.len(), sheet.left(), sheet.issued()), (CODES, CODES, at(NOW)));
    for (used, code) in codes.iter().enumerate() {
        let (after, evidence) = sheet.prove(code, at(NOW + 1)).unwrap();
        assert_eq!((evidence.method(), evidence.at()), (Method::Recovery, at(NOW + 1)));
        assert_eq!(after.left(), CODES - used - 1);
        assert_eq!(after.prove(code, at(NOW + 2)).unwrap_err(), FactorError::Refused(Why::Reused));
        sheet = RecoverySheet::from_bytes(&after.to_bytes()).unwrap();
    }
    for code in &codes {
        assert_eq!(sheet.prove(code, at(NOW)).unwrap_err(), FactorError::Refused(Why::Reused));
    }
}

#[test]
fn codes_of_another_sheet_prove_nothing() {
    let ((old, old_codes), (new, new_codes)) = (sheet(1), sheet(2));
    assert_eq!(new.prove(&old_codes[0], at(NOW)).unwrap_err(), FactorError::Refused(Why::Wrong));
    assert_eq!(old.prove(&new_codes[0], at(NOW)).unwrap_err(), FactorError::Refused(Why::Wrong));
}

#[test]
fn codes_are_different_and_the_record_does_not_hold_them() {
    let (sheet, codes) = sheet(3);
    let texts: BTreeSet<String> = codes.iter().map(|code| code.reveal().to_string()).collect();
    assert_eq!(texts.len(), CODES);
    let shown = format!("{sheet:?} {codes:?}");
    let stored = sheet.to_bytes();
    for text in &texts {
        let digits = text.replace('-', "");
        assert_eq!((text.len(), digits.len()), (19, 16));
        assert!(!shown.contains(text) && !shown.contains(&digits));
        assert!(!stored.windows(16).any(|window| window == digits.as_bytes()));
    }
}

#[test]
fn the_same_code_is_stored_differently_under_another_salt() {
    let (first, second) = (sheet(1).0.to_bytes(), sheet(2).0.to_bytes());
    let hashes =
        |bytes: &[u8]| -> BTreeSet<Vec<u8>> { bytes.windows(32).map(<[u8]>::to_vec).collect() };
    assert!(hashes(&first).is_disjoint(&hashes(&second)));
}

#[test]
fn typed_codes_are_read_kindly_and_each_slip_of_a_key_is_seen() {
    let code = sheet(1).1[0].reveal().to_string();
    let lower = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
    for text in [code.clone(), lower, format!(" {code}\n"), code.replace('-', "")] {
        assert_eq!(parse(&text).unwrap().reveal().as_str(), code, "{text}");
    }
    let digits = code.replace('-', "");
    for place in 0..digits.len() {
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars() {
            let mut typed: Vec<char> = digits.chars().collect();
            if typed[place] == other {
                continue;
            }
            typed[place] = other;
            let typed: String = typed.into_iter().collect();
            assert!(matches!(parse(&typed), Err(FactorError::Form(_))), "{typed}");
        }
    }
    let long = digits.repeat(5);
    for text in [
        "",
        "0",
        &digits[..15],
        &format!("{digits}0"),
        &long,
        &digits.replacen(&digits[..1], "U", 1),
    ] {
        assert!(matches!(parse(text), Err(FactorError::Form(_))), "{text}");
    }
}

/// Fails after so many bytes.
struct Dry(usize);

impl Entropy for Dry {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.0 = self.0.checked_sub(out.len()).ok_or(CryptoError::Entropy)?;
        out.fill(7);
        Ok(())
    }
}

#[test]
fn no_sheet_comes_from_a_failing_source() {
    for bytes in [0, 15, 16, 40, 16 + 15 * 10 - 1] {
        let refused = RecoverySheet::issue(at(NOW), &mut Dry(bytes));
        assert_eq!(refused.unwrap_err(), CryptoError::Entropy, "{bytes}");
    }
}

#[test]
fn the_record_is_read_as_it_was_written() {
    let (sheet, codes) = sheet(1);
    let bytes = sheet.prove(&codes[3], at(NOW)).unwrap().0.to_bytes();
    for at in 0..bytes.len() {
        assert!(RecoverySheet::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(RecoverySheet::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
    let mut other = bytes.clone();
    other[1] = 2;
    assert!(RecoverySheet::from_bytes(&other).is_err(), "another format");
    let late = Instant::MAX.unix_ms() + 1;
    let mut w = tpw_core::codec::Writer::new();
    w.array(4).uint(1).bytes(&[0; 16]).uint(late).array(0);
    assert!(RecoverySheet::from_bytes(&w.finish()).is_err(), "after the last instant");
}

proptest! {
    #[test]
    fn no_text_or_bytes_make_it_panic(text: String, bytes: Vec<u8>) {
        let _parsed = parse(&text);
        let _read = RecoverySheet::from_bytes(&bytes);
    }
}
