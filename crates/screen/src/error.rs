//! What can be wrong with a rule set.

/// Why a text is no rule set. Each message names the key, what is wrong with it and what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScreenError {
    /// The text is no TOML.
    #[error("the rules are no TOML: line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser expected.
        message: String,
    },
    /// A key that no rule has.
    #[error("`{path}` is no known key: remove it or use one of {known}")]
    UnknownKey {
        /// The whole path of the key.
        path: String,
        /// The keys known at this place.
        known: String,
    },
    /// A key that must be there is not.
    #[error("`{path}` is missing: write {expected}")]
    Missing {
        /// The whole path of the key.
        path: String,
        /// What to write.
        expected: String,
    },
    /// A value is of the wrong type or out of range.
    #[error("`{path}` is {found}: write {expected}")]
    Wrong {
        /// The whole path of the key.
        path: String,
        /// What stands there.
        found: String,
        /// What to write.
        expected: String,
    },
}
