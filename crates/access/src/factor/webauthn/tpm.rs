//! Attestation by a trusted platform module (§8.3; TPM 2.0 Library, Part 2).

use const_oid::ObjectIdentifier;
use tpw_crypto::{Sha2, sha256};
use webauthn_rs_core::internals::{Tpm2bName, TpmSt, TpmsAttest, TpmuAttest};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};

use super::attestation::{Chain, Claims, Statement};
use super::certificate::AttestationCertificate;
use super::{CoseAlgorithm, WebauthnError};

/// RSASSA-PKCS1-v1_5 with SHA-1 (RFC 8812 §2), which the TPMs under Windows sign with.
const RS1: i64 = -65_535;

const TPM_ALG_SHA256: u16 = 0x000b;
const TPM_ALG_SHA384: u16 = 0x000c;
const TPM_ALG_SHA512: u16 = 0x000d;
const TPM_ALG_NULL: u16 = 0x0010;
const TPM_ALG_RSA: u16 = 0x0001;
const TPM_ALG_ECC: u16 = 0x0023;

const fn malformed(what: &'static str) -> WebauthnError {
    WebauthnError::Attestation(what)
}

const fn wrong(what: &'static str) -> WebauthnError {
    WebauthnError::AttestationFalse(what)
}

/// Checks the statement.
///
/// One that rests on SHA-1 proves nothing today: its credential counts as one without attestation, which is what a browser
/// makes of it too where nobody asks. To refuse it would lock out most computers with Windows.
pub(super) fn judge(
    statement: &Statement<'_>,
    claims: &Claims<'_>,
) -> Result<Chain, WebauthnError> {
    if statement.version != Some("2.0") {
        return Err(malformed("another version of the tpm"));
    }
    let chain = statement.certificates()?;
    let signature = statement.signature()?;
    let info = statement.cert_info.ok_or(malformed("no certInfo"))?;
    let area = statement.pub_area.ok_or(malformed("no pubArea"))?;
    let name = PublicArea::read(area)?.check_key(claims)?.name(area)?;
    if statement.alg == Some(RS1) {
        return Ok(Vec::new());
    }
    let algorithm = statement.algorithm()?;
    check_info(info, &name, &algorithm.hash().hash(&claims.to_be_signed()))?;
    let leaf = chain.first().ok_or(malformed("no certificate"))?;
    leaf.verify(algorithm, info, signature)?;
    check_certificate(leaf)?;
    leaf.check_aaguid(&claims.credential.aaguid)?;
    Ok(chain)
}

/// §8.3: what the TPM certified, and for which answer.
fn check_info(info: &[u8], name: &[u8], hash: &[u8]) -> Result<(), WebauthnError> {
    let info =
        TpmsAttest::try_from(info).map_err(|_error| malformed("a certInfo that cannot be read"))?;
    if info.type_ != TpmSt::AttestCertify {
        return Err(wrong("the tpm certified something else than a key"));
    }
    if info.extra_data.as_deref() != Some(hash) {
        return Err(wrong("the tpm certified it for another answer"));
    }
    match info.typeattested {
        TpmuAttest::AttestCertify(Tpm2bName::Digest(certified), _qualified)
            if certified == name =>
        {
            Ok(())
        }
        _ => Err(wrong("the tpm certified another key")),
    }
}

/// §8.3.1: the rules for the certificate of an attestation key.
fn check_certificate(leaf: &AttestationCertificate) -> Result<(), WebauthnError> {
    const AIK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.3");
    let names_device = leaf
        .known_extension::<SubjectAltName>()
        .is_some_and(|(critical, names)| critical && names.0.iter().any(is_device));
    let for_attestation = leaf
        .known_extension::<ExtendedKeyUsage>()
        .is_some_and(|(_critical, usage)| usage.0.contains(&AIK_CERTIFICATE));
    let is_leaf =
        leaf.known_extension::<BasicConstraints>().is_some_and(|(_critical, basic)| !basic.ca);
    if leaf.is_version_3() && !leaf.has_subject() && names_device && for_attestation && is_leaf {
        Ok(())
    } else {
        Err(wrong("the certificate is not one of a tpm"))
    }
}

/// TCG EK Credential Profile §3.2.9: manufacturer, model and version stand in a directory name.
fn is_device(name: &GeneralName) -> bool {
    const PARTS: [ObjectIdentifier; 3] = [
        ObjectIdentifier::new_unwrap("2.23.133.2.1"),
        ObjectIdentifier::new_unwrap("2.23.133.2.2"),
        ObjectIdentifier::new_unwrap("2.23.133.2.3"),
    ];
    let GeneralName::DirectoryName(name) = name else { return false };
    PARTS.iter().all(|part| name.iter().any(|attribute| attribute.oid == *part))
}

