//! Tokens of other time-stamp authorities over the log's checkpoints, beside the log: `stamped.db`.
//!
//! Nothing here is needed to go on: what is lost is asked for again, at a later size. Nothing here is believed either: a
//! token goes into a receipt only if it holds over the checkpoint that the log has signed, under an authority of the configuration in
//! force.

mod judged;

use crate::decode::int;
use crate::entropy::OsEntropy;
use crate::log_store::{LogError, LogView, SignedHead};
use crate::side_db::{self, Lasting};
use judged::{Judged, Tokens};
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tpw_access::HttpUrl;
use tpw_core::{Instant, Span};
use tpw_crypto::{CryptoError, Entropy as _, Sha2, sha256};
use tpw_proof::TIME_TOLERANCE;
use tpw_proof::timestamp::{self, CertificateWish, Imprint, Query, TspError};

/// How many other authorities may be asked: receipts hold sixteen tokens, and a trust file as many roots.
pub const AUTHORITIES_MAX: usize = 8;
/// The longest answer of one of them that is read, in bytes: all of them together fit a receipt.
pub const ANSWER_MAX: usize = 32 * 1024;
/// Roots of one authority.
const ROOTS_MAX: usize = 2;
/// How far an authority's clock may be ahead of ours.
const AHEAD_MAX: Span = Span::from_secs(300);
/// Checkpoints behind an entry among which the one with the most tokens is looked for.
const SIZES_MAX: usize = 8;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS token (
        size INTEGER NOT NULL,
        authority TEXT NOT NULL,
        answer BLOB NOT NULL,
        PRIMARY KEY (size, authority)
    ) STRICT, WITHOUT ROWID;
";

const SIZES: &str = "SELECT DISTINCT size FROM token WHERE size > ?1 ORDER BY size LIMIT ?2";
const OVER: &str =
    "SELECT authority, answer FROM token WHERE size = ?1 ORDER BY authority LIMIT ?2";
const KEEP: &str = "INSERT OR REPLACE INTO token (size, authority, answer) VALUES (?1, ?2, ?3)";
const NEWEST: &str = "SELECT coalesce(max(size), 0) FROM token";

/// Why another authority's token is not kept, or what is kept cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StampedError {
    /// The store failed.
    #[error("cannot {doing} in the store of other authorities’ time-stamps `stamped.db`: {cause}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        cause: rusqlite::Error,
    },
    /// The configuration of an authority cannot be used.
    #[error("the time-stamp authority `{name}` cannot be asked: {why}")]
    Authority {
        /// What the configuration calls it.
        name: String,
        /// The rule that is broken.
        why: String,
    },
    /// The answer breaks a rule.
    #[error(transparent)]
    Answer(#[from] TspError),
    /// The time in the answer is not the present one.
    #[error("its time {gen_time} is not that of asking, {asked}: one of the two clocks is wrong")]
    Time {
        /// The time in the token.
        gen_time: Instant,
        /// When it was asked.
        asked: Instant,
    },
    /// The source of randomness failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl StampedError {
    fn database(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |cause| Self::Database { doing, cause }
    }

    /// The reason's stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Answer(error) => error.code(),
            Self::Time { .. } => "time",
            Self::Database { .. } | Self::Authority { .. } | Self::Crypto(_) | Self::Log(_) => {
                "not_kept"
            }
        }
    }
}

/// Another authority, as the operator set it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideAuthority {
    name: String,
    /// None for a key of this very server.
    url: Option<String>,
    policies: Vec<String>,
    roots: Vec<Vec<u8>>,
    asked: Asked,
}

/// Whether an authority is asked, or only what it stamped before is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Yes,
    NoMore,
}

/// What our own second key is called among the others.
const OWN: &str = "ml-dsa-65";

