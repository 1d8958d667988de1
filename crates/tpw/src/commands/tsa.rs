//! `tpw tsa`: requests for time-stamps, answers, and the strict verifier, with the meaning of `openssl ts`.

use super::{Context, Outcome};
use crate::args::{HashFunction, Tsa, TsaQuery, TsaReply, TsaVerify};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use serde_json::{Value, json};
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tpw_crypto::{Entropy as _, Sha2, SlotName, SoftwareSlots, Zeroizing};
use tpw_engines::KeyWish;
use tpw_engines::clock::Clock as _;
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::ProofError;
use tpw_proof::logged::LoggedToken;
use tpw_proof::timestamp::{
    self, Authority, CertificateWish, ClockState, Imprint, Query, SummaryToken, TokenCheck,
    TspError, VerifiedTimestamp,
};

const REQUEST_LEN_MAX: u64 = timestamp::REQUEST_LEN_MAX as u64;
const RESPONSE_LEN_MAX: u64 = timestamp::RESPONSE_LEN_MAX as u64;
/// A store of an operating system has some hundred kilobytes.
const CERTIFICATES_LEN_MAX: u64 = 1 << 21;
const KEY_LEN_MAX: u64 = 1 << 14;
/// A checkpoint with its signatures, and a path.
const PROOF_LEN_MAX: u64 = 1 << 18;

pub(super) fn run(context: &Context, command: &Tsa) -> Outcome {
    match command {
        Tsa::Query(args) => query(context, args),
        Tsa::Reply(args) => reply(context, args),
        Tsa::Verify(args) => verify(context, args),
        Tsa::Rotate(args) => change_key(context, &args.data, KeyWish::Rotate),
        Tsa::Destroy(args) => change_key(context, &args.data, KeyWish::Destroy),
    }
}

// --- verify -----------------------------------------------------------------------------------------------------------

fn verify(context: &Context, args: &TsaVerify) -> Outcome {
    let say = &context.say;
    let token = read_named(&args.token, RESPONSE_LEN_MAX)?;
    let roots = certificates(&args.roots)?;
    let untrusted = args.untrusted.as_deref().map(certificates).transpose()?;
    let asked = args.asked.as_deref().map(|path| read_named(path, REQUEST_LEN_MAX)).transpose()?;
    let policies = (!args.stamp_policies.is_empty()).then_some(args.stamp_policies.as_slice());
    let judged = match timestamp::imprint_hash(&token) {
        Err(reason) => Err(reason),
        Ok(function) => {
            let imprint = Imprint { function, hash: hash_of(&args.stamped, function)? };
            let check = TokenCheck {
                imprint: &imprint,
                request: asked.as_deref(),
                roots: &roots,
                untrusted: untrusted.as_deref().unwrap_or_default(),
                policies,
                now: context.clock.now(),
            };
            timestamp::verify_token(&token, &check)
        }
    };
    let file = args.token.display().to_string();
    let stamp = match judged {
        Ok(stamp) => stamp,
        Err(reason) => return tell_invalid(say, &file, &ProofError::from(reason)),
    };
    match logged(args, &token)? {
        Ok(place) => tell_valid(say, &file, &stamp, place),
        Err(reason) => tell_invalid(say, &file, &reason),
    }
}

/// Where the token stands in the log; nothing when no proof of it was given.
fn logged(
    args: &TsaVerify,
    token: &[u8],
) -> Result<Result<Option<LoggedToken>, ProofError>, Failure> {
    let (Some(proof), Some(trust)) = (&args.token_proof, &args.log_trust) else {
        return Ok(Ok(None));
    };
    let trust = super::verify::trust(trust)?;
    let text = String::from_utf8(read_named(proof, PROOF_LEN_MAX)?);
    let text = text.map_err(|_odd| Failure::usage("not-text").arg("path", proof.display()))?;
    Ok(tpw_proof::logged::verify_token(token, &text, &trust).map(Some))
}

