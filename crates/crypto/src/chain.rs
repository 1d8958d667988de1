//! What EVM chains hash and sign with: Keccak-256, and ECDSA over secp256k1 with the parity of the nonce's point.

use std::fmt;

use k256::ecdsa::SigningKey;
use sha3::{Digest as _, Keccak256};
use zeroize::Zeroizing;

use crate::{CryptoError, Entropy};

/// Keccak-256 as Ethereum uses it: the padding of the competition, not that of SHA-3 (FIPS 202).
#[must_use]
pub fn keccak256(data: &[u8]) -> [u8; 32] {
    Keccak256::digest(data).into()
}

/// An account's key. Nothing but its address and signatures comes out of it, and [`to_secret_bytes`](Self::to_secret_bytes)
/// for the file that keeps it.
pub struct ChainKey(SigningKey);

/// A signature over a hash, in the parts that a transaction holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainSignature {
    /// Whether the y coordinate of the nonce's point is odd.
    pub odd: bool,
    /// The first half, big endian.
    pub r: [u8; 32],
    /// The second half, big endian, never above half the group's order (EIP-2).
    pub s: [u8; 32],
}

/// Starts the codec of a key file; the last byte is its version.
const MAGIC: [u8; 10] = *b"tpw-chain\x01";

impl ChainKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails or gives unusable output.
    pub fn generate(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        let mut secret = Zeroizing::new([0; 32]);
        entropy.fill(secret.as_mut_slice())?;
        // A draw beyond the group's order happens once in 2^127: then the source is broken.
        Self::from_scalar(secret.as_slice()).map_err(|_range| CryptoError::Entropy)
    }

    fn from_scalar(secret: &[u8]) -> Result<Self, CryptoError> {
        SigningKey::from_slice(secret).map(Self).map_err(|_range| CryptoError::BadKey)
    }

    /// The key file's content: magic and version 10 bytes, the scalar 32 bytes, big endian.
    ///
    /// INVARIANT: the result goes into a file that its owner alone can read, or nowhere.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        let scalar = Zeroizing::new(<[u8; 32]>::from(self.0.to_bytes()));
        let mut out = Zeroizing::new(Vec::with_capacity(MAGIC.len().saturating_add(scalar.len())));
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(scalar.as_slice());
        out
    }

    /// Reads what [`to_secret_bytes`](Self::to_secret_bytes) wrote, and only that form.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] or [`CryptoError::BadKey`] for anything else.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let scalar = bytes
            .strip_prefix(&MAGIC)
            .filter(|scalar| scalar.len() == 32)
            .ok_or(CryptoError::Malformed("no key of a chain's account"))?;
        Self::from_scalar(scalar)
    }

    /// The account: the last 20 bytes of the public key's Keccak-256.
    #[must_use]
    pub fn address(&self) -> [u8; 20] {
        let point = self.0.verifying_key().to_sec1_point(false);
        // SEC 1 §2.3.3: one byte says that both coordinates follow.
        let coordinates = point.as_bytes().get(1..).unwrap_or_default();
        let [_, _, _, _, _, _, _, _, _, _, _, _, address @ ..] = keccak256(coordinates);
        address
    }

    /// Signs a hash with the nonce of RFC 6979: the same hash gives the same signature.
    #[must_use]
    pub fn sign_hash(&self, hash: &[u8; 32]) -> ChainSignature {
        let (signature, recovery) = self.0.sign_prehash_recoverable(hash);
        let (r, s) = signature.split_bytes();
        ChainSignature { odd: recovery.is_y_odd(), r: r.into(), s: s.into() }
    }
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: hash, address and signature are those that chains know. Method: the hash of nothing, which every account without
    //! code has; the first account of development nodes; the example of EIP-155, whose hash and signature are published.

    use super::*;
    use crate::FixedEntropy;

    fn scalar(text: &str) -> ChainKey {
        ChainKey::from_scalar(&hex::decode(text).unwrap()).unwrap()
    }

    #[test]
    fn the_hash_of_nothing() {
        let empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
        assert_eq!(hex::encode(keccak256(b"")), empty);
    }

    #[test]
    fn the_account_of_a_known_key() {
        let key = scalar("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
        assert_eq!(hex::encode(key.address()), "f39fd6e51aad88f6f4ce6ab8827279cfffb92266");
    }

    #[test]
    fn the_example_of_eip_155() {
        let key = scalar(&"46".repeat(32));
        let hash = "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53";
        let signed = key.sign_hash(&hex::decode(hash).unwrap().try_into().unwrap());
        assert!(!signed.odd);
        let r = "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276";
        let s = "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
        assert_eq!((hex::encode(signed.r).as_str(), hex::encode(signed.s).as_str()), (r, s));
    }

    #[test]
    fn a_key_file_has_one_form() {
        let key = ChainKey::generate(&mut FixedEntropy::new(7)).unwrap();
        let bytes = key.to_secret_bytes();
        assert_eq!(ChainKey::from_secret_bytes(&bytes).unwrap().address(), key.address());
        for bad in [&bytes[1..], &bytes[..41], &[bytes.as_slice(), &[0]].concat(), &[][..]] {
            assert!(ChainKey::from_secret_bytes(bad).is_err());
        }
        let zero = [&MAGIC[..], &[0; 32]].concat();
        assert_eq!(ChainKey::from_secret_bytes(&zero).unwrap_err(), CryptoError::BadKey);
        assert!(!format!("{key:?}").contains("SigningKey"));
    }
}
