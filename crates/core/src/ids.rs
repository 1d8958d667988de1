//! Identifiers: one type for each kind of thing, so that none stands where another belongs.
//!
//! An identifier is a UUID version 7 (RFC 9562 §5.7): 48 bits of Unix milliseconds, then random bits.
//! Its text is a prefix that names the kind, an underscore, and 26 digits of Crockford's base 32 in
//! lower case (the TypeID convention): `pay_01h455vb4pex5vsknk084sn02q`. Time order is text order.

use core::fmt;
use core::str::FromStr;

/// Why a text is no identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind} id: expected `{prefix}_` and 26 characters of 0-9 a-z")]
pub struct ParseIdError {
    text: String,
    kind: &'static str,
    prefix: &'static str,
}

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

fn encode(bytes: [u8; 16]) -> [u8; 26] {
    let value = u128::from_be_bytes(bytes);
    let mut text = [b'0'; 26];
    for (place, slot) in text.iter_mut().enumerate() {
        let shift = 5_usize.saturating_mul(25_usize.saturating_sub(place));
        let digit = (value >> shift) & 31;
        *slot = usize::try_from(digit).ok().and_then(|d| DIGITS.get(d)).copied().unwrap_or(b'0');
    }
    text
}

fn decode(text: &str) -> Option<[u8; 16]> {
    if text.len() != 26 || !text.starts_with(|c: char| ('0'..='7').contains(&c)) {
        return None; // 26 digits hold 130 bits; the first may not exceed 7
    }
    let mut value = 0_u128;
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|d| *d == byte)?;
        value = (value << 5) | u128::try_from(digit).ok()?;
    }
    Some(value.to_be_bytes())
}

fn uuid_v7(unix_ms: u64, random: [u8; 10]) -> [u8; 16] {
    let time = (u128::from(unix_ms) & 0xffff_ffff_ffff) << 80;
    let mut low = [0_u8; 16];
    for (slot, byte) in low.iter_mut().skip(6).zip(random) {
        *slot = byte;
    }
    let fields = u128::from_be_bytes(low) & !(0xf << 76) & !(0x3 << 62);
    (time | fields | (0x7 << 76) | (0x2 << 62)).to_be_bytes()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $kind:literal $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The prefix of the text form, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier (RFC 9562 §5.7) from the time in Unix milliseconds and ten random bytes.
            #[must_use]
            pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid_v7(unix_ms, random))
            }

            /// The time at which it says it was made, in Unix milliseconds.
            #[must_use]
            pub const fn unix_ms(&self) -> u64 {
                let [a, b, c, d, e, f, ..] = self.0;
                u64::from_be_bytes([0, 0, a, b, c, d, e, f])
            }

            /// From 16 bytes as stored or sent; no structure is checked.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// From a slice that must be exactly 16 bytes long.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The 16 bytes, most significant first.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The Unix milliseconds in the identifier: its maker's claim, not a checked time.
            #[must_use]
            pub fn claimed_ms(&self) -> u64 {
                u64::try_from(u128::from_be_bytes(self.0) >> 80).unwrap_or(0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0);
                write!(f, "{}_{}", $prefix, core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_")).and_then(decode).map(Self).ok_or_else(|| {
                    let text = text.chars().take(64).collect();
                    ParseIdError { text, kind: $kind, prefix: $prefix }
                })
            }
        }
    )*};
}

ids! {
    /// A payment. Made and stored on the device before sending; it is the idempotency key.
    PaymentId "payment" "pay";
    /// A natural or legal person.
    PersonId "person" "per";
    /// A device with its own signing key.
    DeviceId "device" "dev";
    /// An account in the ledger.
    AccountId "account" "acc";
    /// A set of accounts whose balances add up.
    AccountSetId "account set" "set";
    /// A transfer in the ledger: one debit and one credit of the same amount.
    TransferId "transfer" "trf";
    /// A request for the approval of several people.
    ApprovalId "approval" "apr";
    /// A decision of the policies about a request.
    DecisionId "decision" "dcn";
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_matches_the_typeid_specification() {
        // From the TypeID specification's `valid.yml`: UUID 01890a5d-ac96-774b-bcce-b302099a8057.
        let bytes = 0x0189_0a5d_ac96_774b_bcce_b302_099a_8057_u128.to_be_bytes();
        assert_eq!(PaymentId::from_bytes(bytes).to_string(), "pay_01h455vb4pex5vsknk084sn02q");
    }

    #[test]
    fn version_and_variant_bits_are_set() {
        let id = AccountId::new(0x0189_0a5d_ac96, [0xff; 10]);
        assert_eq!(id.as_bytes()[6] >> 4, 7);
        assert_eq!(id.as_bytes()[8] >> 6, 2);
        assert_eq!(id.claimed_ms(), 0x0189_0a5d_ac96);
    }

    #[test]
    fn foreign_prefixes_and_odd_text_are_refused() {
        for bad in [
            "",
            "pay_",
            "acc_01h455vb4pex5vsknk084sn02q",
            "pay_81h455vb4pex5vsknk084sn02q",
            "pay_01H455VB4PEX5VSKNK084SN02Q",
            "pay_01h455vb4pex5vsknk084sn02qq",
            "pay_01h455vb4pex5vsknk084sn02u",
        ] {
            assert!(bad.parse::<PaymentId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 16]) {
            let id = DeviceId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<DeviceId>().unwrap(), id);
        }

        #[test]
        fn text_order_is_byte_order(a: [u8; 16], b: [u8; 16]) {
            let (x, y) = (PaymentId::from_bytes(a), PaymentId::from_bytes(b));
            prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
        }
    }
}
