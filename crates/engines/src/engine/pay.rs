//! From a signed statement to a receipt.

use super::inbox::Refused;
use super::timing::Timings;
use super::writer::{Done, When, Work};
use super::{Engine, PayError, decisions};
use crate::entropy::OsEntropy;
use crate::log_store::LogView;
use core::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;
use tpw_core::{Hash32, Intent, StepUpProof, TreeHead};
use tpw_crypto::{Entropy, PublicKey};
use tpw_flow::{
    Answer, Command, OrderOutcome, Ordered, Orders, Outcome, Payment, Rejection, Seen, Submission,
};
use tpw_proof::{DeviceKeys, Signed, Unverified, Verified};

/// A payment with the receipts it has.
#[derive(Clone, Debug)]
pub struct Paid {
    /// The payment in its new or stored state.
    pub payment: Arc<Payment>,
    /// The receipt file of a booked payment.
    pub receipt: Option<Vec<u8>>,
    /// The receipt file of its compensation.
    pub compensation_receipt: Option<Vec<u8>>,
    /// What each step took, in order.
    pub timings: Timings,
    /// Whether this is the stored outcome of the same request made before.
    pub repeated: Repeated,
}

/// Whether a request was made before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeated {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// Of a thread that ended early: nothing of its share was checked.
fn unchecked() -> PayError {
    PayError::Stopped("a thread that checks signatures has ended; send it again".to_owned())
}

impl Engine {
    /// Takes a payment: checks the statement, decides, settles, books, and proves it.
    ///
    /// # Errors
    /// [`PayError`]. After [`PayError::Stopped`] the same statement may be sent again.
    pub async fn pay(&self, statement: &[u8]) -> Result<Paid, PayError> {
        let begun = Instant::now();
        let statement = self.check_intent(statement)?;
        let took = begun.elapsed();
        let mut paid = self.submit(statement).await?;
        paid.timings.insert(0, ("authenticate", took));
        Ok(paid)
    }

    /// Checks the signature of a payment's statement. Nothing is decided yet.
    ///
    /// # Errors
    /// [`PayError::BadStatement`], or [`PayError::Rejected`] for a device that is not enrolled.
    pub fn check_intent(&self, statement: &[u8]) -> Result<Verified<Intent>, PayError> {
        self.verified(statement)
    }

    /// Checks the signatures of many payments' statements, each alone, on at most so many threads. The answers are those of
    /// [`Engine::check_intent`], in the same order.
    pub fn check_intents(
        &self,
        statements: &[Vec<u8>],
        threads: NonZeroUsize,
    ) -> Vec<Result<Verified<Intent>, PayError>> {
        let check = |statement: &Vec<u8>| self.check_intent(statement);
        tpw_crypto::spread(statements, threads, check, || Err(unchecked()))
    }

    /// Takes a payment whose signature was checked.
    ///
    /// # Errors
    /// As [`Engine::pay`].
    pub async fn submit(&self, statement: Verified<Intent>) -> Result<Paid, PayError> {
        let seen = self.seen(statement.value().seen).await?;
        self.decide(ready(statement, seen)?).await
    }

