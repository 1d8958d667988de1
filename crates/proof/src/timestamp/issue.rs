//! The authority's own certificates: a root and a time-stamping leaf under it, both ECDSA on P-256 with SHA-256, or both
//! ML-DSA-65 (RFC 9881). Keys stay in their slots.

use const_oid::AssociatedOid;
use const_oid::db::rfc4519::COMMON_NAME;
use der::asn1::{Any, BitString, Int, OctetString, SetOfVec};
use der::flagset::FlagSet;
use der::{Encode, Sequence};
use spki::AlgorithmIdentifierOwned;
use tpw_core::Instant;
use tpw_crypto::{PublicKey, Signer, SlotName, sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::time::{Time, Validity};

use super::asn1::{TIME_STAMPING, decoded, encoded, write};
use super::certificate::{Links, ParsedCertificate, check_chain};
use super::kind::StampKind;
use super::scheme::Profile;
use super::{TspError, gen_time};

/// RFC 5280 appendix A: `ub-common-name`.
const COMMON_NAME_CHARS_MAX: usize = 64;

/// What the caller decides of a new certificate.
#[derive(Clone, Debug)]
pub struct CertificateSpec<'a> {
    /// The subject's common name, 1 to 64 characters.
    pub common_name: &'a str,
    /// The first second of validity.
    pub not_before: Instant,
    /// The last second of validity.
    pub not_after: Instant,
    /// A positive number, unique under the issuer; [`serial`](super::serial) makes one.
    pub serial: [u8; 20],
}

/// RFC 5280 §4.1.2, the fields in use.
#[derive(Sequence)]
struct Tbs {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial: Int,
    algorithm: AlgorithmIdentifierOwned,
    issuer: Any,
    validity: Validity,
    subject: Any,
    public_key: Any,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

#[derive(Sequence)]
struct Signed {
    tbs: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// Makes the self-signed root of a time-stamp authority: a CA that may issue leaves only, for time-stamps only.
///
/// # Errors
/// [`TspError::Setup`] when the specification is not usable, [`TspError::Crypto`] when the signer fails.
pub fn root_certificate(
    signer: &dyn Signer,
    root_slot: &SlotName,
    spec: &CertificateSpec<'_>,
) -> Result<Vec<u8>, TspError> {
    let public = signer.public_key(root_slot)?;
    let name = common_name(spec.common_name)?;
    let extensions = vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?,
        extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
        extension(false, &SubjectKeyIdentifier(key_identifier(&public)?))?,
    ];
    build(signer, root_slot, spec, Parties { issuer: name, public: &public }, extensions)
}

/// Makes the certificate of a time-stamping key under `root_der`: critical extended key usage for time-stamps alone, no CA.
///
/// # Errors
/// [`TspError::Setup`] when the specification or the root is not usable, [`TspError::Crypto`] when the signer fails,
/// and whatever rule the new certificate would break.
pub fn leaf_certificate(
    signer: &dyn Signer,
    root_slot: &SlotName,
    root_der: &[u8],
    leaf_public: &PublicKey,
    spec: &CertificateSpec<'_>,
) -> Result<Vec<u8>, TspError> {
    let root = ParsedCertificate::parse(root_der)?;
    let root_public = signer.public_key(root_slot)?;
    if root.spki_der()? != root_public.spki_der() {
        return Err(TspError::Setup("the root certificate is not for the key in the root slot"));
    }
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(key_identifier(&root_public)?),
        ..Default::default()
    };
    let extensions = vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension(true, &KeyUsage(FlagSet::from(KeyUsages::DigitalSignature)))?,
        extension(true, &ExtendedKeyUsage(vec![TIME_STAMPING]))?,
        extension(false, &SubjectKeyIdentifier(key_identifier(leaf_public)?))?,
        extension(false, &authority)?,
    ];
    let issuer = encoded(root.tbs().subject(), CERTIFICATE)?;
    let der = build(signer, root_slot, spec, Parties { issuer, public: leaf_public }, extensions)?;
    // What the verifier would refuse never leaves.
    let leaf = ParsedCertificate::parse(&der)?;
    leaf.check_leaf(spec.not_before)?;
    check_chain(&leaf, &[], &[root], spec.not_before, &mut Links::new(Profile::Receipt))?;
    Ok(der)
}

