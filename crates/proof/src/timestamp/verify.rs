//! Reading a response and refusing every one that breaks a rule.

use der::asn1::{Any, Int, ObjectIdentifier, SetOfVec};
use der::{Tag, Tagged};
use tpw_core::Instant;
use tpw_crypto::ct_eq;
use x509_cert::attr::Attribute;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;

use super::asn1::{
    Accuracy, CONTENT_TYPE, ContentInfo, Digest, GRANTED, GRANTED_WITH_MODS, MESSAGE_DIGEST,
    MessageImprint, PkiStatusInfo, SIGNED_DATA, SIGNING_CERTIFICATE_V2, SignedData,
    SignerIdentifier, SignerInfo, SigningCertificateV2, TST_INFO, TimeStampReq, TimeStampResp,
    TstInfo, read, sha256_identifier, write,
};
use super::certificate::{ParsedCertificate, SignatureScheme, check_chain};
use super::{RESPONSE_LEN_MAX, TspError, gen_time};

/// Embedded certificates that are looked at, at most.
const CERTIFICATES_MAX: usize = 8;
/// RFC 3161 §2.4.2: users must be able to accommodate serials up to 160 bits.
const SERIAL_LEN_MAX: usize = 20;

/// What a verified token proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedTimestamp {
    /// When the authority says that it saw the imprint, cut to milliseconds.
    pub gen_time: Instant,
    /// The token's serial, not negative, big endian without leading zeros; a single zero byte for 0.
    pub serial: Vec<u8>,
    /// The policy's OID in dotted text.
    pub policy: String,
    /// How far the time may be off in each direction, in milliseconds rounded up; `None` where the policy says it.
    pub accuracy_ms: Option<u64>,
    /// The nonce, a big-endian two's complement number, if there is one.
    pub nonce: Option<Vec<u8>>,
    /// The DER of the certificate that signed.
    pub certificate_der: Vec<u8>,
}

/// What a response says of itself. Nothing of it is verified: for printing only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// `PKIStatus`; 0 and 1 are granted.
    pub status: u32,
    /// The set bits of `PKIFailureInfo`.
    pub failure: Vec<u8>,
    /// The token's own words, when there is a token.
    pub token: Option<SummaryToken>,
}

/// The unverified content of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryToken {
    /// The claimed time.
    pub gen_time: Instant,
    /// The serial's bytes in hexadecimal.
    pub serial_hex: String,
    /// The policy's OID in dotted text.
    pub policy: String,
}

/// Verifies a DER `TimeStampResp` over `data`: granted, in canonical DER, one ECDSA P-256 signature by a time-stamping
/// certificate that leads to one of `roots` (DER certificates) at the token's time, under one of `policies` (dotted OIDs).
///
/// The imprint may be SHA-256 or SHA-512 of the data.
///
/// # Errors
/// One [`TspError`] per broken rule.
pub fn verify(
    response_der: &[u8],
    data: &[u8],
    roots: &[Vec<u8>],
    policies: &[String],
) -> Result<VerifiedTimestamp, TspError> {
    let token = Token::parse(response_der)?;
    let checked = token.check(None)?;
    check_trust(&token, &checked, roots, policies)?;
    let imprint = &token.content.message_imprint;
    let hash = imprint_digest(imprint)?.hash(data).ok_or(TspError::ImprintAlgorithm)?;
    if !ct_eq(&hash, imprint.hashed_message.as_bytes()) {
        return Err(TspError::Imprint);
    }
    Ok(checked)
}

/// Verifies a response against the request that it answers (RFC 3161 §2.2): same imprint, nonce, policy, and the
/// certificate embedded exactly when asked for. A request without `certReq` cannot be checked this way: its answer
/// carries no certificate.
///
/// # Errors
/// One [`TspError`] per broken rule.
pub fn verify_answer(
    response_der: &[u8],
    request_der: &[u8],
    roots: &[Vec<u8>],
    policies: &[String],
) -> Result<VerifiedTimestamp, TspError> {
    let request: TimeStampReq = read(request_der, "request")?;
    let token = Token::parse(response_der)?;
    if request.cert_req == token.certificates.is_empty() {
        return Err(TspError::CertificateRequest);
    }
    let checked = token.check(None)?;
    check_trust(&token, &checked, roots, policies)?;
    token.check_request(&request)?;
    Ok(checked)
}

/// What `response_der` says of itself, unverified.
///
/// # Errors
/// [`TspError`] when the bytes are no response at all.
pub fn info(response_der: &[u8]) -> Result<Summary, TspError> {
    let response = parse_response(response_der)?;
    let failure = failure_bits(&response.status);
    let token = match &response.token {
        None => None,
        Some(content) => {
            let token = Token::from_content_info(content)?;
            Some(SummaryToken {
                gen_time: gen_time::read(&token.content.gen_time)?,
                serial_hex: hex::encode(token.content.serial_number.as_bytes()),
                policy: token.content.policy.to_string(),
            })
        }
    };
    Ok(Summary { status: response.status.status, failure, token })
}

