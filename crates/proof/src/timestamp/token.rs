//! A token taken apart, and every rule that needs nothing but the token and its signer's certificate.

use der::asn1::{Any, Int, ObjectIdentifier, SetOfVec};
use der::{Decode, Tag, Tagged};
use tpw_crypto::{Sha2, ct_eq, sha1_to_compare};
use x509_cert::attr::Attribute;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use super::asn1::{
    ALGORITHM_PROTECTION, Accuracy, AlgorithmProtection, CONTENT_TYPE, ContentInfo,
    EssIssuerSerial, GRANTED, GRANTED_WITH_MODS, MESSAGE_DIGEST, MessageImprint, PkiStatusInfo,
    SIGNED_DATA, SIGNING_CERTIFICATE, SIGNING_CERTIFICATE_V2, SignedData, SignerIdentifier,
    SignerInfo, SigningCertificate, SigningCertificateV2, TST_INFO, TimeStampReq, TimeStampResp,
    TstInfo, named_hash, read, sha256_identifier, write,
};
use super::certificate::ParsedCertificate;
use super::scheme::{Profile, SignatureScheme};
use super::verify::VerifiedTimestamp;
use super::{RESPONSE_LEN_MAX, TspError, gen_time};

/// Embedded certificates that are looked at, at most.
const CERTIFICATES_MAX: usize = 8;
/// RFC 3161 §2.4.2: users must be able to accommodate serials up to 160 bits.
const SERIAL_LEN_MAX: usize = 20;

/// A token whose structure holds; its signature is not checked yet.
pub(super) struct Token {
    pub(super) content: TstInfo,
    content_der: Vec<u8>,
    digest_algorithms: SetOfVec<spki::AlgorithmIdentifierOwned>,
    signer: SignerInfo,
    attributes: SetOfVec<Attribute>,
    pub(super) certificates: Vec<ParsedCertificate>,
}

/// What [`Token::check`] found.
pub(super) struct Checked<'a> {
    /// The signer's certificate.
    pub(super) leaf: &'a ParsedCertificate,
    pub(super) stamp: VerifiedTimestamp,
}

impl Token {
    /// The token of a granted response, or one that stands alone as a `ContentInfo`.
    pub(super) fn parse_any(der: &[u8]) -> Result<Self, TspError> {
        if is_token_alone(der) {
            return Self::from_content_info(&parse_token(der)?);
        }
        Self::parse(der)
    }

    /// The token of a granted response.
    pub(super) fn parse(response_der: &[u8]) -> Result<Self, TspError> {
        let response = parse_response(response_der)?;
        let status = response.status.status;
        let failure = failure_bits(&response.status);
        // RFC 3161 §2.4.2: the token is present when the status is 0 or 1, and only then.
        match (status, &response.token) {
            (GRANTED | GRANTED_WITH_MODS, Some(_)) if response.status.fail_info.is_some() => {
                Err(TspError::GrantedWithout("failure bits in a granted response"))
            }
            (GRANTED | GRANTED_WITH_MODS, Some(token)) => Self::from_content_info(token),
            (GRANTED | GRANTED_WITH_MODS, None) => Err(TspError::GrantedWithout("no token")),
            (_, Some(_)) => Err(TspError::TokenWithRefusal(status)),
            (_, None) => Err(TspError::Refused { status, failure }),
        }
    }

