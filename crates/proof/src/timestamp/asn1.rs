//! The ASN.1 structures of RFC 3161, of RFC 5816 and the part of CMS (RFC 5652) that a token uses.
//!
//! Fields whose rules are stricter than their type (time, serial, accuracy) are kept loose here, so that the verifier
//! can name the rule that is broken.

use der::asn1::{Any, BitString, Int, ObjectIdentifier, OctetString, SetOfVec};
use der::{
    Choice, Decode, DecodeValue, Encode, EncodeValue, FixedTag, Header, Length, Reader, Sequence,
    Tag, ValueOrd, Writer,
};
use spki::AlgorithmIdentifierOwned;
use tpw_crypto::Sha2;
use x509_cert::attr::Attribute;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use super::TspError;

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

pub(super) const SIGNED_DATA: ObjectIdentifier = oid("1.2.840.113549.1.7.2");
pub(super) const TST_INFO: ObjectIdentifier = oid("1.2.840.113549.1.9.16.1.4");
pub(super) const CONTENT_TYPE: ObjectIdentifier = oid("1.2.840.113549.1.9.3");
pub(super) const MESSAGE_DIGEST: ObjectIdentifier = oid("1.2.840.113549.1.9.4");
pub(super) const SIGNING_CERTIFICATE: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.12");
pub(super) const ALGORITHM_PROTECTION: ObjectIdentifier = oid("1.2.840.113549.1.9.52");
pub(super) const SIGNING_CERTIFICATE_V2: ObjectIdentifier = oid("1.2.840.113549.1.9.16.2.47");
pub(super) const SHA256: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.1");
pub(super) const SHA384: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.2");
pub(super) const SHA512: ObjectIdentifier = oid("2.16.840.1.101.3.4.2.3");
pub(super) const ECDSA_SHA256: ObjectIdentifier = oid("1.2.840.10045.4.3.2");
pub(super) const TIME_STAMPING: ObjectIdentifier = oid("1.3.6.1.5.5.7.3.8");

/// `PKIStatus` (RFC 3161 §2.4.2).
pub(super) const GRANTED: u32 = 0;
pub(super) const GRANTED_WITH_MODS: u32 = 1;
pub(super) const REJECTION: u32 = 2;

/// RFC 3161 §2.4.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TimeStampReq {
    pub(super) version: u8,
    pub(super) message_imprint: MessageImprint,
    #[asn1(optional = "true")]
    pub(super) req_policy: Option<ObjectIdentifier>,
    #[asn1(optional = "true")]
    pub(super) nonce: Option<Int>,
    #[asn1(default = "Default::default")]
    pub(super) cert_req: bool,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) extensions: Option<Extensions>,
}

/// RFC 3161 §2.4.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct MessageImprint {
    pub(super) hash_algorithm: AlgorithmIdentifierOwned,
    pub(super) hashed_message: OctetString,
}

/// RFC 3161 §2.4.2.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TimeStampResp {
    pub(super) status: PkiStatusInfo,
    #[asn1(optional = "true")]
    pub(super) token: Option<ContentInfo>,
}

/// RFC 3161 §2.4.2.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct PkiStatusInfo {
    pub(super) status: u32,
    #[asn1(optional = "true")]
    pub(super) status_string: Option<Vec<String>>,
    #[asn1(optional = "true")]
    pub(super) fail_info: Option<BitString>,
}

/// RFC 3161 §2.4.2. `gen_time` is checked by `gen_time.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct TstInfo {
    pub(super) version: u8,
    pub(super) policy: ObjectIdentifier,
    pub(super) message_imprint: MessageImprint,
    pub(super) serial_number: Int,
    pub(super) gen_time: Any,
    #[asn1(optional = "true")]
    pub(super) accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    pub(super) ordering: bool,
    #[asn1(optional = "true")]
    pub(super) nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) tsa: Option<GeneralName>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) extensions: Option<Extensions>,
}

/// RFC 3161 §2.4.2: seconds, thousandths and millionths of a second.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct Accuracy {
    #[asn1(optional = "true")]
    pub(super) seconds: Option<u64>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) millis: Option<u64>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) micros: Option<u64>,
}

/// RFC 5652 §3, with the one content that a time-stamp token has.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct ContentInfo {
    pub(super) content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) content: Any,
}

/// RFC 5652 §5.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SignedData {
    pub(super) version: u8,
    pub(super) digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    pub(super) content: EncapsulatedContent,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) certificates: Option<Bag>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) revocations: Option<Bag>,
    pub(super) signers: SetOfVec<SignerInfo>,
}

/// A `SET OF` in the order that it came in. Stock authorities leave certificates unsorted, and no signature covers their
/// order: the one place where canonical DER is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bag(pub(super) Vec<Any>);

impl FixedTag for Bag {
    const TAG: Tag = Tag::Set;
}

impl<'a> DecodeValue<'a> for Bag {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, header: Header) -> der::Result<Self> {
        Vec::decode_value(reader, header).map(Self)
    }
}

