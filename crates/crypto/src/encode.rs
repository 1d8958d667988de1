//! The forms that other systems give our keys and signatures: SPKI, JWK, COSE thumbprints, DER signatures.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::{Algorithm, CryptoError, PublicKey, sha256, sha256_parts};

/// DER that precedes the raw key in `SubjectPublicKeyInfo` (RFC 8410 §4, RFC 5480 §2, RFC 9881 §4). Each algorithm has one
/// key length, so that the whole prefix is constant.
const fn spki_prefix(algorithm: Algorithm) -> &'static [u8] {
    match algorithm {
        Algorithm::Ed25519 => {
            &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
        }
        Algorithm::P256 => &[
            0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
            0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
        ],
        Algorithm::MlDsa44 => &[
            0x30, 0x82, 0x05, 0x32, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
            0x04, 0x03, 0x11, 0x03, 0x82, 0x05, 0x21, 0x00,
        ],
        Algorithm::MlDsa65 => &[
            0x30, 0x82, 0x07, 0xb2, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
            0x04, 0x03, 0x12, 0x03, 0x82, 0x07, 0xa1, 0x00,
        ],
    }
}

impl PublicKey {
    /// The key as DER `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        [spki_prefix(self.algorithm()), self.as_bytes()].concat()
    }

    /// The key as PEM (RFC 7468 §13), lines of 64 characters, with a final line end.
    #[must_use]
    pub fn spki_pem(&self) -> String {
        let text = STANDARD.encode(self.spki_der());
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = text.as_str();
        while let Some((line, after)) = rest.split_at_checked(64) {
            pem.push_str(line);
            pem.push('\n');
            rest = after;
        }
        if !rest.is_empty() {
            pem.push_str(rest);
            pem.push('\n');
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }

    /// Reads a DER `SubjectPublicKeyInfo` of one of our algorithms, in exactly the form that
    /// [`spki_der`](Self::spki_der) writes: DER leaves no other.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] for another algorithm or encoding, [`CryptoError::BadKey`] for a bad key inside.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, CryptoError> {
        let found = Algorithm::ALL.into_iter().find_map(|algorithm| {
            der.strip_prefix(spki_prefix(algorithm)).map(|key| (algorithm, key))
        });
        let (algorithm, key) = found
            .ok_or(CryptoError::Malformed("no SubjectPublicKeyInfo of a supported algorithm"))?;
        Self::from_bytes(algorithm, key)
    }

    /// The key as a JWK with its required members only, in the order of RFC 7638 §3.3, without spaces. OKP: RFC 8037;
    /// EC: RFC 7518 §6.2; AKP: RFC 9964.
    #[must_use]
    pub fn jwk_json(&self) -> String {
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self.algorithm() {
            Algorithm::Ed25519 => {
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, b64(self.as_bytes()))
            }
            Algorithm::P256 => {
                let (x, y) = self.p256_coordinates();
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, b64(x), b64(y))
            }
            akp @ (Algorithm::MlDsa44 | Algorithm::MlDsa65) => {
                format!(r#"{{"alg":"{akp}","kty":"AKP","pub":"{}"}}"#, b64(self.as_bytes()))
            }
        }
    }

    /// The JWK thumbprint with SHA-256 (RFC 7638), as raw bytes.
    #[must_use]
    pub fn jwk_thumbprint(&self) -> [u8; 32] {
        self.jwk_thumbprint_or(|| sha256(self.jwk_json().as_bytes()))
    }

    /// The COSE Key thumbprint with SHA-256 (RFC 9679): the hash of the deterministic CBOR (RFC 8949 §4.2.1) of the
    /// required members, as raw bytes.
    #[must_use]
    pub fn cose_key_thumbprint(&self) -> [u8; 32] {
        self.cose_thumbprint_or(|| self.cose_key_hash())
    }

    fn cose_key_hash(&self) -> [u8; 32] {
        match self.algorithm() {
            // {1: 1 (OKP), -1: 6 (Ed25519), -2: x}
            Algorithm::Ed25519 => {
                sha256_parts(&[&[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20], self.as_bytes()])
            }
            // {1: 2 (EC2), -1: 1 (P-256), -2: x, -3: y}
            Algorithm::P256 => {
                let (x, y) = self.p256_coordinates();
                sha256_parts(&[
                    &[0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20],
                    x,
                    &[0x22, 0x58, 0x20],
                    y,
                ])
            }
            // {1: 7 (AKP), 3: -48 (ML-DSA-44), -1: pub}
            Algorithm::MlDsa44 => sha256_parts(&[
                &[0xa3, 0x01, 0x07, 0x03, 0x38, 0x2f, 0x20, 0x59, 0x05, 0x20],
                self.as_bytes(),
            ]),
            // {1: 7 (AKP), 3: -49 (ML-DSA-65), -1: pub}
            Algorithm::MlDsa65 => sha256_parts(&[
                &[0xa3, 0x01, 0x07, 0x03, 0x38, 0x30, 0x20, 0x59, 0x07, 0xa0],
                self.as_bytes(),
            ]),
        }
    }

    /// The coordinates, big endian, 32 bytes each, of a key whose 65-byte form was checked when it was read.
    fn p256_coordinates(&self) -> (&[u8], &[u8]) {
        self.as_bytes()
            .split_at_checked(1)
            .map_or((&[], &[]), |(_form, xy)| xy.split_at_checked(32).unwrap_or((&[], &[])))
    }
}

/// Turns an ECDSA P-256 signature `r || s` into DER `Ecdsa-Sig-Value` (RFC 3279 §2.2.3), the form of X.509 and CMS.
///
/// # Errors
/// [`CryptoError::Malformed`] when the input is not 64 bytes or `r` or `s` is zero.
pub fn der_ecdsa(signature_rs: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let rs: &[u8; 64] = signature_rs
        .try_into()
        .map_err(|_length| CryptoError::Malformed("an r||s signature has 64 bytes"))?;
    let (r, s) = rs.split_at(32);
    let body = [der_unsigned(r)?, der_unsigned(s)?].concat();
    // At most 2 * (2 + 33) = 70 bytes: the short length form always fits.
    let length = u8::try_from(body.len())
        .map_err(|_too_long| CryptoError::Backend("signature encoding too long"))?;
    let mut der = vec![0x30, length];
    der.extend_from_slice(&body);
    Ok(der)
}

/// DER INTEGER of an unsigned big-endian number of at most 32 bytes: no leading zeros beyond the sign's (X.690 §8.3).
fn der_unsigned(number: &[u8]) -> Result<Vec<u8>, CryptoError> {
    let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    let top = *digits.first().ok_or(CryptoError::Malformed("r and s are not zero"))?;
    let sign: &[u8] = if top >= 0x80 { &[0] } else { &[] };
    let length = u8::try_from(digits.len().saturating_add(sign.len()))
        .map_err(|_too_long| CryptoError::Backend("signature encoding too long"))?;
    Ok([&[0x02, length], sign, &digits].concat())
}
