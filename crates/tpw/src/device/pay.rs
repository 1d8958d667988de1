//! One payment from order to outcome: into the journal, to the server, and what came of it back into the journal.

use super::files::{DeviceFolder, JournalFile, ReceiptKind};
use super::keys::Keys;
use crate::client::{Answer, Client};
use crate::exit::{Exit, Failure};
use tpw_core::{Hash32, Intent, Name, PaymentId};
use tpw_engines::clock::Clock;
use tpw_engines::entropy::OsEntropy;
use tpw_proof::Judgement;
use tpw_server::wire::{Base64Url, ChainHead, Payment, PaymentStatus, Problem};
use tpw_wallet::journal::{AnswerClass, ChainKey, Event, Link, State, classify};
use tpw_wallet::pay::{self, Begun, Order};
use tpw_wallet::profile::Profile;
use tpw_wallet::receipt;
use tpw_wallet::vault::Vault;

/// A device at work: its folder is locked and its journal open.
pub struct Teller<'a> {
    /// Its files.
    pub folder: &'a DeviceFolder,
    /// What it knows.
    pub profile: &'a Profile,
    /// Its payments.
    pub journal: JournalFile,
    /// Its keys.
    pub keys: &'a Keys,
    /// Its server.
    pub client: &'a Client,
    /// Its clock.
    pub clock: &'a dyn Clock,
    /// What the server said about the time of each step of the last answer, where it says so.
    pub timing: Option<String>,
}

/// What became of a payment.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Booked; the receipt is kept and was checked.
    Booked(Box<Kept>),
    /// Booked and undone; both receipts are kept and were checked.
    Compensated(Box<Kept>),
    /// Refused; the id is used up.
    Refused {
        /// The stable code.
        code: String,
        /// The server's words.
        text: String,
        /// The payment, with the decision.
        payment: Option<Box<Payment>>,
    },
    /// Waits for the passphrase.
    StepUp(Option<Box<Payment>>),
    /// Waits for an operator.
    Held(Option<Box<Payment>>),
    /// Not taken; nothing changed. `Never` means a new payment is needed, otherwise the same command later may do.
    Rejected {
        /// Whether the same statement can ever be taken.
        class: AnswerClass,
        /// The problem.
        problem: Box<Problem>,
    },
}

/// A payment whose receipts are on this device.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The payment as the server tells it.
    pub payment: Payment,
    /// The name of the receipt's file.
    pub receipt: Option<String>,
    /// What the receipt proves.
    pub judgement: Option<Judgement>,
    /// The name of the file of the undoing's receipt.
    pub compensation: Option<String>,
}

impl Outcome {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Booked(_) => "booked",
            Self::Compensated(_) => "compensated",
            Self::Refused { .. } => "refused",
            Self::StepUp(_) => "step_up",
            Self::Held(_) => "held",
            Self::Rejected { .. } => "rejected",
        }
    }

    /// How a command with this outcome ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Booked(_) => Exit::Done,
            Self::Compensated(_) | Self::Refused { .. } => Exit::Refused,
            Self::StepUp(_) => Exit::StepUp,
            Self::Held(_) => Exit::Held,
            Self::Rejected { class: AnswerClass::Never, .. } => Exit::Refused,
            Self::Rejected { .. } => Exit::Later,
        }
    }
}

/// What beginning an order led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Started {
    /// A new payment, in the journal now.
    New(PaymentId),
    /// The unfinished payment of the same command.
    Resumed(PaymentId),
    /// A payment that was carried out already.
    Finished(PaymentId),
}

impl Started {
    /// The payment.
    #[must_use]
    pub const fn payment(self) -> PaymentId {
        match self {
            Self::New(id) | Self::Resumed(id) | Self::Finished(id) => id,
        }
    }
}

