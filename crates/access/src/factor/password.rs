//! Which passwords may be set: the rules of SP 800-63B-4 §3.1.1.
//!
//! The server never sees a password, so all of this runs on the device that sets it. A password is long, is not one that everybody tries
//! first, and is in no list of stolen ones. It need not mix kinds of characters, is never cut off, and does not expire.

use core::fmt;

use tpw_crypto::{Zeroizing, sha1_to_compare};
use unicode_normalization::UnicodeNormalization as _;

mod commonest;

/// The fewest characters of a password that is the only factor.
pub const ALONE_MIN: usize = 15;

/// The fewest characters of a password beside another factor: the key of the device.
pub const BESIDE_MIN: usize = 8;

/// The most characters. SP 800-63B-4 wants 64 or more; without a limit, long passwords make work for nothing.
pub const CHARACTERS_MAX: usize = 128;

/// The most bytes that are looked at at all: normalising can make a text shorter, but not by this much.
const BYTES_MAX: usize = 4096;

/// A word of the context shorter than this is not looked for: too many passwords would hold it by chance.
const CONTEXT_WORD_MIN: usize = 3;

/// Why a text is no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Nothing was entered.
    #[error("the password is empty")]
    Empty,
    /// More characters than are taken.
    #[error("the password is longer than {CHARACTERS_MAX} characters")]
    TooLong,
    /// Fewer characters than are wanted.
    #[error("the password is too short: use {least} characters or more, such as several words")]
    TooShort {
        /// How many it takes.
        least: usize,
    },
    /// A character that cannot be typed again reliably.
    #[error("the password has a control character")]
    Control,
    /// Everybody's first guess.
    #[error("this password is one of the first that anybody tries: choose another")]
    Common,
    /// Made of the name of the person or product.
    #[error("the password is little more than a name that belongs to this account: choose another")]
    Context,
    /// In the list of stolen passwords.
    #[error("this password was found in stolen lists: choose another, and change it elsewhere")]
    Stolen,
    /// The list could not be asked.
    #[error("the list of stolen passwords cannot be read: {0}")]
    List(String),
}

/// A password in the one form that is used: RFC 8265's OpaqueString in a simple form. Other spaces become U+0020, then the text is
/// brought into normalization form C, so that different keyboards give the same bytes.
///
/// Any such text can be tried at a login; whether one may be *set* says [`check`].
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Prepares what somebody typed.
    ///
    /// # Errors
    /// [`PasswordError::Empty`], [`PasswordError::TooLong`] or [`PasswordError::Control`].
    pub fn prepare(typed: &str) -> Result<Self, PasswordError> {
        if typed.len() > BYTES_MAX {
            return Err(PasswordError::TooLong);
        }
        // RFC 8265 §4.2.2: control characters are disallowed (RFC 8264 §9.10); spaces are mapped (RFC 8265 §4.2.1).
        if typed.chars().any(char::is_control) {
            return Err(PasswordError::Control);
        }
        let spaces = typed.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX));
        for (count, character) in spaces.nfc().enumerate() {
            if count >= CHARACTERS_MAX {
                return Err(PasswordError::TooLong);
            }
            text.push(character);
        }
        if text.is_empty() { Err(PasswordError::Empty) } else { Ok(Self(text)) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

/// What else proves who logs in with the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// Another factor.
    AnotherFactor,
}

/// Whether `password` may be set. `context` holds words that belong to the account: names of the person, their addresses.
///
/// # Errors
/// [`PasswordError`] with the first rule that it breaks.
pub fn check(
    password: &Password,
    beside: Beside,
    context: &[&str],
    stolen: Option<&mut dyn StolenList>,
) -> Result<(), PasswordError> {
    let least = match beside {
        Beside::Nothing => ALONE_MIN,
        Beside::AnotherFactor => BESIDE_MIN,
    };
    // SP 800-63B-4 §3.1.1.1: each code point counts as one character.
    if password.0.chars().count() < least {
        return Err(PasswordError::TooShort { least });
    }
    let lower = Zeroizing::new(password.0.to_lowercase());
    if commonest::has(&lower) || is_monotonous(&lower) {
        return Err(PasswordError::Common);
    }
    if is_of_context(&lower, context) {
        return Err(PasswordError::Context);
    }
    let is_stolen = stolen.map_or(Ok(false), |list| is_stolen(password, list))?;
    if is_stolen { Err(PasswordError::Stolen) } else { Ok(()) }
}

/// One short piece again and again, or signs that follow each other.
fn is_monotonous(lower: &str) -> bool {
    let signs = Zeroizing::new(lower.chars().map(u32::from).collect::<Vec<_>>());
    let repeated = |piece: usize| signs.iter().zip(signs.iter().skip(piece)).all(|(a, b)| a == b);
    let steps = |by: i64| {
        let follows = |(a, b): (&u32, &u32)| i64::from(*b).wrapping_sub(i64::from(*a)) == by;
        signs.iter().zip(signs.iter().skip(1)).all(follows)
    };
    (1..=4).any(repeated) || steps(1) || steps(-1)
}

