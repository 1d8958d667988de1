//! The library of a token, initialised once however many keys are reached through it.
//!
//! A library is one for the whole process: whoever ends it ends it for everybody. So it is ended with its last user; the next one then
//! finds tokens that came meanwhile, which libraries look for when they are initialised. A key that is in service lets go of it for that.

use super::TokenError;
use super::token::saying;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many users each library has.
static USERS: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());

/// A library that is initialised for as long as this lives.
pub(super) struct Library {
    module: PathBuf,
    context: Pkcs11,
}

impl Library {
    pub(super) fn open(module: &Path) -> Result<Self, TokenError> {
        let context = Pkcs11::new(module).map_err(saying("load its library"))?;
        let mut users = users();
        let count = users.entry(module.to_owned()).or_default();
        if *count == 0 {
            let flags = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
            match context.initialize(flags) {
                Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
                Err(error) => return Err(saying("initialise its library")(error)),
            }
        }
        *count = count.saturating_add(1);
        Ok(Self { module: module.to_owned(), context })
    }

    pub(super) const fn context(&self) -> &Pkcs11 {
        &self.context
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let mut users = users();
        let Some(count) = users.get_mut(&self.module) else { return };
        *count = count.saturating_sub(1);
        if *count == 0
            && let Err(error) = self.context.clone().finalize()
        {
            tracing::debug!(%error, "the library of the token did not end cleanly");
        }
    }
}

fn users() -> MutexGuard<'static, BTreeMap<PathBuf, u32>> {
    USERS.lock().unwrap_or_else(PoisonError::into_inner)
}
