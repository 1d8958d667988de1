//! `tpw anchor`: the log's heads announced on an EVM chain, and the proofs of it put into receipts.

use super::evidence::proves_less;
use super::input::secret_file;
use super::log::source::{Source, Trusted, failed, unproved};
use super::verify::{RECEIPT_LEN_MAX, trust};
use super::wallet::seconds_of;
use super::{Context, Outcome};
use crate::args::{
    Anchor, AnchorAttach, AnchorChain, AnchorOnce, AnchorRun, AnchorTrust, ServeAnchor,
};
use crate::device::files::{access_of, read_named};
use crate::exit::{Exit, Failure};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tpw_core::{Receipt, TreeHead};
use tpw_crypto::Zeroizing;
use tpw_engines::Engine;
use tpw_engines::anchor::{
    AnchorError, Anchorer, Anchors, Progress, Purpose, Status, Terms, Waiting,
};
use tpw_engines::files::{self, Access, Durability};
use tpw_engines::log_store::TiledLog;
use tpw_proof::anchor::{EvmAnchor, EvmTrust, address_text};
use tpw_proof::tree::leaf_hash;
use tpw_proof::{ProofError, TlogProof, Trust, judge};
use tpw_server::outbound::{self, Outbound};
use tpw_server::{Anchoring, AnchoringTimes, ChainNode};

/// The longest that a node may take for one answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

const GWEI: u128 = 1_000_000_000;

pub(super) async fn run(context: &Context, command: &Anchor) -> Outcome {
    match command {
        Anchor::Init(folder) => init(context, &folder.data),
        Anchor::Deploy(args) => deploy(context, args),
        Anchor::Once(args) => once(context, args),
        Anchor::Run(args) => forever(context, args).await,
        Anchor::Attach(args) => attach(context, args),
        Anchor::Trust(args) => write_trust(context, args),
        Anchor::Status(folder) => {
            let anchorer = Anchorer::open(&folder.data).map_err(fault)?;
            let sizes = anchorer.sizes().map_err(fault)?;
            tell_status(context, &anchorer.status(), &sizes);
            Ok(Exit::Done)
        }
    }
}

fn init(context: &Context, folder: &Path) -> Outcome {
    let address = address_text(&Anchorer::init(folder).map_err(fault)?);
    if context.say.is_json() {
        context.say.json(&json!({ "account": address }));
    } else {
        context.say.data(&address);
        context.say.tell("anchor-account-made", &[]);
    }
    Ok(Exit::Done)
}

/// The node at an address, which `file:PATH` names the file of.
fn node(context: &Context, rpc: &str, ca: Option<&Path>) -> Result<ChainNode, Failure> {
    let ca = ca.map(|path| read_named(path, 4 << 20)).transpose()?;
    let outbound = Outbound::new(ca.as_deref(), ANSWER_TIME_MAX);
    let outbound = outbound.map_err(|error| Failure::usage("anchor-node").because(error))?;
    let address = match rpc.strip_prefix("file:") {
        Some(path) => secret_file(context, Path::new(path))?,
        None => Zeroizing::new(rpc.to_owned()),
    };
    // Not told back: such an address often has a key of the operator's in it. What no client could ask would be told by the records, too.
    if !outbound::is_address(address.trim()) {
        return Err(Failure::usage("anchor-node").because("it is no address of HTTP"));
    }
    Ok(ChainNode::new(outbound, address.trim().to_owned()))
}

fn terms(max_fee: u64, patience_blocks: u64) -> Terms {
    Terms { max_wei: u128::from(max_fee).saturating_mul(GWEI), patience_blocks }
}

/// The account and the node of `anchor …` commands.
fn asked(context: &Context, args: &AnchorChain) -> Result<(ChainNode, Terms), Failure> {
    Ok((node(context, &args.rpc, args.rpc_ca.as_deref())?, terms(args.max_fee, args.patience)))
}

// --- by the server ----------------------------------------------------------------------------------------------------

/// The longest from one anchor to the next, and between two looks.
const EVERY_MAX_S: u64 = 24 * 3600;
const POLL_MAX_S: u64 = 3600;

/// An account that a server will anchor its log with.
pub(super) struct Prepared {
    anchorer: Anchorer,
    node: ChainNode,
    terms: Terms,
    times: AnchoringTimes,
}

