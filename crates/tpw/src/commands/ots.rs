//! `tpw ots`: proofs of OpenTimestamps.

use super::anchor::{put, read_receipt};
use super::log::source::{Source, Trusted, failed, unproved};
use super::{Context, Outcome, show};
use crate::args::{
    BlockNetwork, Calendars, KnownHeaders, LogAt, Ots, OtsAttach, OtsStamp, OtsUpgrade, OtsVerify,
};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tpw_core::Hash32;
use tpw_crypto::{Entropy as _, sha256};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::anchor::{BitcoinAnchor, lowest_block};
use tpw_proof::ots::{Attestation, HEADER_LEN, Headers, LEN_MAX, Network, Op, Proof, Stamp};
use tpw_proof::tree::leaf_hash;
use tpw_proof::{ProofError, SignedCheckpoint, Trust};
use tpw_server::outbound::Outbound;

/// What is stamped is read as a whole.
const FILE_MAX: u64 = 1 << 30;
/// Ten million headers: longer than the chain will be for a century.
const HEADERS_MAX: u64 = 10_000_000 * HEADER_LEN as u64;
/// A note is never longer.
const CHECKPOINT_MAX: u64 = tpw_proof::note::SIZE_MAX as u64;
/// As the reference client reads.
const ANSWER_MAX: usize = 10_000;
const ASK_TIME_MAX: Duration = Duration::from_secs(20);

pub(super) async fn run(context: &Context, command: &Ots) -> Outcome {
    match command {
        Ots::Stamp(args) => stamp(context, args).await,
        Ots::Upgrade(args) => upgrade(context, args).await,
        Ots::Verify(args) => verify(context, args),
        Ots::Attach(args) => attach(context, args),
        Ots::Info { file } => info(context, file),
    }
}

fn proof_at(path: &Path) -> Result<Proof, Failure> {
    let bytes = read_named(path, u64::try_from(LEN_MAX).unwrap_or(u64::MAX))?;
    let unfit = |error| {
        Failure::new(Exit::NotVerified, "ots-file").arg("path", path.display()).because(error)
    };
    Proof::from_bytes(&bytes).map_err(unfit)
}

/// Writes a proof that every reader takes.
fn keep(path: &Path, proof: &Proof) -> Result<(), Failure> {
    let bytes = proof.to_bytes();
    let unfit = |error| Failure::failed("ots-file").arg("path", path.display()).because(error);
    // Two calendars' answers together may be longer or deeper than a reader goes.
    Proof::from_bytes(&bytes).map_err(unfit)?;
    Ok(files::write_atomic(path, &bytes, Durability::Synced, Access::Ordinary)?)
}

/// Asks calendars.
struct Client<'c> {
    context: &'c Context,
    outbound: Outbound,
}

impl<'c> Client<'c> {
    fn new(context: &'c Context, at: &Calendars) -> Result<Self, Failure> {
        let ca = at.ca.as_ref().map(|path| read_named(path, 4 << 20)).transpose()?;
        let outbound = Outbound::new(ca.as_deref(), ASK_TIME_MAX);
        let outbound = outbound.map_err(|error| Failure::usage("ots-address").because(error))?;
        Ok(Self { context, outbound })
    }

    /// What the calendar at `url` says of a value: `POST digest` when it is new, `GET timestamp` when it was given before.
    async fn ask(&self, url: &str, value: &[u8], known: Known) -> Option<Stamp> {
        let (base, say) = (url.trim_end_matches('/'), &self.context.say);
        let hex = || value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let answer = match known {
            Known::No => {
                let path = format!("{base}/digest");
                let media_type = "application/octet-stream";
                self.outbound.post_as(&path, media_type, value.to_vec(), ANSWER_MAX).await
            }
            Known::Yes => {
                self.outbound.get(&format!("{base}/timestamp/{}", hex()), ANSWER_MAX).await
            }
        };
        let read = |body: &[u8]| Stamp::from_bytes(body).map_err(|error| show::fault(say, &error));
        let stamp = match answer {
            Ok(answer) if answer.status == 200 => read(&answer.body),
            Ok(answer) => Err(say.with("ots-status", &[("status", &answer.status.to_string())])),
            Err(error) => Err(error.to_string()),
        };
        stamp
            .inspect_err(|reason| {
                say.tell("ots-calendar-failed", &[("url", url), ("reason", reason)]);
            })
            .ok()
    }
}

