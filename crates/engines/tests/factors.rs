//! Goal: what a factor decides holds in the running system: a code that is shown many times at once proves once, each attempt is counted,
//! and neither a stop nor a start brings a used code or a forgotten failure back.
//! Method: the engine with real files; many tasks that read, judge and write as a handler does; closed and opened again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod world;

use std::sync::Arc;
use tpw_access::factor::failures::{AtCap, Failures, Locked};
use tpw_access::factor::opaque::{
    Context, LoggingIn, PasswordRecord, Registering, ServerSecret, begin, respond,
};
use tpw_access::factor::password::Password;
use tpw_access::factor::totp::{Params, TotpRecord, TotpSecret, seal_context, step_at};
use tpw_access::factor::{DigitCode, FactorError, Why};
use tpw_access::record::{RecordKey, RecordKind, RecordWrite};
use tpw_core::{Instant, PersonId};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::{Engine, PayError};
use tpw_flow::Rejection;
use world::*;

const SHOWN: usize = 20;

fn now() -> Instant {
    Instant::from_unix_ms(1_800_000_000_000).unwrap()
}

fn person() -> PersonId {
    PersonId::new(1, [7; 10])
}

fn key(kind: RecordKind) -> RecordKey {
    RecordKey::single(kind, *person().as_bytes())
}

/// Writes what takes the place of `before`; whether nobody was quicker.
async fn swap(engine: &Engine, key: RecordKey, before: Option<Vec<u8>>, after: Vec<u8>) -> bool {
    let write = RecordWrite { key, before, after: Some(after) };
    match engine.write_records(vec![write]).await {
        Ok(()) => true,
        Err(PayError::Rejected(Rejection::RecordChanged)) => false,
        Err(other) => panic!("{other}"),
    }
}

/// Judges a code as a handler does: again from the start when somebody else was quicker.
async fn prove(engine: &Engine, code: &DigitCode) -> Result<(), FactorError> {
    let key = key(RecordKind::Totp);
    loop {
        let before = engine.record(&key).unwrap().unwrap();
        let record = TotpRecord::from_bytes(&before).unwrap();
        let opened = engine.open_secret(&seal_context(&person(), b""), record.sealed()).unwrap();
        let secret = TotpSecret::from_bytes(&opened).unwrap();
        let (after, _evidence) = record.prove(&secret, code, now())?;
        if swap(engine, key.clone(), Some(before), after.to_bytes()).await {
            return Ok(());
        }
    }
}

fn many_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

#[test]
fn a_code_that_many_show_at_once_proves_once_also_after_a_restart() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let secret = TotpSecret::new(&mut OsEntropy).unwrap();
    let code_of = |step| -> DigitCode { secret.code(Params::PHONE, step).parse().unwrap() };
    let sealed = engine.seal_secret(&seal_context(&person(), b""), secret.as_bytes()).unwrap();
    let record = TotpRecord::new(sealed, Params::PHONE, now()).unwrap();
    let step = step_at(now());
    let confirmed = record.confirm(&secret, &code_of(step - 1), now()).unwrap();
    let rt = many_threads();
    let proven = rt.block_on(async {
        assert!(swap(&engine, key(RecordKind::Totp), None, confirmed.to_bytes()).await);
        let tries = (0..SHOWN).map(|_one| {
            let (engine, code) = (Arc::clone(&engine), code_of(step));
            tokio::spawn(async move { prove(&engine, &code).await })
        });
        let mut proven = 0;
        for tried in tries.collect::<Vec<_>>() {
            match tried.await.unwrap() {
                Ok(()) => proven += 1,
                Err(error) => assert_eq!(error, FactorError::Refused(Why::Reused)),
            }
        }
        proven
    });
    assert_eq!(proven, 1);
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    let again = rt.block_on(prove(&engine, &code_of(step)));
    assert_eq!(again, Err(FactorError::Refused(Why::Reused)));
    assert_eq!(rt.block_on(prove(&engine, &code_of(step + 1))), Ok(()));
}

#[test]
fn of_many_attempts_at_once_one_is_judged_and_a_restart_forgets_none() {
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    /// Charges an attempt, as a handler does before it judges.
    async fn charge(engine: &Engine) -> Result<(), Locked> {
        let key = key(RecordKind::Failures);
        loop {
            let before = engine.record(&key).unwrap();
            let row = before.as_deref().map(|bytes| Failures::from_bytes(bytes).unwrap());
            let after = Failures::attempt(row, AtCap::LockForDay, now())?;
            if swap(engine, key.clone(), before, after.to_bytes()).await {
                return Ok(());
            }
        }
    }
    let rt = many_threads();
    let judged = rt.block_on(async {
        let tries = (0..SHOWN).map(|_one| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move { charge(&engine).await })
        });
        let mut judged = 0;
        for tried in tries.collect::<Vec<_>>() {
            judged += usize::from(tried.await.unwrap().is_ok());
        }
        judged
    });
    assert_eq!(judged, 1);
    engine.close();
    drop(engine);
    let engine = open(dir.path()).unwrap();
    assert!(matches!(rt.block_on(charge(&engine)), Err(Locked::For { .. })));
}

#[test]
fn a_password_outlives_a_restart_with_the_sealed_secret_behind_it() {
    const SEALED_FOR: &[u8] = b"opaque";
    let dir = scratch();
    let engine = open(dir.path()).unwrap();
    let (rt, mut entropy) = (runtime(), OsEntropy);
    let password = Password::prepare("a horse of another colour").unwrap();

    let secret = ServerSecret::new(&mut entropy).unwrap();
    let registering = Registering::start(&password, &mut entropy).unwrap();
    let response = respond(&secret, &person(), registering.request()).unwrap();
    let registered = registering.finish(&password, &response, &mut entropy).unwrap();
    let record = PasswordRecord::new(&registered.upload, now()).unwrap();
    let sealed = engine.seal_secret(SEALED_FOR, &secret.to_bytes()).unwrap();
    let server = RecordKey::new(RecordKind::Server, [0; 16], SEALED_FOR).unwrap();
    rt.block_on(async {
        assert!(swap(&engine, server.clone(), None, sealed).await);
        assert!(swap(&engine, key(RecordKind::Password), None, record.to_bytes()).await);
    });
    engine.close();
    drop(engine);

    let engine = open(dir.path()).unwrap();
    let sealed = engine.record(&server).unwrap().unwrap();
    let opened = engine.open_secret(SEALED_FOR, &sealed).unwrap();
    let secret = ServerSecret::from_bytes(&opened).unwrap();
    let stored = engine.record(&key(RecordKind::Password)).unwrap().unwrap();
    let record = PasswordRecord::from_bytes(&stored).unwrap();
    let login = Context { server: "https://wallet.example", challenge: b"1", purpose: "session" };
    let logging_in = LoggingIn::start(&password, &mut entropy).unwrap();
    let ke1 = logging_in.ke1();
    let (ke2, pending) =
        begin(&secret, &person(), Some(&record), ke1, login, &mut entropy).unwrap();
    let done = logging_in.finish(&password, &ke2, login, &mut entropy).unwrap();
    let (_evidence, session_key) = pending.finish(&done.ke3, now()).unwrap();
    assert_eq!(session_key.as_bytes(), done.session_key.as_bytes());
    assert_eq!(done.export_key, registered.export_key);
}