struct Parties<'a> {
    issuer: Any,
    public: &'a PublicKey,
}

fn build(
    signer: &dyn Signer,
    slot: &SlotName,
    spec: &CertificateSpec<'_>,
    parties: Parties<'_>,
    extensions: Extensions,
) -> Result<Vec<u8>, TspError> {
    let kind = StampKind::of(&signer.public_key(slot)?)?;
    if StampKind::of(parties.public)? != kind {
        return Err(TspError::Setup("the keys of a certificate and of its root are of one kind"));
    }
    if spec.not_after <= spec.not_before {
        return Err(TspError::Setup("the certificate would expire before it starts"));
    }
    let algorithm = kind.signature_algorithm();
    let time = |at| gen_time::date_time(at).map(Time::from);
    let tbs = encoded(
        &Tbs {
            // Version 3 is written as 2.
            version: 2,
            serial: positive_serial(&spec.serial)?,
            algorithm: algorithm.clone(),
            issuer: parties.issuer,
            validity: Validity::new(time(spec.not_before)?, time(spec.not_after)?),
            subject: common_name(spec.common_name)?,
            public_key: decoded(&parties.public.spki_der(), CERTIFICATE)?,
            extensions,
        },
        CERTIFICATE,
    )?;
    let signature = kind.encoded(signer.sign(slot, &write(&tbs, CERTIFICATE)?)?)?;
    let signature = BitString::new(0, signature).map_err(|_long| UNENCODABLE)?;
    write(&Signed { tbs, algorithm, signature }, CERTIFICATE)
}

const CERTIFICATE: &str = "certificate";
const UNENCODABLE: TspError = TspError::Malformed(CERTIFICATE);

/// A serial as a DER number: positive, so its first bit is not set.
pub(super) fn positive_serial(serial: &[u8; 20]) -> Result<Int, TspError> {
    let digits: Vec<u8> = serial.iter().copied().skip_while(|byte| *byte == 0).collect();
    if serial.first().is_some_and(|top| *top >= 0x80) || digits.is_empty() {
        return Err(TspError::Setup("a serial is a positive number of at most 159 bits"));
    }
    // DER drops leading zeros, all but the one that keeps the number positive.
    let sign: &[u8] = if digits.first().is_some_and(|top| *top >= 0x80) { &[0] } else { &[] };
    Int::new(&[sign, &digits].concat()).map_err(|_too_long| UNENCODABLE)
}

fn common_name(text: &str) -> Result<Any, TspError> {
    let usable = (1..=COMMON_NAME_CHARS_MAX).contains(&text.chars().count())
        && !text.chars().any(char::is_control);
    if !usable {
        return Err(TspError::Setup("a common name has 1 to 64 characters, no control characters"));
    }
    let attribute =
        AttributeTypeAndValue { oid: COMMON_NAME, value: encoded(&text.to_owned(), CERTIFICATE)? };
    let names = SetOfVec::try_from(vec![attribute]).map_err(|_unordered| UNENCODABLE)?;
    encoded(&vec![names], CERTIFICATE)
}

/// RFC 7093 §2, method 1: the first 160 bits of SHA-256 of the public key's bits.
fn key_identifier(public: &PublicKey) -> Result<OctetString, TspError> {
    let hash = sha256(public.as_bytes());
    let (first, _rest) = hash.split_at(20);
    OctetString::new(first).map_err(|_too_long| UNENCODABLE)
}

fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> Result<Extension, TspError> {
    let extn_value =
        OctetString::new(write(value, CERTIFICATE)?).map_err(|_too_long| UNENCODABLE)?;
    Ok(Extension { extn_id: T::OID, critical, extn_value })
}
