//! What the server keeps about who may ask: one record for each factor, client, grant, approval and the like.
//!
//! A record is bytes under a key. It is changed only from the bytes that whoever changes it has read: of two who read the same,
//! one is told to read again. So a code that is used twice at the same moment is used once.

use core::fmt;

/// The longest id of a record among those of its kind and owner: a passkey's id may have 1,023 bytes, its hash stands for it.
pub const ID_LEN_MAX: usize = 64;

/// The longest value, in bytes.
pub const VALUE_LEN_MAX: usize = 64 * 1024;

/// The most records that are changed together.
pub const WRITES_MAX: usize = 64;

tpw_core::codes! {
    /// What a record is about. The numbers are stored.
    RecordKind: u8 {
        /// What the server keeps of a password: an OPAQUE registration record (RFC 9807 §3.3.1).
        Password = 1 "password",
        /// A time-based one-time password generator (RFC 6238), with the last step that was used.
        Totp = 2 "totp",
        /// A passkey or security key (W3C Web Authentication).
        Passkey = 3 "passkey",
        /// A person's recovery codes, as hashes.
        Recovery = 4 "recovery",
        /// An address to which one-time codes are sent.
        Contact = 5 "contact",
        /// With which factors a device's person has proved who it is, and when.
        Assurance = 6 "assurance",
        /// How often in a row a person has failed with a factor.
        Failures = 7 "failures",
        /// A client of the authorization server (RFC 6749 §2).
        Client = 8 "client",
        /// A family of refresh tokens (RFC 9700 §4.14.2).
        Refresh = 9 "refresh",
        /// What a person has allowed somebody else.
        Delegation = 10 "delegation",
        /// Something that several people have to agree to.
        Approval = 11 "approval",
        /// The roles of a person.
        Roles = 12 "roles",
        /// A version of the policies.
        Policy = 13 "policy",
        /// A secret of the server that no file holds.
        Server = 14 "server",
        /// A message to a person.
        Message = 15 "message",
        /// A prompt on a device, to be answered there.
        Prompt = 16 "prompt",
    }
}

/// Under which a record is kept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    kind: RecordKind,
    owner: [u8; 16],
    id: Vec<u8>,
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Ids may be hashes of secrets.
        write!(f, "RecordKey({})", self.kind)
    }
}

impl RecordKey {
    /// The record `id` of `owner`: a person's or client's id, or zeros for the server's own. `None` for a longer id than is kept.
    #[must_use]
    pub fn new(kind: RecordKind, owner: [u8; 16], id: &[u8]) -> Option<Self> {
        (id.len() <= ID_LEN_MAX).then(|| Self { kind, owner, id: id.to_vec() })
    }

    /// The only record of its kind that `owner` has.
    #[must_use]
    pub const fn single(kind: RecordKind, owner: [u8; 16]) -> Self {
        Self { kind, owner, id: Vec::new() }
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Whose it is.
    #[must_use]
    pub const fn owner(&self) -> [u8; 16] {
        self.owner
    }

    /// Which of those that this owner has of this kind.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// As it is stored: kind, owner, id. Records of one owner stand together, in the order of their ids.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::prefix(self.kind, self.owner).to_vec();
        bytes.extend_from_slice(&self.id);
        bytes
    }

    /// With which every key of this kind and owner begins.
    #[must_use]
    pub fn prefix(kind: RecordKind, owner: [u8; 16]) -> [u8; 17] {
        let mut prefix = [kind.number(); 17];
        for (slot, byte) in prefix.iter_mut().skip(1).zip(owner) {
            *slot = byte;
        }
        prefix
    }

    /// As it was stored; `None` for bytes that are no key.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (owner, id) = rest.split_first_chunk::<16>()?;
        Self::new(RecordKind::from_number(*kind)?, *owner, id)
    }
}

/// Records that stand together: all of a kind, or those that one owner has of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordSpan {
    kind: RecordKind,
    owner: Option<[u8; 16]>,
}

impl RecordSpan {
    /// Those that one owner has of a kind.
    #[must_use]
    pub const fn of(kind: RecordKind, owner: [u8; 16]) -> Self {
        Self { kind, owner: Some(owner) }
    }

    /// All of a kind.
    #[must_use]
    pub const fn all(kind: RecordKind) -> Self {
        Self { kind, owner: None }
    }