impl OutsideAuthority {
    /// An authority at `url` that is asked for `policy` (a dotted OID) and whose certificates lead to one of `roots` (DER).
    ///
    /// # Errors
    /// [`StampedError::Authority`] says which of them cannot be used.
    pub fn new(
        name: &str,
        url: &str,
        policy: &str,
        roots: Vec<Vec<u8>>,
    ) -> Result<Self, StampedError> {
        let wrong = |why: &str| StampedError::Authority {
            name: name.chars().take(NAME_MAX).collect(),
            why: why.to_owned(),
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=NAME_MAX).contains(&name.len()) || !name.chars().all(plain) {
            return Err(wrong("its name has 1 to 32 small letters, digits and hyphens"));
        }
        HttpUrl::parse(url).map_err(|error| wrong(&error.to_string()))?;
        timestamp::check_policy(policy).map_err(|error| wrong(&error.to_string()))?;
        if !(1..=ROOTS_MAX).contains(&roots.len()) {
            return Err(wrong("it has one or two root certificates"));
        }
        if name == OWN {
            return Err(wrong("that is what this server’s own second key is called"));
        }
        let (name, url, policies) =
            (name.to_owned(), Some(url.to_owned()), vec![policy.to_owned()]);
        Ok(Self { name, url, policies, roots, asked: Asked::Yes })
    }

    /// A key of this very server: the policy that it is asked for, then all under which it ever stamped.
    pub(crate) fn of_this_server(policies: Vec<String>, root: Vec<u8>) -> Self {
        let (name, roots) = (OWN.to_owned(), vec![root]);
        Self { name, url: None, policies, roots, asked: Asked::Yes }
    }

    /// The same, which is not asked any more: what it stamped before goes on being believed.
    #[must_use]
    pub fn not_asked(self) -> Self {
        Self { asked: Asked::NoMore, ..self }
    }

    /// Whether it is asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked == Asked::Yes
    }

    /// What records and metrics call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is asked; `None` for a key of this very server.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The policy that it is asked for, and those of before that still count.
    #[must_use]
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The roots of its certificates, DER.
    #[must_use]
    pub fn roots(&self) -> &[Vec<u8>] {
        &self.roots
    }

    /// What a verifier of receipts will ask of its token over `data`.
    fn holds(&self, answer: &[u8], data: &[u8]) -> Result<Instant, TspError> {
        timestamp::verify(answer, data, &self.roots, &self.policies).map(|checked| checked.gen_time)
    }
}

const NAME_MAX: usize = 32;

/// A question to an authority, and when it was asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The DER `TimeStampReq`.
    pub request: Vec<u8>,
    /// The time, by our clock.
    pub asked: Instant,
}

/// The tokens of other authorities over one checkpoint, as receipts carry them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) size: u64,
    pub(crate) tokens: Arc<[Vec<u8>]>,
}