impl Teller<'_> {
    /// Carries an order into the journal: when this returns, the payment's id and signed statement are on the disk.
    ///
    /// # Errors
    /// [`Failure`] when the order cannot be paid, signing fails or the disk does.
    pub fn begin(&mut self, order: &Order) -> Result<Started, Failure> {
        let (now, journal) = (self.clock.now(), self.journal.journal());
        let sign = |intent: &Intent| self.keys.sign_intent(intent);
        match pay::begin(order, self.profile, journal, &mut OsEntropy, now, sign)? {
            Begun::Resume { payment } => Ok(Started::Resumed(payment)),
            Begun::Finished { payment } => Ok(Started::Finished(payment)),
            Begun::New { payment, events } => {
                let sent = Event::Sent { payment, at: now };
                self.journal.record(events.into_iter().chain([sent]))?;
                Ok(Started::New(payment))
            }
        }
    }

    /// Sends a begun payment, or sends it again, and records what came of it.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer, the receipt does not hold, or the disk fails.
    pub async fn send(&mut self, payment: PaymentId) -> Result<Outcome, Failure> {
        let entry = self.journal.journal().entry(payment)?;
        let statement = entry.statement().to_vec();
        if *entry.state() == State::Prepared {
            self.journal.sent(payment, self.clock.now())?;
        }
        let answer = self.client.pay(payment, &statement).await?;
        self.settle(payment, &answer).await
    }

    /// Sends the fresh signature that a waiting payment needs. `vault` was opened with the passphrase for this.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn step_up(&mut self, payment: PaymentId, vault: &Vault) -> Result<Outcome, Failure> {
        let entry = self.journal.journal().entry(payment)?;
        let proof = tpw_wallet::step_up::sign(entry, vault, self.clock.now())?;
        let answer = self.client.step_up(payment, &proof).await?;
        self.settle(payment, &answer).await
    }

    /// Records what an answer means.
    async fn settle(&mut self, payment: PaymentId, answer: &Answer) -> Result<Outcome, Failure> {
        self.timing.clone_from(&answer.timing);
        if (200..300).contains(&answer.status) {
            return self.resting(payment, answer.json()?);
        }
        let problem = answer.problem();
        if let Some(resting) = problem.payment.clone() {
            return self.resting(payment, *resting);
        }
        let class = classify(&problem.code, problem.consumed);
        match class {
            AnswerClass::Consumed => {
                self.journal.record([Event::Refused { payment, code: name(&problem.code)? }])?;
                let (code, text) = (problem.code, problem.detail);
                Ok(Outcome::Refused { code, text, payment: None })
            }
            AnswerClass::Never => {
                self.journal.record([Event::Abandoned { payment, code: name(&problem.code)? }])?;
                self.catch_up(payment).await?;
                Ok(Outcome::Rejected { class, problem: Box::new(problem) })
            }
            AnswerClass::Again => Ok(Outcome::Rejected { class, problem: Box::new(problem) }),
        }
    }

    /// Records a payment in the state in which the server says that it rests.
    ///
    /// # Errors
    /// [`Failure`] when a receipt does not hold, or the disk fails.
    pub fn resting(&mut self, id: PaymentId, payment: Payment) -> Result<Outcome, Failure> {
        match payment.status {
            PaymentStatus::StepUp => Ok(Outcome::StepUp(Some(Box::new(payment)))),
            PaymentStatus::Held => Ok(Outcome::Held(Some(Box::new(payment)))),
            PaymentStatus::Refused => {
                let refusal = payment.refusal.clone();
                let (code, text) =
                    refusal.map_or(("refused".to_owned(), String::new()), |r| (r.code, r.text));
                let open = self.journal.journal().entry(id)?.state().is_open();
                if open {
                    self.journal.record([Event::Refused { payment: id, code: name(&code)? }])?;
                }
                Ok(Outcome::Refused { code, text, payment: Some(Box::new(payment)) })
            }
            PaymentStatus::Booked => Ok(Outcome::Booked(Box::new(self.keep(id, payment)?))),
            PaymentStatus::Compensated => {
                Ok(Outcome::Compensated(Box::new(self.keep(id, payment)?)))
            }
        }
    }

    /// Checks the receipts against what this device signed, keeps them, and closes the payment.
    fn keep(&mut self, id: PaymentId, mut payment: Payment) -> Result<Kept, Failure> {
        let trust = self.profile.trust()?;
        let known = |file: Base64Url| Base64Url(tpw_proof::file_with_known_stamps(file.0, &trust));
        let first = payment.receipt.take().map(known);
        let second = payment.compensation_receipt.take().map(known);
        let judgement = first.as_ref().map(|r| self.judge(id, &r.0)).transpose()?;
        second.as_ref().map(|r| self.judge(id, &r.0)).transpose()?;
        let write = |kind, receipt: &Option<Base64Url>| {
            receipt.as_ref().map(|r| self.folder.write_receipt(id, kind, &r.0)).transpose()
        };
        let receipt = write(ReceiptKind::Payment, &first)?;
        let compensation = write(ReceiptKind::Compensation, &second)?;
        let outcome = match payment.status {
            PaymentStatus::Compensated => name("compensated")?,
            _ => name("booked")?,
        };
        let file = receipt.as_deref().map(name).transpose()?;
        self.journal.record([Event::Done { payment: id, outcome, receipt: file }])?;
        Ok(Kept { payment, receipt, judgement, compensation })
    }

    fn judge(&self, id: PaymentId, bytes: &[u8]) -> Result<Judgement, Failure> {
        let entry = self.journal.journal().entry(id)?;
        let judgement = receipt::check(entry, bytes, &self.profile.trust()?)?;
        if let Some((layer, reason)) = judgement.first_failure() {
            let failure = Failure::new(Exit::NotVerified, "receipt-bad");
            return Err(failure.arg("layer", layer.code()).because(reason));
        }
        Ok(judgement)
    }

    /// After a number was given up: asks the server where the chain stands, in case this journal is behind it.
    async fn catch_up(&mut self, payment: PaymentId) -> Result<(), Failure> {
        let entry = self.journal.journal().entry(payment)?;
        let chain = ChainKey { device: entry.intent().device, account: entry.intent().payer };
        let path = format!("/v1/accounts/{}/chain?device={}", chain.account, chain.device);
        // What became of the payment is known; a server that is away now is asked another time.
        let Ok(answer) = self.client.get(self.keys, &path).await else { return Ok(()) };
        let head: ChainHead = answer.json()?;
        let next = head.sequence.saturating_add(1);
        if next <= self.journal.journal().link(chain).next {
            return Ok(());
        }
        let previous: Hash32 = head.hash.0;
        match self.journal.record([Event::Adopted { chain, link: Link { next, previous } }]) {
            Err(failure) if failure.cause_key.as_deref() == Some("wallet-error-not_adopted") => {
                Ok(())
            }
            other => other,
        }
    }
}

fn name(text: &str) -> Result<Name, Failure> {
    let cut: String = text.chars().filter(|c| !c.is_control()).take(64).collect();
    let cut = if cut.is_empty() { "unknown" } else { cut.as_str() };
    Name::new(cut).map_err(|error| Failure::failed("server-answer").because(error))
}
