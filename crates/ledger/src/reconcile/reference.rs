//! References: under which names two lines are the same.

use super::{LedgerLine, PartnerLine};
use tpw_core::{PaymentId, TransferId};

/// What a text stands for as a reference. Ids come first: they name one payment, a text may name many.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Key {
    /// A payment, a transfer or a UUID, in whatever form it was written.
    Id([u8; 16]),
    /// Any other reference, to the letter.
    Text(String),
}

/// What banks write where a reference is missing (ISO 20022 for the first, SWIFT MT for the second).
const NO_REFERENCE: [&str; 3] = ["NOTPROVIDED", "NONREF", "NOT PROVIDED"];

/// The key of a reference; `None` if the text stands for none.
pub(super) fn key(text: &str) -> Option<Key> {
    let text = text.trim();
    if text.is_empty() || NO_REFERENCE.iter().any(|none| text.eq_ignore_ascii_case(none)) {
        return None;
    }
    Some(id(text).map_or_else(|| Key::Text(text.to_owned()), Key::Id))
}

/// Characters that partners drop, add or change in an id: `_` is outside the character set of many rails.
fn is_separator(c: char) -> bool {
    matches!(c, '_' | '-' | ' ' | '.' | '/' | ':' | '+')
}

/// As much of a text as an id can have, without separators and case.
fn plain(text: &str) -> String {
    let letters = text.chars().filter(|c| !is_separator(*c));
    letters.map(|c| c.to_ascii_lowercase()).take(33).collect()
}

/// The id in a text: a payment's or a transfer's in our text form, or a UUID, in any case and with any separators.
fn id(text: &str) -> Option<[u8; 16]> {
    let plain = plain(text);
    let payment = || of_payment(&plain);
    let transfer = || {
        let id: TransferId = format!("trf_{}", plain.strip_prefix("trf")?).parse().ok()?;
        Some(*id.as_bytes())
    };
    payment().or_else(transfer).or_else(|| of_hex(&plain))
}

fn of_payment(plain: &str) -> Option<[u8; 16]> {
    let id: PaymentId = format!("pay_{}", plain.strip_prefix("pay")?).parse().ok()?;
    Some(*id.as_bytes())
}

fn of_hex(plain: &str) -> Option<[u8; 16]> {
    let digits = plain.len() == 32 && plain.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(plain, 16).ok().filter(|_| digits).map(u128::to_be_bytes)
}

/// The payments that a free text names.
fn in_words(text: &str) -> impl Iterator<Item = [u8; 16]> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    words.filter_map(|word| of_payment(&plain(word)))
}

/// Every key of a partner's line.
pub(super) fn of_partner(line: &PartnerLine) -> Vec<Key> {
    let mut keys: Vec<Key> = line.references.own().filter_map(key).collect();
    keys.extend(in_words(&line.text).map(Key::Id));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Every key of a ledger's line.
pub(super) fn of_ledger(line: &LedgerLine) -> Vec<Key> {
    let mut keys: Vec<Key> = line.references.iter().filter_map(|text| key(text)).collect();
    keys.push(Key::Id(*line.transfer.as_bytes()));
    keys.extend(line.payment.map(|payment| Key::Id(*payment.as_bytes())));
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Whether a partner's line names a payment in our text form: it is that one or none.
pub(super) fn names_a_payment(line: &PartnerLine) -> bool {
    let ours = |text: &str| {
        let mut start = text.trim().chars().take(3).map(|c| c.to_ascii_lowercase());
        start.by_ref().eq("pay".chars()) && id(text).is_some()
    };
    line.references.own().any(ours) || in_words(&line.text).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pay_01h455vb4pex5vsknk084sn02q";
    const BYTES: [u8; 16] = 0x0189_0a5d_ac96_774b_bcce_b302_099a_8057_u128.to_be_bytes();

    #[test]
    fn a_payment_id_is_known_in_every_form() {
        for form in [
            TEXT,
            "PAY_01H455VB4PEX5VSKNK084SN02Q",
            "PAY-01H455VB4PEX5VSKNK084SN02Q",
            "PAY01H455VB4PEX5VSKNK084SN02Q",
            " pay 01h455vb4pex5vsknk084sn02q ",
            "01890a5d-ac96-774b-bcce-b302099a8057",
            "01890A5DAC96774BBCCEB302099A8057",
            "trf_01h455vb4pex5vsknk084sn02q",
        ] {
            assert_eq!(key(form), Some(Key::Id(BYTES)), "{form}");
        }
    }

    #[test]
    fn other_texts_stand_for_themselves_or_for_nothing() {
        for none in ["", "  ", "NOTPROVIDED", "NotProvided", "NONREF"] {
            assert_eq!(key(none), None, "{none}");
        }
        for text in [
            "INV-7",
            "pay_01h455vb4pex5vsknk084sn02u",
            "01890a5dac96774bbcceb302099a805",
            "payment",
        ] {
            assert_eq!(key(text), Some(Key::Text(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn payments_are_found_among_words() {
        let found = |text: &str| in_words(text).collect::<Vec<_>>();
        assert_eq!(found(&format!("invoice 7, {TEXT}; thanks")), [BYTES]);
        assert_eq!(found("rent of May, PAY01H455VB4PEX5VSKNK084SN02Q"), [BYTES]);
        assert_eq!(found("01890a5dac96774bbcceb302099a8057 pay me"), Vec::<[u8; 16]>::new());
    }
}
