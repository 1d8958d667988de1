//! Codes that people copy by hand: signs of Crockford's base 32, in groups, read back kindly.

use tpw_crypto::{CryptoError, Entropy, Zeroizing};

/// Crockford's base 32: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The longest text that is read, in bytes: a code with room for odd spacing.
const TEXT_MAX: usize = 64;

/// Why a text is no code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is longer than any code.
    Length,
    /// It holds a character that no code has.
    Character,
}

/// Draws `length` digits of five random bits each.
pub(crate) fn draw(
    length: usize,
    entropy: &mut dyn Entropy,
) -> Result<Zeroizing<String>, CryptoError> {
    let mut random = Zeroizing::new(vec![0_u8; length]);
    entropy.fill(random.as_mut_slice())?;
    // Room for a check digit: a longer text would be copied, and the copy before it left behind.
    let mut digits = Zeroizing::new(String::with_capacity(length.saturating_add(1)));
    digits.extend(random.iter().filter_map(|byte| digit(usize::from(byte & 31))));
    Ok(digits)
}

/// The digit of a value below 32.
pub(crate) fn digit(value: usize) -> Option<char> {
    DIGITS.get(value).copied().map(char::from)
}

/// The value of a digit.
pub(crate) fn value(digit: u8) -> Option<usize> {
    DIGITS.iter().position(|known| *known == digit)
}

/// The digits for a person, in groups.
pub(crate) fn grouped(digits: &str, group: usize) -> Zeroizing<String> {
    let room = digits.len().saturating_mul(2);
    let mut text = Zeroizing::new(String::with_capacity(room));
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && place.is_multiple_of(group) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// Reads what a person typed: any case, spaces and hyphens anywhere, O for 0, I and L for 1. How many digits it has to have, its own type
/// knows.
pub(crate) fn read(text: &str) -> Result<Zeroizing<String>, Unreadable> {
    if text.len() > TEXT_MAX {
        return Err(Unreadable::Length);
    }
    let mut digits = Zeroizing::new(String::with_capacity(TEXT_MAX));
    for typed in text.chars().filter(|c| *c != '-' && !c.is_whitespace()) {
        let sign = match typed.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        if !u8::try_from(sign).is_ok_and(|byte| DIGITS.contains(&byte)) {
            return Err(Unreadable::Character);
        }
        digits.push(sign);
    }
    Ok(digits)
}

/// Forty bits as a person reads them off a message: eight digits in two groups.
#[must_use]
pub fn written_in_groups(bits: &[u8; 5]) -> String {
    let [a, b, c, d, e] = bits.map(u64::from);
    let whole = (a << 32) | (b << 24) | (c << 16) | (d << 8) | e;
    let value = |shift: u32| whole.checked_shr(shift).map_or(0, |bits| bits & 31);
    let shifts = [35, 30, 25, 20, 15, 10, 5, 0];
    let values = shifts.into_iter().map(|shift| usize::try_from(value(shift)).unwrap_or(0));
    let digits: String = values.filter_map(digit).collect();
    grouped(&digits, 4).to_string()
}
