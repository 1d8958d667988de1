//! What the policies decided about one request: `spec/decision.md`. The log commits to its bytes.
//!
//! Names, amounts of money beyond what a policy looked at, and secrets are no part of it: who is meant stands in it as an id.

use crate::codec::{CodecError, Reader, Writer, decode_exact};
use crate::hash::Hash32;
use crate::ids::{DecisionId, DeviceId, PersonId};
use crate::instant::Instant;
use crate::intent::read_instant;

codes! {
    /// What came of it.
    Ruling: u64 {
        /// It was allowed, and all that was demanded for it was there.
        Allowed = 1 "allowed",
        /// It was denied.
        Denied = 2 "denied",
        /// It would be allowed with more than was there: a person recognised better, or the word of others.
        Unmet = 3 "unmet",
    }
}

/// Who asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asker {
    /// The person whose device it was, or on whose behalf a client asked.
    pub person: Option<PersonId>,
    /// The device.
    pub device: Option<DeviceId>,
    /// The client of the authorization server; empty when a device asked.
    pub client: String,
    /// The codes of the roles in which the person asked.
    pub roles: Vec<String>,
}

/// One decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionRecord {
    /// Its id, which begins with its time.
    pub id: DecisionId,
    /// When.
    pub at: Instant,
    /// Who asked.
    pub asker: Asker,
    /// The code of what was asked for.
    pub action: String,
    /// On what: an id, whose beginning says of what kind, or the name of a collection.
    pub resource: String,
    /// Whose that is.
    pub owner: Option<PersonId>,
    /// What came of it.
    pub ruling: Ruling,
    /// The ids of the policies that decided; none where none permits.
    pub policies: Vec<String>,
    /// Which version of the policies that was.
    pub version: Option<Hash32>,
    /// What was known beside who, what and whose, by name.
    pub facts: Vec<(String, String)>,
    /// What was demanded, by name.
    pub obligations: Vec<(String, u64)>,
    /// The id of the request in the server's own records.
    pub request: String,
}

const WHAT: &str = "decision";
const FORMAT: u64 = 1;

impl DecisionRecord {
    /// The most bytes of an encoding.
    pub const LEN_MAX: usize = 3 * 1024;
    /// The most bytes of a code, an id or a name in it.
    pub const WORD_MAX: usize = 64;
    /// The most items of a list in it.
    pub const LIST_MAX: usize = 16;

    /// Whether it keeps the bounds; what does not is neither written nor read.
    #[must_use]
    pub fn fits(&self) -> bool {
        let short = |text: &String| text.len() <= Self::WORD_MAX;
        let few = |count: usize| count <= Self::LIST_MAX;
        let words = [&self.asker.client, &self.action, &self.resource, &self.request];
        words.into_iter().all(short)
            && [&self.asker.roles, &self.policies].into_iter().flatten().all(short)
            && few(self.asker.roles.len())
            && few(self.policies.len())
            && few(self.facts.len())
            && few(self.obligations.len())
            && self.facts.iter().all(|(name, value)| short(name) && short(value))
            && self.obligations.iter().all(|(name, _)| short(name))
            && self.to_bytes().len() <= Self::LEN_MAX
    }

