//! The payments made on this device, and where the chain of each account stands.
//!
//! The rule that everything else rests on: an event is durable in the journal *before* what it says happens. A
//! `Prepared` and a `Sent` may be appended in one write, but no byte of a statement leaves before both are on disk. A
//! crash at any instant is then a replay: the same command finds the unfinished entry and sends the same bytes.

mod answer;
mod chain;
mod event;
mod file;

use std::collections::{BTreeMap, HashMap};

use tpw_core::{Hash32, Instant, Intent, Name, PaymentId};
use tpw_crypto::sha256;

pub use answer::{AnswerClass, NEVER_CODES, classify};
use chain::Chain;
pub use chain::{ChainKey, Link};
pub use event::{BatchLine, Event, OrderKey};
use file::{Found, Tail, corrupt};

use crate::WalletError;

/// Where a payment stands, as far as this device knows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum State {
    /// Signed; certainly nothing has left the device.
    Prepared,
    /// On its way, waiting for step-up or an operator, or answered without this device hearing it.
    Sent,
    /// Carried out, or carried out and compensated.
    Done {
        /// The server's outcome code.
        outcome: Name,
        /// The receipt's file name.
        receipt: Option<Name>,
    },
    /// Taken by the server and refused.
    Refused {
        /// The refusal's code.
        code: Name,
    },
    /// Never taken by the server; its number was given back.
    Abandoned {
        /// The rejection's code; that of the predecessor when it fell with that.
        code: Name,
    },
}

impl State {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Sent => "sent",
            Self::Done { .. } => "done",
            Self::Refused { .. } => "refused",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    /// Whether an answer is still to come.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Prepared | Self::Sent)
    }
}

/// One payment of this device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    intent: Intent,
    intent_hash: Hash32,
    statement: Vec<u8>,
    key: OrderKey,
    fingerprint: Hash32,
    state: State,
}

impl Entry {
    /// The payment's id.
    #[must_use]
    pub const fn payment(&self) -> PaymentId {
        self.intent.payment
    }

    /// What was signed.
    #[must_use]
    pub const fn intent(&self) -> &Intent {
        &self.intent
    }

    /// SHA-256 of the intent's bytes.
    #[must_use]
    pub const fn intent_hash(&self) -> Hash32 {
        self.intent_hash
    }

    /// The signed statement: what is sent, and sent again.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// What makes the same command again this payment.
    #[must_use]
    pub const fn key(&self) -> &OrderKey {
        &self.key
    }

    /// What the order said.
    #[must_use]
    pub const fn fingerprint(&self) -> Hash32 {
        self.fingerprint
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Whether it never left the device and would come too late now: it may be abandoned without asking the server.
    #[must_use]
    pub fn is_stale(&self, now: Instant) -> bool {
        self.state == State::Prepared && self.intent.expires <= now
    }

    fn chain(&self) -> ChainKey {
        ChainKey { device: self.intent.device, account: self.intent.payer }
    }
}

/// What a command turns out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Plan<'j> {
    /// A payment to be made.
    New,
    /// An unfinished payment: send its statement again.
    Resume(&'j Entry),
    /// An unfinished payment that never left the device and has expired: abandon it and plan again.
    Stale(&'j Entry),
    /// A payment with an answer, and a command that is carried out once only.
    Finished(&'j Entry),
}

/// The payments of this device, rebuilt from its journal file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Journal {
    entries: Vec<Entry>,
    by_payment: BTreeMap<PaymentId, usize>,
    by_key: HashMap<OrderKey, usize>,
    chains: BTreeMap<ChainKey, Chain>,
    tail: Tail,
}

impl Default for Journal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal {
    /// An empty journal, whose file is empty or absent.
    #[must_use]
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            by_payment: BTreeMap::new(),
            by_key: HashMap::new(),
            chains: BTreeMap::new(),
            tail: Tail::new(),
        }
    }

