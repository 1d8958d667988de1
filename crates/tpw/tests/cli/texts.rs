//! Every text is there in every language, and the main commands say what they said before.

use super::support::{Device, Server, masked, tpw};
use std::collections::BTreeSet;
use tpw::say::{Form, Lang, Say};

fn keys(lang: Lang) -> Vec<String> {
    let lines = lang.sources().iter().flat_map(|source| source.lines());
    let key = |line: &str| {
        let (key, _) = line.split_once(" =")?;
        (!key.starts_with([' ', '#'])).then(|| key.to_owned())
    };
    lines.filter_map(key).collect()
}

/// The names between braces, such as `$id`.
fn variables(text: &str) -> BTreeSet<String> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn both_languages_have_the_same_keys_each_once_and_the_same_variables() {
    let [en, zh] = Lang::ALL.map(keys);
    for keys in [&en, &zh] {
        let unique: BTreeSet<_> = keys.iter().collect();
        assert_eq!(unique.len(), keys.len(), "a key is there twice");
    }
    let set = |keys: &[String]| keys.iter().cloned().collect::<BTreeSet<_>>();
    let (en_set, zh_set) = (set(&en), set(&zh));
    assert_eq!(en_set.difference(&zh_set).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(zh_set.difference(&en_set).collect::<Vec<_>>(), Vec::<&String>::new());
    let line = |lang: Lang, key: &str| {
        let start = format!("{key} =");
        let mut lines = lang.sources().iter().flat_map(|source| source.lines());
        lines.find(|line| line.starts_with(&start)).unwrap().to_owned()
    };
    for key in &en {
        let (en, zh) = (variables(&line(Lang::En, key)), variables(&line(Lang::ZhCn, key)));
        // Why a wallet refuses may be said in own words alone.
        if !key.starts_with("wallet-error-") && !key.starts_with("proof-") {
            assert_eq!(en, zh, "{key}");
        }
        assert!(Say::new(Lang::ZhCn, Form::Text).find(key, &[]).is_some(), "{key}");
    }
}

#[test]
fn every_fault_of_evidence_has_a_text() {
    let say = Say::new(Lang::ZhCn, Form::Text);
    let sources = [
        include_str!("../../../proof/src/error.rs"),
        include_str!("../../../proof/src/timestamp/error.rs"),
    ];
    let code = |line: &'static str| line.trim().strip_suffix("\",")?.rsplit_once("=> \"");
    let codes: Vec<_> = sources.into_iter().flat_map(str::lines).filter_map(code).collect();
    assert!(codes.len() > 50, "the codes are no longer found");
    for (_, code) in codes {
        assert!(say.find(&format!("proof-{code}"), &[("detail", "")]).is_some(), "{code}");
    }
}

#[test]
fn every_text_that_the_program_names_exists() {
    let say = Say::new(Lang::En, Form::Text);
    let mut missing = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            for call in ["say.text(\"", "say.tell(\"", "say.with(\"", "typed(context, \""] {
                let used = source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
                missing.extend(used.filter(|key| say.find(key, &[]).is_none()).map(str::to_owned));
            }
            for call in
                ["Failure::usage(\"", "Failure::failed(\"", "Failure::new(Exit::NotVerified, \""]
            {
                let used = source.split(call).skip(1).filter_map(|rest| rest.split('"').next());
                let keys = used.map(|key| format!("error-{key}"));
                missing.extend(keys.filter(|key| say.find(key, &[]).is_none()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The codes of an audit's findings and of what is to be done stand in the audit's source.
#[test]
fn every_finding_of_an_audit_has_a_text() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../engines/src/log_store/fsck.rs");
    let source = std::fs::read_to_string(path).unwrap();
    let (advice, findings) = source.split_once("pub fn fsck(").unwrap();
    let advice = advice.split("code: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut keys: Vec<String> = advice.map(|code| format!("fsck-advice-{code}")).collect();
    // A call names the place, the code, the words and the advice: the code is its last literal of one word.
    for call in findings.split("self.find(").skip(1) {
        let call = call.split_once(';').map_or(call, |(call, _)| call);
        let plain = |text: &&str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let words: Vec<&str> = call.split('"').skip(1).step_by(2).filter(plain).collect();
        keys.extend(words.last().map(|code| format!("fsck-{code}")));
    }
    assert!(keys.len() > 25, "the codes are no longer found");
    for lang in Lang::ALL {
        let say = Say::new(lang, Form::Text);
        let missing: Vec<_> = keys.iter().filter(|key| say.find(key, &[]).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

#[test]
fn the_environment_chooses_the_language() {
    let env = |set: &'static [(&str, &str)]| {
        move |name: &str| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        }
    };
    assert_eq!(Lang::choose(None, env(&[])), Lang::En);
    assert_eq!(Lang::choose(None, env(&[("LANG", "zh_CN.UTF-8")])), Lang::ZhCn);
    assert_eq!(Lang::choose(None, env(&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")])), Lang::En);
    assert_eq!(Lang::choose(None, env(&[("LC_ALL", ""), ("LANG", "zh_CN.UTF-8")])), Lang::ZhCn);
    assert_eq!(Lang::choose(Some("zh-CN"), env(&[("LC_ALL", "en_US")])), Lang::ZhCn);
    assert_eq!(Lang::choose(Some("fr"), env(&[("LANG", "zh")])), Lang::ZhCn);
}

#[test]
fn the_main_commands_in_both_languages() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    for lang in ["en", "zh-CN"] {
        let mut told = String::new();
        let mut tell = |name: &str, ran: super::support::Ran| {
            let (out, err) = (masked(&ran.stdout, root.path()), masked(&ran.stderr, root.path()));
            told += &format!("$ {name} -> {}\n{out}\n-- words\n{err}\n\n", ran.code);
        };
        let name = |who: &str| format!("{who}-{lang}");
        let alice = Device::enrolled(&server, root.path(), &name("a"), &["USD/2:100:label=main"]);
        let bob = Device::enrolled(&server, root.path(), &name("b"), &["USD/2:label=main"]);
        let payee = &bob.accounts[0];
        tell("help", tpw(&["--help", "--lang", lang]));
        tell("wallet pay --help", tpw(&["wallet", "pay", "--help", "--lang", lang]));
        tell("accounts", alice.wallet(&["accounts", "--lang", lang]));
        tell(
            "pay",
            alice
                .wallet(&["pay", "main", payee, "12.34", "USD/2", "--note", "tea", "--lang", lang]),
        );
        tell("pay too much", alice.wallet(&["pay", "main", payee, "900", "USD/2", "--lang", lang]));
        tell("receipts", alice.wallet(&["receipts", "--lang", lang]));
        tell("show", alice.wallet(&["show", "--lang", lang]));
        tell("init again", alice.wallet(&["init", "--lang", lang]));
        tell(
            "unknown account",
            alice.wallet(&["pay", "nowhere", payee, "1", "USD/2", "--lang", lang]),
        );
        let data = server.data.as_str();
        tell("holds", tpw(&["ops", "--data", data, "holds", "list", "--lang", lang]));
        tell("person add", tpw(&["ops", "--data", data, "person", "add", "Zoe", "--lang", lang]));
        let receipts = alice.folder.join("receipts");
        let receipt = std::fs::read_dir(receipts).unwrap().next().unwrap().unwrap().path();
        let (receipt, folder) = (receipt.to_str().unwrap(), alice.folder.to_str().unwrap());
        tell(
            "receipt show",
            tpw(&["receipt", "show", receipt, "--wallet", folder, "--lang", lang]),
        );
        tell("lock", alice.wallet(&["lock", "--lang", lang]));
        insta::assert_snapshot!(format!("commands-{lang}"), told);
    }
}
