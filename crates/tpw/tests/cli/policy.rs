//! Goal: a person who changes policies sees what the change does before it is in force. Method: the program's own set, written to
//! a folder, changed in one place, and each command's answer and exit code.

use super::support::tpw;
use std::path::Path;

fn changed(folder: &Path, name: &str, from: &str, to: &str) {
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn the_set_of_the_program_holds_and_questions_are_explained() {
    let tested = tpw(&["--json", "policy", "test"]).ends(0).json();
    assert_eq!((&tested["holds"], tested["failed"].as_array().unwrap().len()), (&true.into(), 0));
    assert!(tested["cases"].as_u64().unwrap() > 200);
    let fund = ["--json", "policy", "explain", "--action", "fund", "--as", "operator", "--owner"];
    let own = tpw(&[&fund[..], &["own"]].concat()).ends(3).json();
    assert_eq!(own["decision"]["reasons"], serde_json::json!(["separation.own-favour"]));
    let amount = ["other", "--about-amount", "10000", "--about-asset", "USD/2"];
    let large = tpw(&[&fund[..], &amount].concat()).ends(0).json();
    let wanted = serde_json::json!({ "acr": "aal2", "max_age_s": 300, "approvals": 1 });
    assert_eq!(large["decision"]["obligations"], wanted);
    assert!(large["policies"]["operator.large"].as_str().unwrap().contains("@acr(\"aal2\")"));
    assert_eq!(large["decision"]["policy_version"], tested["version"]);
    let cents =
        tpw(&[&fund[..], &["other", "--about-amount", "9999.99", "--about-asset", "USD/2"]]
            .concat());
    assert_eq!(cents.ends(0).json()["decision"]["obligations"]["approvals"], 0);
    for words in [["--action", "rob"], ["--as", "king"], ["--owner", "nobody"]] {
        let all = [&["policy", "explain", "--action", "fund"][..], &words].concat();
        tpw(&all).ends(2);
    }
}

#[test]
fn a_changed_set_shows_what_it_changes_and_fails_where_its_cases_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    for place in [&old, &new] {
        tpw(&["policy", "export", place.to_str().unwrap()]).ends(0);
    }
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    tpw(&["policy", "export", new]).ends(2);
    let same = tpw(&["--json", "policy", "diff", old, new]).ends(0).json();
    assert_eq!((same["questions"].as_array().unwrap().len(), &same["before"]), (0, &same["after"]));
    let limit = "(context.amount.asset == \"ETH/18\" && context.amount.milli < 3000)";
    changed(new.as_ref(), "operator.cedar", limit, "(context.amount.asset == \"ETH/18\")");
    let failed = tpw(&["--json", "policy", "test", new]).ends(1).json();
    assert_eq!(failed["failed"].as_array().unwrap().len(), 1);
    assert_eq!(failed["failed"][0]["question"]["amount"]["milli"], "3000");
    let differ = tpw(&["--json", "policy", "diff", old, new]).ends(0).json();
    assert_eq!(differ["questions"].as_array().unwrap().len(), 1);
    assert_eq!(differ["questions"][0]["before"]["obligations"]["acr"], "aal2");
    assert_eq!(differ["questions"][0]["after"]["obligations"]["acr"], serde_json::Value::Null);
    assert_eq!(differ["policies"][0]["id"], "operator.large");
    // A misspelt obligation obliges nobody: the set is not used at all.
    changed(
        new.as_ref(),
        "operator.cedar",
        "@id(\"operator.risky\")\n@acr",
        "@id(\"operator.risky\")\n@arc",
    );
    let refused = tpw(&["policy", "test", new]).ends(1);
    assert!(refused.stderr.contains("@arc"), "{}", refused.stderr);
}

#[test]
fn a_folder_with_more_than_a_set_has_is_refused_with_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("set");
    let set = place.to_str().unwrap();
    tpw(&["policy", "export", set]).ends(0);
    let large = place.join("cases/zz.toml");
    std::fs::write(&large, format!("cases = []\n{}", "# as large as that\n".repeat(23_000)))
        .unwrap();
    tpw(&["policy", "test", set]).ends(0);
    for (count, most) in [(30_000, "524288"), (200_000, "larger than it can be")] {
        std::fs::write(&large, "# as large as that\n".repeat(count)).unwrap();
        let refused = tpw(&["policy", "test", set]).ends(1);
        assert!(refused.stderr.contains(most), "{}", refused.stderr);
    }
    std::fs::remove_file(large).unwrap();
    // Files of others are no files of the set, however many.
    for number in 0..300 {
        std::fs::write(place.join(format!("{number}.txt")), "").unwrap();
    }
    tpw(&["policy", "test", set]).ends(0);
    for number in 0..300 {
        std::fs::write(place.join(format!("z{number}.cedar")), "").unwrap();
    }
    let refused = tpw(&["policy", "test", set]).ends(1);
    assert!(
        refused.stderr.contains("313 files") && refused.stderr.contains("64"),
        "{}",
        refused.stderr
    );
}
