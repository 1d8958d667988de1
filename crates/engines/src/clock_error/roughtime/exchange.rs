//! One question and its answer (RFC 10049 §5): encodings by `roughenough-protocol`, what has to hold by us, signatures by our own
//! wrappers.
//!
//! INVARIANT: signatures are verified over the bytes as they came, never over what was read from them.

use super::list::Server;
use roughenough_merkle::root_from_paths;
use roughenough_protocol::cursor::ParseCursor;
use roughenough_protocol::header::find_value_range;
use roughenough_protocol::request::Request;
use roughenough_protocol::response::Response;
use roughenough_protocol::tag::Tag;
use roughenough_protocol::tags::{Nonce, ProtocolVersion, SrvCommitment};
use roughenough_protocol::wire::FRAME_OVERHEAD;
use roughenough_protocol::{FromFrame as _, ToFrame as _};
use tpw_crypto::{Algorithm, PublicKey, Sha2};

/// The first half of SHA-512 (RFC 10049 §5.3).
fn half_of_sha512(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha2::Sha512.hasher();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finish().first_chunk().copied().unwrap_or_default()
}

/// The nonce that shows which answer came before (RFC 10049 §8.4.1).
pub(super) fn chained_nonce(previous: &[u8], random: &[u8; 32]) -> [u8; 32] {
    half_of_sha512(&[previous, random])
}

/// The bytes of a request to the server that has this key.
pub(super) fn request(server: &Server, nonce: [u8; 32]) -> Result<Vec<u8>, String> {
    let commitment = half_of_sha512(&[SrvCommitment::HASH_PREFIX_SRV, server.key.as_bytes()]);
    let request = Request::new_with_server(&Nonce::from(nonce), &SrvCommitment::from(commitment));
    request.as_frame_bytes().map_err(|error| error.to_string())
}

/// What a server says of the time at which it answered: that it was within so many seconds of this one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Statement {
    pub(super) midpoint_s: u64,
    pub(super) radius_s: u32,
}

impl Statement {
    /// The earliest and the latest second.
    pub(super) fn bounds_s(self) -> (i128, i128) {
        let (midpoint, radius) = (i128::from(self.midpoint_s), i128::from(self.radius_s));
        (midpoint.saturating_sub(radius), midpoint.saturating_add(radius))
    }
}

/// Judges an answer as RFC 10049 §5.4 demands. What does not hold is said in words.
pub(super) fn judge(
    answer: &[u8],
    request: &[u8],
    nonce: &[u8; 32],
    key: &PublicKey,
) -> Result<Statement, String> {
    let message = answer.get(FRAME_OVERHEAD..).ok_or("its answer is too short")?;
    // What stands behind a message would be read as part of it.
    let told = answer.get(8..FRAME_OVERHEAD).and_then(|length| length.try_into().ok());
    let told = told.map(u32::from_le_bytes).and_then(|length| usize::try_from(length).ok());
    if told != Some(message.len()) {
        return Err("its answer is not as long as it says".to_owned());
    }
    let mut buffer = answer.to_vec();
    let response = Response::from_frame(&mut ParseCursor::new(&mut buffer))
        .map_err(|error| format!("its answer cannot be read: {error}"))?;
    let signed = response.srep();
    if *signed.ver() != ProtocolVersion::RFC {
        return Err("its answer is of another version".to_owned());
    }
    if response.nonc().as_ref() != nonce.as_slice() {
        return Err("its answer is to another request".to_owned());
    }
    let context = (ProtocolVersion::RFC.dele_prefix(), ProtocolVersion::RFC.srep_prefix());
    let delegation = value(message, &[Tag::CERT, Tag::DELE])?;
    let by_key = verify(key, context.0, delegation, response.cert().sig().as_ref());
    by_key.map_err(|_bad| "its delegation is not signed with its key")?;
    let delegated = response.cert().dele();
    if !(delegated.mint()..=delegated.maxt()).contains(&signed.midp()) {
        return Err("its delegation is not for the time that it states".to_owned());
    }
    let index = usize::try_from(response.indx()).map_err(|_far| "its index is too large")?;
    let root: &[u8; 32] = signed.root().as_ref();
    if root_from_paths(index, request, response.path()).as_ref() != Some(root) {
        return Err("its answer is to another request".to_owned());
    }
    let online = PublicKey::from_bytes(Algorithm::Ed25519, delegated.pubk().as_ref());
    let online = online.map_err(|_odd| "its delegated key is none")?;
    let statement = value(message, &[Tag::SREP])?;
    let by_online = verify(&online, context.1, statement, response.sig().as_ref());
    by_online.map_err(|_bad| "its answer is not signed with the delegated key")?;
    // RFC 10049 §5.2.5: the time lies between midpoint less radius and midpoint plus radius.
    if signed.radi() == 0 {
        return Err("it claims to be exact".to_owned());
    }
    Ok(Statement { midpoint_s: signed.midp(), radius_s: signed.radi() })
}

