//! Every receipt of a folder is judged, told in a fixed order, and none is passed over.

use super::support::tpw;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A receipt and its trust file.
fn demo(root: &Path) -> (Vec<u8>, String) {
    let out = root.join("demo");
    tpw(&["demo", "--once", "--out", out.to_str().unwrap(), "--json"]).ends(0);
    let trust = out.join("trust.json").to_str().unwrap().to_owned();
    (fs::read(out.join("receipt.tpr")).unwrap(), trust)
}

#[test]
fn a_folder_of_receipts_is_judged_to_the_last_one() {
    let root = tempfile::tempdir().unwrap();
    let (good, trust) = demo(root.path());
    let folder = root.path().join("all");
    for n in 0..150 {
        let below = folder.join(format!("{}", n % 3)).join("deep");
        fs::create_dir_all(&below).unwrap();
        fs::write(below.join(format!("{n:03}.tpr")), &good).unwrap();
    }
    fs::write(folder.join("notes.txt"), b"not a receipt, and not named like one").unwrap();
    // A link to the folder itself is not followed round and round.
    std::os::unix::fs::symlink(&folder, folder.join("again")).unwrap();
    let all = folder.to_str().unwrap();
    let verify =
        |more: &[&str]| tpw(&[&["verify", "--all", all, "--trust", &trust], more].concat());

    let ran = verify(&[]).ends(0);
    assert!(ran.stdout.contains("150 of 150 receipts are valid"), "{}", ran.stdout);
    assert!(ran.stdout.contains("L3 time-stamped\t150\t0\t0"), "{}", ran.stdout);
    assert_eq!(ran.stderr, "", "no progress where nobody looks");
    let ran = verify(&["--lang", "zh-CN"]).ends(0);
    assert!(ran.stdout.contains("150 份凭证中 150 份有效"), "{}", ran.stdout);

    // One byte of one file, a file that is none, and one too large for a receipt.
    let mut bad = good.clone();
    bad[150] ^= 1;
    fs::write(folder.join("bad.tpr"), bad).unwrap();
    fs::write(folder.join("empty.tpr"), b"").unwrap();
    fs::write(folder.join("large.tpr"), vec![0; (1 << 20) + 1]).unwrap();
    fs::create_dir(folder.join("folder.tpr")).unwrap();
    let ran = verify(&[]).ends(4);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].contains("bad.tpr: NOT VALID: the payer’s statement: "), "{}", ran.stdout);
    assert!(lines[1].contains("empty.tpr: NOT VALID: the file itself: "), "{}", ran.stdout);
    assert!(ran.stderr.contains("large.tpr"), "{}", ran.stderr);
    let sum = "150 of 153 receipts are valid; 2 not valid, 1 could not be read";
    assert!(lines.last().unwrap().starts_with(sum), "{}", ran.stdout);

    let ran = verify(&["--json"]).ends(4);
    let list: Vec<Value> = ran.stdout.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(list.len(), 153);
    let files: Vec<&str> = list.iter().map(|one| one["file"].as_str().unwrap()).collect();
    assert!(files.is_sorted(), "the same folder gives the same order");
    let of = |name: &str| list.iter().find(|one| one["file"].as_str().unwrap().ends_with(name));
    assert_eq!(of("bad.tpr").unwrap()["failure"]["layer"], "statement");
    assert_eq!(of("empty.tpr").unwrap()["failure"]["layer"], "container");
    assert_eq!(of("large.tpr").unwrap()["valid"], false);
    assert_eq!(list.iter().filter(|one| one["valid"] == true).count(), 150);
}

#[test]
fn a_folder_without_receipts_proves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (_good, trust) = demo(root.path());
    let empty = root.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    let ran = tpw(&["verify", "--all", empty, "--trust", &trust]).ends(1);
    assert!(ran.stderr.contains("no receipt in"), "{}", ran.stderr);
    tpw(&["verify", "--all", "/nonexistent", "--trust", &trust]).ends(1);
    tpw(&["verify", "--all", empty]).ends(2);
    tpw(&["verify", "some.tpr", "--all", empty, "--trust", &trust]).ends(2);
    tpw(&["verify", "--trust", &trust]).ends(2);
}
