//! Time-stamps for whoever asks, each an entry of the log before it leaves, and the proofs of these entries.

use super::second_key::SecondKey;
use super::stamper::Stamper;
use super::writer::When;
use super::{Engine, EngineError, PayError};
use crate::entropy::OsEntropy;
use crate::log_store::LogError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tpw_core::{Hash32, Instant};
use tpw_crypto::{Entropy, Signer, sha256};
use tpw_flow::Command;
use tpw_proof::TlogProof;
use tpw_proof::timestamp::{
    Authority, ClockState, Refusal, refuse, request_summary, serial, token_der,
};

/// An answer to a request for a time-stamp that nobody has yet.
pub struct Drafted {
    answer: Vec<u8>,
    /// What logs the token; a refusal has none.
    entry: Option<Command>,
    /// Whose key signed. It is in use until the entry is durable, so that none of its tokens comes after its end in the log.
    stamper: Option<Arc<Stamper>>,
}

/// Whose key signs an answer.
enum Signs<'e> {
    /// The first one, which can be replaced or destroyed.
    First(Arc<Stamper>),
    /// The second one, which goes on whatever becomes of the first.
    Second(&'e SecondKey),
}

/// How an authority answers: [`Authority::answer`] or [`Authority::answer_own`].
type Answer = fn(&Authority, &dyn Signer, &[u8], Instant, ClockState, [u8; 20]) -> Vec<u8>;

/// The proof that a time-stamp stands in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenProof {
    /// No time-stamp has this serial number.
    Unknown,
    /// Its entry waits for a checkpoint.
    Waiting,
    /// A `c2sp.org/tlog-proof@v1`.
    Proved(String),
}

impl Engine {
    /// Answers an RFC 3161 request with a time-stamp or the reason why there is none. A time-stamp has a durable place in the log by
    /// then.
    ///
    /// # Errors
    /// [`PayError`] when it cannot be logged: then it is not given.
    pub async fn stamp(&self, request: &[u8]) -> Result<Vec<u8>, PayError> {
        self.give_stamp(self.draft_stamp(request)).await
    }

    /// Makes the answer: the part that signs, for a thread that others do not wait for.
    #[must_use]
    pub fn draft_stamp(&self, request: &[u8]) -> Drafted {
        self.draft(request, Authority::answer)
    }

    /// As [`Self::draft_stamp`], for this server's own question: the certificate that receipts need is in the answer, also when it is
    /// handed to nobody who asks.
    #[must_use]
    pub fn draft_own_stamp(&self, request: &[u8]) -> Drafted {
        self.draft(request, Authority::answer_own)
    }

    fn draft(&self, request: &[u8], answer: Answer) -> Drafted {
        let signs = match self.second_for(request).map(Signs::Second) {
            Some(second) => Ok(second),
            None => self.keys.service.stamper().map(Signs::First),
        };
        let signs = match signs {
            Ok(signs) => signs,
            Err(silence) => {
                let answer = refuse(Refusal::SystemFailure, silence.words());
                return Drafted { answer, entry: None, stamper: None };
            }
        };
        let mut random = [0_u8; 11];
        // Each serial is unique by the epoch of this start and a count, which anybody can read in it; the three bytes behind are random.
        let count = self.stamps.fetch_add(1, Ordering::Relaxed);
        let filled = OsEntropy.fill(&mut random);
        let [a, b, c, d, e, f, g, h, ..] = &mut random;
        for (slot, byte) in [a, b, c, d, e, f, g, h].into_iter().zip(count.to_be_bytes()) {
            *slot = byte;
        }
        // Read right before the time itself; what passes between the two is no part of a millisecond.
        let clock = match self.clock_error() {
            Ok(error) if filled.is_ok() => ClockState::Good { error_ms: error.as_ms() },
            Ok(_) | Err(_) => ClockState::Bad,
        };
        let (now, serial) = (self.clock.now(), serial(self.epoch, random));
        let (answer, stamper) = match signs {
            Signs::Second(second) => {
                let SecondKey { authority, signer, .. } = second;
                (answer(authority, signer, request, now, clock, serial), None)
            }
            Signs::First(stamper) => {
                let Stamper { authority, signer, .. } = stamper.as_ref();
                let answer = answer(authority, signer.as_ref(), request, now, clock, serial);
                (answer, Some(stamper))
            }
        };
        // Only a refusal has no token.
        let entry = token_der(&answer).ok().map(|token| {
            let token = Hash32::new(sha256(&token));
            Command::LogToken { serial, token }
        });
        Drafted { answer, entry, stamper }
    }

    /// The second key, if its policy is the one that is asked for.
    fn second_for(&self, request: &[u8]) -> Option<&SecondKey> {
        let second = self.second.as_deref()?;
        let asked = request_summary(request).ok()?.policy?;
        (asked == second.policy).then_some(second)
    }

    /// Hands the answer out when its entry is durable in the books: the next checkpoint covers it, whatever happens.
    ///
    /// # Errors
    /// [`PayError`] when it cannot be logged: then it is not given.
    pub async fn give_stamp(&self, drafted: Drafted) -> Result<Vec<u8>, PayError> {
        let Drafted { answer, entry, stamper } = drafted;
        if let Some(entry) = entry {
            self.send(vec![entry], When::Durable).await?;
        }
        drop(stamper);
        Ok(answer)
    }

    /// The proof that the time-stamp with this serial number stands in the log. It reads the books: not for a thread that others wait
    /// for.
    ///
    /// # Errors
    /// [`EngineError`] when books or log cannot be read.
    pub fn token_proof(&self, serial: &[u8; 20]) -> Result<TokenProof, EngineError> {
        let read = |reader: &dyn crate::books::BooksReader| {
            let Some(index) = reader.token_leaf(serial)? else { return Ok(None) };
            Ok(reader.leaves(index, 1)?.pop().map(|leaf| (index, leaf)))
        };
        let Some((index, leaf)) = self.readers.with(read)? else { return Ok(TokenProof::Unknown) };
        let head = match self.receipts.covering(index) {
            Ok(head) => head,
            Err(EngineError::Log(LogError::NotYet { .. })) => return Ok(TokenProof::Waiting),
            Err(error) => return Err(error),
        };
        let path = self.receipts.log.inclusion(index, head.head.size)?;
        let checkpoint = head.checkpoint.clone();
        let proof = TlogProof { extra: None, index, path, checkpoint };
        proof.verify_inclusion(&leaf.leaf_hash()).map_err(LogError::from)?;
        Ok(TokenProof::Proved(proof.to_string()))
    }
}