fn tell_valid(
    say: &Say,
    file: &str,
    stamp: &VerifiedTimestamp,
    place: Option<LoggedToken>,
) -> Outcome {
    let nonce = stamp.nonce.as_deref().map(hex);
    if say.is_json() {
        say.json(&json!({
            "file": file, "valid": true, "gen_time": stamp.gen_time.to_string(),
            "accuracy_ms": stamp.accuracy_ms, "serial": hex(&stamp.serial), "policy": stamp.policy,
            "nonce": nonce, "log": place.map(|place| json!({
                "index": place.index.to_string(), "size": place.head.size.to_string(),
            })),
        }));
        return Ok(Exit::Done);
    }
    say.data(&say.paint(Mood::Good, &say.with("tsa-valid", &[("file", file)])));
    let accuracy = stamp.accuracy_ms.map(|ms| format!("{ms} ms"));
    field(say, "time", Some(stamp.gen_time.to_string()));
    field(say, "accuracy", accuracy);
    field(say, "serial", Some(hex(&stamp.serial)));
    field(say, "policy", Some(stamp.policy.clone()));
    field(say, "nonce", nonce);
    if let Some(place) = place {
        field(say, "log", Some(format!("{} / {}", place.index, place.head.size)));
    }
    Ok(Exit::Done)
}

fn tell_invalid(say: &Say, file: &str, reason: &ProofError) -> Outcome {
    let detail = match reason {
        ProofError::Timestamp(reason) => reason.to_string(),
        other => other.to_string(),
    };
    let code = reason.code();
    let text = say.find(&format!("proof-{code}"), &[("detail", &detail)]).unwrap_or(detail);
    if say.is_json() {
        say.json(&json!({ "file": file, "valid": false, "reason": code, "text": text }));
        return Ok(Exit::NotVerified);
    }
    say.data(&say.paint(Mood::Bad, &say.with("tsa-invalid", &[("file", file)])));
    say.tell("tsa-reason", &[("text", &text), ("code", code)]);
    Ok(Exit::NotVerified)
}

// --- rotate, destroy ---------------------------------------------------------------------------------------------------

