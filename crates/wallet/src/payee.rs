//! Names that the owner of the device gave to payees, and names that only look like one of them.
//!
//! A payee's name is whatever the payee says. What can be judged is whether it is told apart from the names that are known: by its
//! characters (UTS #39), by its shape, or by one slip of the hand.

use serde::{Deserialize, Serialize};
use tpw_core::{AccountId, Name};
use unicode_security::MixedScript as _;
use unicode_security::mixed_script::AugmentedScriptSet;

use crate::WalletError;

/// The most names that a device keeps.
const NAMES_MAX: usize = 1_000;
const JSON_LEN_MAX: usize = 1 << 20;
const VERSION: u32 = 1;
/// Of shorter names, nearly every two are one character apart: in Chinese whole families are.
const NEAR_LEN_MIN: usize = 4;

/// Characters that differ by a stroke or less, each group with one shape. UTS #39 knows few of them: to it they are letters like any
/// others. These are the ones that Chinese proofreaders are taught to look for, as far as they occur in names.
const SHAPES: &[&str] = &[
    "己已巳",
    "土士",
    "未末",
    "日曰",
    "人入八ハ",
    "大太犬丈",
    "天夭夫无",
    "干千于",
    "刀力カ",
    "午牛",
    "田由甲申",
    "戊戌戍成",
    "贝见",
    "木本术",
    "王玉主",
    "今令",
    "白自",
    "目且",
    "几九",
    "乌鸟",
    "免兔",
    "折拆",
    "析柝",
    "候侯",
    "晴睛",
    "拔拨",
    "辨辩辫",
    "祟崇",
    "毫亳",
    "治冶",
    "茶荼",
    "汨汩",
    "徒徙",
    "遣遗",
    "粟栗",
    "孟盂",
    "鸣呜",
    "历厉",
    "壁璧",
    "灸炙",
    "盲肓",
    "博搏傅",
    "赢嬴羸",
    "籍藉",
    "享亨",
    "竞竟",
    "券卷",
    "兵乒乓",
    "买卖",
    "国囯",
    "東柬束",
    "名各",
    "宇字",
    "幸辛",
    "杨扬场",
    "陈阵",
    "季李",
    "苹萍",
    "泰秦",
    "微徽",
    "商啇",
    "银根",
    "抡抢",
    "师帅",
    "工エ",
    "口囗",
    "卜ト",
    "夕タ",
    "二ニ",
];

/// What is doubtful about a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameDoubt {
    /// It holds characters that nobody sees, or that turn the order of others round.
    Hidden {
        /// The first of them.
        character: char,
    },
    /// A word of it mixes scripts that nobody mixes: Latin with Cyrillic, for instance.
    MixedScripts,
    /// It looks like the name of a known payee, and is another.
    LooksLike {
        /// That name.
        known: Name,
    },
    /// It is one slip away from the name of a known payee.
    Near {
        /// That name.
        known: Name,
    },
    /// The name is known, and stands for another account.
    Moved {
        /// The account it stands for.
        known: AccountId,
    },
}

impl NameDoubt {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Hidden { .. } => "name_hidden",
            Self::MixedScripts => "name_mixed_scripts",
            Self::LooksLike { .. } => "name_looks_like",
            Self::Near { .. } => "name_near",
            Self::Moved { .. } => "name_moved",
        }
    }
}

/// A payee that the owner of the device has named.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payee {
    /// The name.
    pub name: Name,
    /// The account it stands for.
    pub account: AccountId,
}

/// The names that a device keeps. A name stands for one account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Payees(Vec<Payee>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    version: u32,
    payees: Vec<StoredPayee>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPayee {
    name: String,
    account: String,
}

fn bad(cause: impl ToString) -> WalletError {
    WalletError::ProfileCorrupt(cause.to_string())
}

impl Payees {
    /// All, in the order in which they were named.
    #[must_use]
    pub fn all(&self) -> &[Payee] {
        &self.0
    }

