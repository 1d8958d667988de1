//! Which logs and which witnesses make a checkpoint good enough (`c2sp.org/tlog-policy`).
//!
//! INVARIANT: a line may name only what stands before it, and a name is a member of one group at most. So a quorum is
//! judged in one pass from the first line to the last, and no witness counts twice.

use crate::checkpoint::{SignedCheckpoint, parse_decimal};
use crate::error::ProofError;
use crate::note::VerifierKey;
use std::collections::{HashMap, HashSet};

/// The largest policy file that is read, in bytes.
pub const SIZE_MAX: usize = 1 << 18;

/// The most logs, witnesses or groups; the specification asks for 32 of each.
pub const ITEMS_MAX: usize = 64;

const WHAT: &str = "witness policy";

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: WHAT, why }
}

/// A log that the policy accepts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyLog {
    /// Its key, named as its origin.
    pub key: VerifierKey,
    url: Option<Vec<u8>>,
}

/// A witness that the policy knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyWitness {
    name: Vec<u8>,
    /// The key that it cosigns with.
    pub key: VerifierKey,
    url: Option<Vec<u8>>,
}

impl PolicyLog {
    /// Where it is, if the policy says so in words that can be read.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref().and_then(|url| str::from_utf8(url).ok())
    }
}

impl PolicyWitness {
    /// What the policy calls it, for people.
    #[must_use]
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Its submission prefix, if the policy says so in words that can be read.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref().and_then(|url| str::from_utf8(url).ok())
    }
}

/// What a quorum or a group consists of, by its place in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Member {
    Witness(usize),
    Group(usize),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Group {
    /// How many members must have witnessed.
    least: usize,
    members: Vec<Member>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Quorum {
    /// No cosignature is needed.
    None,
    Of {
        name: Vec<u8>,
        member: Member,
    },
}

/// A policy file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    text: Vec<u8>,
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// One witness's cosignature that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cosigned {
    /// What the policy calls the witness.
    pub witness: String,
    /// When it cosigned, in POSIX seconds; zero when it does not say.
    pub time_s: u64,
}

/// What a policy makes of a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Witnessed {
    /// The witnesses that have cosigned, in the order of the policy.
    pub cosigned: Vec<Cosigned>,
    /// How many the policy knows.
    pub known: usize,
    /// The quorum's name, if it is not met.
    missing: Option<String>,
}

impl Witnessed {
    /// Whether the quorum is met.
    #[must_use]
    pub const fn is_met(&self) -> bool {
        self.missing.is_none()
    }

    /// In words: how many witnesses, and which.
    #[must_use]
    pub fn summary(&self) -> String {
        let names: Vec<&str> = self.cosigned.iter().map(|one| one.witness.as_str()).collect();
        let (count, known) = (names.len(), self.known);
        let names =
            if names.is_empty() { String::new() } else { format!(": {}", names.join(", ")) };
        format!("{count} of {known} witnesses{names}")
    }

    /// An error unless the quorum is met.
    ///
    /// # Errors
    /// [`ProofError::Quorum`].
    pub fn demand(&self) -> Result<(), ProofError> {
        match &self.missing {
            None => Ok(()),
            Some(quorum) => {
                Err(ProofError::Quorum { quorum: quorum.clone(), found: self.summary() })
            }
        }
    }
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`ProofError::TooLarge`], [`ProofError::Malformed`] with the rule, or what a key answers.
    pub fn parse(text: &[u8]) -> Result<Self, ProofError> {
        if text.len() > SIZE_MAX {
            return Err(ProofError::TooLarge { what: WHAT, most: SIZE_MAX });
        }
        let allowed = |byte: &u8| matches!(byte, b'\t' | b'\n' | 0x20..=0x7e | 0x80..);
        if !text.iter().all(allowed) {
            return Err(wrong("a control character"));
        }
        let lines = text.strip_suffix(b"\n").ok_or(wrong("the last line has no end"))?;
        let mut reader = Reader::default();
        for line in lines.split(|byte| *byte == b'\n') {
            let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
            let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
            reader.line(&words)?;
        }
        let quorum = reader.quorum.ok_or(wrong("no quorum line"))?;
        let Reader { logs, witnesses, groups, .. } = reader;
        Ok(Self { text: text.to_vec(), logs, witnesses, groups, quorum })
    }

    /// The file as it was read.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The logs. None: the log is known from elsewhere.
    #[must_use]
    pub fn logs(&self) -> &[PolicyLog] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Whether its quorum needs any cosignature.
    #[must_use]
    pub const fn asks_for_witnesses(&self) -> bool {
        matches!(self.quorum, Quorum::Of { .. })
    }

    /// Checks the log's signature, if the policy names logs, and every line of a known witness.
    ///
    /// # Errors
    /// [`ProofError::NotSigned`] when none of the policy's logs has signed; a crypto error when a line of a known key
    /// does not verify. That the quorum is not met is no error here: [`Witnessed::demand`].
    pub fn judge(&self, signed: &SignedCheckpoint) -> Result<Witnessed, ProofError> {
        let origin = &signed.checkpoint().origin;
        if !self.logs.is_empty() {
            let own = self.logs.iter().map(|log| &log.key).filter(|key| key.name() == origin);
            signed.verify(&own.cloned().collect::<Vec<_>>())?;
        }
        let mut cosigned = Vec::new();
        let mut have: Vec<bool> = Vec::with_capacity(self.witnesses.len());
        for witness in &self.witnesses {
            let newest = signed.times_of(&witness.key)?.into_iter().max();
            have.push(newest.is_some());
            cosigned.extend(newest.map(|time_s| Cosigned { witness: witness.name(), time_s }));
        }
        let missing = match &self.quorum {
            Quorum::None => None,
            Quorum::Of { name, member } => {
                let name = || String::from_utf8_lossy(name).into_owned();
                (!self.is_witnessed(*member, &have)).then(name)
            }
        };
        Ok(Witnessed { cosigned, known: self.witnesses.len(), missing })
    }

    /// Groups name only what stands before them: one pass decides all.
    fn is_witnessed(&self, wanted: Member, have: &[bool]) -> bool {
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let holds = |member: &Member, groups: &[bool]| match member {
            Member::Witness(place) => have.get(*place).copied().unwrap_or(false),
            Member::Group(place) => groups.get(*place).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| holds(member, &groups)).count();
            groups.push(count >= group.least);
        }
        holds(&wanted, &groups)
    }
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    logs: Vec<PolicyLog>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Quorum>,
    names: HashMap<Vec<u8>, Member>,
    /// Names that are members of a group.
    placed: HashSet<Vec<u8>>,
}

