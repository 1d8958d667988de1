//! One variant per rule that a time-stamp can break.

use tpw_crypto::CryptoError;

/// Why a time-stamp is refused, or was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TspError {
    /// More bytes than a reader of this module accepts.
    #[error("the time-stamp data is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The bytes are no DER of the expected structure.
    #[error("the {0} is not the DER structure that RFC 3161 defines")]
    Malformed(&'static str),
    /// The bytes decode, but are not the one DER encoding of their content (X.690 §10, §11).
    #[error("the {0} is not in canonical DER: its issuer encodes it wrongly")]
    NotCanonical(&'static str),
    /// The authority refused (RFC 3161 §2.4.2).
    #[error("the time-stamp authority refused with status {status} and failure bits {failure:?}")]
    Refused {
        /// `PKIStatus`.
        status: u32,
        /// The set bits of `PKIFailureInfo`.
        failure: Vec<u8>,
    },
    /// A refusal carries a token all the same (§2.4.2: it must not).
    #[error("the response refuses with status {0} and yet carries a token")]
    TokenWithRefusal(u32),
    /// A granted response carries no token, or failure bits.
    #[error("the response grants a time-stamp but is not consistent: {0}")]
    GrantedWithout(&'static str),
    /// The token is no CMS `SignedData` over a `TSTInfo`.
    #[error("the token's content type is not the one of a time-stamp token")]
    ContentType,
    /// A structure has a version that RFC 3161 or RFC 5652 does not allow here.
    #[error("the {0} has a version that its format does not allow here")]
    Version(&'static str),
    /// The token has no signer, or more than one (§2.4.2).
    #[error("the token has {0} signers: exactly one is allowed")]
    SignerCount(usize),
    /// The signing certificate is neither embedded nor at hand.
    #[error("the certificate that signed the token is neither embedded in it nor given beside it")]
    CertificateMissing,
    /// More embedded certificates than are looked at.
    #[error("the token embeds more than {limit} certificates")]
    TooManyCertificates {
        /// The limit.
        limit: usize,
    },
    /// The digest algorithm of the signature, or the list of them, is not acceptable.
    #[error("the digest algorithm of the token's signature is not acceptable")]
    DigestAlgorithm,
    /// The signature algorithm is not acceptable.
    #[error("the signature algorithm, or the key that it is for, is not acceptable")]
    SignatureAlgorithm,
    /// A signed attribute that must be there is not (RFC 5652 §5.3, RFC 5816).
    #[error("the signed attribute {0} is missing")]
    AttributeMissing(&'static str),
    /// A signed attribute occurs twice or has not exactly one value (RFC 5652 §11).
    #[error("a signed attribute occurs twice or has not exactly one value")]
    AttributeRepeated,
    /// The content-type attribute names another type than the content has.
    #[error("the content-type attribute does not name a time-stamp")]
    ContentTypeAttribute,
    /// The message-digest attribute is not the digest of the content.
    #[error("the message-digest attribute is not the digest of the token's content")]
    MessageDigest,
    /// The signing-certificate attribute names another certificate (RFC 5816 §2.2.1).
    #[error("the signing-certificate attribute names another certificate")]
    SigningCertificate,
    /// The algorithms beside the signature are not those that it covers (RFC 6211).
    #[error("the algorithm-protection attribute names other algorithms than the signature has")]
    AlgorithmProtection,
    /// The signature does not verify.
    #[error("the token's signature does not verify under its certificate")]
    BadSignature,
    /// The leaf has no extended key usage.
    #[error("the signing certificate has no extended key usage for time-stamps")]
    UsageMissing,
    /// The extended key usage is not critical (§2.3).
    #[error("the extended key usage of the signing certificate is not critical")]
    UsageNotCritical,
    /// The extended key usage is not time-stamping alone (§2.3).
    #[error("the extended key usage of the signing certificate is not time-stamping alone")]
    UsageWrong,
    /// The leaf is an authority.
    #[error("the signing certificate is a certificate authority")]
    LeafIsAuthority,
    /// The key usage does not allow what the key did.
    #[error("the key usage of a certificate does not allow what its key did")]
    KeyUsage,
    /// A certificate was not valid at the token's time.
    #[error("a certificate of the chain was not valid at the time of the token")]
    OutsideValidity,
    /// A certificate has a critical extension that nobody here understands, or one extension twice.
    #[error("a certificate has a critical extension that is unknown, or one extension twice")]
    CriticalExtension,
    /// An issuer is no certificate authority, or its path length is used up (RFC 5280 §6.1.4).
    #[error("an issuer in the chain is not allowed to issue this certificate")]
    IssuerNotAuthority,
    /// A certificate's signature does not verify under its issuer's key.
    #[error("the signature of a certificate in the chain does not verify")]
    CertificateSignature,
    /// No chain ends in a trusted root.
    #[error("the signing certificate does not lead to a trusted root")]
    UntrustedChain,
    /// The token's serial is negative or longer than 160 bits (§2.4.2).
    #[error("the token's serial is negative or longer than 160 bits")]
    Serial,
    /// The time is no DER `GeneralizedTime` in UTC (§2.4.2, X.690 §11.7).
    #[error("the token's time is not a GeneralizedTime in the form that DER allows")]
    GenTime,
    /// The time is in the future.
    #[error("the token's time is in the future: check the clock of this machine too")]
    Future,
    /// The accuracy is empty, or a part of it is out of range (§2.4.2).
    #[error("the token's accuracy has a part out of range")]
    Accuracy,
    /// The token has a critical extension that nobody here understands, or one extension twice.
    #[error("the token has a critical extension that is unknown, or one extension twice")]
    TokenExtension,
    /// The `tsa` field names somebody else than the certificate (§2.4.2).
    #[error("the token names an authority that its certificate does not name")]
    AuthorityName,
    /// The imprint's hash algorithm is weak or unknown.
    #[error("the imprint's hash algorithm is not acceptable: SHA-256, SHA-384 and SHA-512 are")]
    ImprintAlgorithm,
    /// The imprint is not the hash of the data, or not of the right length.
    #[error("the token's imprint is not the hash of the data")]
    Imprint,
    /// The token's policy is not among those trusted, or not the one asked for.
    #[error("the token's policy `{0}` is not an accepted one")]
    Policy(String),
    /// The token's nonce is not the request's (§2.4.2).
    #[error("the token's nonce is not the one of the request")]
    Nonce,
    /// The certificate is there though nobody asked, or absent though asked for (§2.4.1).
    #[error("the token does not follow the request's wish for the certificate")]
    CertificateRequest,
    /// A parameter for issuing is not usable.
    #[error("the time-stamp authority cannot work like this: {0}")]
    Setup(&'static str),
    /// The signer failed.
    #[error("the time-stamp authority cannot sign: {0}")]
    Crypto(#[from] CryptoError),
}

impl TspError {
    /// The rule's stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "tsp_too_long",
            Self::Malformed(_) => "tsp_malformed",
            Self::NotCanonical(_) => "tsp_not_canonical",
            Self::Refused { .. } => "tsp_refused",
            Self::TokenWithRefusal(_) => "tsp_token_with_refusal",
            Self::GrantedWithout(_) => "tsp_granted_inconsistent",
            Self::ContentType => "tsp_content_type",
            Self::Version(_) => "tsp_version",
            Self::SignerCount(_) => "tsp_signer_count",
            Self::CertificateMissing => "tsp_certificate_missing",
            Self::TooManyCertificates { .. } => "tsp_too_many_certificates",
            Self::DigestAlgorithm => "tsp_digest_algorithm",
            Self::SignatureAlgorithm => "tsp_signature_algorithm",
            Self::AttributeMissing(_) => "tsp_attribute_missing",
            Self::AttributeRepeated => "tsp_attribute_repeated",
            Self::ContentTypeAttribute => "tsp_content_type_attribute",
            Self::MessageDigest => "tsp_message_digest",
            Self::SigningCertificate => "tsp_signing_certificate",
            Self::AlgorithmProtection => "tsp_algorithm_protection",
            Self::BadSignature => "tsp_bad_signature",
            Self::UsageMissing => "tsp_usage_missing",
            Self::UsageNotCritical => "tsp_usage_not_critical",
            Self::UsageWrong => "tsp_usage_wrong",
            Self::LeafIsAuthority => "tsp_leaf_is_authority",
            Self::KeyUsage => "tsp_key_usage",
            Self::OutsideValidity => "tsp_outside_validity",
            Self::CriticalExtension => "tsp_critical_extension",
            Self::IssuerNotAuthority => "tsp_issuer_not_authority",
            Self::CertificateSignature => "tsp_certificate_signature",
            Self::UntrustedChain => "tsp_untrusted_chain",
            Self::Serial => "tsp_serial",
            Self::GenTime => "tsp_gen_time",
            Self::Future => "tsp_future",
            Self::Accuracy => "tsp_accuracy",
            Self::TokenExtension => "tsp_token_extension",
            Self::AuthorityName => "tsp_authority_name",
            Self::ImprintAlgorithm => "tsp_imprint_algorithm",
            Self::Imprint => "tsp_imprint",
            Self::Policy(_) => "tsp_policy",
            Self::Nonce => "tsp_nonce",
            Self::CertificateRequest => "tsp_certificate_request",
            Self::Setup(_) => "tsp_setup",
            Self::Crypto(_) => "tsp_crypto",
        }
    }
}
