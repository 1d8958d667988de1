//! Passkeys and security keys: the relying party of W3C Web Authentication Level 3.
//!
//! Pure: the challenge is handed in, and so is the time at which certificates are judged. A server keeps a
//! [`RegistrationState`] or an [`AssertionState`] between the two steps, uses it once, and stores what comes out as the
//! bytes of a [`Passkey`].
//!
//! What is ours and what is `webauthn-rs-core`'s: the two ceremonies (§7.1, §7.2) stand here, step by step, because the
//! library's own draw the challenge, read the clock, know neither Ed25519 nor P-521 nor any TPM, and refuse a counter that
//! did not rise. Signatures are verified by `tpw-crypto`, as everywhere in the product. The library judges certificates:
//! chains of attestation, the rules for packed ones, the structure that a TPM signs. Nothing of it is in a public type
//! here, so that it can be replaced.
//!
//! Absent on purpose: frames (`crossOrigin`, `topOrigin`), `appid`, `android-safetynet`, `compound`, ECDAA, Ed448, RSA with
//! PSS or SHA-1, and any list of authenticator models: who wants some models only hands in their anchors only.

mod assertion;
mod attestation;
mod authenticator_data;
mod certificate;
mod client_data;
mod credential_key;
mod error;
mod key_description;
mod message;
mod passkey;
mod payment;
mod registration;
mod relying_party;
mod tpm;

pub use assertion::{AssertionAnswer, AssertionState, AssertionStrength, Evidence, Verification};
pub use attestation::{Anchor, AttestationFormat, TrustAnchors};
pub use credential_key::CoseAlgorithm;
pub use error::WebauthnError;
pub use passkey::{Passkey, PasskeyUse, Transport};
pub use payment::{PaymentAssertion, challenge_for_payment};
pub use registration::{AttestationRule, NewKey, RegistrationAnswer, RegistrationState, User};
pub use relying_party::{Challenge, RelyingParty};
