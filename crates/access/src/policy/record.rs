//! How versions of the policies are kept: the bytes of each version in as many records as they fill, and one record that says which
//! is in force.
//!
//! INVARIANT: the records of a version are its bytes, cut where a record is full. What fits one record is kept as it was when every
//! version had to: earlier programs read it, and what they kept is read.

use std::collections::BTreeMap;

use tpw_core::codec::{Reader, Writer, decode_exact};
use tpw_core::{CodecError, Hash32, Instant, PersonId};

use super::files::PolicyFiles;
use crate::approval::{Operation, OperationKind};
use crate::record::{RecordKey, RecordKind, VALUE_LEN_MAX};

/// How records of versions are written.
const VERSION_FORMAT: u64 = 1;
/// How the record of what is in force is written.
const ACTIVE_FORMAT: u64 = 1;

/// What a version is called when it cannot be read.
const WHAT: &str = "policy record";

/// The most activations that are remembered.
const ACTIVATIONS_MAX: usize = 32;
/// The most people who agreed to one activation.
const APPROVALS_MAX: u64 = 64;
/// What CBOR adds to each file at most (the heads of the pair, the name and the text), and to all of them.
const HEAD_LEN_MAX: usize = 16;

/// The most records in which a version is kept.
pub const VERSION_RECORDS_MAX: usize =
    (PolicyFiles::BYTES_MAX + HEAD_LEN_MAX * (PolicyFiles::FILES_MAX + 1)).div_ceil(VALUE_LEN_MAX);

/// The owner of the server's own records.
const SERVER: [u8; 16] = [0; 16];

/// Where the first bytes of a version are kept; the records of those that follow stand behind it, in their order.
#[must_use]
pub fn version_key(version: Hash32) -> Option<RecordKey> {
    piece_key(version, 0)
}

/// The version's name, and for all but the first record its number.
fn piece_key(version: Hash32, number: u8) -> Option<RecordKey> {
    let id = [version.as_bytes().as_slice(), &[number]].concat();
    let len = if number == 0 { 32 } else { 33 };
    RecordKey::new(RecordKind::Policy, SERVER, id.get(..len)?)
}

/// The version to which a record belongs; `None` for the record of what is in force.
#[must_use]
pub fn version_of(key: &RecordKey) -> Option<Hash32> {
    let (version, _number) = key.id().split_first_chunk::<32>()?;
    Some(Hash32::new(*version))
}

/// Where it is kept which version is in force.
#[must_use]
pub const fn active_key() -> RecordKey {
    RecordKey::single(RecordKind::Policy, SERVER)
}

/// The activation of one version in the place of another, as several people agree to it: the versions' names, 32 bytes each.
#[must_use]
pub fn activation(before: Hash32, after: Hash32) -> Operation {
    let bytes = [before.as_bytes().as_slice(), after.as_bytes()].concat();
    Operation { kind: OperationKind::Policy, resource: SERVER, bytes }
}

/// The version that an activation puts into force, and the one in whose place.
#[must_use]
pub fn activated(operation: &Operation) -> Option<(Hash32, Hash32)> {
    let (before, after) = operation.bytes.split_first_chunk::<32>()?;
    let after = after.try_into().ok()?;
    Some((Hash32::new(*before), Hash32::new(after)))
}

/// A version that is kept: it was put into force at some time, or somebody asks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRecord {
    /// Its files.
    pub files: PolicyFiles,
}

impl PolicyRecord {
    /// The records in which it is kept, in the order of their keys.
    #[must_use]
    pub fn to_records(&self) -> Vec<(RecordKey, Vec<u8>)> {
        let (version, bytes) = (self.files.version(), self.to_bytes());
        let pieces = (0_u8..).zip(bytes.chunks(VALUE_LEN_MAX));
        pieces
            .filter_map(|(number, piece)| Some((piece_key(version, number)?, piece.to_vec())))
            .collect()
    }

    /// The version of which these are all records, in the order of their keys.
    ///
    /// # Errors
    /// Records that are not exactly those of one version.
    pub fn from_records(records: &[(RecordKey, Vec<u8>)]) -> Result<Self, CodecError> {
        let bad = |field| CodecError::Value { what: WHAT, field };
        if records.len() > VERSION_RECORDS_MAX {
            return Err(bad("records"));
        }
        let bytes: Vec<u8> = records.iter().flat_map(|(_, piece)| piece).copied().collect();
        let record = Self::from_bytes(&bytes)?;
        if record.to_records() == records { Ok(record) } else { Err(bad("records")) }
    }

    /// All bytes of it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::with_room(4096);
        let files: Vec<_> = self.files.iter().collect();
        writer.array(2).uint(VERSION_FORMAT).array(count(files.len()));
        for (name, text) in files {
            writer.array(2).text(name).text(text);
        }
        writer.finish()
    }

    /// What has these bytes.
    ///
    /// # Errors
    /// Bytes that are no such record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, WHAT, read_version, Self::to_bytes)
    }
}

fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

fn format(reader: &mut Reader<'_>, items: u64, wanted: u64) -> Result<(), CodecError> {
    let right = reader.array("format", items)? == items && reader.uint()? == wanted;
    if right { Ok(()) } else { Err(reader.bad("format")) }
}

fn read_version(reader: &mut Reader<'_>) -> Result<PolicyRecord, CodecError> {
    format(reader, 2, VERSION_FORMAT)?;
    let mut files = BTreeMap::new();
    for _ in 0..reader.array("files", count(PolicyFiles::FILES_MAX))? {
        if reader.array("file", 2)? != 2 {
            return Err(reader.bad("file"));
        }
        let name = reader.text("name", PolicyFiles::BYTES_MAX)?.to_owned();
        files.insert(name, reader.text("text", PolicyFiles::BYTES_MAX)?.to_owned());
    }
    let files = PolicyFiles::new(files).map_err(|_| reader.bad("files"))?;
    Ok(PolicyRecord { files })
}

/// One time that a version was put into force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// Which.
    pub version: Hash32,
    /// When.
    pub at: Instant,
    /// By whom; `None` for the version that came with the program.
    pub by: Option<PersonId>,
    /// Who agreed.
    pub approvals: Vec<PersonId>,
}

/// Which version is in force, and which were before, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivePolicy(Vec<Activation>);

impl ActivePolicy {
    /// Nothing but the version that came with the program.
    #[must_use]
    pub fn starting_with(version: Hash32, at: Instant) -> Self {
        Self(vec![Activation { version, at, by: None, approvals: Vec::new() }])
    }

    /// The one in force.
    #[must_use]
    pub fn current(&self) -> Option<&Activation> {
        self.0.first()
    }

    /// The one that was in force before another one came: what a rollback puts back.
    #[must_use]
    pub fn previous(&self) -> Option<&Activation> {
        let current = self.current()?.version;
        self.0.iter().find(|activation| activation.version != current)
    }

    /// All that are remembered, the newest first.
    #[must_use]
    pub fn history(&self) -> &[Activation] {
        &self.0
    }

    /// The same with one more; the oldest is forgotten.
    #[must_use]
    pub fn then(mut self, activation: Activation) -> Self {
        self.0.insert(0, activation);
        self.0.truncate(ACTIVATIONS_MAX);
        self
    }

    /// As it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.array(2).uint(ACTIVE_FORMAT).array(count(self.0.len()));
        for Activation { version, at, by, approvals } in &self.0 {
            writer.array(4).bytes(version.as_bytes()).uint(at.unix_ms());
            writer.bytes(by.as_ref().map_or(&[][..], |by| by.as_bytes()));
            writer.array(count(approvals.len()));
            for person in approvals {
                writer.bytes(person.as_bytes());
            }
        }
        writer.finish()
    }

    /// As it was stored.
    ///
    /// # Errors
    /// Bytes that are no such record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        decode_exact(bytes, "active policy", read_active, Self::to_bytes)
    }
}

fn read_active(reader: &mut Reader<'_>) -> Result<ActivePolicy, CodecError> {
    format(reader, 2, ACTIVE_FORMAT)?;
    let activations = reader.array("activations", count(ACTIVATIONS_MAX))?;
    let all = (0..activations).map(|_| read_activation(reader)).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() { Err(reader.bad("activations")) } else { Ok(ActivePolicy(all)) }
}

fn read_activation(reader: &mut Reader<'_>) -> Result<Activation, CodecError> {
    if reader.array("activation", 4)? != 4 {
        return Err(reader.bad("activation"));
    }
    let version = reader.hash("version")?;
    let at = reader.uint()?;
    let at = Instant::from_unix_ms(at).ok_or_else(|| reader.bad("at"))?;
    let by = match reader.bytes()? {
        [] => None,
        bytes => Some(PersonId::from_slice(bytes).ok_or_else(|| reader.bad("by"))?),
    };
    let approvals = (0..reader.array("approvals", APPROVALS_MAX)?)
        .map(|_| reader.fixed("approvals").map(PersonId::from_bytes))
        .collect::<Result<_, _>>()?;
    Ok(Activation { version, at, by, approvals })
}

#[cfg(test)]
mod tests {
    //! Goal: what is kept comes back, and nothing else does. Method: there and back, then each byte changed.

    use super::*;

    fn activation(byte: u8) -> Activation {
        Activation {
            version: Hash32::new([byte; 32]),
            at: Instant::from_unix_ms(1_000).unwrap(),
            by: Some(PersonId::from_bytes([byte; 16])),
            approvals: vec![PersonId::from_bytes([9; 16])],
        }
    }

    type Records = Vec<(RecordKey, Vec<u8>)>;

