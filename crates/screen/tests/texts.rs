//! Goal: every reason and every refusal has a text in each language, and no text is left over.
//! Method: the keys of the message files, read line by line, are compared with the codes in order.
#![expect(clippy::expect_used, reason = "a line of another form ends the test")]

use tpw_core::{ReasonCode, Refusal};

/// The keys of `key = text` lines; any other line must be empty or a comment.
fn keys(file: &str) -> Vec<String> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (key, text) = line.split_once(" = ").expect("`key = text`");
            assert!(!text.trim().is_empty() && !text.contains(['{', '}']), "{line}");
            key.to_owned()
        })
        .collect()
}

#[test]
fn each_reason_has_a_text() {
    let want: Vec<_> = ReasonCode::ALL.iter().map(|c| format!("reason-{}", c.code())).collect();
    assert_eq!(keys(include_str!("../../../i18n/en/reasons.ftl")), want);
    assert_eq!(keys(include_str!("../../../i18n/zh-CN/reasons.ftl")), want);
}

#[test]
fn each_refusal_has_a_text() {
    let want: Vec<_> = Refusal::ALL.iter().map(|c| format!("refusal-{}", c.code())).collect();
    assert_eq!(keys(include_str!("../../../i18n/en/refusals.ftl")), want);
    assert_eq!(keys(include_str!("../../../i18n/zh-CN/refusals.ftl")), want);
}

#[test]
fn chinese_texts_are_chinese() {
    for file in [
        include_str!("../../../i18n/zh-CN/reasons.ftl"),
        include_str!("../../../i18n/zh-CN/refusals.ftl"),
    ] {
        let texts = file.lines().filter_map(|line| line.split_once(" = "));
        for (key, text) in texts {
            assert!(text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{key}");
        }
    }
}