impl Prepared {
    /// What the command line names, if it names a folder, and the proofs in it.
    pub(super) fn of(
        context: &Context,
        args: &ServeAnchor,
    ) -> Result<Option<(Self, Arc<Anchors>)>, Failure> {
        let (Some(folder), Some(rpc)) = (&args.folder, &args.anchor_rpc) else { return Ok(None) };
        let seconds = |text: &str, most| seconds_of(text, most).map(Duration::from_secs);
        let times = AnchoringTimes {
            every: seconds(&args.anchor_every, EVERY_MAX_S)?,
            poll: seconds(&args.anchor_poll, POLL_MAX_S)?,
        };
        let node = node(context, rpc, args.anchor_rpc_ca.as_deref())?;
        let anchorer = Anchorer::open(folder).map_err(fault)?;
        let anchors = Arc::new(Anchors::of(&anchorer).map_err(fault)?);
        let terms = terms(args.anchor_max_fee, args.anchor_patience);
        Ok(Some((Self { anchorer, node, terms, times }, anchors)))
    }

    /// That what the account has announced are heads of this log.
    pub(super) fn check(&self, engine: &Engine) -> Result<(), Failure> {
        self.anchorer.check_log(engine.log()).map_err(fault)
    }

    pub(super) fn begin(self, engine: &Arc<Engine>) -> Result<Anchoring, Failure> {
        let Self { anchorer, node, terms, times } = self;
        Anchoring::start(Arc::clone(engine), anchorer, node, terms, times).map_err(fault)
    }
}

fn fault(error: AnchorError) -> Failure {
    match error {
        AnchorError::File(error) => error.into(),
        AnchorError::Away(_) => Failure::new(Exit::Later, "anchor-away").because(error),
        AnchorError::Busy | AnchorError::TooExpensive { .. } => {
            Failure::new(Exit::Later, "anchor-later").because(error)
        }
        AnchorError::NoAccount
        | AnchorError::HasAccount(_)
        | AnchorError::NoContract
        | AnchorError::HasContract(_)
        | AnchorError::OtherChain { .. }
        | AnchorError::OtherLog { .. } => Failure::usage("anchor-setup").because(error),
        AnchorError::Refused { .. } | AnchorError::Reverted => {
            Failure::new(Exit::Refused, "anchor-refused").because(error)
        }
        AnchorError::Unproved(_) => {
            Failure::new(Exit::NotVerified, "anchor-unproved").because(error)
        }
        _ => Failure::failed("anchor").because(error),
    }
}

/// Steps until nothing is on its way any more or there is something to wait for.
fn settle(anchorer: &mut Anchorer, web: &ChainNode, terms: &Terms) -> Result<Progress, Failure> {
    loop {
        match anchorer.step(web, terms).map_err(fault)? {
            Progress::Sent => {}
            progress => return Ok(progress),
        }
    }
}

fn deploy(context: &Context, args: &AnchorChain) -> Outcome {
    let (web, terms) = asked(context, args)?;
    let mut anchorer = Anchorer::open(&args.folder.data).map_err(fault)?;
    let mut progress = settle(&mut anchorer, &web, &terms)?;
    if matches!(progress, Progress::Idle | Progress::Lost(_)) {
        if let Some(contract) = anchorer.status().contract {
            return tell(context, &Progress::Deployed(contract));
        }
        anchorer.deploy(&web, &terms).map_err(fault)?;
        progress = settle(&mut anchorer, &web, &terms)?;
    }
    tell(context, &progress)
}

/// The head that the log has signed.
fn newest(args: &AnchorOnce) -> Result<TreeHead, Failure> {
    let trusted = Trusted::of(&args.trusted)?;
    let source = Source::needed(&args.at, &trusted)?;
    let log = source.open(&trusted)?;
    Ok(log.checkpoint().checkpoint().head)
}

fn once(context: &Context, args: &AnchorOnce) -> Outcome {
    let mut anchorer = Anchorer::open(&args.chain.folder.data).map_err(fault)?;
    let (web, terms) = asked(context, &args.chain)?;
    let progress = anchor_newest(&mut anchorer, &web, &terms, args)?;
    tell(context, &progress)
}

/// Finishes what is on its way; where nothing is, announces the newest head.
fn anchor_newest(
    anchorer: &mut Anchorer,
    web: &ChainNode,
    terms: &Terms,
    args: &AnchorOnce,
) -> Result<Progress, Failure> {
    let progress = settle(anchorer, web, terms)?;
    if !matches!(progress, Progress::Idle | Progress::Lost(_) | Progress::Deployed(_)) {
        return Ok(progress);
    }
    let head = newest(args)?;
    match anchorer.anchor(web, terms, head).map_err(fault)? {
        Progress::Idle => Ok(Progress::Anchored(head)),
        _ => settle(anchorer, web, terms),
    }
}