/// How long a running server is waited for. It looks several times a second, and finishes the answers under way.
const CHANGE_TIME_MAX: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Nobody but a server writes its keys: the running one does it, or its next start.
fn change_key(context: &Context, data: &Path, wish: KeyWish) -> Outcome {
    let (failed, done) = match wish {
        KeyWish::Rotate => ("tsa-rotate", "tsa-rotated"),
        KeyWish::Destroy => ("tsa-destroy", "tsa-destroyed"),
    };
    let failed = |error| Failure::failed(failed).arg("path", data.display()).because(error);
    tpw_engines::ask_for_key_change(data, wish).map_err(failed)?;
    // A server takes this file away when it stops.
    let is_running = data.join("address").exists();
    let begun = Instant::now();
    while is_running && begun.elapsed() < CHANGE_TIME_MAX {
        if tpw_engines::is_key_change_done(data).map_err(failed)? {
            context.say.tell(done, &[]);
            return Ok(Exit::Done);
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    context.say.tell("tsa-change-waits", &[]);
    Ok(match wish {
        KeyWish::Rotate => Exit::Done,
        // Somebody who has the key may use it until then.
        KeyWish::Destroy => Exit::Later,
    })
}

// --- query ------------------------------------------------------------------------------------------------------------

fn query(context: &Context, args: &TsaQuery) -> Outcome {
    let say = &context.say;
    if let Some(path) = &args.input {
        return show_query(say, path, &read_named(path, REQUEST_LEN_MAX)?);
    }
    let function = args.hash.function();
    let wrong = || Failure::usage("tsa-digest");
    let hash = match (&args.stamped, &args.digest) {
        (Some(path), _) => hash_of(path, function)?,
        (None, Some(text)) => bytes_of(text).ok_or_else(wrong)?,
        (None, None) => return Err(wrong()),
    };
    if hash.len() != function.output_len() {
        return Err(wrong());
    }
    let wish = match args.with_certificate {
        true => CertificateWish::Embedded,
        false => CertificateWish::Absent,
    };
    let nonce = if args.no_nonce { None } else { Some(random::<8>()?.to_vec()) };
    let policy = args.stamp_policy.clone();
    let query = Query { imprint: Imprint { function, hash }, policy, nonce, wish };
    let der = query.to_der().map_err(|error| Failure::usage("tsa-query").because(error))?;
    // Clap asks for it wherever a request is made.
    let Some(out) = &args.to_file else { return Err(Failure::usage("tsa-query")) };
    write(say, out, &der)?;
    Ok(Exit::Done)
}

impl HashFunction {
    pub(crate) const fn function(self) -> Sha2 {
        match self {
            Self::Sha256 => Sha2::Sha256,
            Self::Sha384 => Sha2::Sha384,
            Self::Sha512 => Sha2::Sha512,
        }
    }
}

fn show_query(say: &Say, path: &Path, der: &[u8]) -> Outcome {
    let request = timestamp::request_summary(der).map_err(|error| unreadable(path, &error))?;
    let embedded = request.wish == CertificateWish::Embedded;
    let nonce = request.nonce.as_deref().map(hex);
    if say.is_json() {
        say.json(&json!({
            "version": request.version, "hash_function": request.hash_function,
            "hash": hex(&request.hash), "policy": request.policy, "nonce": nonce,
            "certificate": embedded, "extensions": request.extensions,
        }));
        return Ok(Exit::Done);
    }
    field(say, "version", Some(request.version.to_string()));
    field(say, "hash", Some(format!("{}:{}", request.hash_function, hex(&request.hash))));
    field(say, "policy", request.policy);
    field(say, "nonce", nonce);
    field(say, "certificate-wish", Some(yes_or_no(say, embedded)));
    field(say, "extensions", list(&request.extensions));
    Ok(Exit::Done)
}

// --- reply ------------------------------------------------------------------------------------------------------------

fn reply(context: &Context, args: &TsaReply) -> Outcome {
    let say = &context.say;
    if let Some(path) = &args.input {
        return show_reply(say, path, &read_named(path, RESPONSE_LEN_MAX)?);
    }
    let (Some(asked), Some(signer), Some(key), Some(policy), Some(out)) =
        (&args.asked, &args.signer, &args.signing_key, &args.stamp_policy, &args.to_file)
    else {
        // Clap asks for all of them together.
        return Err(Failure::usage("tsa-setup"));
    };
    let (slots, slot) = signing_key(key)?;
    let certificate = certificates(signer)?;
    let not_one = || Failure::usage("tsa-certificates").arg("path", signer.display());
    let certificate = certificate.first().ok_or_else(not_one)?;
    let now = context.clock.now();
    let setup = |error: TspError| Failure::usage("tsa-setup").because(error);
    let authority = Authority::new(slot, certificate, policy, args.accuracy).map_err(setup)?;
    authority.check(&slots, now).map_err(setup)?;
    let request = read_named(asked, REQUEST_LEN_MAX)?;
    let clock = ClockState::Good { error_ms: args.accuracy };
    // No counter is kept here: the time in milliseconds and 88 random bits are never drawn twice.
    let serial = timestamp::serial(now.unix_ms(), random::<11>()?);
    let answer = authority.answer(&slots, &request, now, clock, serial);
    write(say, out, &answer)?;
    let summary = timestamp::info(&answer).map_err(|error| unreadable(out, &error))?;
    if summary.token.is_none() {
        let words = summary.status_text.join("; ");
        let refused = Failure::new(Exit::Refused, "tsa-refused");
        return Err(refused.arg("path", out.display()).because(words));
    }
    Ok(Exit::Done)
}

fn signing_key(path: &Path) -> Result<(SoftwareSlots, SlotName), Failure> {
    let wrong = |why: String| Failure::usage("tsa-key").arg("path", path.display()).because(why);
    let pem = Zeroizing::new(read_named(path, KEY_LEN_MAX)?);
    let pem = std::str::from_utf8(&pem).map_err(|error| wrong(error.to_string()))?;
    let slot = SlotName::new("tsa").map_err(|error| wrong(error.to_string()))?;
    let mut slots = SoftwareSlots::new();
    slots.import_p256(slot.clone(), pem).map_err(|error| wrong(error.to_string()))?;
    Ok((slots, slot))
}

fn show_reply(say: &Say, path: &Path, der: &[u8]) -> Outcome {
    let wrong = |error: TspError| unreadable(path, &error);
    if let Some(token) = timestamp::token_info(der).map_err(wrong)? {
        if say.is_json() {
            say.json(&token_json(&token));
        } else {
            show_token(say, token);
        }
        return Ok(Exit::Done);
    }
    let summary = timestamp::info(der).map_err(wrong)?;
    let failure: Vec<&str> = summary.failure.iter().map(|bit| failure_name(*bit)).collect();
    if say.is_json() {
        say.json(&json!({
            "status": status_name(summary.status), "text": summary.status_text,
            "failure": failure, "token": summary.token.as_ref().map(token_json),
        }));
        return Ok(Exit::Done);
    }
    field(say, "status", Some(status_name(summary.status).to_owned()));
    if !summary.status_text.is_empty() {
        field(say, "words", Some(summary.status_text.join("; ")));
    }
    if !failure.is_empty() {
        field(say, "failure", Some(failure.join(", ")));
    }
    if let Some(token) = summary.token {
        show_token(say, token);
    }
    Ok(Exit::Done)
}

fn show_token(say: &Say, token: SummaryToken) {
    field(say, "policy", Some(token.policy));
    field(say, "hash", Some(format!("{}:{}", token.hash_function, hex(&token.hash))));
    field(say, "serial", Some(token.serial_hex));
    field(say, "time", Some(token.gen_time.to_string()));
    let accuracy = token.accuracy.map(|[s, ms, us]| format!("{s} s, {ms} ms, {us} µs"));
    field(say, "accuracy", accuracy);
    field(say, "ordering", Some(yes_or_no(say, token.ordering)));
    field(say, "nonce", token.nonce.as_deref().map(hex));
    field(say, "authority", token.authority);
    field(say, "extensions", list(&token.extensions));
    field(say, "certificates", list(&token.certificates));
}

fn token_json(token: &SummaryToken) -> Value {
    let accuracy =
        token.accuracy.map(|[s, ms, us]| json!({ "seconds": s, "millis": ms, "micros": us }));
    json!({
        "policy": token.policy, "hash_function": token.hash_function, "hash": hex(&token.hash),
        "serial": token.serial_hex, "gen_time": token.gen_time.to_string(), "accuracy": accuracy,
        "ordering": token.ordering, "nonce": token.nonce.as_deref().map(hex),
        "authority": token.authority, "extensions": token.extensions,
        "certificates": token.certificates,
    })
}

/// `PKIStatus` (RFC 3161 §2.4.2) by its name there.
const fn status_name(status: u32) -> &'static str {
    match status {
        0 => "granted",
        1 => "grantedWithMods",
        2 => "rejection",
        3 => "waiting",
        4 => "revocationWarning",
        5 => "revocationNotification",
        _ => "unknown",
    }
}

/// A bit of `PKIFailureInfo` (RFC 3161 §2.4.2) by its name there.
const fn failure_name(bit: u8) -> &'static str {
    match bit {
        0 => "badAlg",
        2 => "badRequest",
        5 => "badDataFormat",
        14 => "timeNotAvailable",
        15 => "unacceptedPolicy",
        16 => "unacceptedExtension",
        17 => "addInfoNotAvailable",
        25 => "systemFailure",
        _ => "unknown",
    }
}

