//! Transactions of type 2 (EIP-1559), the only ones that are sent.

use tpw_core::Hash32;
use tpw_crypto::{ChainKey, ChainSignature, keccak256};
use tpw_proof::anchor::{Address, rlp};

/// What is paid for a unit of gas, in wei.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fees {
    /// At most, of base fee and tip together.
    pub max_wei: u128,
    /// The tip.
    pub tip_wei: u128,
}

impl Fees {
    /// A tip over a base fee, with room for a base fee that doubles.
    #[must_use]
    pub const fn over(base_wei: u128, tip_wei: u128) -> Self {
        Self { max_wei: base_wei.saturating_mul(2).saturating_add(tip_wei), tip_wei }
    }

    /// Enough to take the place of a transaction that pays `self`: nodes ask for a tenth more of both parts.
    #[must_use]
    pub const fn raised(self, now: Self) -> Self {
        const fn eighth_more(wei: u128) -> u128 {
            wei.saturating_add(wei >> 3).saturating_add(1)
        }
        const fn larger(a: u128, b: u128) -> u128 {
            if a > b { a } else { b }
        }
        Self {
            max_wei: larger(eighth_more(self.max_wei), now.max_wei),
            tip_wei: larger(eighth_more(self.tip_wei), now.tip_wei),
        }
    }
}

/// A transaction before it is signed.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) chain_id: u64,
    pub(super) nonce: u64,
    pub(super) fees: Fees,
    pub(super) gas: u64,
    /// The contract; `None` makes one.
    pub(super) to: Option<Address>,
    pub(super) data: Vec<u8>,
}

/// A transaction as it is sent, and the hash that names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Signed {
    pub(super) raw: Vec<u8>,
    pub(super) hash: Hash32,
}

impl Draft {
    fn fields(&self) -> Vec<Vec<u8>> {
        let to = self.to.as_ref().map_or(&[][..], |address| &address[..]);
        vec![
            rlp::of_uint(self.chain_id.into()),
            rlp::of_uint(self.nonce.into()),
            rlp::of_uint(self.fees.tip_wei),
            rlp::of_uint(self.fees.max_wei),
            rlp::of_uint(self.gas.into()),
            rlp::of_bytes(to),
            // No coins are sent.
            rlp::of_uint(0),
            rlp::of_bytes(&self.data),
            // No access list.
            rlp::of_list::<Vec<u8>>(&[]),
        ]
    }

    pub(super) fn sign(&self, key: &ChainKey) -> Signed {
        let envelope = |fields: &[Vec<u8>]| [&[2][..], &rlp::of_list(fields)].concat();
        let mut fields = self.fields();
        let ChainSignature { odd, r, s } = key.sign_hash(&keccak256(&envelope(&fields)));
        fields.extend([rlp::of_uint(odd.into()), rlp::of_big_uint(&r), rlp::of_big_uint(&s)]);
        let raw = envelope(&fields);
        let hash = Hash32::new(keccak256(&raw));
        Signed { raw, hash }
    }
}

/// The address of the contract that an account makes with this nonce.
pub(super) fn contract_address(account: &Address, nonce: u64) -> Address {
    let named = rlp::of_list(&[rlp::of_bytes(account), rlp::of_uint(nonce.into())]);
    let [_, _, _, _, _, _, _, _, _, _, _, _, address @ ..] = keccak256(&named);
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_fee_is_never_lower_and_beats_a_tenth() {
        let (fees, now) = (Fees { max_wei: 1000, tip_wei: 0 }, Fees { max_wei: 10, tip_wei: 7 });
        assert_eq!(fees.raised(now), Fees { max_wei: 1126, tip_wei: 7 });
        let high = Fees { max_wei: 5000, tip_wei: 900 };
        assert_eq!(fees.raised(high), high);
        assert_eq!(Fees::over(100, 3), Fees { max_wei: 203, tip_wei: 3 });
        assert_eq!(Fees::over(u128::MAX, 3).max_wei, u128::MAX);
    }

    #[test]
    fn the_first_contract_of_a_known_account() {
        // Development nodes give it to everybody: the first contract of the account that they show first.
        let account = hex::decode("f39fd6e51aad88f6f4ce6ab8827279cfffb92266").unwrap();
        let contract = contract_address(&account.try_into().unwrap(), 0);
        assert_eq!(hex::encode(contract), "5fbdb2315678afecb367f032d93f642f64180aa3");
    }
}
