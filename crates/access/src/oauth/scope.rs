//! What a client may be allowed to read.

use core::fmt;

use super::{ErrorCode, OAuthError};

tpw_core::codes! {
    /// One thing that somebody else may be allowed to read of an account.
    Scope: u8 {
        /// The account with its balance.
        BalanceRead = 1 "balance:read",
        /// Payments from and to the account, with their receipts.
        PaymentsRead = 2 "payments:read",
        /// The account's statement.
        StatementsRead = 3 "statements:read",
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scopes(u8);

const fn bit(scope: Scope) -> u8 {
    match scope {
        Scope::BalanceRead => 1,
        Scope::PaymentsRead => 2,
        Scope::StatementsRead => 4,
    }
}

impl Scopes {
    /// None.
    pub const NONE: Self = Self(0);

    /// Reads a `scope` parameter (RFC 6749 §3.3): names with one space between them, each once, at least one.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidScope`] for anything else.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let bad = |says| OAuthError::new(ErrorCode::InvalidScope, says);
        let mut all = Self::NONE;
        for name in text.split(' ') {
            let scope = Scope::from_code(name)
                .ok_or_else(|| bad("the scope names something that this server does not have"))?;
            if all.has(scope) {
                return Err(bad("the scope names something twice"));
            }
            all = all.with(scope);
        }
        Ok(all)
    }

    /// The set of these names, as a list in JSON has them.
    #[must_use]
    pub fn of_names<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        names.into_iter().try_fold(Self::NONE, |all, name| Some(all.with(Scope::from_code(name)?)))
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | bit(scope))
    }

    /// Whether it is one of them.
    #[must_use]
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Whether all of these are among `others`.
    #[must_use]
    pub const fn within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Those that are in both.
    #[must_use]
    pub const fn meet(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }

    /// As stored.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// As it was stored.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        u8::try_from(bits).ok().filter(|bits| *bits <= 7).map(Self)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { " " })?;
            f.write_str(scope.code())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}