/// A token whose structure holds; its signature is not checked yet.
pub(super) struct Token {
    pub(super) content: TstInfo,
    content_der: Vec<u8>,
    digest_algorithms: SetOfVec<spki::AlgorithmIdentifierOwned>,
    signer: SignerInfo,
    attributes: SetOfVec<Attribute>,
    pub(super) certificates: Vec<ParsedCertificate>,
}

impl Token {
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

    fn from_content_info(info: &ContentInfo) -> Result<Self, TspError> {
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

    /// Every rule except trust in the chain, the policy and the imprint. `own` is the signer's certificate when it is not
    /// embedded.
    pub(super) fn check(
        &self,
        own: Option<&ParsedCertificate>,
    ) -> Result<VerifiedTimestamp, TspError> {
        let claims = self.check_content()?;
        let leaf = self.leaf(own)?;
        self.check_attributes(leaf)?;
        leaf.check_leaf(claims.gen_time)?;
        self.check_signature(leaf)?;
        if let Some(name) = &self.content.tsa
            && !leaf.is_named(name)?
        {
            return Err(TspError::AuthorityName);
        }
        Ok(VerifiedTimestamp { certificate_der: leaf.der.clone(), ..claims })
    }

    fn check_content(&self) -> Result<VerifiedTimestamp, TspError> {
        let content = &self.content;
        if content.version != 1 {
            return Err(TspError::Version("token content"));
        }
        let length = content.message_imprint.hashed_message.as_bytes().len();
        if imprint_digest(&content.message_imprint)?.len() != length {
            return Err(TspError::Imprint);
        }
        // Arguable in RFC 3161, not in X.509's tradition: what is critical and unknown is refused.
        if content.extensions.iter().flatten().any(|extension| extension.critical) {
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
        own: Option<&'a ParsedCertificate>,
    ) -> Result<&'a ParsedCertificate, TspError> {
        // RFC 5652 §5.3: the version follows from the kind of identifier.
        let version = match &self.signer.signer {
            SignerIdentifier::IssuerAndSerial(_) => 1,
            SignerIdentifier::KeyIdentifier(_) => 3,
        };
        if self.signer.version != version {
            return Err(TspError::Version("signer"));
        }
        for candidate in self.certificates.iter().chain(own) {
            let named = match &self.signer.signer {
                SignerIdentifier::IssuerAndSerial(id) => {
                    id.issuer == *candidate.tbs().issuer()
                        && id.serial == *candidate.tbs().serial_number()
                }
                SignerIdentifier::KeyIdentifier(id) => candidate
                    .extension::<SubjectKeyIdentifier>()?
                    .is_some_and(|(_critical, own_id)| own_id.0 == *id),
            };
            if named {
                return Ok(candidate);
            }
        }
        Err(TspError::CertificateMissing)
    }

    /// RFC 5652 §5.3, §11; RFC 3161 §2.4.2; RFC 5816 §2.2.1.
    fn check_attributes(&self, leaf: &ParsedCertificate) -> Result<(), TspError> {
        let content_type = self.attribute(CONTENT_TYPE, "content-type")?;
        let is_token = content_type
            .decode_as::<ObjectIdentifier>()
            .is_ok_and(|content_type| content_type == TST_INFO);
        if !is_token {
            return Err(TspError::ContentTypeAttribute);
        }
        let digest = self.digest()?;
        let stated = self.attribute(MESSAGE_DIGEST, "message-digest")?;
        let hash = digest.hash(&self.content_der).ok_or(TspError::DigestAlgorithm)?;
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
        self.check_signing_certificate(leaf)
    }

    /// The first identifier of the attribute is the one of the signer's certificate (RFC 5035 §3).
    fn check_signing_certificate(&self, leaf: &ParsedCertificate) -> Result<(), TspError> {
        let value = self.attribute(SIGNING_CERTIFICATE_V2, "signing-certificate-v2")?;
        let bytes = write(value, "signing-certificate attribute")?;
        let attribute: SigningCertificateV2 = read(&bytes, "signing-certificate attribute")?;
        let id = attribute.certificates.first().ok_or(TspError::SigningCertificate)?;
        let digest = match &id.hash_algorithm {
            None => Some(Digest::Sha256),
            // X.690 §11.5: a default value is left out.
            Some(stated) if *stated == sha256_identifier() => {
                return Err(TspError::NotCanonical("signing-certificate attribute"));
            }
            Some(stated) => Digest::from_identifier(stated),
        };
        let hash =
            digest.and_then(|digest| digest.hash(&leaf.der)).ok_or(TspError::DigestAlgorithm)?;
        if !ct_eq(&hash, id.hash.as_bytes()) {
            return Err(TspError::SigningCertificate);
        }
        let Some(named) = &id.issuer_serial else {
            return Ok(());
        };
        let issuer = GeneralName::DirectoryName(leaf.tbs().issuer().clone());
        if named.serial == *leaf.tbs().serial_number() && named.issuer == [issuer] {
            Ok(())
        } else {
            Err(TspError::SigningCertificate)
        }
    }

    fn check_signature(&self, leaf: &ParsedCertificate) -> Result<(), TspError> {
        let scheme = SignatureScheme::from_identifier(&self.signer.signature_algorithm)?;
        // The digest is the one that the signature scheme uses: no weaker link in between.
        match (scheme, self.digest()?) {
            (SignatureScheme::EcdsaP256Sha256, Digest::Sha256) => {}
            _ => return Err(TspError::DigestAlgorithm),
        }
        // RFC 5652 §5.4: what is signed is the DER of the attributes as an explicit SET OF.
        let message = write(&self.attributes, "signed attributes")?;
        scheme.verify(&leaf.spki_der()?, &message, self.signer.signature.as_bytes())
    }

    /// The digest of the signer, which the list at the front announces alone.
    fn digest(&self) -> Result<Digest, TspError> {
        let own = &self.signer.digest_algorithm;
        let listed = self.digest_algorithms.iter().map(Digest::from_identifier);
        let digest = Digest::from_identifier(own).ok_or(TspError::DigestAlgorithm)?;
        if listed.eq([Some(digest)]) { Ok(digest) } else { Err(TspError::DigestAlgorithm) }
    }

    /// The one value of the one attribute `oid`.
    fn attribute(&self, oid: ObjectIdentifier, name: &'static str) -> Result<&Any, TspError> {
        let mut found = self.attributes.iter().filter(|attribute| attribute.oid == oid);
        let first = found.next().ok_or(TspError::AttributeMissing(name))?;
        match (first.values.as_slice(), found.next()) {
            ([value], None) => Ok(value),
            _ => Err(TspError::AttributeRepeated),
        }
    }

    /// RFC 3161 §2.2, §2.4.2: what the requester must compare.
    pub(super) fn check_request(&self, request: &TimeStampReq) -> Result<(), TspError> {
        if self.content.message_imprint != request.message_imprint {
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

fn parse_response(response_der: &[u8]) -> Result<TimeStampResp, TspError> {
    if response_der.len() > RESPONSE_LEN_MAX {
        return Err(TspError::TooLong { limit: RESPONSE_LEN_MAX });
    }
    let response: TimeStampResp = read(response_der, "response")?;
    // The token is held as it came; its own encoding is checked here, with the bytes still at hand.
    if let Some(token) = &response.token
        && token.content_type == SIGNED_DATA
    {
        read::<SignedData>(&write(&token.content, "signed data")?, "signed data")?;
    }
    Ok(response)
}

fn check_trust(
    token: &Token,
    checked: &VerifiedTimestamp,
    roots: &[Vec<u8>],
    policies: &[String],
) -> Result<(), TspError> {
    if !policies.contains(&checked.policy) {
        return Err(TspError::Policy(checked.policy.clone()));
    }
    let roots =
        roots.iter().map(|root| ParsedCertificate::parse(root)).collect::<Result<Vec<_>, _>>()?;
    let leaf = ParsedCertificate::parse(&checked.certificate_der)?;
    check_chain(&leaf, &token.certificates, &roots, checked.gen_time)
}

fn imprint_digest(imprint: &MessageImprint) -> Result<Digest, TspError> {
    Digest::from_identifier(&imprint.hash_algorithm).ok_or(TspError::ImprintAlgorithm)
}

fn length(digest: Digest) -> Result<der::Length, TspError> {
    der::Length::try_from(digest.len()).map_err(|_too_long| TspError::DigestAlgorithm)
}

/// The set bits of `failInfo`, ascending.
fn failure_bits(status: &PkiStatusInfo) -> Vec<u8> {
    let bits = status.fail_info.iter().flat_map(|info| info.bits());
    (0..=u8::MAX).zip(bits).filter_map(|(index, set)| set.then_some(index)).collect()
}

/// The magnitude of a number from 0 to 160 bits. Zero is a bad choice, but RFC 3161 does not forbid it.
fn magnitude(number: &Int) -> Result<Vec<u8>, TspError> {
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
fn accuracy_ms(accuracy: &Accuracy) -> Result<u64, TspError> {
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