    /// Takes payments that [`Engine::submission`] made ready, in their order, in one commit. Their receipts can be read when it
    /// answers.
    ///
    /// # Errors
    /// [`PayError`] for all of them; what became of each is in the answer.
    pub async fn submit_all(
        &self,
        commands: Vec<Command>,
    ) -> Result<Vec<Result<(Arc<Payment>, Repeated), Rejection>>, PayError> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let outcomes = self.send(commands, When::Proven).await?.outcomes.into_iter();
        let taken = outcomes.map(|outcome| match outcome {
            Ok(Answer::Payment(payment)) => Ok(Ok((payment, Repeated::No))),
            Ok(Answer::Repeated(payment)) => Ok(Ok((payment, Repeated::Yes))),
            Err(rejection) => Ok(Err(rejection)),
            Ok(_) => Err(PayError::Stopped("the writer gave no payment".to_owned())),
        });
        taken.collect()
    }

    /// Makes a payment whose signature was checked ready for the writer. It may read from the store which head the device has seen:
    /// not for a thread that others wait for.
    ///
    /// # Errors
    /// [`PayError::Stopped`] when the log or the entropy source fails.
    pub fn submission(&self, statement: Verified<Intent>) -> Result<Command, PayError> {
        let seen = seen(&self.receipts.log, statement.value().seen)?;
        ready(statement, seen)
    }

    /// Takes a fresh signature for a payment that waits for one.
    ///
    /// # Errors
    /// [`PayError`], as for [`Engine::pay`].
    pub async fn step_up(&self, proof: &[u8]) -> Result<Paid, PayError> {
        let proof = self.check_step_up(proof)?;
        self.decide(Command::StepUp(Box::new(proof))).await
    }

    /// Checks the signature of a step-up proof. Nothing is decided yet.
    ///
    /// # Errors
    /// As [`Engine::check_intent`].
    pub fn check_step_up(&self, proof: &[u8]) -> Result<Verified<StepUpProof>, PayError> {
        self.verified(proof)
    }

    /// Carries out a command about a payment and answers with its receipts.
    ///
    /// # Errors
    /// [`PayError`], as for [`Engine::pay`].
    pub async fn decide(&self, command: Command) -> Result<Paid, PayError> {
        let mut done = self.send(vec![command], When::Proven).await?;
        let begun = Instant::now();
        let mut paid = match done.outcomes.pop() {
            Some(Ok(Answer::Payment(payment))) => self.prove(payment, Repeated::No).await?,
            Some(Ok(Answer::Repeated(payment))) => self.prove(payment, Repeated::Yes).await?,
            Some(Err(rejection)) => return Err(rejection.into()),
            _ => return Err(PayError::Stopped("the writer gave no payment".to_owned())),
        };
        done.timings.push(("receipt", begun.elapsed()));
        paid.timings = done.timings;
        Ok(paid)
    }

    /// Carries out another command; the answer comes when it is durable.
    ///
    /// # Errors
    /// [`PayError`].
    pub async fn command(&self, command: Command) -> Result<Answer, PayError> {
        let outcome = self.send(vec![command], When::Durable).await?.outcomes.pop();
        Ok(outcome.ok_or_else(|| PayError::Stopped("the writer gave no answer".to_owned()))??)
    }

    /// Carries out several commands in one commit, each decided on its own.
    ///
    /// # Errors
    /// [`PayError`] for all of them; the outcome of each is in the answer.
    pub async fn commands(&self, commands: Vec<Command>) -> Result<Vec<Outcome>, PayError> {
        Ok(self.send(commands, When::Durable).await?.outcomes)
    }

    /// Carries out orders of whoever holds the key `by`; the answer, one outcome for each, comes when all of them are durable.
    ///
    /// # Errors
    /// [`PayError`] for all of them; what became of each is in the answer.
    pub async fn order(
        &self,
        orders: Vec<Ordered>,
        by: Hash32,
    ) -> Result<Vec<OrderOutcome>, PayError> {
        let mut salt = [0_u8; 32];
        OsEntropy.fill(&mut salt).map_err(|error| PayError::Stopped(error.to_string()))?;
        match self.command(Command::Orders(Box::new(Orders { orders, by, salt }))).await? {
            Answer::Ordered(outcomes) => Ok(outcomes),
            _ => Err(PayError::Stopped("the writer gave no outcome of orders".to_owned())),
        }
    }

    pub(super) async fn send(
        &self,
        mut commands: Vec<Command>,
        when: When,
    ) -> Result<Done, PayError> {
        if !self.log_healthy.healthy() {
            return Err(PayError::Stopped(
                "the log takes no entries; restart the server".to_owned(),
            ));
        }
        let decided = decisions::of_this_request();
        let added = usize::from(!decided.is_empty());
        if added > 0 {
            commands.insert(0, Command::Decisions(decided.clone()));
        }
        let (reply, answer) = oneshot::channel();
        let work = Work { commands, when, queued: Instant::now(), reply };
        self.inbox.leave(work).map_err(|refused| {
            decisions::give_back(decided);
            match refused {
                Refused::Full => PayError::Busy,
                Refused::Ended => PayError::Stopped("the server is stopping".to_owned()),
            }
        })?;
        let ended = |_gone| Err(PayError::Stopped("the writer has ended".to_owned()));
        let mut done = answer.await.unwrap_or_else(ended)?;
        let mut kept = done.outcomes.drain(..added.min(done.outcomes.len()));
        kept.try_for_each(|outcome| outcome.map(drop))?;
        drop(kept);
        Ok(done)
    }

    /// Checks a statement with the key of the enrolled device that it names.
    fn verified<T: Signed>(&self, bytes: &[u8]) -> Result<Verified<T>, PayError> {
        let unverified = Unverified::<T>::parse(bytes)?;
        let keys = self.keys_named(&unverified.key_thumbprint());
        let (key, post_quantum) = keys.ok_or(Rejection::UnknownDevice)?;
        Ok(unverified.verify_by(&DeviceKeys::new(key, post_quantum)?)?)
    }

    /// The key of that thumbprint, and the other one of a hybrid device.
    fn keys_named(&self, thumbprint: &Hash32) -> Option<(PublicKey, Option<PublicKey>)> {
        let directory = self.directory();
        let device = directory.devices.get(directory.by_cose.get(thumbprint)?)?;
        Some((device.key.clone(), device.post_quantum.clone()))
    }

    /// Whether we ever published the head that a device has seen, without keeping other tasks waiting for the store.
    async fn seen(&self, head: TreeHead) -> Result<Seen, PayError> {
        if head.size == 0 || self.receipts.log.root_from_memory(head.size).is_some() {
            return seen(&self.receipts.log, head);
        }
        let log = self.receipts.log.clone();
        beside(move || seen(&log, head)).await?
    }

    /// A payment with its receipts, as they can be made now.
    ///
    /// # Errors
    /// [`PayError::Stopped`] when books or log cannot be read.
    pub fn paid(&self, payment: Arc<Payment>, repeated: Repeated) -> Result<Paid, PayError> {
        self.receipts.of(payment, repeated)
    }

    /// The same for a task, which may not wait for a store.
    async fn prove(&self, payment: Arc<Payment>, repeated: Repeated) -> Result<Paid, PayError> {
        self.receipts.wait(&payment).await;
        if self.receipts.are_at_hand(&payment) {
            return self.receipts.of(payment, repeated);
        }
        let receipts = self.receipts.clone();
        beside(move || receipts.of(payment, repeated)).await?
    }
}

/// Does something that may wait for a store beside the tasks.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PayError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| PayError::Stopped("reading the log ended in a panic".to_owned()))
}

/// Whether we ever published the head that a device has seen. A head of size 0 claims nothing.
fn seen(log: &LogView, head: TreeHead) -> Result<Seen, PayError> {
    if head.size == 0 {
        return Ok(Seen::Confirmed);
    }
    let ours = log.root_at(head.size).map_err(|error| PayError::Stopped(error.to_string()))?;
    Ok(if ours == Some(head.root) { Seen::Confirmed } else { Seen::Contradicted })
}

/// The command that takes a payment.
fn ready(statement: Verified<Intent>, seen: Seen) -> Result<Command, PayError> {
    let mut salt = [0_u8; 32];
    OsEntropy.fill(&mut salt).map_err(|error| PayError::Stopped(error.to_string()))?;
    Ok(Command::Submit(Box::new(Submission { statement, seen, salt })))
}