    /// Rebuilds a journal from its file. Also gives how many bytes hold whole records: the caller truncates the file
    /// there before appending, because a crash may have torn the last record.
    ///
    /// A file that was cut exactly between two records looks like an older state of itself; the server then answers
    /// `sequence_used`, and [`Event::Adopted`] repairs the chain.
    ///
    /// # Errors
    /// [`WalletError::JournalCorrupt`] when anything else than a torn tail is wrong.
    pub fn replay(bytes: &[u8]) -> Result<(Self, usize), WalletError> {
        let mut journal = Self::new();
        let Some(mut rest) = journal.tail.start(bytes)? else { return Ok((journal, 0)) };
        loop {
            let offset = bytes.len().saturating_sub(rest.len());
            match journal.tail.read(rest, offset)? {
                Found::End => return Ok((journal, offset)),
                Found::Record(event, after) => {
                    journal.admit(&event).map_err(|_order| {
                        corrupt(offset, "a record does not follow from the ones before")
                    })?;
                    journal.apply(*event);
                    rest = after;
                }
            }
        }
    }

    /// Takes an event and gives the bytes to append to the file, to be synced before what the event says happens.
    ///
    /// When that write fails, this value knows more than the disk: drop it and replay the file.
    ///
    /// # Errors
    /// When the event does not follow from the journal ([`WalletError::Transition`], [`WalletError::OutOfChain`],
    /// [`WalletError::ChainConflict`], ...); then nothing changed.
    pub fn record(&mut self, event: Event) -> Result<Vec<u8>, WalletError> {
        self.admit(&event)?;
        let bytes = self.tail.append(&event);
        self.apply(event);
        Ok(bytes)
    }

