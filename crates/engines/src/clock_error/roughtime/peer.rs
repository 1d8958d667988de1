//! A server of the tests, with a key of its own: answers that hold, and answers that break one rule. That whole answers of others are
//! read is tested with a server that others wrote.

use super::exchange::chained_nonce;
use super::list::Server;
use roughenough_protocol::ToFrame as _;
use roughenough_protocol::ToWire as _;
use roughenough_protocol::response::Response;
use roughenough_protocol::tags::{
    Certificate, Delegation, MerklePath, MerkleRoot, Nonce, ProtocolVersion, Signature,
    SignedResponse, SupportedVersions,
};
use tpw_crypto::{Algorithm, FixedEntropy, PublicKey, Signer as _, SlotName, SoftwareSlots};

pub(super) struct Peer(SoftwareSlots);

/// Everything that an answer is made of, to be spoilt.
pub(super) struct Answer {
    pub(super) nonce: [u8; 32],
    pub(super) version: ProtocolVersion,
    pub(super) midpoint_s: u64,
    pub(super) radius_s: u32,
    pub(super) root: [u8; 32],
    pub(super) path: Vec<u8>,
    pub(super) index: u32,
    pub(super) valid_s: (u64, u64),
    pub(super) long_term: &'static str,
    pub(super) online: &'static str,
}

type Breaks = fn(&mut Answer);

/// Each rule, with the words for it, and what breaks it.
pub(super) fn rule_breakers() -> Vec<(&'static str, Breaks)> {
    vec![
        ("its answer is of another version", |answer| answer.version = ProtocolVersion::DRAFT),
        ("its answer is to another request", |answer| answer.nonce = [9; 32]),
        ("its delegation is not signed with its key", |answer| answer.long_term = "online"),
        ("its delegation is not for the time that it states", |answer| {
            answer.valid_s.1 = answer.midpoint_s - 1;
        }),
        ("its delegation is not for the time that it states", |answer| {
            answer.valid_s.0 = answer.midpoint_s + 1;
        }),
        ("its answer is to another request", |answer| answer.root = [9; 32]),
        ("its answer is to another request", |answer| answer.path = vec![9; 32]),
        ("its answer is to another request", |answer| answer.index = 1),
        ("its answer is not signed with the delegated key", |answer| answer.online = "long-term"),
        ("it claims to be exact", |answer| answer.radius_s = 0),
    ]
}

impl Peer {
    pub(super) fn new(seed: u64) -> Self {
        let (mut slots, mut entropy) = (SoftwareSlots::new(), FixedEntropy::new(seed));
        for name in ["long-term", "online"] {
            slots.generate(slot(name), Algorithm::Ed25519, &mut entropy).unwrap();
        }
        Self(slots)
    }

    pub(super) fn key(&self) -> PublicKey {
        self.0.public_key(&slot("long-term")).unwrap()
    }

    pub(super) fn server(&self, address: &str) -> Server {
        Server { name: "peer".to_owned(), key: self.key(), address: address.to_owned() }
    }

    /// The answer to a request that stands alone in its tree.
    pub(super) fn answer(
        &self,
        request: &[u8],
        nonce: &[u8; 32],
        spoil: impl FnOnce(&mut Answer),
    ) -> Vec<u8> {
        let mut answer = Answer {
            nonce: *nonce,
            version: ProtocolVersion::RFC,
            midpoint_s: 1_800_000_000,
            radius_s: 3,
            // RFC 10049 §5.3: a leaf is the whole request behind a zero byte; the same hash as that of a nonce in a chain.
            root: chained_nonce_of(request),
            path: Vec::new(),
            index: 0,
            valid_s: (1_799_999_000, 1_800_001_000),
            long_term: "long-term",
            online: "online",
        };
        spoil(&mut answer);
        self.sign(&answer)
    }

    fn sign(&self, answer: &Answer) -> Vec<u8> {
        let signed = |name: &str, context: &[u8], bytes: Vec<u8>| -> Signature {
            let signature = self.0.sign(&slot(name), &[context, &bytes].concat()).unwrap();
            Signature::from(<[u8; 64]>::try_from(signature).unwrap())
        };
        let mut delegation = Delegation::default();
        let online = self.0.public_key(&slot("online")).unwrap();
        delegation.set_pubk(<[u8; 32]>::try_from(online.as_bytes()).unwrap().into());
        delegation.set_mint(answer.valid_s.0);
        delegation.set_maxt(answer.valid_s.1);
        let context = ProtocolVersion::RFC;
        let by_key =
            signed(answer.long_term, context.dele_prefix(), delegation.as_bytes().unwrap());
        let mut statement = SignedResponse::default();
        statement.set_ver(answer.version);
        statement.set_radi(answer.radius_s);
        statement.set_midp(answer.midpoint_s);
        statement.set_vers(&SupportedVersions::new(&[answer.version]));
        statement.set_root(&MerkleRoot::from(answer.root));
        let mut response = Response::default();
        let by_online = signed(answer.online, context.srep_prefix(), statement.as_bytes().unwrap());
        response.set_sig(by_online);
        response.set_nonc(Nonce::from(answer.nonce));
        response.set_srep(statement);
        response.set_cert(Certificate::new(by_key, delegation));
        response.set_path(MerklePath::try_from(answer.path.as_slice()).unwrap());
        response.set_indx(answer.index);
        response.as_frame_bytes().unwrap()
    }
}

fn chained_nonce_of(request: &[u8]) -> [u8; 32] {
    let (head, tail) = request.split_at(request.len() - 32);
    chained_nonce(&[&[0], head].concat(), tail.try_into().unwrap())
}

fn slot(name: &str) -> SlotName {
    SlotName::new(name).unwrap()
}