    /// The one encoding, deterministic CBOR: `spec/decision.md`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.map(13).uint(1).uint(FORMAT).uint(2).bytes(self.id.as_bytes());
        w.uint(3).uint(self.at.unix_ms()).uint(4).array(4);
        w.bytes(id_bytes(self.asker.person.as_ref().map(PersonId::as_bytes)));
        w.bytes(id_bytes(self.asker.device.as_ref().map(DeviceId::as_bytes)));
        w.text(&self.asker.client);
        write_words(&mut w, &self.asker.roles);
        w.uint(5).text(&self.action).uint(6).text(&self.resource);
        w.uint(7).bytes(id_bytes(self.owner.as_ref().map(PersonId::as_bytes)));
        w.uint(8).uint(self.ruling.number()).uint(9);
        write_words(&mut w, &self.policies);
        w.uint(10).bytes(self.version.as_ref().map_or(&[], |hash| hash.as_bytes().as_slice()));
        w.uint(11).array(length(&self.facts));
        for (name, value) in &self.facts {
            w.array(2).text(name).text(value);
        }
        w.uint(12).array(length(&self.obligations));
        for (name, value) in &self.obligations {
            w.array(2).text(name).uint(*value);
        }
        w.uint(13).text(&self.request);
        w.finish()
    }

    /// Reads the encoding.
    ///
    /// # Errors
    /// [`CodecError`] naming the field.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.len() > Self::LEN_MAX {
            return Err(CodecError::Value { what: WHAT, field: "length" });
        }
        decode_exact(bytes, WHAT, Self::read, Self::to_bytes)
    }

    fn read(r: &mut Reader<'_>) -> Result<Self, CodecError> {
        if r.map()? != 13 {
            return Err(r.bad("map"));
        }
        r.key(1, "format")?;
        if r.uint()? != FORMAT {
            return Err(r.bad("format"));
        }
        r.key(2, "id")?;
        let id = DecisionId::from_bytes(r.fixed("id")?);
        r.key(3, "at")?;
        let at = read_instant(r, "at")?;
        r.key(4, "asker")?;
        let asker = read_asker(r)?;
        r.key(5, "action")?;
        let action = word(r, "action")?;
        r.key(6, "resource")?;
        let resource = word(r, "resource")?;
        r.key(7, "owner")?;
        let owner = maybe_id(r, "owner")?.map(PersonId::from_bytes);
        r.key(8, "ruling")?;
        let ruling = Ruling::from_number(r.uint()?).ok_or_else(|| r.bad("ruling"))?;
        r.key(9, "policies")?;
        let policies = words(r, "policies")?;
        r.key(10, "version")?;
        let version = match r.bytes()? {
            [] => None,
            hash => Some(Hash32::from_slice(hash).ok_or_else(|| r.bad("version"))?),
        };
        r.key(11, "facts")?;
        let facts = pairs(r, "facts", |r| word(r, "facts"))?;
        r.key(12, "obligations")?;
        let obligations = pairs(r, "obligations", Reader::uint)?;
        r.key(13, "request")?;
        let request = word(r, "request")?;
        Ok(Self {
            id,
            at,
            asker,
            action,
            resource,
            owner,
            ruling,
            policies,
            version,
            facts,
            obligations,
            request,
        })
    }
}

fn read_asker(r: &mut Reader<'_>) -> Result<Asker, CodecError> {
    if r.array("asker", 4)? != 4 {
        return Err(r.bad("asker"));
    }
    let person = maybe_id(r, "person")?.map(PersonId::from_bytes);
    let device = maybe_id(r, "device")?.map(DeviceId::from_bytes);
    Ok(Asker { person, device, client: word(r, "client")?, roles: words(r, "roles")? })
}

fn length<T>(items: &[T]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// An id, or no bytes for none.
fn id_bytes(id: Option<&[u8; 16]>) -> &[u8] {
    id.map_or(&[], <[u8; 16]>::as_slice)
}

fn maybe_id(r: &mut Reader<'_>, field: &'static str) -> Result<Option<[u8; 16]>, CodecError> {
    match r.bytes()? {
        [] => Ok(None),
        id => Ok(Some(id.try_into().map_err(|_| r.bad(field))?)),
    }
}

fn write_words(w: &mut Writer, words: &[String]) {
    w.array(length(words));
    for word in words {
        w.text(word);
    }
}

fn word(r: &mut Reader<'_>, field: &'static str) -> Result<String, CodecError> {
    Ok(r.text(field, DecisionRecord::WORD_MAX)?.to_owned())
}

fn count(r: &mut Reader<'_>, field: &'static str) -> Result<u64, CodecError> {
    r.array(field, u64::try_from(DecisionRecord::LIST_MAX).unwrap_or(0))
}

fn words(r: &mut Reader<'_>, field: &'static str) -> Result<Vec<String>, CodecError> {
    (0..count(r, field)?).map(|_| word(r, field)).collect()
}

fn pairs<'b, T>(
    r: &mut Reader<'b>,
    field: &'static str,
    value: impl Fn(&mut Reader<'b>) -> Result<T, CodecError>,
) -> Result<Vec<(String, T)>, CodecError> {
    let pair = |r: &mut Reader<'b>| {
        if r.array(field, 2)? != 2 {
            return Err(r.bad(field));
        }
        Ok((word(r, field)?, value(r)?))
    };
    (0..count(r, field)?).map(|_| pair(r)).collect()
}