/// What became of asking, by authority and outcome.
pub type Outcomes = BTreeMap<(String, &'static str), u64>;

/// The tokens of other authorities over the checkpoints of a log.
pub struct Stamped {
    authorities: Vec<OutsideAuthority>,
    view: LogView,
    store: Mutex<Connection>,
    /// The size of the newest checkpoint with a token.
    newest: AtomicU64,
    /// What receipts may carry.
    known: Mutex<Judged>,
    outcomes: Mutex<Outcomes>,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole values are left behind also by a thread that panicked: each change is one statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stamped {
    /// Opens the store at `path`, and makes it if it is not there.
    ///
    /// # Errors
    /// [`StampedError`] when it cannot be opened, or when there are too many authorities or two of one name.
    pub fn open(
        path: &Path,
        authorities: Vec<OutsideAuthority>,
        view: LogView,
    ) -> Result<Self, StampedError> {
        for (place, authority) in authorities.iter().enumerate() {
            let before = authorities.get(..place).unwrap_or_default();
            let why = match before.iter().any(|other| other.name == authority.name) {
                true => "another one has the same name",
                // A key of this server comes last, and beside them.
                false if place >= AUTHORITIES_MAX && authority.url.is_some() => {
                    "eight others are asked already"
                }
                false => continue,
            };
            let name = authority.name.clone();
            return Err(StampedError::Authority { name, why: why.to_owned() });
        }
        let failed = |(doing, cause)| StampedError::Database { doing, cause };
        // What a power failure takes away is asked for again.
        let store = side_db::open(path, SCHEMA, Lasting::Mostly).map_err(failed)?;
        let newest: i64 = store
            .query_row(NEWEST, [], |row| row.get(0))
            .map_err(StampedError::database("find the newest token"))?;
        Ok(Self {
            authorities,
            view,
            store: Mutex::new(store),
            newest: AtomicU64::new(u64::try_from(newest).unwrap_or(0)),
            known: Mutex::default(),
            outcomes: Mutex::default(),
        })
    }

    /// The authorities that are asked.
    #[must_use]
    pub fn authorities(&self) -> &[OutsideAuthority] {
        &self.authorities
    }

    /// A question to an authority about a checkpoint, with a nonce of its own.
    ///
    /// # Errors
    /// [`StampedError::Crypto`] when there is no randomness.
    pub fn question(
        &self,
        authority: &OutsideAuthority,
        head: &SignedHead,
        now: Instant,
    ) -> Result<Question, StampedError> {
        let mut nonce = [0_u8; 16];
        OsEntropy.fill(&mut nonce)?;
        let hash = sha256(&head.checkpoint.log_signed_bytes()).to_vec();
        let query = Query {
            imprint: Imprint { function: Sha2::Sha256, hash },
            policy: authority.policies.first().cloned(),
            nonce: Some(nonce.to_vec()),
            wish: CertificateWish::Embedded,
        };
        Ok(Question { request: query.to_der()?, asked: now })
    }

    /// Keeps an authority's answer to a question about a checkpoint, if every rule holds that the verifier of a receipt will ask for,
    /// and those that only who asked can: nonce, policy, and a time that is the present one.
    ///
    /// # Errors
    /// [`StampedError`] says which rule is broken. Nothing is kept then.
    pub fn keep(
        &self,
        authority: &OutsideAuthority,
        head: &SignedHead,
        question: &Question,
        answer: &[u8],
        now: Instant,
    ) -> Result<(), StampedError> {
        if answer.len() > ANSWER_MAX {
            return Err(TspError::TooLong { limit: ANSWER_MAX }.into());
        }
        // An answer is under the policy that was asked for, whatever counted before.
        let (roots, asked) = (&authority.roots, authority.policies.get(..1).unwrap_or_default());
        timestamp::verify_answer(answer, &question.request, roots, asked)?;
        let gen_time = authority.holds(answer, &head.checkpoint.log_signed_bytes())?;
        let asked = question.asked;
        // A receipt with a time before its booking would not hold: what is under a checkpoint was booked before it was issued.
        if gen_time < head.issued.minus(TIME_TOLERANCE).max(asked.minus(AHEAD_MAX))
            || gen_time > now.plus(AHEAD_MAX)
        {
            return Err(StampedError::Time { gen_time, asked });
        }
        let size = head.head.size;
        held(&self.store)
            .execute(KEEP, params![int(size), authority.name, answer])
            .map_err(StampedError::database("keep a token"))?;
        held(&self.known).remove(size);
        self.newest.fetch_max(size, Ordering::AcqRel);
        Ok(())
    }

    /// Counts what became of asking an authority.
    pub fn count(&self, authority: &OutsideAuthority, outcome: &'static str) {
        let mut outcomes = held(&self.outcomes);
        let count = outcomes.entry((authority.name.clone(), outcome)).or_default();
        *count = count.saturating_add(1);
    }

    /// How often which authority was asked since the start, by what came of it.
    #[must_use]
    pub fn outcomes(&self) -> Outcomes {
        held(&self.outcomes).clone()
    }

    /// Whether some kept token may be over the leaf at `index`. Answers from memory.
    pub(crate) fn covers(&self, index: u64) -> bool {
        self.newest.load(Ordering::Acquire) > index
    }

    /// The checkpoints over the leaf at `index` with tokens of other authorities: those with one of each that is asked first, then those
    /// with the most. It looks no further than the first that has one of each and whose size `suits`.
    ///
    /// # Errors
    /// An error of a store.
    pub(crate) fn over(
        &self,
        index: u64,
        suits: impl Fn(u64) -> bool,
    ) -> Result<Vec<Over>, StampedError> {
        if !self.covers(index) {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for size in self.sizes(index)? {
            let tokens = self.tokens(size)?;
            let last = tokens.is_complete && suits(size);
            if !tokens.all.is_empty() {
                found.push((tokens.is_complete, Over { size, tokens: tokens.all }));
            }
            if last {
                break;
            }
        }
        // A stable order: of those with as many, the first stays before the later ones.
        found.sort_by_key(|(complete, over)| core::cmp::Reverse((*complete, over.tokens.len())));
        Ok(found.into_iter().map(|(_, over)| over).collect())
    }

    /// Whether there is a token of each authority that is asked today, if these have one. Those of others make up for none.
    fn is_complete(&self, names: &[String]) -> bool {
        let mut asked = self.authorities.iter().filter(|authority| authority.is_asked());
        !names.is_empty() && asked.all(|authority| names.contains(&authority.name))
    }

    fn sizes(&self, index: u64) -> Result<Vec<u64>, StampedError> {
        let error = StampedError::database;
        let store = held(&self.store);
        let mut found = store.prepare_cached(SIZES).map_err(error("find a token"))?;
        let most = i64::try_from(SIZES_MAX).unwrap_or(i64::MAX);
        let sizes = found.query_map(params![int(index), most], |row| row.get::<_, i64>(0));
        let sizes: Vec<i64> =
            sizes.and_then(Iterator::collect).map_err(error("find the tokens"))?;
        Ok(sizes.into_iter().filter_map(|size| u64::try_from(size).ok()).collect())
    }

    /// The tokens over the checkpoint of this size that hold today, in the order of their authorities' names.
    fn tokens(&self, size: u64) -> Result<Tokens, StampedError> {
        let known = held(&self.known).get(size);
        if let Some(known) = known {
            return Ok(known);
        }
        let rows = self.rows(size)?;
        let head = self.view.head_at(size)?;
        let data = head.map(|head| head.checkpoint.log_signed_bytes()).unwrap_or_default();
        let holds = |(name, answer): &(String, Vec<u8>)| {
            // One that is not asked any more is no longer in the trust file either.
            let known = self.authorities.iter().find(|authority| authority.name == *name);
            let Some(authority) = known else { return false };
            authority.holds(answer, &data).map_err(|why| not_used(size, name, &why)).is_ok()
        };
        let (names, all): (Vec<String>, Vec<Vec<u8>>) = rows.into_iter().filter(holds).unzip();
        let tokens = Tokens { all: all.into(), is_complete: self.is_complete(&names) };
        // If neither, one of them may be about to answer.
        if tokens.is_complete || self.covers(size) {
            held(&self.known).insert(size, tokens.clone());
        }
        Ok(tokens)
    }

    fn rows(&self, size: u64) -> Result<Vec<(String, Vec<u8>)>, StampedError> {
        let error = StampedError::database;
        let store = held(&self.store);
        let mut found = store.prepare_cached(OVER).map_err(error("read the tokens"))?;
        // Of authorities that were asked once as well.
        let most = i64::try_from(AUTHORITIES_MAX.saturating_mul(4)).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let rows = found.query_map(params![int(size), most], read);
        rows.and_then(Iterator::collect).map_err(error("read a token"))
    }
}

fn not_used(size: u64, authority: &str, why: &TspError) {
    tracing::warn!(size, authority, %why, "a token in `stamped.db` does not hold; passing it over");
}
