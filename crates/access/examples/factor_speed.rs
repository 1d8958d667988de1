//! What the server's side of one proof costs: an assertion of a passkey, both messages of a login by password, a code of an app, a
//! token with its DPoP proof. Beside each stands the operation of the curve that it cannot do without, measured in the same run:
//! a P-256 verification and a multiplication in ristretto255. `cargo xtask bench factors [--json] [--quick]` runs it.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use opaque_ke::Ristretto255;
use opaque_ke::key_exchange::group::Group as _;
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::Instant as Stopwatch;
use tpw_access::factor::DigitCode;
use tpw_access::factor::opaque::{
    Context, LoggingIn, PasswordRecord, Registering, ServerSecret, begin, respond,
};
use tpw_access::factor::password::Password;
use tpw_access::factor::totp::{Params, TotpRecord, TotpSecret, step_at};
use tpw_access::factor::webauthn::{
    AssertionAnswer, AssertionState, AttestationFormat, Challenge, Passkey, PasskeyUse,
    RelyingParty, Verification,
};
use tpw_access::token;
use tpw_access::{
    DpopProof, DpopRequest, Grant, HttpUrl, Level, ReplayCache, Role, TokenCache, dpop,
};
use tpw_core::{DeviceId, Hash32, Instant, PersonId, Span};
use tpw_crypto::{
    Algorithm, FixedEntropy, OutsideKind, Sha2, Signer as _, SlotName, SoftwareSlots, sha256,
    verify_outside,
};

/// As the server allocates.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failed = Box<dyn std::error::Error>;

const ISSUER: &str = "https://wallet.example";
const OWNER: [u8; 16] = [7; 16];

/// The rounds of each measurement. A login stretches a password on the side of the device, so that there are fewer of those.
struct Rounds {
    many: usize,
    logins: usize,
}

fn main() -> Result<(), Failed> {
    let options: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| options.iter().any(|option| option == name);
    let rounds = match has("--quick") {
        true => Rounds { many: 50, logins: 3 },
        false => Rounds { many: 5_000, logins: 100 },
    };
    let verification = p256(&rounds)?;
    let multiplication = ristretto(&rounds)?;
    let (opened, closed) = login(&rounds)?;
    let lines = [
        ("p256_verification", verification, verification),
        ("ristretto255_multiplication", multiplication, multiplication),
        ("webauthn_assertion", assertion(&rounds)?, verification),
        ("opaque_first_message", opened, multiplication),
        ("opaque_last_message", closed, multiplication),
        ("totp_code", code(&rounds)?, verification),
        ("token_with_dpop_first", session(&rounds, false)?, verification),
        ("token_with_dpop", session(&rounds, true)?, verification),
    ];
    if has("--json") {
        println!("{}", json!({ "name": "factors", "measured": lines.map(as_json) }));
        return Ok(());
    }
    for (name, Times { p50, p99, count }, peer) in lines {
        let ratio = ratio(p50, peer.p50);
        println!("{name}: p50 {p50} ns, p99 {p99} ns, {ratio:.2} of its peer ({count} rounds)");
    }
    Ok(())
}

fn as_json((name, times, peer): (&str, Times, Times)) -> Value {
    let Times { p50, p99, count } = times;
    json!({ "name": name, "rounds": count, "p50_ns": p50, "p99_ns": p99, "ratio": ratio(p50, peer.p50) })
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of one step are far below 2^52")]
fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to.max(1) as f64
}

#[derive(Clone, Copy)]
struct Times {
    p50: u64,
    p99: u64,
    count: usize,
}

/// Sorted, so that one slow round does not move the middle.
fn times(mut nanos: Vec<u64>) -> Times {
    nanos.sort_unstable();
    let at = |permille: usize| {
        let place = nanos.len().saturating_mul(permille).checked_div(1000).unwrap_or(0);
        nanos.get(place).copied().unwrap_or(0)
    };
    Times { p50: at(500), p99: at(990), count: nanos.len() }
}