    /// The account that a name stands for.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<AccountId> {
        self.0.iter().find(|payee| payee.name.as_str() == name).map(|payee| payee.account)
    }

    /// Has a name stand for an account from now on.
    ///
    /// # Errors
    /// [`WalletError::ProfileCorrupt`] when there are as many as are kept.
    pub fn name(&mut self, payee: Payee) -> Result<(), WalletError> {
        self.forget(payee.name.as_str());
        if self.0.len() >= NAMES_MAX {
            return Err(bad(format!("no more than {NAMES_MAX} payees have names; remove some")));
        }
        self.0.push(payee);
        Ok(())
    }

    /// Forgets a name; says whether it was known.
    pub fn forget(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|payee| payee.name.as_str() != name);
        self.0.len() < before
    }

    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> String {
        let one = |payee: &Payee| StoredPayee {
            name: payee.name.as_str().to_owned(),
            account: payee.account.to_string(),
        };
        let stored = Stored { version: VERSION, payees: self.0.iter().map(one).collect() };
        // A structure of texts always serialises.
        serde_json::to_string_pretty(&stored).unwrap_or_default()
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`WalletError::ProfileCorrupt`] saying what is wrong.
    pub fn from_json(text: &str) -> Result<Self, WalletError> {
        if text.len() > JSON_LEN_MAX {
            return Err(bad("the list of payees is too long"));
        }
        let stored: Stored = serde_json::from_str(text).map_err(bad)?;
        if stored.version != VERSION {
            return Err(bad("the list of payees has another version"));
        }
        let mut payees = Self::default();
        for StoredPayee { name, account } in stored.payees {
            let payee = Payee {
                name: Name::new(&name).map_err(bad)?,
                account: account.parse().map_err(bad)?,
            };
            payees.name(payee)?;
        }
        Ok(payees)
    }

    /// What is doubtful about paying `account` under `name`, gravest first.
    #[must_use]
    pub fn doubts(&self, name: &Name, account: AccountId) -> Vec<NameDoubt> {
        let text = name.as_str();
        let mut doubts = Vec::new();
        if let Some(character) = text.chars().find(|c| is_hidden(*c)) {
            doubts.push(NameDoubt::Hidden { character });
        }
        if text.split(|c: char| !c.is_alphanumeric()).any(mixes_scripts) {
            doubts.push(NameDoubt::MixedScripts);
        }
        doubts.extend(self.beside_others(text, account));
        doubts
    }

    fn beside_others(&self, text: &str, account: AccountId) -> Option<NameDoubt> {
        if self.find(text) == Some(account) {
            return None;
        }
        let others = || self.0.iter().filter(|payee| payee.account != account);
        if let Some(same) = others().find(|payee| payee.name.as_str() == text) {
            return Some(NameDoubt::Moved { known: same.account });
        }
        let (shape, plain) = (shape_of(text), plain_of(text));
        if let Some(alike) = others().find(|payee| shape_of(payee.name.as_str()) == shape) {
            return Some(NameDoubt::LooksLike { known: alike.name.clone() });
        }
        let near = |payee: &&Payee| is_near(&plain_of(payee.name.as_str()), &plain);
        others().find(near).map(|payee| NameDoubt::Near { known: payee.name.clone() })
    }
}

/// Characters without a picture of their own: `Default_Ignorable_Code_Point` and `Bidi_Control` of Unicode, and the Hangul fillers.
const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// UTS #39 §5.2, "highly restrictive": one script, or Latin with those of Chinese, Japanese or Korean.
fn mixes_scripts(word: &str) -> bool {
    if word.is_single_script() {
        return false;
    }
    let rest: String = word.chars().filter(|c| !c.is_ascii_alphanumeric()).collect();
    let scripts = AugmentedScriptSet::for_str(&rest);
    !(scripts.jpan || scripts.hanb || scripts.kore)
}

/// The name without what is not read out: case, spaces, punctuation, hidden characters, and differences that nobody sees (UTS #39 §4).
fn plain_of(text: &str) -> Vec<char> {
    let read: String = text.chars().filter(|c| !is_hidden(*c)).collect();
    let skeleton: String = unicode_security::skeleton(&read).collect();
    let lower = skeleton.to_lowercase();
    // A capital may have become a letter that is confused with yet another one.
    unicode_security::skeleton(&lower).filter(|c| c.is_alphanumeric()).collect()
}

/// As [`plain_of`], with one character for each group of those that have nearly one shape. The groups are applied before the skeleton,
/// which takes some characters apart, and after it, which puts others together.
fn shape_of(text: &str) -> Vec<char> {
    let of = |c: char| {
        let group = SHAPES.iter().find(|group| group.contains(c));
        group.and_then(|group| group.chars().next()).unwrap_or(c)
    };
    let first: String = text.chars().map(of).collect();
    plain_of(&first).into_iter().map(of).collect()
}

/// Whether one slip leads from one to the other: a character too many, too few, another one, or two in the wrong order
/// (Damerau–Levenshtein distance 1).
fn is_near(known: &[char], other: &[char]) -> bool {
    if known.len().min(other.len()) < NEAR_LEN_MIN {
        return false;
    }
    let start = known.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (known, other) =
        (known.get(start..).unwrap_or_default(), other.get(start..).unwrap_or_default());
    match (known, other) {
        ([a, b, left @ ..], [c, d, right @ ..]) if left == right && a == d && b == c => true,
        ([_, left @ ..], [_, right @ ..]) if left == right => true,
        ([_, left @ ..], right) if left == right => true,
        (left, [_, right @ ..]) => left == right,
        _ => false,
    }
}