/// Announces the newest head again and again until the process is told to stop.
async fn forever(context: &Context, args: &AnchorRun) -> Outcome {
    let mut anchorer = Anchorer::open(&args.once.chain.folder.data).map_err(fault)?;
    let (web, terms) = asked(context, &args.once.chain)?;
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    let (poll, every) =
        (Duration::from_secs(args.poll), Duration::from_secs(args.every.saturating_mul(60)));
    loop {
        let pause = match anchor_newest(&mut anchorer, &web, &terms, &args.once) {
            Ok(progress) => {
                tell(context, &progress)?;
                if matches!(progress, Progress::Anchored(_)) { every } else { poll }
            }
            // What cannot be done now may be done later; what is wrong with the setup cannot.
            Err(failure) if failure.exit == Exit::Usage => return Err(failure),
            Err(failure) => {
                context.say.failure(&failure);
                poll
            }
        };
        tokio::select! {
            _stopped = &mut stop => return Ok(Exit::Done),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn tell(context: &Context, progress: &Progress) -> Outcome {
    let say = &context.say;
    let (key, detail, exit) = match progress {
        Progress::Idle => ("idle", String::new(), Exit::Done),
        Progress::Deployed(contract) => ("deployed", address_text(contract), Exit::Done),
        Progress::Anchored(head) => ("anchored", head.size.to_string(), Exit::Done),
        Progress::Sent | Progress::Waiting(Waiting::Block) => {
            ("waiting-block", String::new(), Exit::Later)
        }
        Progress::Waiting(Waiting::Final(block)) => {
            ("waiting-final", block.to_string(), Exit::Later)
        }
        Progress::Waiting(Waiting::OtherTransaction) => {
            ("waiting-other", String::new(), Exit::Later)
        }
        Progress::Lost(_) => ("lost", String::new(), Exit::Later),
    };
    if say.is_json() {
        say.json(&json!({ "progress": key, "detail": detail }));
    } else {
        say.tell(&format!("anchor-{key}"), &[("detail", &detail)]);
    }
    Ok(exit)
}

fn tell_status(context: &Context, status: &Status, sizes: &[u64]) {
    let say = &context.say;
    let account = address_text(&status.account);
    let contract = status.contract.as_ref().map(address_text);
    let chain = status.chain_id.map(|id| id.to_string());
    let anchored = status.anchored.map(|head| head.size.to_string());
    let (order, attempts) = match status.open {
        None => (None, 0),
        Some((Purpose::Deploy, attempts)) => (Some("deploy".to_owned()), attempts),
        Some((Purpose::Anchor(head), attempts)) => (Some(head.size.to_string()), attempts),
    };
    if say.is_json() {
        say.json(&json!({
            "account": account, "chain_id": chain, "contract": contract, "anchored": anchored,
            "open": order, "attempts": attempts,
            "sizes": sizes.iter().map(u64::to_string).collect::<Vec<_>>(),
        }));
        return;
    }
    let none = say.text("anchor-none");
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| none.clone());
    for (key, value) in [
        ("anchor-field-account", account),
        ("anchor-field-chain", or_none(&chain)),
        ("anchor-field-contract", or_none(&contract)),
        ("anchor-field-anchored", or_none(&anchored)),
        ("anchor-field-open", or_none(&order)),
        ("anchor-field-proofs", sizes.len().to_string()),
    ] {
        say.data(&format!("{}: {value}", say.text(key)));
    }
}

/// Writes the trust file with the contract. Blocks are not put in: whom to ask for their hashes is the verifier's choice.
fn write_trust(context: &Context, args: &AnchorTrust) -> Outcome {
    let mut trust = trust(&args.trust)?;
    let status = Anchorer::open(&args.folder.data).map_err(fault)?.status();
    let (Some(chain_id), Some(contract)) = (status.chain_id, status.contract) else {
        return Err(fault(AnchorError::NoContract));
    };
    let chains = &mut trust.evm_anchors;
    match chains.iter_mut().find(|chain| chain.chain_id == chain_id) {
        Some(chain) if chain.contracts.contains(&contract) => {}
        Some(chain) => chain.contracts.push(contract),
        None => chains.push(EvmTrust { chain_id, contracts: vec![contract], blocks: Vec::new() }),
    }
    let text = trust.to_json();
    files::write_atomic(&args.out, text.as_bytes(), Durability::Synced, Access::Ordinary)?;
    let file = args.out.display().to_string();
    if context.say.is_json() {
        context.say.json(&json!({ "file": file }));
    } else {
        context.say.tell("anchor-trust-written", &[("file", &file)]);
    }
    Ok(Exit::Done)
}

/// Puts the proof with its own path into each receipt, in place.
fn attach(context: &Context, args: &AnchorAttach) -> Outcome {
    let say = &context.say;
    let trusted = Trusted::of(&args.trusted)?;
    let source = Source::needed(&args.at, &trusted)?;
    let log = source.open(&trusted)?;
    let anchorer = Anchorer::open(&args.folder.data).map_err(fault)?;
    let sizes = anchorer.sizes().map_err(fault)?;
    let mut exit = Exit::Done;
    let mut all = Vec::new();
    for path in &args.receipts {
        let file = path.display().to_string();
        match attach_one(path, (&anchorer, &sizes), &log, trusted.file())? {
            Some(size) => {
                say.tell("anchor-attached", &[("file", &file), ("size", &size.to_string())]);
                all.push(json!({ "file": file, "size": size.to_string() }));
            }
            None => {
                exit = Exit::Later;
                say.tell("anchor-not-yet", &[("file", &file)]);
                all.push(json!({ "file": file, "size": null }));
            }
        }
    }
    if say.is_json() {
        say.json(&serde_json::Value::Array(all));
    }
    Ok(exit)
}

/// The size of the first anchored tree that the receipt's entry is in; `None` when none is yet.
fn attach_one(
    path: &Path,
    (anchorer, sizes): (&Anchorer, &[u64]),
    log: &TiledLog<'_>,
    trust: Option<&Trust>,
) -> Result<Option<u64>, Failure> {
    let (mut receipt, proof) = read_receipt(path)?;
    let Some(size) = sizes.iter().copied().find(|size| *size > proof.index) else {
        return Ok(None);
    };
    let announcement = anchorer.announcement(size).map_err(fault)?;
    let hashes = log.inclusion(proof.index, size).map_err(failed)?;
    let anchor = EvmAnchor { path: hashes, announcement };
    anchor.tell(&leaf_hash(&receipt.leaf), proof.index).map_err(unproved)?;
    put(path, &mut receipt, anchor.to_bytes(), trust)?;
    Ok(Some(size))
}

/// A receipt and its proof, to which something is to be added.
pub(super) fn read_receipt(path: &Path) -> Result<(Receipt, TlogProof), Failure> {
    let bytes = read_named(path, RECEIPT_LEN_MAX)?;
    let broken = |why: String| {
        Failure::new(Exit::NotVerified, "receipt-broken").arg("path", path.display()).because(why)
    };
    let receipt = Receipt::from_bytes(&bytes).map_err(|error| broken(error.to_string()))?;
    let proof = TlogProof::parse(&receipt.tlog_proof).map_err(|error| broken(error.to_string()))?;
    Ok((receipt, proof))
}

/// Writes the receipt with an anchor that it does not have yet, in place. What it proves to whoever has the trust file, it goes
/// on proving: an anchor that contradicts a block that they know would make all of it invalid.
pub(super) fn put(
    path: &Path,
    receipt: &mut Receipt,
    anchor: Vec<u8>,
    trust: Option<&Trust>,
) -> Result<(), Failure> {
    if receipt.anchors.contains(&anchor) {
        return Ok(());
    }
    let before = receipt.to_bytes();
    receipt.anchors.push(anchor);
    let written = receipt.to_bytes();
    // More than a container holds would make a good receipt unreadable.
    if let Err(error) = Receipt::from_bytes(&written) {
        return Err(unproved(ProofError::from(error)));
    }
    if let Some(trust) = trust {
        let after = judge(&written, trust);
        if proves_less(&judge(&before, trust), &after) {
            let failure =
                Failure::new(Exit::NotVerified, "attach-worse").arg("path", path.display());
            let fault =
                after.first_failure().map(|(layer, why)| format!("{}: {why}", layer.code()));
            return Err(fault.into_iter().fold(failure, Failure::because));
        }
    }
    Ok(files::write_atomic(path, &written, Durability::Synced, access_of(path))?)
}