/// What is prepared for a round is not measured.
fn measure<P, T>(
    rounds: usize,
    mut prepare: impl FnMut(usize) -> Result<P, Failed>,
    mut step: impl FnMut(P) -> Result<T, Failed>,
) -> Result<Times, Failed> {
    let mut nanos = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let prepared = prepare(round)?;
        let began = Stopwatch::now();
        black_box(step(black_box(prepared))?);
        nanos.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(times(nanos))
}

fn now() -> Result<Instant, Failed> {
    Instant::from_unix_ms(1_800_000_000_000).ok_or_else(|| "no such time".into())
}

fn p256(rounds: &Rounds) -> Result<Times, Failed> {
    let key = KeyPair::generate()?;
    let message = [5; 69];
    let signature = key.sign(&message)?;
    let verify = |()| {
        let (kind, hash) = (OutsideKind::P256, Sha2::Sha256);
        Ok(verify_outside(kind, hash, key.der_bytes(), &message, &signature)?)
    };
    measure(rounds.many, |_round| Ok(()), verify)
}

/// The library multiplies a point without a table, and compresses what comes out.
fn ristretto(rounds: &Rounds) -> Result<Times, Failed> {
    let scalar = Ristretto255::derive_scalar([1; 32].into());
    let scalar = scalar.map_err(|error| format!("{error:?}"))?;
    let multiply = |()| Ok(Ristretto255::serialize_pk(&Ristretto255::public_key(&scalar)));
    measure(rounds.many, |_round| Ok(()), multiply)
}

/// A key as an authenticator makes it, and its record.
fn passkey(key: &KeyPair) -> Result<Passkey, Failed> {
    let point = key.der_bytes();
    let x = point.get(1..33).ok_or("no point")?;
    let y = point.get(33..65).ok_or("no point")?;
    let cose = [&[0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], x, &[0x22, 0x58, 32], y];
    Ok(Passkey {
        used_as: PasskeyUse::Passkey,
        credential_id: vec![3; 32],
        public_key: cose.concat(),
        sign_count: 0,
        backup_eligible: false,
        backed_up: false,
        user_verified: true,
        transports: Vec::new(),
        aaguid: [0; 16],
        attestation: AttestationFormat::None,
        attested: false,
        name: "measured".to_owned(),
        created: now()?,
        last_used: None,
    })
}

