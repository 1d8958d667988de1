//! Evidence records, right and wrong, written with the tests' own DER writer and hashed by the words of RFC 4998.

use crate::maker::Maker;
use crate::timestamp_support::{Draft, algorithm, int, octets, oid, seq, tlv};
use tpw_crypto::Sha2;

pub(crate) const SHA384: &str = "2.16.840.1.101.3.4.2.2";

pub(crate) fn hash_oid(function: Sha2) -> &'static str {
    match function {
        Sha2::Sha256 => crate::timestamp_support::SHA256,
        Sha2::Sha384 => SHA384,
        Sha2::Sha512 => crate::timestamp_support::SHA512,
    }
}

/// Sorted, concatenated and hashed; one hash stands for itself.
pub(crate) fn node(function: Sha2, hashes: &[Vec<u8>]) -> Vec<u8> {
    if let [one] = hashes {
        return one.clone();
    }
    let mut sorted = hashes.to_vec();
    sorted.sort();
    function.hash(&sorted.concat())
}

pub(crate) type Lists = Vec<Vec<Vec<u8>>>;

/// One archive time-stamp, each part replaceable by something wrong.
pub(crate) struct Archive {
    pub(crate) function: Sha2,
    /// The `[0]` field's OID; absent if empty.
    pub(crate) stated: &'static str,
    pub(crate) attributes: Vec<u8>,
    pub(crate) lists: Option<Lists>,
    /// What is time-stamped; the root of the lists or what is covered, if absent.
    pub(crate) stamped: Option<Vec<u8>>,
    pub(crate) covered: Vec<u8>,
    pub(crate) time: String,
    pub(crate) change: fn(&mut Draft),
    /// Changes the token after it is made.
    pub(crate) token: fn(Vec<u8>) -> Vec<u8>,
}

impl Archive {
    pub(crate) fn over(function: Sha2, covered: Vec<u8>, time: &str) -> Self {
        Self {
            function,
            stated: hash_oid(function),
            attributes: Vec::new(),
            lists: None,
            stamped: None,
            covered,
            time: time.to_owned(),
            change: |_| {},
            token: |token| token,
        }
    }

    /// In a tree beside others: one made-up sibling on each level.
    pub(crate) fn beside(mut self, siblings: u8) -> Self {
        let sibling = |n| vec![self.function.hash(&[0xee, n])];
        let first = vec![vec![self.covered.clone()]];
        self.lists = Some(first.into_iter().chain((0..siblings).map(sibling)).collect());
        self
    }

    fn root(&self) -> Vec<u8> {
        let mut carried = Vec::new();
        for list in self.lists.iter().flatten() {
            let values: Vec<Vec<u8>> = list.iter().cloned().chain(carried).collect();
            carried = vec![node(self.function, &values)];
        }
        carried.pop().unwrap_or_else(|| self.covered.clone())
    }

    /// The token, as `ContentInfo`.
    pub(crate) fn token(&self, maker: &Maker) -> Vec<u8> {
        let response = maker.token(b"", |draft| {
            draft.imprint_algorithm = algorithm(hash_oid(self.function));
            draft.imprint = self.stamped.clone().unwrap_or_else(|| self.root());
            draft.gen_time = tlv(0x18, self.time.as_bytes());
            (self.change)(draft);
        });
        // The response is a header of four bytes, a status of five, and the token.
        (self.token)(response[9..].to_vec())
    }
}

/// An encoded archive time-stamp, and the token in it.
type Made = (Vec<u8>, Vec<u8>);

/// A whole record in the making: archive time-stamps with their tokens.
pub(crate) struct Drawn {
    pub(crate) version: u8,
    pub(crate) functions: Option<Vec<Vec<u8>>>,
    /// What stands between the functions and the chains.
    pub(crate) between: Vec<u8>,
    /// Per chain its function and its time-stamps.
    pub(crate) chains: Vec<(Sha2, Vec<Made>)>,
}

impl Drawn {
    pub(crate) fn new() -> Self {
        Self { version: 1, functions: None, between: Vec::new(), chains: Vec::new() }
    }

    /// Adds a chain that begins with `archive`.
    pub(crate) fn chain(mut self, maker: &Maker, archive: &Archive) -> Self {
        self.chains.push((archive.function, vec![encoded(maker, archive)]));
        self
    }

    /// Adds a time-stamp to the newest chain.
    pub(crate) fn stamp(mut self, maker: &Maker, archive: &Archive) -> Self {
        self.chains.last_mut().unwrap().1.push(encoded(maker, archive));
        self
    }

    /// The hash of the newest time-stamp, under its chain's function.
    pub(crate) fn newest(&self) -> Vec<u8> {
        let (function, stamps) = self.chains.last().unwrap();
        function.hash(&stamps.last().unwrap().1)
    }

    /// RFC 4998 §5.2: the hash of the data with that of the older chains.
    pub(crate) fn rehashed(&self, function: Sha2, archived: &[u8]) -> Vec<u8> {
        function.hash(&[function.hash(archived), function.hash(&self.sequence())].concat())
    }

    /// The DER of all chains.
    pub(crate) fn sequence(&self) -> Vec<u8> {
        let chain = |stamps: &Vec<Made>| {
            seq(&stamps.iter().map(|(archive, _)| archive.clone()).collect::<Vec<_>>())
        };
        seq(&self.chains.iter().map(|(_, stamps)| chain(stamps)).collect::<Vec<_>>())
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let mut named: Vec<Vec<u8>> = Vec::new();
        for (function, _) in &self.chains {
            let name = algorithm(hash_oid(*function));
            if !named.contains(&name) {
                named.push(name);
            }
        }
        let functions = seq(&self.functions.clone().unwrap_or(named));
        seq(&[int(self.version), functions, self.between.clone(), self.sequence()])
    }
}

fn encoded(maker: &Maker, archive: &Archive) -> Made {
    let token = archive.token(maker);
    let mut parts = Vec::new();
    if !archive.stated.is_empty() {
        parts.push(tlv(0xa0, &oid(archive.stated)));
    }
    parts.push(archive.attributes.clone());
    if let Some(lists) = &archive.lists {
        let list = |list: &Vec<Vec<u8>>| seq(&list.iter().map(|h| octets(h)).collect::<Vec<_>>());
        parts.push(tlv(0xa2, &lists.iter().map(list).collect::<Vec<_>>().concat()));
    }
    parts.push(token.clone());
    (seq(&parts), token)
}
