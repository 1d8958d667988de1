//! Certificates as the verifier sees them: the rules for a time-stamping leaf and for its chain (RFC 3161 §2.3,
//! RFC 5280 §6.1). Revocation and policy processing are absent on purpose.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use const_oid::AssociatedOid;
use der::asn1::{Any, BitString};
use der::{Decode, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use std::collections::BTreeSet;
use tpw_core::Instant;
use tpw_crypto::{sha256, sha256_parts};
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::time::Time;
use x509_cert::{Certificate, TbsCertificate};

use super::TspError;
use super::asn1::{TIME_STAMPING, write};
use super::scheme::{Profile, SignatureScheme};

/// The longest certificate that is read, in bytes.
const CERTIFICATE_LEN_MAX: usize = 16 * 1024;
/// Certificates that one file may hold: as many as the stores of operating systems do.
const FILE_CERTIFICATES_MAX: usize = 512;
/// Certificates between the leaf and the root, at most.
const INTERMEDIATES_MAX: usize = 3;
/// Signature checks that one chain search may cost.
const CHECKS_MAX: usize = 16;

/// A parsed certificate with the bytes that its issuer signed.
#[derive(Clone, Debug)]
pub(super) struct ParsedCertificate {
    pub(super) der: Vec<u8>,
    signed: Vec<u8>,
    certificate: Certificate,
}

/// A certificate whose signed part is kept as bytes.
#[derive(Sequence)]
struct Outer {
    signed: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl ParsedCertificate {
    pub(super) fn parse(der: &[u8]) -> Result<Self, TspError> {
        if der.len() > CERTIFICATE_LEN_MAX {
            return Err(TspError::TooLong { limit: CERTIFICATE_LEN_MAX });
        }
        let malformed = |_error| TspError::Malformed("certificate");
        let outer = Outer::from_der(der).map_err(malformed)?;
        let certificate = Certificate::from_der(der).map_err(malformed)?;
        let same = outer.algorithm == *certificate.tbs_certificate().signature();
        // RFC 5280 §4.1.1.2: both must name the same algorithm.
        if !same || outer.signature.has_unused_bits() {
            return Err(TspError::Malformed("certificate"));
        }
        let signed = write(&outer.signed, "certificate")?;
        Ok(Self { der: der.to_vec(), signed, certificate })
    }

    pub(super) fn tbs(&self) -> &TbsCertificate {
        self.certificate.tbs_certificate()
    }

    pub(super) fn spki(&self) -> &SubjectPublicKeyInfoOwned {
        self.tbs().subject_public_key_info()
    }

    pub(super) fn spki_der(&self) -> Result<Vec<u8>, TspError> {
        write(self.spki(), "certificate")
    }

    /// One extension with its criticality; an extension that occurs twice is refused.
    pub(super) fn extension<T>(&self) -> Result<Option<(bool, T)>, TspError>
    where
        T: for<'a> Decode<'a, Error = der::Error> + AssociatedOid,
    {
        self.tbs()
            .get_extension::<T>()
            .map_err(|_error| TspError::Malformed("certificate extension"))
    }

    /// Whether the certificate names `name` as its subject.
    pub(super) fn is_named(&self, name: &GeneralName) -> Result<bool, TspError> {
        if matches!(name, GeneralName::DirectoryName(subject) if subject == self.tbs().subject()) {
            return Ok(true);
        }
        let others = self.extension::<SubjectAltName>()?;
        Ok(others.is_some_and(|(_critical, others)| others.0.contains(name)))
    }

    /// RFC 5280 §4.2: extensions of version 3 only, none twice, none critical and unknown.
    fn check_extensions(&self) -> Result<(), TspError> {
        const KNOWN: [const_oid::ObjectIdentifier; 3] =
            [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID];
        if self.tbs().version() != Version::V3 {
            return Err(TspError::Version("certificate"));
        }
        let mut seen = Vec::new();
        for extension in self.tbs().extensions().map_or(&[][..], |list| list.as_slice()) {
            let unknown = extension.critical && !KNOWN.contains(&extension.extn_id);
            if unknown || seen.contains(&extension.extn_id) {
                return Err(TspError::CriticalExtension);
            }
            seen.push(extension.extn_id);
        }
        Ok(())
    }

    /// The last instant of its validity, the whole of the last second.
    pub(super) fn last_instant(&self) -> Option<Instant> {
        let end = self.tbs().validity().not_after.to_unix_duration().as_secs();
        Instant::from_unix_ms(end.checked_mul(1000)?.checked_add(999)?)
    }

    pub(super) fn check_validity(&self, at: Instant) -> Result<(), TspError> {
        let ms = |time: Time| u128::from(time.to_unix_duration().as_secs()).saturating_mul(1000);
        let validity = self.tbs().validity();
        let at_ms = u128::from(at.unix_ms());
        // notAfter is the last second of validity, the whole of it (RFC 5280 §4.1.2.5).
        let end_ms = ms(validity.not_after).saturating_add(999);
        if (ms(validity.not_before)..=end_ms).contains(&at_ms) {
            Ok(())
        } else {
            Err(TspError::OutsideValidity)
        }
    }

    /// The rules for the certificate of a time-stamping key, at the token's time.
    pub(super) fn check_leaf(&self, at: Instant) -> Result<(), TspError> {
        self.check_extensions()?;
        let (critical, usage) =
            self.extension::<ExtendedKeyUsage>()?.ok_or(TspError::UsageMissing)?;
        if usage.0.as_slice() != [TIME_STAMPING] {
            return Err(TspError::UsageWrong);
        }
        if !critical {
            return Err(TspError::UsageNotCritical);
        }
        if self.extension::<BasicConstraints>()?.is_some_and(|(_critical, basic)| basic.ca) {
            return Err(TspError::LeafIsAuthority);
        }
        if let Some((_critical, usage)) = self.extension::<KeyUsage>()? {
            let signs = usage.digital_signature() || usage.non_repudiation();
            if !signs || usage.key_cert_sign() || usage.crl_sign() {
                return Err(TspError::KeyUsage);
            }
        }
        self.check_validity(at)
    }

    /// The rules for an issuer that has `below` intermediate certificates under it (RFC 5280 §6.1.4).
    fn check_issuer(&self, below: usize, at: Instant) -> Result<(), TspError> {
        self.check_extensions()?;
        let (_critical, basic) =
            self.extension::<BasicConstraints>()?.ok_or(TspError::IssuerNotAuthority)?;
        let long = basic.path_len_constraint.is_some_and(|limit| below > usize::from(limit));
        if !basic.ca || long {
            return Err(TspError::IssuerNotAuthority);
        }
        if self.extension::<KeyUsage>()?.is_some_and(|(_critical, usage)| !usage.key_cert_sign()) {
            return Err(TspError::KeyUsage);
        }
        // An issuer limited to other purposes does not issue for this one.
        if let Some((_critical, usage)) = self.extension::<ExtendedKeyUsage>()?
            && !usage.0.contains(&TIME_STAMPING)
        {
            return Err(TspError::UsageWrong);
        }
        self.check_validity(at)
    }

    /// Whether `issuer` may be the one by name and key identifier, before any signature is checked.
    fn may_be_issued_by(&self, issuer: &Self) -> Result<bool, TspError> {
        if self.tbs().issuer() != issuer.tbs().subject() {
            return Ok(false);
        }
        let wanted = self
            .extension::<AuthorityKeyIdentifier>()?
            .and_then(|(_critical, authority)| authority.key_identifier);
        let offered = issuer.extension::<SubjectKeyIdentifier>()?.map(|(_critical, own)| own.0);
        Ok(match (wanted, offered) {
            (Some(wanted), Some(offered)) => wanted == offered,
            _ => true,
        })
    }

    fn check_signature(&self, issuer: &Self, profile: Profile) -> Result<(), TspError> {
        let identifier = self.certificate.signature_algorithm();
        let scheme = SignatureScheme::read(identifier, issuer.spki(), None, profile)?;
        if !scheme.may_certify(self.spki(), profile) {
            return Err(TspError::SignatureAlgorithm);
        }
        let signature = self.certificate.signature().raw_bytes();
        match scheme.verify(issuer.spki(), &self.signed, signature) {
            Err(TspError::BadSignature) => Err(TspError::CertificateSignature),
            other => other,
        }
    }
}

/// Which certificate was found to be signed by which: a signature that holds need not be verified twice.
///
/// Kept by hashes of both certificates, whole. Whether they are valid at a time and may issue is asked again each time.
#[derive(Debug)]
pub(super) struct Links {
    profile: Profile,
    known: BTreeSet<[u8; 32]>,
}

impl Links {
    /// More than any operator has; whoever makes certificates without end only makes them be verified again.
    const KNOWN_MAX: usize = 64;

    /// None so far, of signatures by the rules of one profile.
    pub(super) const fn new(profile: Profile) -> Self {
        Self { profile, known: BTreeSet::new() }
    }

    fn check(
        &mut self,
        child: &ParsedCertificate,
        issuer: &ParsedCertificate,
    ) -> Result<(), TspError> {
        let link = sha256_parts(&[&sha256(&child.der), &sha256(&issuer.der)]);
        if self.known.contains(&link) {
            return Ok(());
        }
        child.check_signature(issuer, self.profile)?;
        if self.known.len() < Self::KNOWN_MAX {
            self.known.insert(link);
        }
        Ok(())
    }
}

/// Whether `leaf` leads to one of `roots` at `at`, over at most three of the `others`.
pub(super) fn check_chain(
    leaf: &ParsedCertificate,
    others: &[ParsedCertificate],
    roots: &[ParsedCertificate],
    at: Instant,
    links: &mut Links,
) -> Result<(), TspError> {
    let mut search = ChainSearch {
        others,
        roots,
        at,
        links,
        checks_left: CHECKS_MAX,
        reason: TspError::UntrustedChain,
    };
    if search.reaches_root(leaf, 0)? { Ok(()) } else { Err(search.reason) }
}

struct ChainSearch<'a> {
    others: &'a [ParsedCertificate],
    roots: &'a [ParsedCertificate],
    at: Instant,
    links: &'a mut Links,
    checks_left: usize,
    /// Why the nearest candidate was refused: more useful than "no chain".
    reason: TspError,
}

impl ChainSearch<'_> {
    /// Recursion depth: at most `INTERMEDIATES_MAX` + 1.
    fn reaches_root(&mut self, child: &ParsedCertificate, below: usize) -> Result<bool, TspError> {
        let (others, roots) = (self.others, self.roots);
        for root in roots {
            if self.is_issuer(child, root, below)? {
                return Ok(true);
            }
        }
        if below >= INTERMEDIATES_MAX {
            return Ok(false);
        }
        for other in others.iter().filter(|other| other.der != child.der) {
            if self.is_issuer(child, other, below)?
                && self.reaches_root(other, below.saturating_add(1))?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn is_issuer(
        &mut self,
        child: &ParsedCertificate,
        issuer: &ParsedCertificate,
        below: usize,
    ) -> Result<bool, TspError> {
        if !child.may_be_issued_by(issuer)? {
            return Ok(false);
        }
        self.checks_left = self.checks_left.checked_sub(1).ok_or(TspError::UntrustedChain)?;
        let checked =
            issuer.check_issuer(below, self.at).and_then(|()| self.links.check(child, issuer));
        match checked {
            Ok(()) => Ok(true),
            Err(reason) => {
                self.reason = reason;
                Ok(false)
            }
        }
    }
}

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// A certificate as PEM (RFC 7468 §5), lines of 64 characters, with a final line end.
#[must_use]
pub fn certificate_pem(der: &[u8]) -> String {
    let mut pem = format!("{PEM_BEGIN}\n");
    for (index, character) in STANDARD.encode(der).chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n{PEM_END}\n"));
    pem
}

/// The DER of the one certificate in `pem`, parsed once so that no other bytes get through.
///
/// # Errors
/// [`TspError::Malformed`] when the text is not one PEM certificate, [`TspError::TooLong`] when it is too large.
pub fn certificate_der(pem: &str) -> Result<Vec<u8>, TspError> {
    if pem.len() > CERTIFICATE_LEN_MAX.saturating_mul(2) {
        return Err(TspError::TooLong { limit: CERTIFICATE_LEN_MAX });
    }
    let body = pem
        .trim()
        .strip_prefix(PEM_BEGIN)
        .and_then(|rest| rest.strip_suffix(PEM_END))
        .ok_or(TspError::Malformed("PEM certificate"))?;
    let text: String = body.lines().map(str::trim).collect();
    let der =
        STANDARD.decode(text).map_err(|_not_base64| TspError::Malformed("PEM certificate"))?;
    ParsedCertificate::parse(&der).map(|parsed| parsed.der)
}

/// The DER of each certificate of a file: one in DER, or any number in PEM (RFC 7468) with other text around them.
///
/// # Errors
/// [`TspError::Malformed`] when there is none or one cannot be read, [`TspError::TooManyCertificates`].
pub fn certificates(file: &[u8]) -> Result<Vec<Vec<u8>>, TspError> {
    const DER_SEQUENCE: u8 = 0x30;
    if file.first() == Some(&DER_SEQUENCE) {
        return ParsedCertificate::parse(file).map(|parsed| vec![parsed.der]);
    }
    let text =
        std::str::from_utf8(file).map_err(|_not_text| TspError::Malformed("PEM certificate"))?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_before, after)) = rest.split_once(PEM_BEGIN) {
        let (body, after) =
            after.split_once(PEM_END).ok_or(TspError::Malformed("PEM certificate"))?;
        if found.len() >= FILE_CERTIFICATES_MAX {
            return Err(TspError::TooManyCertificates { limit: FILE_CERTIFICATES_MAX });
        }
        found.push(certificate_der(&format!("{PEM_BEGIN}{body}{PEM_END}"))?);
        rest = after;
    }
    if found.is_empty() { Err(TspError::Malformed("PEM certificate")) } else { Ok(found) }
}
