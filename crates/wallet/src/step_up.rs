//! A fresh signature for a payment that waits for step-up.

use tpw_core::{Instant, StepUpProof};

use crate::WalletError;
use crate::journal::{Entry, State};
use crate::vault::Vault;

/// Signs that the owner of the device was asked again about `entry` and agreed.
///
/// INVARIANT: the caller opened `vault` with the passphrase for this very call. A vault that was open already proves
/// nothing about who sits there now.
///
/// # Errors
/// [`WalletError::NotWaiting`] when the payment was never sent or has its final answer, [`WalletError::NotEnrolled`]
/// when another device made it, [`WalletError::Proof`] when signing fails.
pub fn sign(entry: &Entry, vault: &Vault, now: Instant) -> Result<Vec<u8>, WalletError> {
    let payment = entry.payment();
    if *entry.state() != State::Sent {
        return Err(WalletError::NotWaiting { payment, state: entry.state().code() });
    }
    let device = entry.intent().device;
    if vault.device() != Some(device) {
        return Err(WalletError::NotEnrolled);
    }
    let proof = StepUpProof {
        payment,
        device,
        intent_hash: entry.intent_hash(),
        created: now,
        audience: entry.intent().audience.clone(),
    };
    vault.sign(&proof)
}