/// A `TPMT_PUBLIC` (Part 2 §12.2.4).
struct PublicArea<'b> {
    name_algorithm: u16,
    kind: u16,
    curve: u16,
    /// The modulus, or both coordinates.
    unique: [&'b [u8]; 2],
}

impl<'b> PublicArea<'b> {
    fn read(bytes: &'b [u8]) -> Result<Self, WebauthnError> {
        let mut fields = Fields(bytes);
        let (kind, name_algorithm) = (fields.u16()?, fields.u16()?);
        let (_attributes, _policy) = (fields.take(4)?, fields.sized()?);
        // A key that signs has no symmetric algorithm; a scheme brings its hash along.
        if fields.u16()? != TPM_ALG_NULL {
            return Err(malformed("a pubArea of another kind of key"));
        }
        fields.scheme()?;
        let (curve, unique) = match kind {
            TPM_ALG_RSA => {
                let (_bits, _exponent) = (fields.u16()?, fields.take(4)?);
                (0, [fields.sized()?, &[]])
            }
            TPM_ALG_ECC => {
                let curve = fields.u16()?;
                fields.scheme()?;
                (curve, [fields.sized()?, fields.sized()?])
            }
            _ => return Err(malformed("a pubArea of another kind of key")),
        };
        if !fields.0.is_empty() {
            return Err(malformed("bytes after the pubArea"));
        }
        Ok(Self { name_algorithm, kind, curve, unique })
    }

    /// "Verify that the public key specified by the parameters and unique fields of pubArea is identical to the
    /// credentialPublicKey".
    fn check_key(self, claims: &Claims<'_>) -> Result<Self, WebauthnError> {
        let key = claims.key.bytes();
        let [first, second] = self.unique;
        let same = match (claims.key.algorithm(), self.kind, self.curve) {
            (CoseAlgorithm::Es256, TPM_ALG_ECC, 0x0003)
            | (CoseAlgorithm::Es384, TPM_ALG_ECC, 0x0004)
            | (CoseAlgorithm::Es512, TPM_ALG_ECC, 0x0005) => {
                // An uncompressed point; a TPM may leave leading zeros out.
                let halves = key.get(1..).and_then(|both| both.split_at_checked(key.len() / 2));
                let (x, y) = halves.unwrap_or_default();
                is_number(x, first) && is_number(y, second)
            }
            // The modulus stands in an `RSAPublicKey` after four bytes of header, its own header and a zero.
            (CoseAlgorithm::Rs256, TPM_ALG_RSA, _) => {
                first.len() >= 256 && key.get(9..).is_some_and(|rest| rest.starts_with(first))
            }
            _ => false,
        };
        if same { Ok(self) } else { Err(wrong("the tpm's key is not the credential's")) }
    }

    /// The key's name: the hash of its public area, after the number of the hash (Part 1 §16).
    fn name(&self, area: &[u8]) -> Result<Vec<u8>, WebauthnError> {
        let hash = match self.name_algorithm {
            TPM_ALG_SHA256 => sha256(area).to_vec(),
            TPM_ALG_SHA384 => Sha2::Sha384.hash(area),
            TPM_ALG_SHA512 => Sha2::Sha512.hash(area),
            _ => return Err(wrong("the key's name rests on a hash that is not supported")),
        };
        Ok([self.name_algorithm.to_be_bytes().as_slice(), &hash].concat())
    }
}

fn is_number(wanted: &[u8], found: &[u8]) -> bool {
    let plain = |bytes: &[u8]| bytes.iter().skip_while(|b| **b == 0).copied().collect::<Vec<_>>();
    plain(wanted) == plain(found)
}

/// What is left of the bytes.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], WebauthnError> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or(malformed("a pubArea too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, WebauthnError> {
        let (taken, rest) =
            self.0.split_first_chunk::<2>().ok_or(malformed("a pubArea too short"))?;
        self.0 = rest;
        Ok(u16::from_be_bytes(*taken))
    }

    fn sized(&mut self) -> Result<&'b [u8], WebauthnError> {
        let length = usize::from(self.u16()?);
        self.take(length)
    }

    /// A scheme is an algorithm, and its hash unless there is none.
    fn scheme(&mut self) -> Result<(), WebauthnError> {
        if self.u16()? != TPM_ALG_NULL {
            self.u16()?;
        }
        Ok(())
    }
}