    pub(super) fn from_content_info(info: &ContentInfo) -> Result<Self, TspError> {
        if info.content_type != SIGNED_DATA {
            return Err(TspError::ContentType);
        }
        let data: SignedData = info
            .content
            .decode_as()
            .map_err(|_other_structure| TspError::Malformed("signed data"))?;
        if data.content.content_type != TST_INFO {
            return Err(TspError::ContentType);
        }
        // RFC 5652 §5.1: version 3, since the content is no id-data; higher ones are for other certificate kinds.
        if data.version != 3 {
            return Err(TspError::Version("signed data"));
        }
        let content_der =
            data.content.content.ok_or(TspError::ContentType)?.into_bytes().into_vec();
        let content: TstInfo = read(&content_der, "token content")?;
        let count = data.signers.len();
        let mut signers = data.signers.into_vec();
        let signer = signers.pop().filter(|_| count == 1).ok_or(TspError::SignerCount(count))?;
        let attributes =
            signer.signed_attributes.clone().ok_or(TspError::AttributeMissing("content-type"))?;
        let embedded = data.certificates.unwrap_or_default().0;
        if embedded.len() > CERTIFICATES_MAX {
            return Err(TspError::TooManyCertificates { limit: CERTIFICATES_MAX });
        }
        if embedded.iter().any(|any| any.tag() != Tag::Sequence) {
            return Err(TspError::Malformed("certificate"));
        }
        // No signature covers what is embedded beside the signer's chain. A certificate that cannot be read is no part of a
        // chain; refusing the token for it would make the verdict depend on each reader's taste in certificates.
        let certificates = embedded
            .iter()
            .filter_map(|any| ParsedCertificate::parse(&write(any, "certificate").ok()?).ok())
            .collect();
        let digest_algorithms = data.digest_algorithms;
        Ok(Self { content, content_der, digest_algorithms, signer, attributes, certificates })
    }