// --- files and words --------------------------------------------------------------------------------------------------

fn certificates(path: &Path) -> Result<Vec<Vec<u8>>, Failure> {
    let bytes = read_named(path, CERTIFICATES_LEN_MAX)?;
    timestamp::certificates(&bytes).map_err(|error| {
        Failure::usage("tsa-certificates").arg("path", path.display()).because(error)
    })
}

/// The hash of a file of any size, read piece by piece.
fn hash_of(path: &Path, function: Sha2) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::failed("tsa-data").arg("path", path.display()).because(error)
    };
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut hasher, mut piece) = (function.hasher(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

fn write(say: &Say, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    files::write_atomic(path, bytes, Durability::Deferred, Access::Ordinary)?;
    let file = path.display().to_string();
    if say.is_json() {
        say.json(&json!({ "file": file }));
    } else {
        say.tell("tsa-written", &[("file", &file)]);
    }
    Ok(())
}

fn unreadable(path: &Path, error: &TspError) -> Failure {
    Failure::new(Exit::NotVerified, "tsa-unreadable").arg("path", path.display()).because(error)
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = OsEntropy.fill(&mut bytes);
    filled.map_err(|error| Failure::failed("tsa-query").because(error))?;
    Ok(bytes)
}

fn field(say: &Say, name: &str, value: Option<String>) {
    let value = value.unwrap_or_else(|| say.text("tsa-none"));
    say.data(&format!("{}: {value}", say.text(&format!("tsa-field-{name}"))));
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join("; "))
}

fn yes_or_no(say: &Say, yes: bool) -> String {
    say.text(if yes { "tsa-yes" } else { "tsa-no" })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}
