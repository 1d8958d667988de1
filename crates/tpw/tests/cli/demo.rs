//! The demonstration keeps its promises, for programs and for people.

use super::support::{masked, tpw};

#[test]
fn json_is_one_object_with_eight_measured_steps_and_every_scene() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("out");
    let ran = tpw(&["demo", "--once", "--json", "--out", out.to_str().unwrap()]).ends(0);
    assert_eq!(ran.stdout.lines().count(), 1);
    let told = ran.json();
    let steps = told["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    let expected =
        ["authenticate", "sign", "stamp", "screen", "settle", "book", "receipt", "compensate"];
    assert_eq!(names, expected);
    // A time is measured: above zero. Only the step that was not needed has none.
    for step in &steps[..7] {
        assert!(step["ms"].as_f64().unwrap() > 0.0, "{step}");
    }
    assert!(steps[7]["ms"].is_null());
    assert_eq!(told["verification"]["valid"], true);
    assert_eq!(told["tampered"]["valid"], false);
    assert_eq!(told["tampered"]["layer"], "statement");
    assert_eq!(told["refused"]["code"], "insufficient_funds");
    assert_eq!(told["step_up"]["outcome"], "booked");
    assert_eq!(told["compensated"]["outcome"], "compensated");
    assert_eq!(told["compensated"]["verification"]["payment"]["kind"], "compensation");
    let (receipt, trust) = (out.join("receipt.tpr"), out.join("trust.json"));
    tpw(&["verify", receipt.to_str().unwrap(), "--trust", trust.to_str().unwrap()]).ends(0);
}

#[test]
fn its_words_in_both_languages() {
    for lang in ["en", "zh-CN"] {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        let ran =
            tpw(&["demo", "--once", "--lang", lang, "--data", data.to_str().unwrap()]).ends(0);
        let text = masked(&ran.stdout, root.path());
        let text = without_measures(&text);
        insta::assert_snapshot!(format!("demo-{lang}"), text);
    }
}

/// Times and sizes differ from run to run: a number right before its unit becomes `N`.
fn without_measures(text: &str) -> String {
    let mut out = text.replace("MS ", "0 ");
    for unit in [" ms", " 毫秒", " B\n"] {
        let mut parts = out.split(unit);
        let mut next = parts.next().unwrap().to_owned();
        for part in parts {
            let end = next.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').len();
            next.truncate(end);
            next = next + "N" + unit + part;
        }
        out = next;
    }
    out
}
