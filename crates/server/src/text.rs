//! Words for people, in English and Chinese, from the Fluent files in `i18n/`.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource};
use std::sync::OnceLock;
use tpw_core::{ReasonCode, Refusal};

/// A language of the product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// English.
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The BCP 47 tag.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// The language that an `Accept-Language` field wants most (RFC 9110 §12.5.4); English when it names none of ours.
    #[must_use]
    pub fn of_accept(field: &str) -> Self {
        let mut best = (Self::English, 0_u16);
        for range in field.split(',').take(16) {
            let mut parts = range.split(';');
            let tag = parts.next().unwrap_or("").trim().to_ascii_lowercase();
            let language = match tag.split('-').next() {
                Some("en") => Self::English,
                Some("zh") => Self::Chinese,
                _ => continue,
            };
            let weight = parts
                .find_map(|part| part.trim().strip_prefix("q="))
                .map_or(Some(1.0), |q| q.parse::<f32>().ok());
            // A weight has at most three decimals, from 0 to 1.
            let weight = weight.filter(|q| (0.0..=1.0).contains(q)).map_or(0, thousandths);
            if weight > best.1 {
                best = (language, weight);
            }
        }
        best.0
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the weight lies between 0 and 1, so the product lies between 0 and 1000"
)]
fn thousandths(weight: f32) -> u16 {
    (weight * 1000.0) as u16
}

const ENGLISH: [&str; 6] = [
    include_str!("../../../i18n/en/details.ftl"),
    include_str!("../../../i18n/en/messages.ftl"),
    include_str!("../../../i18n/en/orders.ftl"),
    include_str!("../../../i18n/en/problems.ftl"),
    include_str!("../../../i18n/en/reasons.ftl"),
    include_str!("../../../i18n/en/refusals.ftl"),
];

const CHINESE: [&str; 6] = [
    include_str!("../../../i18n/zh-CN/details.ftl"),
    include_str!("../../../i18n/zh-CN/messages.ftl"),
    include_str!("../../../i18n/zh-CN/orders.ftl"),
    include_str!("../../../i18n/zh-CN/problems.ftl"),
    include_str!("../../../i18n/zh-CN/reasons.ftl"),
    include_str!("../../../i18n/zh-CN/refusals.ftl"),
];

type Bundle = FluentBundle<FluentResource>;

fn bundle(language: Language) -> &'static Bundle {
    static BUNDLES: OnceLock<[Bundle; 2]> = OnceLock::new();
    let [english, chinese] =
        BUNDLES.get_or_init(|| [load(Language::English), load(Language::Chinese)]);
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

/// A line that does not parse is left out: the tests see to it that there is none.
fn load(language: Language) -> Bundle {
    let mut bundle = Bundle::new_concurrent(language.tag().parse().into_iter().collect());
    bundle.set_use_isolating(false);
    let sources = match language {
        Language::English => ENGLISH,
        Language::Chinese => CHINESE,
    };
    for source in sources {
        let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(part, _)| part);
        let _repeated_message = bundle.add_resource(resource);
    }
    bundle
}

/// The message `id`, or its attribute; `None` when there is none.
pub(crate) fn say(
    language: Language,
    id: &str,
    attribute: Option<&str>,
    args: &[(&'static str, String)],
) -> Option<String> {
    let bundle = bundle(language);
    let message = bundle.get_message(id)?;
    let pattern = match attribute {
        Some(name) => message.get_attribute(name)?.value(),
        None => message.value()?,
    };
    let mut values = FluentArgs::new();
    for (name, value) in args {
        values.set(*name, value.as_str());
    }
    let mut errors = Vec::new();
    Some(bundle.format_pattern(pattern, Some(&values), &mut errors).into_owned())
}

/// Why a payment got its score, in words; the code itself for want of them.
#[must_use]
pub fn reason(language: Language, code: ReasonCode) -> String {
    say(language, &format!("reason-{code}"), None, &[]).unwrap_or_else(|| code.code().to_owned())
}

/// Why a payment was refused, in words; the code itself for want of them.
#[must_use]
pub fn refusal(language: Language, code: Refusal) -> String {
    say(language, &format!("refusal-{code}"), None, &[]).unwrap_or_else(|| code.code().to_owned())
}

/// Why an order was refused or rejected, in words; the code itself for want of them.
#[must_use]
pub(crate) fn order(language: Language, code: &str, args: &[(&'static str, String)]) -> String {
    say(language, &format!("order-{code}"), None, args).unwrap_or_else(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_wanted_most() {
        for (field, language) in [
            ("", Language::English),
            ("fr", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en;q=0.8, zh;q=0.9", Language::Chinese),
            ("en, zh", Language::English),
            ("zh;q=0", Language::English),
            ("zh;q=nonsense, en;q=0.1", Language::English),
            ("ZH-hans-cn", Language::Chinese),
        ] {
            assert_eq!(Language::of_accept(field), language, "{field}");
        }
    }

    #[test]
    fn every_reason_and_refusal_has_words_in_both_languages() {
        for language in Language::ALL {
            for code in ReasonCode::ALL {
                assert_ne!(reason(language, *code), code.code());
            }
            for code in Refusal::ALL {
                assert_ne!(refusal(language, *code), code.code());
            }
            for code in tpw_flow::OrderRefusal::ALL {
                assert_ne!(order(language, code.code(), &[]), code.code());
            }
            for code in ["exists_with_different", "leg_id_used", "from_future"] {
                assert_ne!(order(language, code, &[]), code);
            }
        }
    }

    #[test]
    fn every_line_of_the_texts_parses() {
        for source in ENGLISH.iter().chain(&CHINESE) {
            assert!(FluentResource::try_new((*source).to_owned()).is_ok(), "{source}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_field_makes_it_panic(text: String) {
            let _language = Language::of_accept(&text);
        }
    }
}