/// From the bytes of the browser's answer to the evidence.
fn assertion(rounds: &Rounds) -> Result<Times, Failed> {
    let origin = "https://pay.example.com";
    let rp = RelyingParty::new("example.com", "measured", &[origin])?;
    let key = KeyPair::generate()?;
    let (stored, at) = (passkey(&key)?, now()?);
    let prepare = |round: usize| {
        let challenge = Challenge::from(sha256(&round.to_be_bytes()));
        let verification = Verification::AsRegistered;
        let (options, state) = AssertionState::start(&rp, verification, challenge, &[]);
        let client_data = json!({
            "type": "webauthn.get", "challenge": options.get("challenge"), "origin": origin, "crossOrigin": false,
        });
        let client_data = client_data.to_string();
        let auth_data = [sha256(b"example.com").as_slice(), &[0x05], &[0; 4]].concat();
        let signed = [auth_data.as_slice(), &sha256(client_data.as_bytes())].concat();
        let answer = json!({
            "id": encode(&stored.credential_id), "type": "public-key", "response": {
                "clientDataJSON": encode(client_data.as_bytes()),
                "authenticatorData": encode(&auth_data), "signature": encode(&key.sign(&signed)?),
            },
        });
        Ok((state, answer.to_string()))
    };
    let step = |(state, answer): (AssertionState, String)| {
        let answer = AssertionAnswer::from_json(answer.as_bytes())?;
        Ok(state.finish(&rp, &stored, &OWNER, &answer, at)?)
    };
    measure(rounds.many, prepare, step)
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The server's answer to the first message, and its judgement of the last one.
fn login(rounds: &Rounds) -> Result<(Times, Times), Failed> {
    let (at, person) = (now()?, PersonId::from_bytes(OWNER));
    let entropy = &mut FixedEntropy::new(1);
    let secret = ServerSecret::new(entropy)?;
    let password = Password::prepare("violet hammock 57")?;
    let registering = Registering::start(&password, entropy)?;
    let response = respond(&secret, &person, registering.request())?;
    let upload = registering.finish(&password, &response, entropy)?.upload;
    let record = PasswordRecord::new(&upload, at)?;
    let context = Context { server: ISSUER, challenge: &[9; 16], purpose: "session" };
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for _login in 0..rounds.logins {
        let device = LoggingIn::start(&password, entropy)?;
        let began = Stopwatch::now();
        let (ke2, pending) =
            begin(&secret, &person, Some(&record), device.ke1(), context, entropy)?;
        opened.push(u64::try_from(began.elapsed().as_nanos())?);
        let ke3 = device.finish(&password, &ke2, context, entropy)?.ke3;
        let began = Stopwatch::now();
        black_box(pending.finish(&ke3, at)?);
        closed.push(u64::try_from(began.elapsed().as_nanos())?);
    }
    Ok((times(opened), times(closed)))
}

/// Each code is the next one: a used one would be refused.
fn code(rounds: &Rounds) -> Result<Times, Failed> {
    let (begun, entropy) = (now()?, &mut FixedEntropy::new(2));
    let secret = TotpSecret::new(entropy)?;
    let shown = |at| secret.code(Params::PHONE, step_at(at)).parse::<DigitCode>();
    let mut record = TotpRecord::new(vec![1; 40], Params::PHONE, begun)?;
    record = record.confirm(&secret, &shown(begun)?, begun)?;
    let at = |round: usize| -> Result<Instant, Failed> {
        let steps = u64::try_from(round)?.saturating_add(1);
        Ok(begun.plus(Span::from_secs(steps.saturating_mul(30))))
    };
    let prepare = |round| Ok((shown(at(round)?)?, at(round)?));
    measure(rounds.many, prepare, |(typed, at)| {
        record = record.prove(&secret, &typed, at)?.0;
        Ok(())
    })
}

/// A request of an enrolled device, from its two texts to the session: the first with its token, or one of those after it. Device
/// and server sign with the algorithms of the product.
fn session(rounds: &Rounds, later: bool) -> Result<Times, Failed> {
    let (at, entropy) = (now()?, &mut FixedEntropy::new(3));
    let (device, server) = (SlotName::new("device")?, SlotName::new("server")?);
    let mut slots = SoftwareSlots::new();
    slots.generate(device.clone(), Algorithm::P256, entropy)?;
    slots.generate(server.clone(), Algorithm::Ed25519, entropy)?;
    let key = slots.public_key(&server)?;
    let grant = Grant {
        person: PersonId::from_bytes(OWNER),
        device: DeviceId::from_bytes([8; 16]),
        role: Role::Holder,
        jkt: Hash32::new(slots.public_key(&device)?.jwk_thumbprint()),
        level: Level::DEVICE_KEY,
    };
    let token = token::issue(&slots, &server, ISSUER, &grant, at, entropy)?.token;
    let url = HttpUrl::parse("https://wallet.example/v1/accounts")?;
    let request = DpopRequest { method: "GET", url: &url, access_token: Some(&token), now: at };
    let mut replays = ReplayCache::new(ReplayCache::CAPACITY, at);
    let tokens = TokenCache::new(key.clone(), ISSUER.to_owned(), TokenCache::CAPACITY);
    let prepare = |_round| Ok(dpop::make(&slots, &device, &request, entropy)?);
    measure(rounds.many, prepare, |proof: String| {
        let unbound =
            if later { tokens.check(&token, at)? } else { token::check(&token, &key, ISSUER, at)? };
        let proven = DpopProof::verify(&proof, &request)?.admit(&mut replays, at)?;
        Ok(unbound.bound_to(&proven)?)
    })
}