#[cfg(test)]
mod tests {
    //! Goal: a decision has one encoding, and none beyond its bounds is read. Method: a record with every field, each of its bytes
    //! changed, and each bound passed by one.

    use super::*;

    fn record() -> DecisionRecord {
        DecisionRecord {
            id: DecisionId::from_bytes([1; 16]),
            at: Instant::from_unix_ms(1_763_806_000_000).unwrap(),
            asker: Asker {
                person: Some(PersonId::from_bytes([2; 16])),
                device: Some(DeviceId::from_bytes([3; 16])),
                client: String::new(),
                roles: vec!["operator".to_owned()],
            },
            action: "fund".to_owned(),
            resource: "acc_x".to_owned(),
            owner: Some(PersonId::from_bytes([4; 16])),
            ruling: Ruling::Unmet,
            policies: vec!["operator-funds".to_owned()],
            version: Some(Hash32::new([5; 32])),
            facts: vec![("aal".to_owned(), "aal1".to_owned())],
            obligations: vec![("acr".to_owned(), 2)],
            request: "req_1".to_owned(),
        }
    }

    #[test]
    fn one_encoding() {
        let whole = record();
        let bytes = whole.to_bytes();
        assert!(whole.fits());
        assert_eq!(DecisionRecord::from_bytes(&bytes).unwrap(), whole);
        for place in 0..bytes.len() {
            let mut bent = bytes.clone();
            bent[place] ^= 1;
            assert_ne!(DecisionRecord::from_bytes(&bent).ok(), Some(whole.clone()), "{place}");
            DecisionRecord::from_bytes(&bytes[..place]).unwrap_err();
        }
        DecisionRecord::from_bytes(&[bytes, vec![0]].concat()).unwrap_err();
        let bare = DecisionRecord {
            asker: Asker::default(),
            owner: None,
            policies: Vec::new(),
            version: None,
            facts: Vec::new(),
            obligations: Vec::new(),
            ..whole
        };
        assert_eq!(DecisionRecord::from_bytes(&bare.to_bytes()).unwrap(), bare);
    }

    #[test]
    fn nothing_beyond_the_bounds() {
        let long = "x".repeat(DecisionRecord::WORD_MAX + 1);
        let many = vec!["y".to_owned(); DecisionRecord::LIST_MAX + 1];
        let pair = |text: &str| vec![(text.to_owned(), text.to_owned())];
        for beyond in [
            DecisionRecord { action: long.clone(), ..record() },
            DecisionRecord { resource: long.clone(), ..record() },
            DecisionRecord { request: long.clone(), ..record() },
            DecisionRecord { policies: vec![long.clone()], ..record() },
            DecisionRecord { policies: many.clone(), ..record() },
            DecisionRecord { facts: pair(&long), ..record() },
            DecisionRecord { asker: Asker { client: long, ..Asker::default() }, ..record() },
            DecisionRecord { asker: Asker { roles: many, ..Asker::default() }, ..record() },
        ] {
            assert!(!beyond.fits());
            DecisionRecord::from_bytes(&beyond.to_bytes()).unwrap_err();
        }
    }
}