    /// A set with so many bytes in all, names too.
    fn of_bytes(bytes: usize) -> PolicyRecord {
        let (schema, rest) = ("schema.cedarschema", "cases/a.toml");
        let half = bytes / 2;
        let texts = ["x".repeat(half - schema.len()), "y".repeat(bytes - half - rest.len())];
        let files = [schema, rest].into_iter().map(str::to_owned).zip(texts).collect();
        PolicyRecord { files: PolicyFiles::new(files).unwrap() }
    }

    #[test]
    fn what_fits_one_record_is_kept_as_it_always_was() {
        // As the programs wrote it that kept each version in one record.
        let old = b"\x82\x01\x82\x82\x67a.cedar\x61p\x82\x72schema.cedarschema\x62ss";
        let files = [("a.cedar", "p"), ("schema.cedarschema", "ss")];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let record = PolicyRecord { files: PolicyFiles::new(files.into()).unwrap() };
        let kept = vec![(version_key(record.files.version()).unwrap(), old.to_vec())];
        assert_eq!(PolicyRecord::from_records(&kept), Ok(record.clone()));
        assert_eq!(record.to_records(), kept);
    }

    #[test]
    fn a_version_of_any_size_comes_back_from_its_records_and_from_no_others() {
        for (bytes, count) in [(1000, 1), (65_000, 1), (66_000, 2), (PolicyFiles::BYTES_MAX, 9)] {
            let record = of_bytes(bytes);
            let kept = record.to_records();
            assert_eq!(kept.len(), count, "{bytes}");
            assert!(kept.iter().all(|(_, piece)| piece.len() <= VALUE_LEN_MAX));
            assert!(kept.is_sorted_by_key(|(key, _)| key.clone()), "as the books list them");
            let of =
                |(key, _): &(RecordKey, Vec<u8>)| version_of(key) == Some(record.files.version());
            assert!(kept.iter().all(of));
            assert_eq!(PolicyRecord::from_records(&kept), Ok(record));
        }
        assert_eq!((VERSION_RECORDS_MAX, version_of(&active_key())), (9, None));
        let kept = of_bytes(200_000).to_records();
        let odd = |change: &dyn Fn(&mut Records)| {
            let mut kept = kept.clone();
            change(&mut kept);
            assert!(PolicyRecord::from_records(&kept).is_err(), "{} records", kept.len());
        };
        odd(&Vec::clear);
        for place in 0..kept.len() {
            odd(&|kept| drop(kept.remove(place)));
            odd(&|kept| kept.insert(place, kept[place].clone()));
            odd(&|kept| kept[place].1.truncate(100));
        }
        // The same bytes, cut elsewhere; in another order; under another version's name.
        odd(&|kept| {
            let last = kept[0].1.pop().unwrap();
            kept[1].1.insert(0, last);
        });
        odd(&|kept| kept.swap(1, 2));
        odd(&|kept| kept[0].0 = version_key(Hash32::ZERO).unwrap());
        let crowd = vec![(active_key(), Vec::new()); VERSION_RECORDS_MAX + 1];
        assert!(PolicyRecord::from_records(&crowd).is_err());
    }

    #[test]
    fn records_come_back_and_shortened_ones_do_not() {
        let record = PolicyRecord { files: PolicyFiles::builtin() };
        let bytes = record.to_bytes();
        assert_eq!(PolicyRecord::from_bytes(&bytes), Ok(record));
        let at = Instant::from_unix_ms(500).unwrap();
        let active = ActivePolicy::starting_with(Hash32::ZERO, at).then(activation(1));
        let bytes = active.to_bytes();
        assert_eq!(ActivePolicy::from_bytes(&bytes), Ok(active));
        for end in 0..bytes.len() {
            assert!(ActivePolicy::from_bytes(&bytes[..end]).is_err());
        }
        assert!(ActivePolicy::from_bytes(&[0x82, 1, 0x80]).is_err(), "nothing in force");
    }

    #[test]
    fn an_activation_names_both_versions() {
        let (from, to) = (Hash32::new([1; 32]), Hash32::new([2; 32]));
        let operation = super::activation(from, to);
        assert_eq!(activated(&operation), Some((from, to)));
        assert_ne!(operation.hash(), super::activation(to, from).hash());
        for length in [0, 32, 63, 65] {
            let bytes = vec![1; length];
            assert_eq!(activated(&Operation { bytes, ..operation.clone() }), None);
        }
    }

    #[test]
    fn the_one_before_is_another_one() {
        let at = Instant::from_unix_ms(500).unwrap();
        let start = ActivePolicy::starting_with(Hash32::new([7; 32]), at);
        assert_eq!(start.previous(), None);
        let active = start.then(activation(1)).then(activation(2)).then(activation(2));
        assert_eq!(active.previous(), Some(&activation(1)));
        let long = (0..100).fold(active, |active, _| active.then(activation(3)));
        assert_eq!(long.history().len(), ACTIVATIONS_MAX);
    }
}
