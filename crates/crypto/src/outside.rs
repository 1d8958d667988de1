//! Signatures that others make and the wallet only verifies: the algorithms of certificates and time-stamp authorities.
//!
//! Nothing here signs, and no key of these kinds lives in a slot.

use crate::backend;
use crate::{Algorithm, CryptoError, PublicKey, Sha2};

/// A kind of key that signs certificates and time-stamps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutsideKind {
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
    /// RSA of 2048 to 8192 bits, signatures by PKCS #1 version 1.5.
    Rsa,
    /// The same keys, signatures by RSASSA-PSS with a salt as long as the hash.
    RsaPss,
    /// Ed25519, pure.
    Ed25519,
    /// ML-DSA-44, pure, empty context.
    MlDsa44,
    /// ML-DSA-65, pure, empty context.
    MlDsa65,
    /// ML-DSA-87, pure, empty context.
    MlDsa87,
}

/// Verifies `signature` over `message` under `key`, the bits of a `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
///
/// `hash` is the one of ECDSA and RSA; Ed25519 and ML-DSA hash by themselves and leave it unused. ECDSA signatures are DER
/// `Ecdsa-Sig-Value` (RFC 3279 §2.2.3).
///
/// # Errors
/// [`CryptoError::BadKey`] when the key has another form than the one of its kind, [`CryptoError::BadSignature`] otherwise:
/// an RSA key of another size is found there too.
pub fn verify_outside(
    kind: OutsideKind,
    hash: Sha2,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), CryptoError> {
    if !has_form(kind, key) {
        return Err(CryptoError::BadKey);
    }
    if kind == OutsideKind::Ed25519 {
        // The stricter check of our own keys: no point of small order.
        return PublicKey::from_bytes(Algorithm::Ed25519, key)?.verify(message, signature);
    }
    backend::verify_outside(kind, hash, key, message, signature)
}

/// The backend also takes compressed points and whole documents; a key has one byte form here.
fn has_form(kind: OutsideKind, key: &[u8]) -> bool {
    let point = |size: usize| key.len() == size && key.first() == Some(&0x04);
    match kind {
        OutsideKind::P256 => point(65),
        OutsideKind::P384 => point(97),
        OutsideKind::P521 => point(133),
        // An `RSAPublicKey`: a SEQUENCE that begins with an INTEGER; a whole document begins with a SEQUENCE inside.
        OutsideKind::Rsa | OutsideKind::RsaPss => is_rsa_public_key(key),
        OutsideKind::Ed25519 => key.len() == 32,
        OutsideKind::MlDsa44 => key.len() == 1312,
        OutsideKind::MlDsa65 => key.len() == 1952,
        OutsideKind::MlDsa87 => key.len() == 2592,
    }
}

fn is_rsa_public_key(key: &[u8]) -> bool {
    // A modulus of 2048 bits or more has a length of two bytes, and so has the SEQUENCE around it.
    matches!(key, [0x30, 0x82, _, _, 0x02, 0x82, ..])
}

#[cfg(test)]
mod tests {
    //! Goal: a signature of each kind verifies, and neither a changed one nor one under another form of the key does.
    //! Method: keys made by the backend. What other programs sign is judged by the tests of `tpw-proof`.

    use super::*;
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P521_SHA512_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING, PqdsaKeyPair,
        PqdsaSigningAlgorithm, RSA_PKCS1_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    };

    const MESSAGE: &[u8] = b"message";

    /// What a signature of some kind is judged by, and judged it must be.
    fn judge(kind: OutsideKind, hash: Sha2, key: &[u8], signature: &[u8]) {
        let verify = |key: &[u8], message: &[u8], signature: &[u8]| {
            verify_outside(kind, hash, key, message, signature)
        };
        assert_eq!(verify(key, MESSAGE, signature), Ok(()), "{kind:?}");
        assert_eq!(verify(key, b"other", signature), Err(CryptoError::BadSignature), "{kind:?}");
        let mut changed = signature.to_vec();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(verify(key, MESSAGE, &changed), Err(CryptoError::BadSignature), "{kind:?}");
        assert_eq!(verify(key, MESSAGE, b""), Err(CryptoError::BadSignature), "{kind:?}");
        for wrong in [&key[1..], &[key, &[0]].concat(), b""] {
            assert!(verify(wrong, MESSAGE, signature).is_err(), "{kind:?}");
        }
    }

    fn ecdsa(kind: OutsideKind, hash: Sha2, algorithm: &'static EcdsaSigningAlgorithm) {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap();
        judge(kind, hash, pair.public_key().as_ref(), signature.as_ref());
        let document: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let inside = verify_outside(kind, hash, document.as_ref(), MESSAGE, signature.as_ref());
        assert_eq!(inside, Err(CryptoError::BadKey));
    }

    fn ml_dsa(kind: OutsideKind, algorithm: &'static PqdsaSigningAlgorithm) {
        let pair = PqdsaKeyPair::from_seed(algorithm, &[9; 32]).unwrap();
        let mut signature = vec![0; algorithm.signature_len()];
        pair.sign(MESSAGE, &mut signature).unwrap();
        judge(kind, Sha2::Sha512, pair.public_key().as_ref(), &signature);
    }

    #[test]
    fn each_kind_verifies_its_own_and_nothing_else() {
        use Sha2::{Sha256, Sha384, Sha512};
        ecdsa(OutsideKind::P256, Sha256, &ECDSA_P256_SHA256_ASN1_SIGNING);
        ecdsa(OutsideKind::P384, Sha384, &ECDSA_P384_SHA384_ASN1_SIGNING);
        ecdsa(OutsideKind::P521, Sha512, &ECDSA_P521_SHA512_ASN1_SIGNING);
        ml_dsa(OutsideKind::MlDsa44, &ML_DSA_44_SIGNING);
        ml_dsa(OutsideKind::MlDsa65, &ML_DSA_65_SIGNING);
        ml_dsa(OutsideKind::MlDsa87, &ML_DSA_87_SIGNING);
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let signature = pair.sign(MESSAGE);
        judge(OutsideKind::Ed25519, Sha512, pair.public_key().as_ref(), signature.as_ref());
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA384, &SystemRandom::new(), MESSAGE, &mut signature).unwrap();
        let key = pair.public_key().as_ref();
        judge(OutsideKind::Rsa, Sha384, key, &signature);
        let mut salted = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PSS_SHA512, &SystemRandom::new(), MESSAGE, &mut salted).unwrap();
        judge(OutsideKind::RsaPss, Sha512, key, &salted);
        let other_padding = verify_outside(OutsideKind::Rsa, Sha512, key, MESSAGE, &salted);
        assert_eq!(other_padding, Err(CryptoError::BadSignature));
        let other_hash = verify_outside(OutsideKind::Rsa, Sha256, key, MESSAGE, &signature);
        assert_eq!(other_hash, Err(CryptoError::BadSignature));
    }
}
