//! Goal: a profile file is read strictly, and a forked log is noticed.
//! Method: round trip, a table of single changes to a good file, and tree heads in several orders.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

mod support;

use support::{account, name, profile, trust, usd};
use tpw_core::{Hash32, TreeHead};
use tpw_proof::Frontier;
use tpw_wallet::WalletError;
use tpw_wallet::profile::{Account, Custody, Profile};

fn head(size: u64, root: u8) -> TreeHead {
    TreeHead { size, root: Hash32::new([root; 32]) }
}

#[test]
fn what_was_written_is_read() {
    let mut own = profile();
    own.observe(head(12, 1)).unwrap();
    let json = own.to_json();
    let read = Profile::from_json(&json).unwrap();
    assert_eq!(read, own);
    assert_eq!(read.to_json(), json);
    assert_eq!(read.trust().unwrap(), trust());
    assert_eq!(read.audience().as_str(), "bank.example");
    let blank = Profile::new("http://127.0.0.1:8080", &trust().to_json()).unwrap();
    assert_eq!(Profile::from_json(&blank.to_json()).unwrap(), blank);
}

#[test]
fn every_single_change_that_matters_is_refused() {
    let json = profile().to_json();
    let second = account(2).to_string();
    let cases = [
        ("\"version\": 1", "\"version\": 2"),
        ("\"version\": 1", "\"version\": 1, \"more\": 1"),
        ("\"version\": 1", "\"version\": 1, \"version\": 1"),
        ("https://bank.example", "ftp://bank.example"),
        ("https://bank.example", "https://"),
        ("https://bank.example", "https://bank example"),
        ("\"seen_size\": \"0\"", "\"seen_size\": 0"),
        ("\"seen_size\": \"0\"", "\"seen_size\": \"-1\""),
        ("\"seen_root\": \"e3b0", "\"seen_root\": \"e3b"),
        ("\"seen_root\": \"e3b0", "\"seen_root\": \"e3b1"),
        ("\"person\": \"per_", "\"person\": \"dev_"),
        ("\"USD/2\"", "\"USD\""),
        ("\"custodial\"", "\"vaulted\""),
        ("\"spare\"", "\"main\""),
        ("\"spare\"", "\"\""),
        (second.as_str(), &account(1).to_string()),
        ("log.example+", "log.example-"),
    ];
    for (from, to) in cases {
        let bad = json.replacen(from, to, 1);
        assert_ne!(bad, json, "`{from}` is in the file");
        let error = Profile::from_json(&bad).unwrap_err();
        assert!(matches!(error, WalletError::ProfileCorrupt(_)), "{from} -> {to}: {error}");
    }
    for cut in (0..json.len()).filter(|cut| json.is_char_boundary(*cut)) {
        assert!(Profile::from_json(&json[..cut]).is_err(), "cut at {cut}");
    }
    assert!(Profile::from_json(&format!("{json}x")).is_err());
}

#[test]
fn accounts_are_found_by_label_and_id() {
    let mut own = profile();
    assert_eq!(own.find_account("spare").unwrap().id, account(2));
    assert_eq!(own.find_account(&account(2).to_string()).unwrap().id, account(2));
    for unknown in ["", "Spare", &account(9).to_string()] {
        assert!(matches!(own.find_account(unknown), Err(WalletError::UnknownAccount(_))));
    }
    let put = |own: &mut Profile, number, label: &str| {
        let custody = Custody::SelfCustodial;
        own.put_account(Account { id: account(number), asset: usd(), custody, label: name(label) })
    };
    assert!(put(&mut own, 9, "main").is_err());
    // A label that reads as an id would send money from another account than the one meant.
    assert!(put(&mut own, 9, &account(1).to_string()).is_err());
    put(&mut own, 2, "savings").unwrap();
    assert_eq!(own.accounts().len(), 3);
    assert!(own.find_account("spare").is_err());
    assert_eq!(own.find_account("savings").unwrap().custody, Custody::SelfCustodial);
}

#[test]
fn a_forked_log_is_noticed_and_old_heads_are_ignored() {
    let mut own = profile();
    own.observe(head(5, 1)).unwrap();
    own.observe(head(5, 1)).unwrap();
    own.observe(head(3, 9)).unwrap();
    assert_eq!(own.seen, head(5, 1));
    assert_eq!(own.observe(head(5, 2)), Err(WalletError::LogForked(5)));
    assert_eq!(own.seen, head(5, 1));
    own.observe(head(6, 2)).unwrap();
    assert_eq!(own.seen, head(6, 2));
}

#[test]
fn growth_is_proved_or_refused() {
    let leaves = [1, 2, 3].map(|byte| Hash32::new([byte; 32]));
    let mut frontier = Frontier::new();
    let mut heads = Vec::new();
    for leaf in leaves {
        frontier.push(leaf);
        heads.push(TreeHead { size: frontier.size(), root: frontier.root() });
    }
    let mut own = profile();
    own.observe_growth(heads[1], &[]).unwrap(); // from nothing
    let grown = own.clone();
    // RFC 9162 §2.1.4.1: between 2 and 3 leaves the proof is the third leaf's hash.
    own.observe_growth(heads[2], &[leaves[2]]).unwrap();
    assert_eq!(own.seen, heads[2]);
    own.observe_growth(heads[0], &[]).unwrap();
    assert_eq!(own.seen, heads[2]);
    for (head, proof) in [(heads[2], vec![leaves[1]]), (head(3, 9), vec![leaves[2]])] {
        let mut own = grown.clone();
        assert_eq!(own.observe_growth(head, &proof), Err(WalletError::LogForked(3)));
        assert_eq!(own, grown);
    }
    let mut own = grown.clone();
    assert!(matches!(own.observe_growth(heads[2], &[]), Err(WalletError::Proof(_))));
}
