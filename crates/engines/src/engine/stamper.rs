//! Who answers requests for time-stamps at this moment.
//!
//! INVARIANT: before a key's end is logged nobody uses it any more, and every token of it has its entry in the log: one that stands
//! behind the key's end is not the authority's (`spec/leaf.md`). So each answer holds on to its stamper until its entry is durable.

use crate::pkcs11::TokenKey;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tpw_crypto::Signer;
use tpw_proof::timestamp::Authority;

/// How often it is looked whether the last answer is out.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A key, and the authority that it signs for.
pub(super) struct Stamper {
    pub(super) authority: Arc<Authority>,
    pub(super) signer: Arc<dyn Signer>,
    /// The same key, if it is on a token.
    pub(super) token: Option<Arc<TokenKey>>,
}

/// Why nobody answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Silence {
    /// One key answers no more, and the next one not yet.
    Changing,
    /// The key was destroyed, and no other was put in its place.
    Closed,
}

impl Silence {
    /// For whoever asks.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Changing => "the authority is about to use another key: try again in a moment",
            Self::Closed => {
                "the authority's key was destroyed by its operator, who has not made another"
            }
        }
    }
}

/// The stamper that answers, or why there is none.
pub(super) struct Service(RwLock<Result<Arc<Stamper>, Silence>>);

impl Service {
    /// Begins with this stamper; without one it is closed.
    pub(super) fn new(stamper: Option<Stamper>) -> Self {
        Self(RwLock::new(stamper.map(Arc::new).ok_or(Silence::Closed)))
    }

    /// Who answers now. Whoever has it holds on to it until its token is in the log.
    pub(super) fn stamper(&self) -> Result<Arc<Stamper>, Silence> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts this stamper in place; without one the service is closed.
    pub(super) fn resume(&self, stamper: Option<Arc<Stamper>>) {
        let _silence = self.set(stamper.ok_or(Silence::Closed));
    }

    /// Takes the stamper out of service, and waits until nobody holds it. It goes on as it was when that takes longer than `patience`.
    pub(super) fn suspend(&self, patience: Duration) -> Result<Option<Arc<Stamper>>, InUse> {
        let stamper = match self.set(Err(Silence::Changing)) {
            Ok(stamper) => stamper,
            Err(silence) => {
                let _changing = self.set(Err(silence));
                return Ok(None);
            }
        };
        let begun = Instant::now();
        while Arc::strong_count(&stamper) > 1 {
            if begun.elapsed() >= patience {
                let _changing = self.set(Ok(stamper));
                return Err(InUse);
            }
            std::thread::park_timeout(LOOK_EVERY);
        }
        Ok(Some(stamper))
    }

    /// Gives what was there before.
    fn set(&self, next: Result<Arc<Stamper>, Silence>) -> Result<Arc<Stamper>, Silence> {
        core::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), next)
    }
}

/// Answers are still on their way.
#[derive(Debug)]
pub(super) struct InUse;

#[cfg(test)]
mod tests {
    //! Goal: nobody gets hold of a key that is taken out of service, and it is given up only when all who have it are done. Method: one
    //! holder that lets go late, or never.

    use super::*;
    use tpw_core::{Instant as Time, Span};
    use tpw_crypto::{Algorithm, FixedEntropy, SlotName, SoftwareSlots};
    use tpw_proof::timestamp::{CertificateSpec, leaf_certificate, root_certificate, serial};

    fn stamper() -> Stamper {
        let slot = |name| SlotName::new(name).unwrap();
        let (mut slots, mut entropy) = (SoftwareSlots::new(), FixedEntropy::new(3));
        let key = slots.generate(slot("tsa"), Algorithm::P256, &mut entropy).unwrap();
        slots.generate(slot("root"), Algorithm::P256, &mut entropy).unwrap();
        let first = Time::from_unix_ms(1_790_000_000_000).unwrap();
        let spec = |common_name, number| CertificateSpec {
            common_name,
            not_before: first,
            not_after: first.plus(Span::from_secs(86_400)),
            serial: serial(number, [1; 11]),
        };
        let root = root_certificate(&slots, &slot("root"), &spec("Root", 1)).unwrap();
        let leaf = leaf_certificate(&slots, &slot("root"), &root, &key, &spec("TSA", 2)).unwrap();
        let authority = Authority::new(slot("tsa"), &leaf, "1.2.3", 1_000).unwrap();
        Stamper { authority: Arc::new(authority), signer: Arc::new(slots), token: None }
    }

    #[test]
    fn a_key_is_given_up_when_the_last_answer_is_out() {
        let service = Arc::new(Service::new(Some(stamper())));
        let held = service.stamper().unwrap();
        let (given_up, wait) = std::sync::mpsc::channel();
        let shared = Arc::clone(&service);
        let waits = std::thread::spawn(move || {
            let old = shared.suspend(Duration::from_secs(30));
            given_up.send(old.unwrap().is_some()).unwrap();
        });
        let late = wait.recv_timeout(Duration::from_millis(200));
        assert!(late.is_err(), "somebody still has it");
        assert_eq!(service.stamper().err(), Some(Silence::Changing));
        drop(held);
        assert_eq!(wait.recv_timeout(Duration::from_secs(30)), Ok(true));
        waits.join().unwrap();
        assert_eq!(service.stamper().err(), Some(Silence::Changing));
        service.resume(Some(Arc::new(stamper())));
        assert!(service.stamper().is_ok());
    }

    #[test]
    fn a_key_that_is_not_let_go_stays_in_service() {
        let service = Service::new(Some(stamper()));
        let held = service.stamper().unwrap();
        service.suspend(Duration::from_millis(20)).map(drop).unwrap_err();
        assert!(Arc::ptr_eq(&held, &service.stamper().unwrap()));
    }

    #[test]
    fn a_closed_service_has_nothing_to_give_up() {
        let service = Service::new(None);
        assert_eq!(service.stamper().err(), Some(Silence::Closed));
        assert!(service.suspend(Duration::ZERO).unwrap().is_none());
        service.resume(None);
        assert_eq!(service.stamper().err(), Some(Silence::Closed));
    }
}