    /// All payments, in the order in which they were made.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The payments without a final answer, in the order in which they were made: what a device that starts sends
    /// again.
    pub fn open(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.state.is_open())
    }

    /// One payment.
    ///
    /// # Errors
    /// [`WalletError::UnknownPayment`].
    pub fn entry(&self, payment: PaymentId) -> Result<&Entry, WalletError> {
        self.by_payment
            .get(&payment)
            .and_then(|position| self.entries.get(*position))
            .ok_or(WalletError::UnknownPayment(payment))
    }

    /// The newest payment for a key that was not abandoned.
    #[must_use]
    pub fn find(&self, key: &OrderKey) -> Option<&Entry> {
        self.by_key
            .get(key)
            .and_then(|position| self.entries.get(*position))
            .filter(|entry| !matches!(entry.state, State::Abandoned { .. }))
    }

    /// What the next intent on a chain must say.
    #[must_use]
    pub fn link(&self, chain: ChainKey) -> Link {
        self.chains.get(&chain).map_or(Link::FIRST, |chain| chain.link)
    }

    /// Whether a command makes a payment, continues one, or was carried out.
    ///
    /// # Errors
    /// [`WalletError::KeyReused`] when the key's payment was ordered with other content.
    pub fn plan(
        &self,
        key: &OrderKey,
        fingerprint: Hash32,
        now: Instant,
    ) -> Result<Plan<'_>, WalletError> {
        let Some(entry) = self.find(key) else { return Ok(Plan::New) };
        if entry.fingerprint != fingerprint {
            return Err(WalletError::KeyReused(entry.payment()));
        }
        Ok(match key {
            _ if entry.is_stale(now) => Plan::Stale(entry),
            _ if entry.state.is_open() => Plan::Resume(entry),
            OrderKey::Content(_) => Plan::New,
            OrderKey::Named(_) | OrderKey::Line(_) => Plan::Finished(entry),
        })
    }

    /// Checks that `event` follows from what is known.
    fn admit(&self, event: &Event) -> Result<(), WalletError> {
        match event {
            Event::Prepared { intent, .. } => {
                let payment = intent.payment;
                if self.by_payment.contains_key(&payment) {
                    return Err(WalletError::RepeatedPayment(payment));
                }
                let chain = ChainKey { device: intent.device, account: intent.payer };
                let link = self.link(chain);
                let fits = intent.sequence == link.next && intent.previous == link.previous;
                // The last number stays unused, so that "next" always exists.
                if !fits || link.next == u64::MAX {
                    return Err(WalletError::OutOfChain { payment, expected: link.next });
                }
                Ok(intent.check()?)
            }
            Event::Sent { payment, .. } => self.admit_step(*payment, "sent", State::is_open),
            Event::Done { payment, .. } => self.admit_step(*payment, "done", |state| {
                matches!(state, State::Sent | State::Done { .. })
            }),
            Event::Refused { payment, .. } => {
                self.admit_step(*payment, "refused", |state| *state == State::Sent)
            }
            Event::Abandoned { payment, .. } => {
                self.admit_step(*payment, "abandoned", State::is_open)?;
                let (entry, sequence) =
                    (self.entry(*payment)?, self.entry(*payment)?.intent.sequence);
                let used = self.chains.get(&entry.chain()).map_or(0, |chain| chain.used);
                if sequence > used {
                    return Ok(());
                }
                Err(WalletError::ChainConflict { payment: *payment, sequence })
            }
            Event::Adopted { chain, link } => {
                let own = self.chains.get(chain);
                let (next, open) = own.map_or((1, false), |c| (c.link.next, !c.open.is_empty()));
                if link.next > next && !open {
                    return Ok(());
                }
                // Answers to open payments say more than a number does: they come first.
                Err(WalletError::NotAdopted { account: chain.account, next: link.next })
            }
        }
    }

    fn admit_step(
        &self,
        payment: PaymentId,
        to: &'static str,
        allowed: impl Fn(&State) -> bool,
    ) -> Result<(), WalletError> {
        let state = &self.entry(payment)?.state;
        if allowed(state) {
            return Ok(());
        }
        Err(WalletError::Transition { payment, from: state.code(), to })
    }

    /// Applies an admitted event.
    fn apply(&mut self, event: Event) {
        match event {
            Event::Prepared { intent, statement, key, fingerprint } => {
                let intent_hash = Hash32::new(sha256(&intent.to_bytes()));
                let position = self.entries.len();
                let state = State::Prepared;
                let entry =
                    Entry { intent: *intent, intent_hash, statement, key, fingerprint, state };
                self.by_payment.insert(entry.payment(), position);
                self.by_key.insert(entry.key.clone(), position);
                let chain = self.chains.entry(entry.chain()).or_insert_with(Chain::new);
                chain.extend(intent_hash, position);
                self.entries.push(entry);
            }
            Event::Sent { payment, .. } => self.settle(payment, State::Sent),
            Event::Done { payment, outcome, receipt } => {
                self.settle(payment, State::Done { outcome, receipt });
            }
            Event::Refused { payment, code } => self.settle(payment, State::Refused { code }),
            Event::Abandoned { payment, code } => self.abandon(payment, &code),
            Event::Adopted { chain, link } => {
                let own = self.chains.entry(chain).or_insert_with(Chain::new);
                (own.link, own.used) = (link, link.next.saturating_sub(1));
            }
        }
    }

    fn settle(&mut self, payment: PaymentId, state: State) {
        let Some(position) = self.by_payment.get(&payment) else { return };
        let Some(entry) = self.entries.get_mut(*position) else { return };
        entry.state = state;
        if !entry.state.is_open()
            && let Some(chain) = self.chains.get_mut(&entry.chain())
        {
            chain.consume(entry.intent.sequence);
        }
    }

    fn abandon(&mut self, payment: PaymentId, code: &Name) {
        let Ok(entry) = self.entry(payment) else { return };
        let link = Link { next: entry.intent.sequence, previous: entry.intent.previous };
        let key = entry.chain();
        let fallen = self.chains.get_mut(&key).map(|chain| chain.rewind(link));
        for position in fallen.unwrap_or_default() {
            if let Some(entry) = self.entries.get_mut(position) {
                entry.state = State::Abandoned { code: code.clone() };
            }
        }
    }
}
