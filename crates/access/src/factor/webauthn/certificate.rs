//! Certificates of attestation: what their key signed, what they say, and whether they lead to an anchor.

use core::time::Duration;
use std::time::SystemTime;

use const_oid::{AssociatedOid, ObjectIdentifier};
use der::Decode;
use tpw_core::Instant;
use tpw_crypto::{OutsideKind, verify_outside};
use webauthn_rs_core::attestation::{
    FidoGenCeAaguid, assert_packed_attest_req, validate_extension, verify_attestation_ca_chain,
};
use webauthn_rs_core::proto::{AttestationCaList, ParsedAttestationData};
use x509_cert::Certificate;

use super::{CoseAlgorithm, WebauthnError};

/// The longest certificate that is read, in bytes.
const LEN_MAX: usize = 8 * 1024;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// A certificate that an authenticator sent.
pub(super) struct AttestationCertificate(Certificate);

impl AttestationCertificate {
    pub(super) fn read(der: &[u8]) -> Result<Self, WebauthnError> {
        let bad = WebauthnError::Attestation("a certificate that cannot be read");
        if der.len() > LEN_MAX {
            return Err(bad);
        }
        let certificate = Certificate::from_der(der).map_err(|_error| bad)?;
        // RFC 5280 §4.1.1.2: both must name the same algorithm. The library looks at one of them.
        let same = certificate.signature_algorithm() == certificate.tbs_certificate().signature();
        if same { Ok(Self(certificate)) } else { Err(bad) }
    }

    /// Its key's bits, if the key is one of `kind`.
    fn key(&self, kind: OutsideKind) -> Option<&[u8]> {
        let key = self.0.tbs_certificate().subject_public_key_info();
        let curve = || key.algorithm.parameters.as_ref()?.decode_as::<ObjectIdentifier>().ok();
        let found = match key.algorithm.oid {
            EC_PUBLIC_KEY => match curve()? {
                P256 => OutsideKind::P256,
                P384 => OutsideKind::P384,
                P521 => OutsideKind::P521,
                _ => return None,
            },
            RSA => OutsideKind::Rsa,
            ED25519 => OutsideKind::Ed25519,
            _ => return None,
        };
        (found == kind).then(|| key.subject_public_key.as_bytes()).flatten()
    }

    /// Whether its key is `bytes`, a key of `algorithm`.
    pub(super) fn has_key(&self, algorithm: CoseAlgorithm, bytes: &[u8]) -> bool {
        self.key(algorithm.scheme().0) == Some(bytes)
    }

    /// Verifies what its key signed with `algorithm`.
    pub(super) fn verify(
        &self,
        algorithm: CoseAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), WebauthnError> {
        let (kind, hash) = algorithm.scheme();
        let other =
            WebauthnError::AttestationFalse("the certificate's key is not of the algorithm");
        let key = self.key(kind).ok_or(other)?;
        let holds = verify_outside(kind, hash, key, message, signature);
        holds.map_err(|_error| WebauthnError::AttestationFalse("its signature does not verify"))
    }

    /// The value of an extension, and whether it is critical.
    pub(super) fn extension(&self, oid: ObjectIdentifier) -> Option<(bool, &[u8])> {
        let all = self.0.tbs_certificate().extensions()?;
        let found = all.iter().find(|extension| extension.extn_id == oid)?;
        Some((found.critical, found.extn_value.as_bytes()))
    }

    /// The extension `T`, if it is there and can be read.
    pub(super) fn known_extension<T>(&self) -> Option<(bool, T)>
    where
        T: for<'a> Decode<'a, Error = der::Error> + AssociatedOid,
    {
        self.0.tbs_certificate().get_extension::<T>().ok().flatten()
    }

    pub(super) fn is_version_3(&self) -> bool {
        self.0.tbs_certificate().version() == x509_cert::certificate::Version::V3
    }

    pub(super) fn has_subject(&self) -> bool {
        !self.0.tbs_certificate().subject().is_empty()
    }

    /// §8.2.1: the rules for a certificate of packed attestation.
    pub(super) fn check_packed(&self) -> Result<(), WebauthnError> {
        let bad =
            WebauthnError::AttestationFalse("the certificate is not one of packed attestation");
        assert_packed_attest_req(&self.0).map_err(|_error| bad)
    }

    /// If it names a model of authenticators, that must be `aaguid`.
    pub(super) fn check_aaguid(&self, aaguid: &[u8; 16]) -> Result<(), WebauthnError> {
        let other = WebauthnError::AttestationFalse("the certificate is of another model");
        validate_extension::<FidoGenCeAaguid>(&self.0, aaguid).map(|_none| ()).map_err(|_| other)
    }
}

/// Whether `chain`, its leaf first, leads to one of `anchors` at `now`.
pub(super) fn leads_to(
    chain: &[AttestationCertificate],
    anchors: &AttestationCaList,
    now: Instant,
) -> bool {
    let Some(at) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now.unix_ms())) else {
        return false;
    };
    // Which kind of attestation it is makes no difference to the search.
    let chain = chain.iter().map(|certificate| certificate.0.clone()).collect();
    let found = verify_attestation_ca_chain(&ParsedAttestationData::Basic(chain), anchors, at);
    found.is_ok_and(|anchor| anchor.is_some())
}