impl EncodeValue for Bag {
    fn value_len(&self) -> der::Result<Length> {
        self.0.value_len()
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.0.encode_value(writer)
    }
}

/// RFC 5652 §5.2.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EncapsulatedContent {
    pub(super) content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    pub(super) content: Option<OctetString>,
}

/// RFC 5652 §5.3.
#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
pub(super) struct SignerInfo {
    pub(super) version: u8,
    pub(super) signer: SignerIdentifier,
    pub(super) digest_algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) signed_attributes: Option<SetOfVec<Attribute>>,
    pub(super) signature_algorithm: AlgorithmIdentifierOwned,
    pub(super) signature: OctetString,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(super) unsigned_attributes: Option<SetOfVec<Attribute>>,
}

/// RFC 5652 §5.3.
#[derive(Clone, Debug, PartialEq, Eq, Choice, ValueOrd)]
pub(super) enum SignerIdentifier {
    IssuerAndSerial(IssuerAndSerial),
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    KeyIdentifier(OctetString),
}

/// RFC 5652 §10.2.4.
#[derive(Clone, Debug, PartialEq, Eq, Sequence, ValueOrd)]
pub(super) struct IssuerAndSerial {
    pub(super) issuer: Name,
    pub(super) serial: SerialNumber,
}

/// RFC 5035 §3.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SigningCertificateV2 {
    pub(super) certificates: Vec<EssCertIdV2>,
    #[asn1(optional = "true")]
    pub(super) policies: Option<Vec<Any>>,
}

/// RFC 5035 §4.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EssCertIdV2 {
    /// DEFAULT SHA-256 without parameters: absent means that, and DER never writes it.
    #[asn1(optional = "true")]
    pub(super) hash_algorithm: Option<AlgorithmIdentifierOwned>,
    pub(super) hash: OctetString,
    #[asn1(optional = "true")]
    pub(super) issuer_serial: Option<EssIssuerSerial>,
}

/// RFC 2634 §5.4: the form before RFC 5816, by SHA-1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct SigningCertificate {
    pub(super) certificates: Vec<EssCertId>,
    #[asn1(optional = "true")]
    pub(super) policies: Option<Vec<Any>>,
}

/// RFC 2634 §5.4.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EssCertId {
    pub(super) hash: OctetString,
    #[asn1(optional = "true")]
    pub(super) issuer_serial: Option<EssIssuerSerial>,
}

/// RFC 6211 §2, the form beside a signature.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct AlgorithmProtection {
    pub(super) digest_algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT")]
    pub(super) signature_algorithm: AlgorithmIdentifierOwned,
}

/// RFC 5035 §4.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(super) struct EssIssuerSerial {
    pub(super) issuer: GeneralNames,
    pub(super) serial: SerialNumber,
}

/// SHA-256 without parameters, the form of RFC 5754 §2.
pub(super) fn sha256_identifier() -> AlgorithmIdentifierOwned {
    hash_identifier(Sha2::Sha256)
}

/// The hash that `identifier` names; parameters may be absent or NULL (RFC 5754 §2).
pub(crate) fn named_hash(identifier: &AlgorithmIdentifierOwned) -> Option<Sha2> {
    if identifier.parameters.as_ref().is_some_and(|parameters| !parameters.is_null()) {
        return None;
    }
    match identifier.oid {
        SHA256 => Some(Sha2::Sha256),
        SHA384 => Some(Sha2::Sha384),
        SHA512 => Some(Sha2::Sha512),
        _ => None,
    }
}

/// `hash` as an identifier without parameters.
pub(crate) fn hash_identifier(hash: Sha2) -> AlgorithmIdentifierOwned {
    let oid = match hash {
        Sha2::Sha256 => SHA256,
        Sha2::Sha384 => SHA384,
        Sha2::Sha512 => SHA512,
    };
    AlgorithmIdentifierOwned { oid, parameters: None }
}

/// Reads `bytes` as the one DER encoding of a `T`, nothing after it.
pub(super) fn read<T>(bytes: &[u8], what: &'static str) -> Result<T, TspError>
where
    T: for<'a> Decode<'a> + Encode,
{
    let value = T::from_der(bytes).map_err(|_other| TspError::Malformed(what))?;
    // The decoder sorts sets and accepts written defaults: only the same bytes again prove canonical DER.
    if write(&value, what)? == bytes { Ok(value) } else { Err(TspError::NotCanonical(what)) }
}

/// The DER of `value`.
pub(super) fn write<T: Encode>(value: &T, what: &'static str) -> Result<Vec<u8>, TspError> {
    value.to_der().map_err(|_unencodable| TspError::Malformed(what))
}

/// The DER of `value` as an element of any type.
pub(super) fn encoded<T: Encode>(value: &T, what: &'static str) -> Result<Any, TspError> {
    decoded(&write(value, what)?, what)
}

/// One element of any type.
pub(super) fn decoded(bytes: &[u8], what: &'static str) -> Result<Any, TspError> {
    Any::from_der(bytes).map_err(|_other| TspError::Malformed(what))
}
