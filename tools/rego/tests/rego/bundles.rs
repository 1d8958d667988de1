//! Goal: a bundle in one file is read as OPA means it, and one that is to be signed is believed only as it was signed.
//! Method: two bundles that OPA 1.22.2 built (`opa build --bundle`, one with `--signing-key` on P-256), the signed one then with each thing
//! about it changed, and archives that nobody should read.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;
use tar::{Archive, Builder, EntryType, Header};
use tempfile::TempDir;
use tpw_rego::{BuiltinErrors, Bundle, DataPath, Policies, Value, VerificationKey};

type Files = Vec<(String, Vec<u8>)>;

fn vector(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rego/bundles").join(name)
}

fn key() -> VerificationKey {
    VerificationKey::from_pem(&std::fs::read(vector("key.pem")).unwrap()).unwrap()
}

fn files(path: &Path) -> Files {
    let mut archive = Archive::new(GzDecoder::new(std::fs::File::open(path).unwrap()));
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

/// Of what the name says, also where no careful program would write it.
fn header(name: &str, kind: EntryType, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn packed(entries: &[(Header, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (header, bytes) in entries {
        builder.append(header, *bytes).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn archive(files: &Files) -> Vec<u8> {
    let entry = |(name, bytes): &(String, Vec<u8>)| {
        (header(name, EntryType::Regular, bytes.len()), bytes.clone())
    };
    let entries: Vec<(Header, Vec<u8>)> = files.iter().map(entry).collect();
    let entries: Vec<(Header, &[u8])> =
        entries.iter().map(|(header, bytes)| (header.clone(), bytes.as_slice())).collect();
    packed(&entries)
}

/// Why these bytes are no bundle, or that they are one.
fn opened(bytes: &[u8], key: Option<&VerificationKey>) -> Result<Bundle, String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("bundle.tar.gz");
    std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
    Bundle::open(&path, key).map_err(|error| error.to_string())
}

fn allows(bundle: &Bundle, user: &str) -> Value {
    let mut policies = Policies::load(bundle, Duration::from_secs(5)).unwrap();
    let path = DataPath::parse("authz/allow").unwrap();
    let input = Value::from(json!({ "user": user }));
    policies.ask(&path, Some(input), BuiltinErrors::Fatal).unwrap().unwrap()
}

#[test]
fn what_opa_built_and_signed_is_read() {
    let signed = Bundle::open(&vector("signed.tar.gz"), Some(&key())).unwrap();
    let plain = Bundle::open(&vector("plain.tar.gz"), None).unwrap();
    for bundle in [signed, plain] {
        assert_eq!(bundle.revision(), "r7");
        for (user, allowed) in [("ada", true), ("\u{e9}va", true), ("eve", false)] {
            assert_eq!(allows(&bundle, user), Value::from(allowed), "{user}");
        }
    }
}

/// Why the signed bundle is refused once its files were changed.
fn refused(change: impl FnOnce(&mut Files)) -> String {
    let mut changed = files(&vector("signed.tar.gz"));
    change(&mut changed);
    opened(&archive(&changed), Some(&key())).unwrap_err()
}

fn at(all: &Files, end: &str) -> usize {
    all.iter().position(|(name, _)| name.ends_with(end)).unwrap()
}

#[test]
fn a_packed_bundle_is_as_deep_as_a_folder_may_be() {
    let deep = |folders: usize| {
        let data = format!("{}data.json", "a/".repeat(folders));
        let files = [("m.rego".to_owned(), b"package m\n".to_vec()), (data, b"{}".to_vec())];
        opened(&archive(&files.to_vec()), None)
    };
    assert!(deep(16).is_ok());
    for folders in [17, 40] {
        assert!(deep(folders).unwrap_err().contains("16 folders in each other"), "{folders}");
    }
}

#[test]
fn a_signature_is_for_just_these_files() {
    // Of the files whose names end so, what is in them instead.
    for (end, bytes, word) in [
        (".rego", "package authz\n", "another one"),
        (
            "data.json",
            r#"{"limits": {"z": 1, "a": [true, null, 20]}, "people": ["eve"]}"#,
            "another",
        ),
        ("data.json", "{", "no JSON"),
        (".manifest", r#"{"revision": "r8", "roots": [""], "rego_version": 1}"#, "another one"),
        (".signatures.json", "{}", "exactly one"),
    ] {
        let why = refused(|all| {
            let place = at(all, end);
            all[place].1 = bytes.as_bytes().to_vec();
        });
        assert!(why.contains(word), "{end}: {why}");
    }
    for more in ["more.rego", "b/.signatures.json", "notes.txt"] {
        let why = refused(|all| all.push((more.to_owned(), b"package more".to_vec())));
        assert!(why.contains("is not signed"), "{more}: {why}");
    }
    for (less, word) in [(".rego", "is not there"), (".signatures.json", "not signed")] {
        let why = refused(|all| drop(all.remove(at(all, less))));
        assert!(why.contains(word), "{less}: {why}");
    }
    let why = refused(|all| {
        let rego = at(all, ".rego");
        all[rego].0 = "b/other.rego".to_owned();
    });
    assert!(why.contains("is not signed"), "{why}");
    // What stands otherwise and says the same has the same hash: whitespace and order of members.
    let mut same = files(&vector("signed.tar.gz"));
    let data = at(&same, "data.json");
    same[data].1 =
        "{ \"people\": [\"ada\",\"\\u00e9va\"],\n\"limits\": {\"z\":1,\"a\":[true,null,20]} }"
            .into();
    assert!(opened(&archive(&same), Some(&key())).is_ok());
}

#[test]
fn a_signature_is_by_just_the_key_that_was_named() {
    let of = |jwts: &dyn Fn(&str) -> Vec<String>| refused(|all| signatures(all, jwts));
    for (why, word) in [
        (of(&|jwt| vec![jwt.to_owned(), jwt.to_owned()]), "exactly one"),
        (of(&|_| Vec::new()), "exactly one"),
        (of(&|jwt| vec![jwt.replace('.', "")]), "compact JWS"),
        (of(&|jwt| vec![format!("{jwt}+")]), "base64url"),
        (of(&|jwt| vec![jwt.chars().take(jwt.len() - 6).collect()]), "not by that key"),
        // The header's word counts for nothing: no algorithm, or another one.
        (of(&|jwt| vec![headed(jwt, r#"{"alg":"none"}"#)]), "not by that key"),
        (of(&|jwt| vec![headed(jwt, r#"{"alg":"HS256"}"#)]), "not by that key"),
        (of(&|jwt| vec![headed(jwt, r#"{"alg":"ES256"}"#)]), "not by that key"),
    ] {
        assert!(why.contains(word), "{word}: {why}");
    }
    let bytes = std::fs::read(vector("signed.tar.gz")).unwrap();
    assert!(opened(&bytes, None).unwrap_err().contains("--verification-key"));
    let other = VerificationKey::from_pem(OTHER.as_bytes()).unwrap();
    assert!(opened(&bytes, Some(&other)).unwrap_err().contains("not by that key"));
    let plain = std::fs::read(vector("plain.tar.gz")).unwrap();
    assert!(opened(&plain, Some(&key())).unwrap_err().contains("not signed"));
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("a.rego"), "package a").unwrap();
    assert!(Bundle::open(folder.path(), Some(&key())).unwrap_err().to_string().contains("folder"));
}

/// Another key on the same curve.
const OTHER: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEC0tdTbUcv1hEGQgaF4Ca29IXy38+
rXmS8nYb4DIYY3X6KKgFy5l3huMRCSo4j+Ff1OmDZ/sTgyJFU5MVDc4Q9g==
-----END PUBLIC KEY-----
";

fn signatures(all: &mut Files, change: impl FnOnce(&str) -> Vec<String>) {
    let place = all.iter().position(|(name, _)| name.ends_with(".signatures.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&all[place].1).unwrap();
    let jwts = change(value["signatures"][0].as_str().unwrap());
    all[place].1 = json!({ "signatures": jwts }).to_string().into_bytes();
}

fn headed(jwt: &str, header: &str) -> String {
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
    format!("{header}.{}", jwt.split_once('.').unwrap().1)
}

#[test]
fn what_is_no_key_for_bundles_is_refused() {
    let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let rsa = "-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n";
    for bad in ["", "key", certificate, rsa] {
        assert!(VerificationKey::from_pem(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn archives_that_lead_astray_or_grow_without_end_are_refused() {
    let module = (header("a.rego", EntryType::Regular, 9), b"package a".as_slice());
    assert!(opened(&packed(std::slice::from_ref(&module)), None).is_ok());
    for (name, kind, word) in [
        ("../b.rego", EntryType::Regular, "odd path"),
        ("x/../../b.rego", EntryType::Regular, "odd path"),
        ("b.rego", EntryType::Symlink, "neither"),
        ("b.rego", EntryType::Link, "neither"),
        ("b.rego", EntryType::Fifo, "neither"),
        ("./a.rego", EntryType::Regular, "twice"),
        ("/a.rego", EntryType::Regular, "twice"),
    ] {
        let odd = (header(name, kind, 0), b"".as_slice());
        let why = opened(&packed(&[module.clone(), odd]), None).unwrap_err();
        assert!(why.contains(word), "{name} {kind:?}: {why}");
    }
    let zeros = vec![b' '; 17 << 20];
    let large = (header("data.json", EntryType::Regular, zeros.len()), zeros.as_slice());
    let bytes = packed(&[module.clone(), large]);
    assert!(bytes.len() < 200_000, "it is small while it is packed");
    assert!(opened(&bytes, None).unwrap_err().contains("more than"));
    let names: Vec<String> = (0..1001).map(|n| format!("f{n}.txt")).collect();
    let many: Vec<_> =
        names.iter().map(|name| (header(name, EntryType::Regular, 0), b"".as_slice())).collect();
    assert!(opened(&packed(&many), None).unwrap_err().contains("more than"));
    let whole = packed(&[module]);
    for end in [0, 1, 10, whole.len() / 2, whole.len() - 9] {
        assert!(opened(&whole[..end], None).is_err(), "{end} of {}", whole.len());
    }
    assert!(opened(b"package a", None).is_err(), "no archive");
}
