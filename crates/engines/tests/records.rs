//! Goal: records of identity outlive every stop, are changed by one of those who try at once, and the secrets in them open only
//! where they were sealed, under the folder's own file.
//! Method: the running engine with real files, closed and opened again; files removed and replaced.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::sync::Arc;
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_engines::PayError;
use tpw_flow::Rejection;
use world::*;

fn key(owner: u8, id: &[u8]) -> RecordKey {
    RecordKey::new(RecordKind::Passkey, [owner; 16], id).unwrap()
}

fn put(owner: u8, id: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) -> RecordWrite {
    let owned = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
    RecordWrite { key: key(owner, id), before: owned(before), after: owned(after) }
}

#[test]
fn records_outlive_a_stop_and_are_listed_by_owner() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let rt = runtime();
    let writes = vec![
        put(0, b"", None, Some(b"none")),
        put(1, b"", None, Some(b"empty id")),
        put(1, &[0], None, Some(b"0")),
        put(1, &[255; 64], None, Some(b"last")),
        put(2, b"x", None, Some(b"other")),
    ];
    rt.block_on(engine.write_records(writes)).unwrap();
    rt.block_on(engine.write_records(vec![put(2, b"x", Some(b"other"), None)])).unwrap();
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert_eq!(engine.record(&key(1, &[0])).unwrap().unwrap(), b"0");
    assert_eq!(engine.record(&key(2, b"x")).unwrap(), None);
    let listed = engine.records(RecordKind::Passkey, [1; 16], None, 9).unwrap();
    let values: Vec<_> = listed.iter().map(|(_, value)| value.as_slice()).collect();
    assert_eq!(values, [&b"empty id"[..], b"0", b"last"]);
    let page = engine.records(RecordKind::Passkey, [1; 16], Some(&[0]), 9).unwrap();
    assert_eq!(page.len(), 1);
    let all = engine.all_records(RecordKind::Passkey, None, 9).unwrap();
    assert_eq!(all.len(), 4);
    let rest = engine.all_records(RecordKind::Passkey, Some(&all[1].0), 9).unwrap();
    assert_eq!(rest, all[2..]);
    assert!(engine.all_records(RecordKind::Totp, None, 9).unwrap().is_empty());
}

#[test]
fn of_many_at_once_one_changes_it() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    rt.block_on(async {
        engine.write_records(vec![put(1, b"code", None, Some(b"unused"))]).await.unwrap();
        let tries: Vec<_> = (0..50_u8)
            .map(|n| {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    let used = put(1, b"code", Some(b"unused"), Some(&[n]));
                    engine.write_records(vec![used]).await
                })
            })
            .collect();
        let mut done = 0;
        for tried in tries {
            match tried.await.unwrap() {
                Ok(()) => done += 1,
                Err(PayError::Rejected(Rejection::RecordChanged)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(done, 1);
    });
}

#[test]
fn secrets_open_where_they_were_sealed_and_nowhere_else() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let sealed = engine.seal_secret(b"totp/ann", b"the secret").unwrap();
    assert_ne!(sealed, engine.seal_secret(b"totp/ann", b"the secret").unwrap());
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert_eq!(engine.open_secret(b"totp/ann", &sealed).unwrap().as_slice(), b"the secret");
    engine.open_secret(b"totp/bob", &sealed).unwrap_err();
    for place in 0..sealed.len() {
        let mut bent = sealed.clone();
        bent[place] ^= 1;
        engine.open_secret(b"totp/ann", &bent).unwrap_err();
        engine.open_secret(b"totp/ann", &sealed[..place]).unwrap_err();
    }
}

#[test]
fn a_start_with_other_secrets_is_refused() {
    let dir = scratch();
    open(dir.path()).unwrap().close();
    let file = dir.path().join("secrets");
    let kept = std::fs::read(&file).unwrap();
    assert_eq!(kept.len(), 32);
    for (put, told) in
        [(None, "secrets"), (Some(vec![7; 32]), "damaged"), (Some(vec![7; 31]), "damaged")]
    {
        match put {
            Some(other) => std::fs::write(&file, other).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        let refused = refusal(dir.path());
        assert!(refused.contains(told) && refused.contains("secrets"), "{refused}");
    }
    std::fs::write(&file, kept).unwrap();
    open(dir.path()).unwrap().close();
}