impl Reader {
    fn line(&mut self, words: &[&[u8]]) -> Result<(), ProofError> {
        match words {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"group", name, least, members @ ..] => self.group(name, least, members),
            [b"quorum", name] => self.set_quorum(name),
            _ => Err(wrong("a line that is none of log, witness, group and quorum")),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&&[u8]>) -> Result<(), ProofError> {
        bounded(self.logs.len(), "list of logs")?;
        let key = read_key(key)?;
        if !key.signature_type().is_of_logs() {
            return Err(wrong("a log's key of a type that only witnesses sign with"));
        }
        if self.logs.iter().any(|log| log.key.key() == key.key()) {
            return Err(wrong("a log's key twice"));
        }
        self.logs.push(PolicyLog { key, url: url.map(|url| url.to_vec()) });
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&&[u8]>) -> Result<(), ProofError> {
        bounded(self.witnesses.len(), "list of witnesses")?;
        let key = read_key(key)?;
        if !key.signature_type().is_of_witnesses() {
            return Err(wrong("a witness's key of a type that only logs sign with"));
        }
        if self.witnesses.iter().any(|witness| witness.key.key() == key.key()) {
            return Err(wrong("a witness's key twice"));
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        let url = url.map(|url| url.to_vec());
        self.witnesses.push(PolicyWitness { name: name.to_vec(), key, url });
        Ok(())
    }

    fn group(&mut self, name: &[u8], least: &[u8], names: &[&[u8]]) -> Result<(), ProofError> {
        bounded(self.groups.len(), "list of groups")?;
        let mut members = Vec::with_capacity(names.len());
        for member in names {
            // `none` is no name here and so is not found.
            members.push(*self.names.get(*member).ok_or(wrong("a member not defined before"))?);
            if !self.placed.insert(member.to_vec()) {
                return Err(wrong("a name that is a member twice"));
            }
        }
        let count = members.len();
        let least = match least {
            b"any" => 1,
            b"all" => count,
            number => read_number(number).ok_or(wrong("a group's threshold"))?,
        };
        if least < 1 || least > count {
            return Err(wrong("a group's threshold beyond its members"));
        }
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { least, members });
        Ok(())
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), ProofError> {
        if self.quorum.is_some() {
            return Err(wrong("a second quorum line"));
        }
        self.quorum = Some(if name == b"none" {
            Quorum::None
        } else {
            let member = *self.names.get(name).ok_or(wrong("a quorum not defined before"))?;
            Quorum::Of { name: name.to_vec(), member }
        });
        Ok(())
    }

    fn define(&mut self, name: &[u8], member: Member) -> Result<(), ProofError> {
        if name == b"none" {
            return Err(wrong("the name `none` given to something"));
        }
        match self.names.insert(name.to_vec(), member) {
            None => Ok(()),
            Some(_) => Err(wrong("a name defined twice")),
        }
    }
}

fn bounded(count: usize, what: &'static str) -> Result<(), ProofError> {
    if count < ITEMS_MAX { Ok(()) } else { Err(ProofError::TooLarge { what, most: ITEMS_MAX }) }
}

fn read_key(text: &[u8]) -> Result<VerifierKey, ProofError> {
    str::from_utf8(text).map_err(|_| wrong("a key that is no text"))?.parse()
}

fn read_number(text: &[u8]) -> Option<usize> {
    parse_decimal(str::from_utf8(text).ok()?)?.try_into().ok()
}
