//! Tokens that evidence records hold (RFC 4998 §4.1): checked once, and their certificates judged at later times.

use der::Encode as _;
use der::asn1::Any;
use tpw_core::Instant;

use super::TspError;
use super::asn1::{Bag, ContentInfo, SignedData, encoded, write};
use super::certificate::{Links, ParsedCertificate, check_chain};
use super::kind::StampKind;
use super::scheme::Profile;
use super::token::{self, Checked, Token, parse_response, parse_token};
use super::verify::Imprint;
use crate::evidence::hash_name;

const TOKEN: &str = "token";
const DATA: &str = "signed data";

/// The roots of a trust file, parsed once for many chains.
pub(crate) struct Roots(Vec<ParsedCertificate>);

impl Roots {
    /// Of DER certificates.
    pub(crate) fn parse(roots: &[Vec<u8>]) -> Result<Self, TspError> {
        roots.iter().map(|der| ParsedCertificate::parse(der)).collect::<Result<_, _>>().map(Self)
    }
}

/// A token whose own rules hold: structure, attributes, signature, its certificate's purpose. Whether that certificate
/// is to be trusted is asked for each time that counts.
pub(crate) struct ArchivedToken {
    token: Token,
    leaf: ParsedCertificate,
    policy: String,
    /// When the token was made, cut to milliseconds.
    pub(crate) gen_time: Instant,
    /// What it was made over.
    pub(crate) imprint: Imprint,
}

impl ArchivedToken {
    /// A token as an evidence record holds it: all of it in canonical DER, the certificates sorted too, since what is
    /// hashed at a renewal is its DER.
    pub(crate) fn read(token_der: &[u8]) -> Result<Self, TspError> {
        let info = parse_token(token_der)?;
        if info.content_type == super::asn1::SIGNED_DATA && sorted(&info)? != info {
            return Err(TspError::NotCanonical(TOKEN));
        }
        Self::checked(Token::from_content_info(&info)?)
    }

    /// The token of a granted response.
    pub(crate) fn of_response(response_der: &[u8]) -> Result<Self, TspError> {
        Self::checked(Token::parse(response_der)?)
    }

    fn checked(token: Token) -> Result<Self, TspError> {
        let Checked { leaf, stamp } = token.check(&[], Profile::Receipt)?;
        let leaf = leaf.clone();
        let stated = &token.content.message_imprint;
        let function = token::imprint_hash(stated)?;
        let hash = stated.hashed_message.as_bytes().to_vec();
        Ok(Self {
            leaf,
            policy: stamp.policy,
            gen_time: stamp.gen_time,
            imprint: Imprint { function, hash },
            token,
        })
    }

    /// Whether its policy is one of those and its certificate leads to a root at its own time.
    pub(crate) fn check_trust(&self, roots: &Roots, policies: &[String]) -> Result<(), TspError> {
        if !policies.contains(&self.policy) {
            return Err(TspError::Policy(self.policy.clone()));
        }
        self.check_chain_at(roots, self.gen_time)
    }

    /// Whether its certificates are all valid at `at` (RFC 4998 §5.3: valid relative to the time of the following one).
    pub(crate) fn check_chain_at(&self, roots: &Roots, at: Instant) -> Result<(), TspError> {
        self.leaf.check_validity(at)?;
        let links = &mut Links::new(Profile::Receipt);
        check_chain(&self.leaf, &self.token.certificates, &roots.0, at, links)
    }

    /// The names of its signature's algorithm and of its digest's.
    pub(crate) fn algorithms(&self) -> [&'static str; 2] {
        let kind = StampKind::of_identifier(self.leaf.spki().algorithm.oid);
        [kind.name(), hash_name(kind.digest())]
    }

    /// The last instant at which its certificates lead to a root: an end of validity of one of them.
    pub(crate) fn chain_end(&self, roots: &Roots) -> Option<Instant> {
        let known = self.token.certificates.iter().chain(&roots.0);
        let mut ends: Vec<Instant> =
            known.chain([&self.leaf]).filter_map(ParsedCertificate::last_instant).collect();
        ends.sort_unstable();
        ends.dedup();
        ends.into_iter().rev().find(|end| self.check_chain_at(roots, *end).is_ok())
    }
}

/// The token of a granted response, in the form in which evidence records hold it.
///
/// # Errors
/// [`TspError`] when the response is no granted one in canonical DER.
pub fn archived_token(response_der: &[u8]) -> Result<Vec<u8>, TspError> {
    Token::parse(response_der)?;
    let response = parse_response(response_der)?;
    let info = response.token.ok_or(TspError::GrantedWithout("no token"))?;
    write(&sorted(&info)?, TOKEN)
}

/// The same token with its bags sorted, as DER asks for. No signature covers their order.
fn sorted(info: &ContentInfo) -> Result<ContentInfo, TspError> {
    let mut data: SignedData =
        info.content.decode_as().map_err(|_other_structure| TspError::Malformed(DATA))?;
    for bag in [&mut data.certificates, &mut data.revocations].into_iter().flatten() {
        sort(bag)?;
    }
    Ok(ContentInfo { content_type: info.content_type, content: encoded(&data, DATA)? })
}

fn sort(bag: &mut Bag) -> Result<(), TspError> {
    let keyed = bag.0.iter().map(|any| Ok((any.to_der()?, any.clone())));
    let mut keyed: Vec<(Vec<u8>, Any)> =
        keyed.collect::<der::Result<_>>().map_err(|_unencodable| TspError::Malformed(DATA))?;
    keyed.sort_by(|(one, _), (other, _)| one.cmp(other));
    bag.0 = keyed.into_iter().map(|(_, any)| any).collect();
    Ok(())
}
