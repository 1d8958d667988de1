//! The device's side.

use core::fmt;

use opaque_ke as rfc9807;
use opaque_ke::ksf::Ksf;
use tpw_crypto::{Entropy, Zeroizing};

use super::super::password::Password;
use super::suite::{self, Argon2id, Names, Suite};
use super::{Context, FactorError, SessionKey, Why, draws, lengths};

const PASSWORD: FactorError = FactorError::Form("this password cannot be used");

/// A registration under way. Made for one password; its request goes to the server.
pub struct Registering(Started<Argon2id>);

struct Started<K: Ksf> {
    state: rfc9807::ClientRegistration<Suite<K>>,
    request: Vec<u8>,
}

/// What a registration gives.
pub struct Registered {
    /// What goes to the server.
    pub upload: Vec<u8>,
    /// A key that only who knows the password gets, now and at each login. It can protect what the device keeps.
    pub export_key: Zeroizing<[u8; 64]>,
}

/// A login under way. Its KE1 goes to the server.
pub struct LoggingIn(Begun<Argon2id>);

struct Begun<K: Ksf> {
    state: rfc9807::ClientLogin<Suite<K>>,
    ke1: Vec<u8>,
}

/// What a login gives.
pub struct LoggedIn {
    /// KE3, which goes to the server.
    pub ke3: Vec<u8>,
    /// What both sides share.
    pub session_key: SessionKey,
    /// The key that the registration gave.
    pub export_key: Zeroizing<[u8; 64]>,
}

macro_rules! hidden {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(hidden)"))
            }
        }
    )*};
}
hidden! { Registering Registered LoggingIn LoggedIn }

impl Registering {
    /// Begins to register `password`.
    ///
    /// # Errors
    /// [`FactorError::Crypto`] when the source of randomness fails.
    pub fn start(password: &Password, entropy: &mut dyn Entropy) -> Result<Self, FactorError> {
        Started::new(password.as_bytes(), entropy).map(Self)
    }

    /// What goes to the server.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.0.request
    }

    /// Takes the server's response; stretches the password, which takes a quarter of a second and 64 MiB.
    ///
    /// # Errors
    /// [`FactorError::Form`] for bytes that are no response to this request.
    pub fn finish(
        self,
        password: &Password,
        response: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<Registered, FactorError> {
        self.0.finish(password.as_bytes(), response, None, entropy)
    }
}

impl<K: Ksf> Started<K> {
    fn new(password: &[u8], entropy: &mut dyn Entropy) -> Result<Self, FactorError> {
        let started =
            draws::with(entropy, |draws| rfc9807::ClientRegistration::start(draws, password))?;
        let started = started.map_err(|_rejected| PASSWORD)?;
        let request = started.message.serialize().to_vec();
        Ok(Self { state: started.state, request })
    }

    fn finish(
        self,
        password: &[u8],
        response: &[u8],
        names: Option<Names<'_>>,
        entropy: &mut dyn Entropy,
    ) -> Result<Registered, FactorError> {
        const FORM: FactorError =
            FactorError::Form("this is no response to a request to register a password");
        if response.len() != lengths::REGISTRATION_RESPONSE {
            return Err(FORM);
        }
        let response =
            rfc9807::RegistrationResponse::deserialize(response).map_err(|_rejected| FORM)?;
        let parameters =
            rfc9807::ClientRegistrationFinishParameters::new(suite::identifiers(names), None::<&K>);
        let state = self.state;
        let done =
            draws::with(entropy, |draws| state.finish(draws, password, response, parameters))?;
        let done = done.map_err(|_rejected| FORM)?;
        Ok(Registered {
            upload: done.message.serialize().to_vec(),
            export_key: suite::exact(&done.export_key),
        })
    }
}

impl LoggingIn {
    /// Begins a login with `password`.
    ///
    /// # Errors
    /// [`FactorError::Crypto`] when the source of randomness fails.
    pub fn start(password: &Password, entropy: &mut dyn Entropy) -> Result<Self, FactorError> {
        Begun::new(password.as_bytes(), entropy).map(Self)
    }

    /// KE1, which goes to the server.
    #[must_use]
    pub fn ke1(&self) -> &[u8] {
        &self.0.ke1
    }

    /// Takes the server's KE2; stretches the password, which takes a quarter of a second and 64 MiB. The server has then proved that it
    /// is the one at which the password was registered.
    ///
    /// # Errors
    /// [`FactorError::Refused`] when password, server or context are not those that fit, which cannot be told apart.
    pub fn finish(
        self,
        password: &Password,
        ke2: &[u8],
        context: Context<'_>,
        entropy: &mut dyn Entropy,
    ) -> Result<LoggedIn, FactorError> {
        self.0.finish(password.as_bytes(), ke2, &context.to_bytes()?, None, entropy)
    }
}

impl<K: Ksf> Begun<K> {
    fn new(password: &[u8], entropy: &mut dyn Entropy) -> Result<Self, FactorError> {
        let begun = draws::with(entropy, |draws| rfc9807::ClientLogin::start(draws, password))?;
        let begun = begun.map_err(|_rejected| PASSWORD)?;
        let ke1 = begun.message.serialize().to_vec();
        Ok(Self { state: begun.state, ke1 })
    }

    fn finish(
        self,
        password: &[u8],
        ke2: &[u8],
        context: &[u8],
        names: Option<Names<'_>>,
        entropy: &mut dyn Entropy,
    ) -> Result<LoggedIn, FactorError> {
        const FORM: FactorError = FactorError::Form("this is no answer to a login");
        if ke2.len() != lengths::KE2 {
            return Err(FORM);
        }
        let response = rfc9807::CredentialResponse::deserialize(ke2).map_err(|_rejected| FORM)?;
        let parameters = rfc9807::ClientLoginFinishParameters::new(
            Some(context),
            suite::identifiers(names),
            None::<&K>,
        );
        let state = self.state;
        let done =
            draws::with(entropy, |draws| state.finish(draws, password, response, parameters))?;
        let done = done.map_err(|_rejected| FactorError::Refused(Why::Wrong))?;
        Ok(LoggedIn {
            ke3: done.message.serialize().to_vec(),
            session_key: SessionKey(suite::exact(&done.session_key)),
            export_key: suite::exact(&done.export_key),
        })
    }
}

#[cfg(test)]
pub(super) mod unstretched {
    //! The same functions without stretching, as the vectors of RFC 9807 want them.

    use super::*;
    use opaque_ke::ksf::Identity;

    pub(crate) fn register(
        password: &[u8],
        names: Option<Names<'_>>,
        entropy: &mut dyn Entropy,
        respond: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Registered {
        let started = Started::<Identity>::new(password, entropy).unwrap();
        let response = respond(&started.request);
        started.finish(password, &response, names, entropy).unwrap()
    }

    pub(crate) fn log_in(
        password: &[u8],
        context: &[u8],
        names: Option<Names<'_>>,
        entropy: &mut dyn Entropy,
        answer: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<LoggedIn, FactorError> {
        let begun = Begun::<Identity>::new(password, entropy).unwrap();
        let ke2 = answer(&begun.ke1);
        begun.finish(password, &ke2, context, names, entropy)
    }
}
