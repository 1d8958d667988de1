//! What a command says: data on stdout, words on stderr, in the language of the person.

use crate::exit::Failure;
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use std::fmt;
use std::io::{self, IsTerminal as _, Write as _};
use unic_langid::LanguageIdentifier;

/// The languages that every text exists in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lang {
    /// English.
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Lang {
    /// Both.
    pub const ALL: [Self; 2] = [Self::En, Self::ZhCn];

    /// The tag (BCP 47), also what is asked of the server.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::ZhCn => "zh-CN",
        }
    }

    /// From a tag or a locale such as `zh_CN.UTF-8`; `None` for languages without texts.
    #[must_use]
    pub fn from_locale(text: &str) -> Option<Self> {
        let main = text.split(['-', '_', '.']).next().unwrap_or_default();
        match main.to_ascii_lowercase().as_str() {
            "zh" => Some(Self::ZhCn),
            "en" | "c" | "posix" => Some(Self::En),
            _ => None,
        }
    }

    /// The language that the command line or the environment asks for; English where neither says anything known.
    #[must_use]
    pub fn choose(flag: Option<&str>, env: impl Fn(&str) -> Option<String>) -> Self {
        if let Some(lang) = flag.and_then(Self::from_locale) {
            return lang;
        }
        // POSIX 8.2: the first that is set and not empty decides.
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
            .iter()
            .find_map(|name| env(name).filter(|value| !value.is_empty()));
        locale.as_deref().and_then(Self::from_locale).unwrap_or(Self::En)
    }

    /// The texts of this language, file by file.
    #[must_use]
    pub const fn sources(self) -> &'static [&'static str] {
        match self {
            Self::En => &[
                include_str!("../../../i18n/en/anchor.ftl"),
                include_str!("../../../i18n/en/audit.ftl"),
                include_str!("../../../i18n/en/cli.ftl"),
                include_str!("../../../i18n/en/evidence.ftl"),
                include_str!("../../../i18n/en/exports.ftl"),
                include_str!("../../../i18n/en/policy.ftl"),
                include_str!("../../../i18n/en/factors.ftl"),
                include_str!("../../../i18n/en/oauth.ftl"),
                include_str!("../../../i18n/en/reasons.ftl"),
                include_str!("../../../i18n/en/refusals.ftl"),
                include_str!("../../../i18n/en/renewal.ftl"),
                include_str!("../../../i18n/en/tsa.ftl"),
            ],
            Self::ZhCn => &[
                include_str!("../../../i18n/zh-CN/anchor.ftl"),
                include_str!("../../../i18n/zh-CN/audit.ftl"),
                include_str!("../../../i18n/zh-CN/cli.ftl"),
                include_str!("../../../i18n/zh-CN/evidence.ftl"),
                include_str!("../../../i18n/zh-CN/exports.ftl"),
                include_str!("../../../i18n/zh-CN/policy.ftl"),
                include_str!("../../../i18n/zh-CN/factors.ftl"),
                include_str!("../../../i18n/zh-CN/oauth.ftl"),
                include_str!("../../../i18n/zh-CN/reasons.ftl"),
                include_str!("../../../i18n/zh-CN/refusals.ftl"),
                include_str!("../../../i18n/zh-CN/renewal.ftl"),
                include_str!("../../../i18n/zh-CN/tsa.ftl"),
            ],
        }
    }
}

/// Whether something is meant for a program or for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// The mood of a word on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    /// It holds.
    Good,
    /// It does not hold.
    Bad,
    /// Look at it.
    Warn,
    /// In the background.
    Dim,
}

/// The mouth of a command.
pub struct Say {
    lang: Lang,
    form: Form,
    bundle: FluentBundle<FluentResource>,
    colour: bool,
}

impl fmt::Debug for Say {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Say").field("lang", &self.lang).field("form", &self.form).finish()
    }
}

impl Say {
    /// Speaks `lang`; `colour` only where stdout is a terminal and `NO_COLOR` is not set (no-color.org).
    #[must_use]
    pub fn new(lang: Lang, form: Form) -> Self {
        let id: LanguageIdentifier = lang.tag().parse().unwrap_or_default();
        let mut bundle = FluentBundle::new_concurrent(vec![id]);
        // Marks against mixed writing directions would end up in pipes and copied text.
        bundle.set_use_isolating(false);
        for source in lang.sources() {
            // A text with a fault is left out here and found by the test of the texts.
            let resource = FluentResource::try_new((*source).to_owned()).unwrap_or_else(|(r, _)| r);
            let _doubled_keys_are_a_test = bundle.add_resource(resource);
        }
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { lang, form, bundle, colour: !plain && io::stdout().is_terminal() }
    }