/// Whether fewer than eight characters are left without the words of the account, in which digits and signs do not count: `Alice2026!` is
/// a name.
fn is_of_context(lower: &str, context: &[&str]) -> bool {
    let mut rest = Zeroizing::new(lower.to_owned());
    let mut found = false;
    for word in context.iter().chain(&["tpwallet", "wallet"]) {
        let word = Zeroizing::new(word.to_lowercase());
        for part in word.split(|c: char| !c.is_alphanumeric()).chain([word.as_str()]) {
            if part.chars().count() >= CONTEXT_WORD_MIN && rest.contains(part) {
                found = true;
                rest = Zeroizing::new(rest.replace(part, ""));
            }
        }
    }
    found && rest.chars().filter(|c| c.is_alphabetic()).count() < BESIDE_MIN
}

/// A list of stolen passwords, as Have I Been Pwned publishes it: a line for each, `SHA-1 in hexadecimal:how often`, ordered by the hash.
/// Only pieces of it are read: the whole has 40 GB.
pub trait StolenList {
    /// Its length in bytes.
    ///
    /// # Errors
    /// A text that says why it cannot be read.
    fn length(&mut self) -> Result<u64, String>;

    /// Reads bytes from `offset` on into `out`; fewer than asked for only at the end.
    ///
    /// # Errors
    /// A text that says why it cannot be read.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, String>;
}

impl StolenList for &[u8] {
    fn length(&mut self) -> Result<u64, String> {
        u64::try_from(self.len()).map_err(|_too_long| "the list is too long".to_owned())
    }

    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> Result<usize, String> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or(&[]);
        let pairs = out.iter_mut().zip(rest);
        Ok(pairs.map(|(to, from)| *to = *from).count())
    }
}

/// A line has 40 digits, a colon, a count and an end: from any byte on, the line after is whole within so many bytes.
const WINDOW: usize = 192;
const HASH_DIGITS: usize = 40;

/// Binary search over the bytes. INVARIANT: a line that holds the hash begins at `low` or later, and before `high`.
fn is_stolen(password: &Password, list: &mut dyn StolenList) -> Result<bool, PasswordError> {
    let hash = sha1_to_compare(password.as_bytes());
    let wanted: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    let (mut low, mut high) = (0, list.length().map_err(PasswordError::List)?);
    while low < high {
        let middle = low.midpoint(high);
        let Some(line) = line_from(list, middle)? else {
            high = middle; // no line begins at or after the middle
            continue;
        };
        match line.hash.as_str().cmp(wanted.as_str()) {
            core::cmp::Ordering::Equal => return Ok(true),
            core::cmp::Ordering::Less => low = line.end,
            core::cmp::Ordering::Greater => high = middle,
        }
    }
    Ok(false)
}

struct Line {
    hash: String,
    /// Where the next line begins.
    end: u64,
}

/// The first line that begins at `offset` or after it; `None` at the end.
fn line_from(list: &mut dyn StolenList, offset: u64) -> Result<Option<Line>, PasswordError> {
    // From the byte before on: where that ends a line, one begins at `offset`.
    let from = offset.saturating_sub(1);
    let mut window = [0; WINDOW];
    let read = list.read_at(from, &mut window).map_err(PasswordError::List)?;
    let bytes = window.get(..read).unwrap_or(&window);
    let line_end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
    let skipped = match (offset, line_end(bytes)) {
        (0, _) => 0,
        (_, Some(end)) => end.saturating_add(1),
        (_, None) if read < WINDOW => return Ok(None),
        (_, None) => return Err(malformed(from)),
    };
    let rest = bytes.get(skipped..).unwrap_or(&[]);
    if rest.is_empty() && read < WINDOW {
        return Ok(None);
    }
    let at =
        |after: usize| u64::try_from(after).map_or(u64::MAX, |after| from.saturating_add(after));
    let length = match line_end(rest) {
        Some(end) => end.saturating_add(1),
        None if read < WINDOW => rest.len(),
        None => return Err(malformed(at(skipped))),
    };
    let hash = rest.get(..HASH_DIGITS.min(length)).unwrap_or(&[]);
    let is_hash = hash.len() == HASH_DIGITS && hash.iter().all(u8::is_ascii_hexdigit);
    if !is_hash || !matches!(rest.get(HASH_DIGITS), None | Some(b':' | b'\r' | b'\n')) {
        return Err(malformed(at(skipped)));
    }
    let hash = String::from_utf8_lossy(hash).to_ascii_uppercase();
    Ok(Some(Line { hash, end: at(skipped.saturating_add(length)) }))
}

fn malformed(at: u64) -> PasswordError {
    PasswordError::List(format!("at byte {at} there is no line of a SHA-1 and a count"))
}