/// Whether a calendar has had a value before.
#[derive(Clone, Copy)]
enum Known {
    Yes,
    No,
}

async fn stamp(context: &Context, args: &OtsStamp) -> Outcome {
    let client = Client::new(context, &args.at)?;
    let digest = sha256(&read_named(&args.file, FILE_MAX)?);
    // As the reference client does: calendars learn nothing, not even whether two people have the same file.
    let mut nonce = [0; 16];
    OsEntropy.fill(&mut nonce).map_err(|error| Failure::failed("ots-stamp").because(error))?;
    let ops = [Op::Append(nonce.to_vec()), Op::Sha256];
    let sent = sha256(&[&digest[..], &nonce].concat());
    let (mut all, mut count) = (Stamp::default(), 0_usize);
    for url in &args.at.calendars {
        if let Some(stamp) = client.ask(url, &sent, Known::No).await {
            all.merge(stamp);
            count = count.saturating_add(1);
        }
    }
    if count == 0 {
        return Err(Failure::new(Exit::Later, "ots-stamp"));
    }
    let out = args.out.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".ots");
        PathBuf::from(name)
    });
    keep(&out, &Proof { digest, stamp: all.after(&ops) })?;
    let shown = out.display().to_string();
    let (count, asked) = (count.to_string(), args.at.calendars.len().to_string());
    if context.say.is_json() {
        context.say.json(&json!({ "file": shown, "calendars": count }));
    } else {
        let args = [("file", shown.as_str()), ("count", &count), ("all", &asked)];
        context.say.data(&context.say.with("ots-stamped", &args));
    }
    Ok(Exit::Done)
}

async fn upgrade(context: &Context, args: &OtsUpgrade) -> Outcome {
    let client = Client::new(context, &args.at)?;
    let mut proof = proof_at(&args.file)?;
    let digest = proof.digest;
    // A proof comes from anywhere: an address in it is asked only if the person has named it too.
    let same =
        |ours: &String, theirs: &str| ours.trim_end_matches('/') == theirs.trim_end_matches('/');
    let mut open: BTreeSet<(String, Vec<u8>)> = BTreeSet::new();
    for (value, attestation) in proof.stamp.attestations(&digest) {
        if let (Some(value), Attestation::Pending(url)) = (value, attestation)
            && args.at.calendars.iter().any(|ours| same(ours, url))
        {
            open.insert((url.clone(), value));
        }
    }
    let before = proof.clone();
    for (url, value) in open {
        if let Some(news) = client.ask(&url, &value, Known::Yes).await {
            proof.stamp.upgrade(&digest, &value, &news);
        }
    }
    if proof != before {
        keep(&args.file, &proof)?;
    }
    let in_block = has_block(&proof);
    let file = args.file.display().to_string();
    let key = if in_block { "ots-upgraded" } else { "ots-pending" };
    if context.say.is_json() {
        context
            .say
            .json(&json!({ "file": file, "in_block": in_block, "changed": proof != before }));
    } else {
        context.say.data(&context.say.with(key, &[("file", &file)]));
    }
    Ok(if in_block { Exit::Done } else { Exit::Later })
}

fn has_block(proof: &Proof) -> bool {
    lowest_block(proof).is_some()
}

/// Headers of Bitcoin blocks that the person has from a node.
pub(super) fn known_headers(known: &KnownHeaders) -> Result<Option<Headers>, Failure> {
    let read = |path: &PathBuf| ots_headers(path, known.first_height, known.network);
    known.headers.as_ref().map(read).transpose()
}