    /// Every rule except trust in the chain, the policy and the imprint. The signer's certificate is looked for in the token
    /// first, then among `others`.
    pub(super) fn check<'a>(
        &'a self,
        others: &'a [ParsedCertificate],
        profile: Profile,
    ) -> Result<Checked<'a>, TspError> {
        let claims = self.check_content(profile)?;
        let leaf = self.leaf(others, profile)?;
        self.check_attributes(leaf, profile)?;
        leaf.check_leaf(claims.gen_time)?;
        self.check_signature(leaf, profile)?;
        if let Some(name) = &self.content.tsa
            && !leaf.is_named(name)?
        {
            return Err(TspError::AuthorityName);
        }
        let stamp = VerifiedTimestamp { certificate_der: leaf.der.clone(), ..claims };
        Ok(Checked { leaf, stamp })
    }

    fn check_content(&self, profile: Profile) -> Result<VerifiedTimestamp, TspError> {
        let content = &self.content;
        if content.version != 1 {
            return Err(TspError::Version("token content"));
        }
        let length = content.message_imprint.hashed_message.as_bytes().len();
        if imprint_hash(&content.message_imprint)?.output_len() != length {
            return Err(TspError::Imprint);
        }
        // Arguable in RFC 3161, not in X.509's tradition: what is critical and unknown is refused.
        if content.extensions.iter().flatten().any(|extension| extension.critical) {
            return Err(TspError::TokenExtension);
        }
        if profile == Profile::Any && content.extensions.as_deref().is_some_and(has_repeated) {
            return Err(TspError::TokenExtension);
        }
        Ok(VerifiedTimestamp {
            gen_time: gen_time::read(&content.gen_time)?,
            serial: magnitude(&content.serial_number)?,
            policy: content.policy.to_string(),
            accuracy_ms: content.accuracy.as_ref().map(accuracy_ms).transpose()?,
            nonce: content.nonce.as_ref().map(|nonce| nonce.as_bytes().to_vec()),
            certificate_der: Vec::new(),
        })
    }

    /// The certificate that the signer identifier names.
    fn leaf<'a>(
        &'a self,
        others: &'a [ParsedCertificate],
        profile: Profile,
    ) -> Result<&'a ParsedCertificate, TspError> {
        // RFC 5652 §5.3: the version follows from the kind of identifier.
        let version = match &self.signer.signer {
            SignerIdentifier::IssuerAndSerial(_) => 1,
            SignerIdentifier::KeyIdentifier(_) => 3,
        };
        if self.signer.version != version {
            return Err(TspError::Version("signer"));
        }
        let mut first = None;
        for candidate in self.certificates.iter().chain(others) {
            if !self.names(candidate)? {
                continue;
            }
            // RFC 5035 §4: where several have the name, the certificate's hash says which.
            if profile == Profile::Receipt
                || self.check_signing_certificate(candidate, profile).is_ok()
            {
                return Ok(candidate);
            }
            first = first.or(Some(candidate));
        }
        first.ok_or(TspError::CertificateMissing)
    }

    /// Whether the signer identifier is that of `candidate`.
    fn names(&self, candidate: &ParsedCertificate) -> Result<bool, TspError> {
        match &self.signer.signer {
            SignerIdentifier::IssuerAndSerial(id) => Ok(id.issuer == *candidate.tbs().issuer()
                && id.serial == *candidate.tbs().serial_number()),
            SignerIdentifier::KeyIdentifier(id) => Ok(candidate
                .extension::<SubjectKeyIdentifier>()?
                .is_some_and(|(_critical, own_id)| own_id.0 == *id)),
        }
    }

    /// RFC 5652 §5.3, §11; RFC 3161 §2.4.2; RFC 5816 §2.2.1.
    fn check_attributes(&self, leaf: &ParsedCertificate, profile: Profile) -> Result<(), TspError> {
        let content_type = self.attribute(CONTENT_TYPE, "content-type")?;
        let is_token = content_type
            .decode_as::<ObjectIdentifier>()
            .is_ok_and(|content_type| content_type == TST_INFO);
        if !is_token {
            return Err(TspError::ContentTypeAttribute);
        }
        let digest = self.digest()?;
        let stated = self.attribute(MESSAGE_DIGEST, "message-digest")?;
        if !profile.takes(digest) {
            return Err(TspError::DigestAlgorithm);
        }
        let hash = digest.hash(&self.content_der);
        if stated.header() != der::Header::new(der::Tag::OctetString, length(digest)?)
            || !ct_eq(stated.value(), &hash)
        {
            return Err(TspError::MessageDigest);
        }
        for attribute in self.attributes.iter() {
            let same = self.attributes.iter().filter(|other| other.oid == attribute.oid).count();
            // Of the attributes that a token may have, none takes more than one value.
            if same != 1 || attribute.values.len() != 1 {
                return Err(TspError::AttributeRepeated);
            }
        }
        if profile == Profile::Any {
            self.check_algorithm_protection()?;
        }
        self.check_signing_certificate(leaf, profile)
    }

    /// RFC 5816 §2.2.1: the attribute of either version; where both are there, both name the signer's certificate.
    fn check_signing_certificate(
        &self,
        leaf: &ParsedCertificate,
        profile: Profile,
    ) -> Result<(), TspError> {
        let old = self.find(SIGNING_CERTIFICATE)?.filter(|_value| profile == Profile::Any);
        let new = self.find(SIGNING_CERTIFICATE_V2)?;
        if old.is_none() && new.is_none() {
            return Err(TspError::AttributeMissing("signing-certificate"));
        }
        old.map_or(Ok(()), |value| check_old_identifier(value, leaf))?;
        new.map_or(Ok(()), |value| check_identifier(value, leaf, profile))
    }

    /// RFC 6211 §3: the algorithms beside the signature are those that it covers.
    fn check_algorithm_protection(&self) -> Result<(), TspError> {
        let Some(value) = self.find(ALGORITHM_PROTECTION)? else {
            return Ok(());
        };
        let bytes = write(value, PROTECTION)?;
        let covered: AlgorithmProtection = read(&bytes, PROTECTION)?;
        let same = covered.digest_algorithm == self.signer.digest_algorithm
            && covered.signature_algorithm == self.signer.signature_algorithm;
        if same { Ok(()) } else { Err(TspError::AlgorithmProtection) }
    }

    fn check_signature(&self, leaf: &ParsedCertificate, profile: Profile) -> Result<(), TspError> {
        let digest = self.digest()?;
        let identifier = &self.signer.signature_algorithm;
        let scheme = SignatureScheme::read(identifier, leaf.spki(), Some(digest), profile)?;
        if !scheme.allows_digest(digest) {
            return Err(TspError::DigestAlgorithm);
        }
        // RFC 5652 §5.4: what is signed is the DER of the attributes as an explicit SET OF.
        let message = write(&self.attributes, "signed attributes")?;
        scheme.verify(leaf.spki(), &message, self.signer.signature.as_bytes())
    }

    /// The digest of the signer, which the list at the front announces alone.
    fn digest(&self) -> Result<Sha2, TspError> {
        let own = &self.signer.digest_algorithm;
        let listed = self.digest_algorithms.iter().map(named_hash);
        let digest = named_hash(own).ok_or(TspError::DigestAlgorithm)?;
        if listed.eq([Some(digest)]) { Ok(digest) } else { Err(TspError::DigestAlgorithm) }
    }

    /// The one value of the one attribute `oid`.
    fn attribute(&self, oid: ObjectIdentifier, name: &'static str) -> Result<&Any, TspError> {
        self.find(oid)?.ok_or(TspError::AttributeMissing(name))
    }

    /// The one value of the one attribute `oid`, if it is there.
    fn find(&self, oid: ObjectIdentifier) -> Result<Option<&Any>, TspError> {
        let mut found = self.attributes.iter().filter(|attribute| attribute.oid == oid);
        let Some(first) = found.next() else {
            return Ok(None);
        };
        match (first.values.as_slice(), found.next()) {
            ([value], None) => Ok(Some(value)),
            _ => Err(TspError::AttributeRepeated),
        }
    }

    /// RFC 3161 §2.2, §2.4.2: what the requester must compare.
    pub(super) fn check_request(&self, request: &TimeStampReq) -> Result<(), TspError> {
        if !same_imprint(&self.content.message_imprint, &request.message_imprint) {
            return Err(TspError::Imprint);
        }
        if self.content.nonce != request.nonce {
            return Err(TspError::Nonce);
        }
        match &request.req_policy {
            Some(asked) if *asked != self.content.policy => {
                Err(TspError::Policy(self.content.policy.to_string()))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn parse_response(response_der: &[u8]) -> Result<TimeStampResp, TspError> {
    if response_der.len() > RESPONSE_LEN_MAX {
        return Err(TspError::TooLong { limit: RESPONSE_LEN_MAX });
    }
    let response: TimeStampResp = read(response_der, "response")?;
    if let Some(token) = &response.token {
        check_canonical(token)?;
    }
    Ok(response)
}

/// Whether the bytes begin as a token that stands alone does, with an object identifier.
pub(super) fn is_token_alone(der: &[u8]) -> bool {
    let outer = Any::from_der(der).ok();
    outer.is_some_and(|outer| outer.value().first() == Some(&OBJECT_IDENTIFIER))
}

/// The tag of an object identifier.
const OBJECT_IDENTIFIER: u8 = 0x06;

pub(super) fn parse_token(token_der: &[u8]) -> Result<ContentInfo, TspError> {
    if token_der.len() > RESPONSE_LEN_MAX {
        return Err(TspError::TooLong { limit: RESPONSE_LEN_MAX });
    }
    let token: ContentInfo = read(token_der, "token")?;
    check_canonical(&token)?;
    Ok(token)
}

/// The token is held as it came; its own encoding is checked here, with the bytes still at hand.
fn check_canonical(token: &ContentInfo) -> Result<(), TspError> {
    if token.content_type == SIGNED_DATA {
        read::<SignedData>(&write(&token.content, "signed data")?, "signed data")?;
    }
    Ok(())
}

const ATTRIBUTE: &str = "signing-certificate attribute";
const PROTECTION: &str = "algorithm-protection attribute";

/// The first identifier of the attribute is the one of the signer's certificate (RFC 5035 §3).
fn check_identifier(
    value: &Any,
    leaf: &ParsedCertificate,
    profile: Profile,
) -> Result<(), TspError> {
    let attribute: SigningCertificateV2 = read(&write(value, ATTRIBUTE)?, ATTRIBUTE)?;
    let id = attribute.certificates.first().ok_or(TspError::SigningCertificate)?;
    let hash = match &id.hash_algorithm {
        None => Some(Sha2::Sha256),
        // X.690 §11.5: a default value is left out.
        Some(stated) if *stated == sha256_identifier() => {
            return Err(TspError::NotCanonical(ATTRIBUTE));
        }
        Some(stated) => named_hash(stated).filter(|hash| profile.takes(*hash)),
    };
    let hash = hash.ok_or(TspError::DigestAlgorithm)?.hash(&leaf.der);
    if !ct_eq(&hash, id.hash.as_bytes()) {
        return Err(TspError::SigningCertificate);
    }
    id.issuer_serial.as_ref().map_or(Ok(()), |named| check_named(named, leaf))
}

/// The same for the form of RFC 2634 §5.4, whose hash is SHA-1.
fn check_old_identifier(value: &Any, leaf: &ParsedCertificate) -> Result<(), TspError> {
    let attribute: SigningCertificate = read(&write(value, ATTRIBUTE)?, ATTRIBUTE)?;
    let id = attribute.certificates.first().ok_or(TspError::SigningCertificate)?;
    if !ct_eq(&sha1_to_compare(&leaf.der), id.hash.as_bytes()) {
        return Err(TspError::SigningCertificate);
    }
    id.issuer_serial.as_ref().map_or(Ok(()), |named| check_named(named, leaf))
}

fn check_named(named: &EssIssuerSerial, leaf: &ParsedCertificate) -> Result<(), TspError> {
    let issuer = GeneralName::DirectoryName(leaf.tbs().issuer().clone());
    if named.serial == *leaf.tbs().serial_number() && named.issuer == [issuer] {
        Ok(())
    } else {
        Err(TspError::SigningCertificate)
    }
}

pub(super) fn imprint_hash(imprint: &MessageImprint) -> Result<Sha2, TspError> {
    named_hash(&imprint.hash_algorithm).ok_or(TspError::ImprintAlgorithm)
}

fn length(digest: Sha2) -> Result<der::Length, TspError> {
    der::Length::try_from(digest.output_len()).map_err(|_too_long| TspError::DigestAlgorithm)
}

/// RFC 5754 §2: absent parameters of a hash and NULL mean the same.
fn same_imprint(one: &MessageImprint, other: &MessageImprint) -> bool {
    let function = |imprint| imprint_hash(imprint).ok();
    one.hashed_message == other.hashed_message
        && function(one).is_some()
        && function(one) == function(other)
}

/// RFC 5280 §4.2: one extension stands there once.
fn has_repeated(extensions: &[Extension]) -> bool {
    let same = |one: &Extension| extensions.iter().filter(|e| e.extn_id == one.extn_id).count();
    extensions.iter().any(|extension| same(extension) != 1)
}

/// The set bits of `failInfo`, ascending.
pub(super) fn failure_bits(status: &PkiStatusInfo) -> Vec<u8> {
    let bits = status.fail_info.iter().flat_map(|info| info.bits());
    (0..=u8::MAX).zip(bits).filter_map(|(index, set)| set.then_some(index)).collect()
}

/// The magnitude of a number from 0 to 160 bits. Zero is a bad choice, but RFC 3161 does not forbid it.
pub(super) fn magnitude(number: &Int) -> Result<Vec<u8>, TspError> {
    let (first, rest) = number.as_bytes().split_first().ok_or(TspError::Serial)?;
    let digits = match (first, rest) {
        (0x80.., _) => return Err(TspError::Serial),
        // DER puts a zero in front only to keep a number positive, or when it is all there is.
        (0, [_, ..]) => rest,
        _ => number.as_bytes(),
    };
    if digits.len() > SERIAL_LEN_MAX { Err(TspError::Serial) } else { Ok(digits.to_vec()) }
}

/// RFC 3161 §2.4.2: at least one part; thousandths and millionths are 1 to 999.
pub(super) fn accuracy_ms(accuracy: &Accuracy) -> Result<u64, TspError> {
    let in_range = |part: &Option<u64>| part.is_none_or(|value| (1..=999).contains(&value));
    let empty =
        accuracy.seconds.is_none() && accuracy.millis.is_none() && accuracy.micros.is_none();
    if empty || !in_range(&accuracy.millis) || !in_range(&accuracy.micros) {
        return Err(TspError::Accuracy);
    }
    accuracy
        .seconds
        .unwrap_or(0)
        .checked_mul(1000)
        .and_then(|ms| ms.checked_add(accuracy.millis.unwrap_or(0)))
        .and_then(|ms| ms.checked_add(u64::from(accuracy.micros.is_some())))
        .ok_or(TspError::Accuracy)
}