    /// The language.
    #[must_use]
    pub const fn lang(&self) -> Lang {
        self.lang
    }

    /// Whether stdout is for programs.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.form == Form::Json
    }

    /// The text of a key, if there is one.
    #[must_use]
    pub fn find(&self, key: &str, args: &[(&str, &str)]) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        let mut values = FluentArgs::new();
        for (name, value) in args {
            values.set(*name, FluentValue::from(*value));
        }
        let mut faults = Vec::new();
        Some(self.bundle.format_pattern(pattern, Some(&values), &mut faults).into_owned())
    }

    /// The text of a key; the key itself where there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> String {
        self.with(key, &[])
    }

    /// The text of a key about something.
    #[must_use]
    pub fn with(&self, key: &str, args: &[(&str, &str)]) -> String {
        self.find(key, args).unwrap_or_else(|| key.to_owned())
    }

    /// One line of data.
    pub fn data(&self, line: &str) {
        // Whoever reads the pipe may have had enough: that is no failure of the command.
        let _closed = writeln!(io::stdout().lock(), "{line}");
    }

    /// One JSON value as data, on one line.
    pub fn json(&self, value: &serde_json::Value) {
        self.data(&value.to_string());
    }

    /// One line of words.
    pub fn word(&self, line: &str) {
        let _closed = writeln!(io::stderr().lock(), "{line}");
    }

    /// The text of a key as words.
    pub fn tell(&self, key: &str, args: &[(&str, &str)]) {
        self.word(&self.with(key, args));
    }

    /// A piece of text in a mood, where colour is wanted.
    #[must_use]
    pub fn paint(&self, mood: Mood, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let code = match mood {
            Mood::Good => "32",
            Mood::Bad => "31",
            Mood::Warn => "33",
            Mood::Dim => "2",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Rows of cells: aligned under `header` on a terminal, tab-separated without one in a pipe.
    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) {
        if !io::stdout().is_terminal() {
            for row in rows {
                self.data(&row.join("\t"));
            }
            return;
        }
        let head: Vec<String> = header.iter().map(|key| self.text(key)).collect();
        let all = || std::iter::once(&head).chain(rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| width_of(cell)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for row in all() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let room = width.saturating_sub(width_of(cell));
                format!("{cell}{}", " ".repeat(room))
            });
            self.data(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn what(&self, failure: &Failure) -> String {
        self.with(&format!("error-{}", failure.key), &args_of(failure))
    }

    /// Why, in the person's language where there is a text for it.
    #[must_use]
    pub fn cause(&self, failure: &Failure) -> Option<String> {
        let mut args = args_of(failure);
        args.push(("detail", failure.cause.as_deref().unwrap_or_default()));
        let own_words = failure.cause_key.as_deref().and_then(|key| self.find(key, &args));
        own_words.or_else(|| failure.cause.clone())
    }

    /// Says what went wrong, why and what to do; as one JSON object on stderr when stdout is JSON.
    pub fn failure(&self, failure: &Failure) {
        let args = args_of(failure);
        let what = self.what(failure);
        let cause = self.cause(failure);
        let help = self.find(&format!("error-{}-help", failure.key), &args);
        if self.is_json() {
            let error = serde_json::json!({
                "code": failure.key, "what": what, "cause": cause, "help": help,
                "exit": failure.exit.number(),
            });
            self.word(&serde_json::json!({ "error": error }).to_string());
            return;
        }
        self.word(&self.with("line-error", &[("text", &what)]));
        for (key, text) in [("line-cause", cause), ("line-help", help)] {
            if let Some(text) = text {
                self.word(&self.with(key, &[("text", &text)]));
            }
        }
    }
}

fn args_of(failure: &Failure) -> Vec<(&str, &str)> {
    failure.args.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Columns on a terminal: Chinese characters and their punctuation take two.
fn width_of(text: &str) -> usize {
    let wide = |c: &char| matches!(u32::from(*c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6);
    text.chars().count().saturating_add(text.chars().filter(wide).count())
}