    /// What every key in it is above, and those with an id (with an owner and an id, for all of a kind) up to `after` are not.
    #[must_use]
    pub fn above(&self, after: Option<&[u8]>) -> Vec<u8> {
        let mut key = vec![self.kind.number()];
        key.extend(self.owner.iter().flatten());
        match after {
            Some(after) => key.extend_from_slice(after),
            // The first key of an owner is that prefix itself: a shorter or smaller one stands before it.
            None => return before(key),
        }
        key
    }

    /// What every key in it is below.
    #[must_use]
    pub fn end(&self) -> Vec<u8> {
        let mut key = vec![self.kind.number()];
        key.extend(self.owner.iter().flatten());
        // No id is as long.
        key.extend_from_slice(&[0xff; ID_LEN_MAX + 17]);
        key
    }
}

/// The key prefix less one: no key stands between the two, because keys have at least 17 bytes.
fn before(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if let Some(less) = last.checked_sub(1) {
            prefix.push(less);
            prefix.extend_from_slice(&[0xff; ID_LEN_MAX + 17]);
            break;
        }
    }
    prefix
}

/// One change of a record.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordWrite {
    /// Which.
    pub key: RecordKey,
    /// What was read: the value, or `None` if there was no record. The change is made only if that still holds.
    pub before: Option<Vec<u8>>,
    /// The value from now on; `None` removes the record.
    pub after: Option<Vec<u8>>,
}

impl fmt::Debug for RecordWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values are secrets, or may tell of some.
        let what = match (&self.before, &self.after) {
            (None, Some(_)) => "create",
            (Some(_), Some(_)) => "replace",
            (Some(_), None) => "remove",
            (None, None) => "demand absent",
        };
        f.debug_struct("RecordWrite").field("key", &self.key).field("what", &what).finish()
    }
}

#[cfg(test)]
mod tests {
    //! Goal: keys are stored in one form, and stand by owner. Method: there and back, and the order of stored keys.

    use super::*;

    #[test]
    fn keys_come_back_and_others_do_not() {
        let key = RecordKey::new(RecordKind::Totp, [7; 16], b"phone").unwrap();
        assert_eq!(RecordKey::from_bytes(&key.to_bytes()), Some(key.clone()));
        assert!(key.to_bytes().starts_with(&RecordKey::prefix(RecordKind::Totp, [7; 16])));
        assert_eq!(RecordKey::new(RecordKind::Totp, [7; 16], &[0; 65]), None);
        assert_eq!(RecordKey::from_bytes(&[2; 16]), None);
        assert_eq!(RecordKey::from_bytes(&[0; 20]), None, "no such kind");
        assert_eq!(RecordKey::from_bytes(&[2; 17 + 65]), None);
    }

    #[test]
    fn a_span_holds_its_keys_and_no_others() {
        let key = |owner: u8, id: &[u8]| {
            RecordKey::new(RecordKind::Totp, [owner; 16], id).unwrap().to_bytes()
        };
        for owner in [0, 7, 255] {
            let span = RecordSpan::of(RecordKind::Totp, [owner; 16]);
            let holds =
                |key: &[u8]| span.above(None).as_slice() < key && key < span.end().as_slice();
            for id in [&b""[..], &[0], &[255; 64]] {
                assert!(holds(&key(owner, id)), "{owner} {id:?}");
            }
            assert!(!holds(&key(owner.wrapping_add(1), b"")));
            assert!(!holds(&key(owner.wrapping_sub(1), &[255; 64])));
            assert!(span.above(Some(b"a")) == key(owner, b"a"), "the one that was read last");
        }
        let all = RecordSpan::all(RecordKind::Totp);
        for key in [key(0, b""), key(255, &[255; 64])] {
            assert!(all.above(None) < key && key < all.end());
        }
        let other = RecordKey::new(RecordKind::Passkey, [0; 16], b"").unwrap().to_bytes();
        assert!(other > all.end());
    }

    #[test]
    fn debug_shows_no_value_and_no_id() {
        let key = RecordKey::new(RecordKind::Recovery, [7; 16], b"id-secret").unwrap();
        let write = RecordWrite { key, before: None, after: Some(b"value-secret".to_vec()) };
        let shown = format!("{write:?}");
        assert!(!shown.contains("secret") && shown.contains("recovery"), "{shown}");
    }
}