fn value<'m>(message: &'m [u8], tags: &[Tag]) -> Result<&'m [u8], String> {
    let range = find_value_range(message, tags).map_err(|error| error.to_string())?;
    message.get(range).ok_or_else(|| "its answer is too short".to_owned())
}

fn verify(key: &PublicKey, context: &[u8], value: &[u8], signature: &[u8]) -> Result<(), ()> {
    key.verify(&[context, value].concat(), signature).map_err(|_bad| ())
}

#[cfg(test)]
mod tests {
    //! Goal: only what a server has signed for this very request counts. Method: an answer of another implementation (the test data of
    //! roughenough-protocol 2.2.0), whole and with one thing wrong; answers that a server with the right key signs, and that break one
    //! rule each.

    use super::super::peer::{Peer, rule_breakers};
    use super::*;

    const REQUEST: &[u8] = include_bytes!("../../../testdata/roughtime/request");
    const RESPONSE: &[u8] = include_bytes!("../../../testdata/roughtime/response");

    fn server() -> Server {
        let key = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            "GX9rI+FshTLGq8g4+s1ep4m+DHaykgM0A5v6iz02jWE=",
        );
        let key = PublicKey::from_bytes(Algorithm::Ed25519, &key.unwrap()).unwrap();
        Server { name: "vector".to_owned(), key, address: "127.0.0.1:1".to_owned() }
    }

    fn nonce() -> [u8; 32] {
        let nonce = "104172a3d405366798c9fa2b5c8dbeef205182b3e4154677a8d90a3b6c9dceff";
        hex::decode(nonce).unwrap().try_into().unwrap()
    }

    #[test]
    fn an_answer_of_another_implementation_is_read() {
        let statement = judge(RESPONSE, REQUEST, &nonce(), &server().key).unwrap();
        assert_eq!(statement, Statement { midpoint_s: 1_791_158_400, radius_s: 5 });
        assert_eq!(statement.bounds_s(), (1_791_158_395, 1_791_158_405));
    }

    #[test]
    fn every_bit_of_it_counts() {
        let key = server().key;
        let (mut wrong, mut unread) = (RESPONSE.to_vec(), Vec::new());
        for place in 0..RESPONSE.len() {
            wrong[place] ^= 1;
            if judge(&wrong, REQUEST, &nonce(), &key).is_ok() {
                unread.push(place);
            }
            wrong[place] ^= 1;
        }
        assert_eq!(unread, Vec::<usize>::new());
        for length in 0..RESPONSE.len() {
            judge(&RESPONSE[..length], REQUEST, &nonce(), &key).unwrap_err();
        }
        judge(&[RESPONSE, &[0; 4]].concat(), REQUEST, &nonce(), &key).unwrap_err();
    }

    #[test]
    fn an_answer_to_another_request_or_of_another_server_is_refused() {
        let (key, mut other) = (server().key, nonce());
        other[0] ^= 1;
        let said = judge(RESPONSE, REQUEST, &other, &key).unwrap_err();
        assert_eq!(said, "its answer is to another request");
        let said = judge(RESPONSE, &request(&server(), nonce()).unwrap(), &nonce(), &key);
        assert_eq!(said.unwrap_err(), "its answer is to another request");
        let said = judge(RESPONSE, REQUEST, &nonce(), &Peer::new(1).key()).unwrap_err();
        assert_eq!(said, "its delegation is not signed with its key");
    }

    #[test]
    fn a_server_that_breaks_one_rule_is_refused() {
        let peer = Peer::new(7);
        let asked = request(&peer.server("127.0.0.1:1"), nonce()).unwrap();
        let good = peer.answer(&asked, &nonce(), |_| {});
        let statement = Statement { midpoint_s: 1_800_000_000, radius_s: 3 };
        assert_eq!(judge(&good, &asked, &nonce(), &peer.key()), Ok(statement));
        for (why, breaks) in rule_breakers() {
            let bad = peer.answer(&asked, &nonce(), breaks);
            assert_eq!(judge(&bad, &asked, &nonce(), &peer.key()), Err(why.to_owned()));
        }
    }
}