/// Headers in a file, the first of them that of the block at a height.
fn ots_headers(path: &Path, first: u64, network: BlockNetwork) -> Result<Headers, Failure> {
    let network = match network {
        BlockNetwork::Main => Network::Main,
        BlockNetwork::Regtest => Network::Regtest,
    };
    let headers = read_named(path, HEADERS_MAX)?;
    let unfit = |error: ProofError| {
        Failure::new(Exit::NotVerified, "ots-headers").arg("path", path.display()).because(error)
    };
    Headers::read(first, &headers, network).map_err(unfit)
}

fn verify(context: &Context, args: &OtsVerify) -> Outcome {
    let shown = args.file.display().to_string();
    let refused = |key: &str| Failure::new(Exit::NotVerified, key).arg("path", &shown);
    let proof = proof_at(&args.file)?;
    let digest = match (&args.data, &args.digest) {
        (Some(path), _) => Hash32::new(sha256(&read_named(path, FILE_MAX)?)),
        (None, Some(hex)) => {
            hex.parse().map_err(|error| Failure::usage("ots-digest").because(error))?
        }
        (None, None) => return Err(Failure::usage("ots-digest")),
    };
    if proof.digest != *digest.as_bytes() {
        return Err(refused("ots-other-file"));
    }
    let headers = ots_headers(&args.headers, args.first_height, args.network)?;
    let attested = proof.verify(&headers).map_err(|error| match error {
        // That these headers are of other blocks is no fault of the proof: the help says what to do.
        ProofError::Unsupported => refused("ots-unproved"),
        error => refuted(&shown, error),
    })?;
    let (height, time) = (attested.height.to_string(), attested.time.to_string());
    if context.say.is_json() {
        context.say.json(&json!({ "file": shown, "height": height, "time": time }));
    } else {
        let args = [("file", shown.as_str()), ("height", &height), ("time", &time)];
        context.say.data(&context.say.with("ots-verified", &args));
    }
    Ok(Exit::Done)
}

/// Puts a proof over a checkpoint into each receipt, in place.
fn attach(context: &Context, args: &OtsAttach) -> Outcome {
    let say = &context.say;
    let trusted = Trusted::of(&args.trusted)?;
    let proof = proof_at(&args.proof)?;
    let shown = args.proof.display().to_string();
    if lowest_block(&proof).is_none() {
        return Err(Failure::new(Exit::Later, "ots-no-block").arg("path", shown));
    }
    let headers = known_headers(&args.known)?;
    if let Some(headers) = &headers {
        demand_no_contradiction(&proof, headers, &shown)?;
    }
    let stamped = Stamped::of(args, &proof)?;
    let (trust, known) = (trust_with(&trusted, headers), (&trusted, &args.at));
    let mut all = Vec::new();
    for path in &args.receipts {
        let file = path.display().to_string();
        let size = attach_one(path, &proof, stamped.as_ref(), trust.as_ref(), known)?;
        say.tell("anchor-attached", &[("file", &file), ("size", &size.to_string())]);
        all.push(json!({ "file": file, "size": size.to_string() }));
    }
    if say.is_json() {
        say.json(&Value::Array(all));
    }
    Ok(Exit::Done)
}

/// A proof that leads elsewhere than a block that the person knows would make a good receipt invalid. That it names other blocks is
/// no contradiction.
fn demand_no_contradiction(proof: &Proof, headers: &Headers, path: &str) -> Result<(), Failure> {
    match proof.verify(headers) {
        Ok(_) | Err(ProofError::Unsupported) => Ok(()),
        Err(error) => Err(refuted(path, error)),
    }
}

fn refuted(path: &str, error: ProofError) -> Failure {
    let cause_key = Some(format!("proof-{}", error.code()));
    let failure = Failure::new(Exit::NotVerified, "ots-unproved").arg("path", path);
    Failure { cause_key, ..failure.because(error) }
}

/// Whom the receipts are to go on proving something to, if that is a trust file; with the headers that were given.
fn trust_with(trusted: &Trusted, headers: Option<Headers>) -> Option<Trust> {
    let mut trust = trusted.file().cloned();
    trust.iter_mut().for_each(|trust| trust.bitcoin_headers.extend(headers.clone()));
    trust
}

/// A checkpoint that was stamped, other than that of a receipt.
struct Stamped {
    bytes: Vec<u8>,
    signed: SignedCheckpoint,
}

impl Stamped {
    fn of(args: &OtsAttach, proof: &Proof) -> Result<Option<Self>, Failure> {
        let Some(path) = &args.checkpoint else { return Ok(None) };
        let bytes = read_named(path, CHECKPOINT_MAX)?;
        if proof.digest != sha256(&bytes) {
            let path = args.proof.display();
            return Err(Failure::new(Exit::NotVerified, "ots-other-file").arg("path", path));
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let signed = SignedCheckpoint::parse(&text).map_err(unproved)?;
        Ok(Some(Self { bytes, signed }))
    }
}

/// The size of the stamped tree. The receipt's own checkpoint needs no log; another one does.
fn attach_one(
    path: &Path,
    proof: &Proof,
    stamped: Option<&Stamped>,
    trust: Option<&Trust>,
    (trusted, at): (&Trusted, &LogAt),
) -> Result<u64, Failure> {
    let (mut receipt, own) = read_receipt(path)?;
    let checkpoint = own.checkpoint.log_signed_bytes();
    let origin = &own.checkpoint.checkpoint().origin;
    // The verdict asks for the log's signature, too: a receipt with an anchor that has none is not valid any more.
    let demand_signed = |signed: &SignedCheckpoint| {
        let keys: Vec<_> =
            trusted.log_keys().into_iter().filter(|key| key.name() == origin).collect();
        signed.verify(&keys).map(drop).map_err(unproved)
    };
    let (size, checkpoint, hashes) = if proof.digest == sha256(&checkpoint) {
        demand_signed(&own.checkpoint)?;
        (own.checkpoint.checkpoint().head.size, checkpoint, own.path.clone())
    } else {
        let stamped = stamped.ok_or_else(|| Failure::usage("ots-which-checkpoint"))?;
        let source = Source::needed(at, trusted)?;
        demand_signed(&stamped.signed)?;
        let size = stamped.signed.checkpoint().head.size;
        let hashes = source.open(trusted)?.inclusion(own.index, size).map_err(failed)?;
        (size, stamped.bytes.clone(), hashes)
    };
    let anchor = BitcoinAnchor { path: hashes, checkpoint, proof: proof.to_bytes() };
    anchor.check(&leaf_hash(&receipt.leaf), own.index, origin).map_err(unproved)?;
    put(path, &mut receipt, anchor.to_bytes(), trust)?;
    Ok(size)
}

fn info(context: &Context, file: &Path) -> Outcome {
    let proof = proof_at(file)?;
    let say = &context.say;
    let digest = Hash32::new(proof.digest).to_string();
    let all = proof.stamp.attestations(&proof.digest);
    if say.is_json() {
        let value = |attestation: &Attestation| match attestation {
            Attestation::Bitcoin(height) => json!({ "bitcoin": height.to_string() }),
            Attestation::Pending(url) => json!({ "pending": url }),
            Attestation::Other(tag, _) => {
                json!({ "other": tag.iter().map(|b| format!("{b:02x}")).collect::<String>() })
            }
        };
        let list: Vec<Value> = all.iter().map(|(_, attestation)| value(attestation)).collect();
        say.json(&json!({ "digest": digest, "attestations": list }));
        return Ok(Exit::Done);
    }
    say.data(&say.with("ots-digest", &[("digest", &digest)]));
    for (_, attestation) in all {
        say.data(&match attestation {
            Attestation::Bitcoin(height) => {
                say.with("ots-bitcoin", &[("height", &height.to_string())])
            }
            Attestation::Pending(url) => say.with("ots-promise", &[("url", url)]),
            Attestation::Other(..) => say.text("ots-other"),
        });
    }
    Ok(Exit::Done)
}
