//! Anchors the log on an EVM chain: an account of the operator's calls a contract, whose event is proved by the block's
//! receipts trie.
//!
//! INVARIANT: a proof is taken only from a block that the node calls final, and only after the verifier's own code has
//! followed it to the block's hash.

mod journal;
mod machine;
mod node;
mod proofs;
mod rpc;
mod transaction;

use crate::entropy::OsEntropy;
use crate::files::{self, Access, Durability, FileError, FolderLock};
use crate::log_store::{LogError, LogView};
use journal::{Attempt, Journal, Order};
use machine::{Mined, Next, View};
use node::{At, Node};
use std::path::{Path, PathBuf};
use tpw_core::TreeHead;
use tpw_crypto::{ChainKey, CryptoError, Zeroizing, keccak256};
use tpw_proof::ProofError;
use tpw_proof::anchor::{Address, Announcement, EvmAnchor, path_to};
use transaction::Draft;

pub use journal::Purpose;
pub use machine::Waiting;
pub use proofs::{Anchored, Anchors, Course};
pub use rpc::{ANSWER_LEN_MAX, Transport};
pub use transaction::Fees;

/// The contract as `contracts/Anchor.sol` compiles: `cargo xtask contract` makes it.
const ARTEFACT: &str = include_str!("../../../../contracts/Anchor.json");

const KEY_LEN_MAX: u64 = 64;
const PROOF_LEN_MAX: u64 = tpw_proof::anchor::LEN_MAX as u64;

/// Why anchoring does not go on. Nothing is lost by any of them: the same step can be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// The account's key could not be made.
    #[error("the account's key cannot be used: {0}")]
    Crypto(#[from] CryptoError),
    /// A file holds something else.
    #[error("`{file}` in the folder is damaged; restore it from a backup")]
    Damaged {
        /// Which.
        file: &'static str,
    },
    /// The folder was never set up.
    #[error("the folder has no account; make one with `tpw anchor init`")]
    NoAccount,
    /// The folder has an account already.
    #[error("the folder has an account already: {0}")]
    HasAccount(String),
    /// There is no contract yet.
    #[error("the folder has no contract; make one with `tpw anchor deploy`")]
    NoContract,
    /// There is a contract already.
    #[error("the folder has a contract already: {0}")]
    HasContract(String),
    /// An order is still on its way.
    #[error("another transaction of this account is still on its way; wait until it is final")]
    Busy,
    /// The node does not answer.
    #[error("no answer from the chain's node: {0}")]
    Away(String),
    /// The node refuses.
    #[error("the chain's node refuses `{method}`: {message}")]
    Refused {
        /// What was asked.
        method: &'static str,
        /// What it said.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("the chain's node gives an odd answer to `{method}`: {what}")]
    Odd {
        /// What was asked.
        method: &'static str,
        /// What is odd.
        what: &'static str,
    },
    /// The node follows another chain.
    #[error("the folder is for chain {wanted}, and the node follows chain {found}")]
    OtherChain {
        /// That of the folder.
        wanted: u64,
        /// That of the node.
        found: u64,
    },
    /// More than the operator wants to pay.
    #[error("a transaction would cost up to {wei} wei per gas, more than the limit of {most}")]
    TooExpensive {
        /// What it would cost.
        wei: u128,
        /// The limit.
        most: u128,
    },
    /// The contract did not take the call.
    #[error("the transaction was reverted: is this the account that made the contract?")]
    Reverted,
    /// The folder is of another log.
    #[error(
        "the folder has announced a tree of {size} entries that this log never signed; name the folder of this log"
    )]
    OtherLog {
        /// The tree's size.
        size: u64,
    },
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// What the node gave is no proof.
    #[error("the chain's node gives no proof of its block: {0}")]
    Unproved(#[from] ProofError),
}

/// How long to wait and how much to pay.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The most for a unit of gas, in wei.
    pub max_wei: u128,
    /// After so many blocks without success the fee is raised.
    pub patience_blocks: u64,
}

/// How far an order has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing is on its way.
    Idle,
    /// The contract is final.
    Deployed(Address),
    /// The head is anchored, and its proof is kept.
    Anchored(TreeHead),
    /// It was handed to the node.
    Sent,
    /// It waits.
    Waiting(Waiting),
    /// Another transaction of the account took the nonce; the order has to be given again.
    Lost(Purpose),
}

/// Where everything stands, without asking a node.
#[derive(Clone, Debug)]
pub struct Status {
    /// The account that pays.
    pub account: Address,
    /// The chain, once there was an order.
    pub chain_id: Option<u64>,
    /// The contract.
    pub contract: Option<Address>,
    /// The newest head that is anchored.
    pub anchored: Option<TreeHead>,
    /// What is on its way, and how often it was sent with another fee.
    pub open: Option<(Purpose, usize)>,
}

/// The anchoring account of a log, with its journal and the proofs so far.
#[derive(Debug)]
pub struct Anchorer {
    folder: PathBuf,
    key: ChainKey,
    journal: Option<Journal>,
    _lock: FolderLock,
}

impl Anchorer {
    /// Makes an account in `folder`: its address, to which somebody has to send the chain's coins.
    ///
    /// # Errors
    /// [`AnchorError::HasAccount`]; [`AnchorError::File`].
    pub fn init(folder: &Path) -> Result<Address, AnchorError> {
        files::create_private_folder(folder)?;
        let _lock = FolderLock::take(folder)?;
        if let Some(key) = read_key(folder)? {
            return Err(AnchorError::HasAccount(rpc::hex_of(&key.address())));
        }
        let key = ChainKey::generate(&mut OsEntropy)?;
        let (path, bytes) = (folder.join("key"), key.to_secret_bytes());
        files::write_atomic(&path, &bytes, Durability::Synced, Access::Private)?;
        Ok(key.address())
    }

    /// Opens a folder that [`Anchorer::init`] made.
    ///
    /// # Errors
    /// [`AnchorError::NoAccount`], [`AnchorError::Damaged`], [`AnchorError::File`].
    pub fn open(folder: &Path) -> Result<Self, AnchorError> {
        if !folder.join("key").exists() {
            return Err(AnchorError::NoAccount);
        }
        let lock = FolderLock::take(folder)?;
        let key = read_key(folder)?.ok_or(AnchorError::NoAccount)?;
        let journal = Journal::load(&folder.join("journal.json"))?;
        Ok(Self { folder: folder.to_owned(), key, journal, _lock: lock })
    }

    /// Where everything stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let journal = self.journal.as_ref();
        let open = journal.and_then(|journal| journal.open.as_ref());
        Status {
            account: self.key.address(),
            chain_id: journal.map(|journal| journal.chain_id),
            contract: journal.and_then(|journal| journal.contract),
            anchored: journal.and_then(|journal| journal.anchored),
            open: open.map(|order| (order.purpose, order.attempts.len())),
        }
    }

    /// Orders a new contract. It is on its way when this returns.
    ///
    /// # Errors
    /// [`AnchorError::HasContract`], [`AnchorError::Busy`], or what the node or a file answers.
    pub fn deploy(
        &mut self,
        transport: &dyn Transport,
        terms: &Terms,
    ) -> Result<Progress, AnchorError> {
        if let Some(contract) = self.status().contract {
            return Err(AnchorError::HasContract(rpc::hex_of(&contract)));
        }
        self.order(&Node(transport), terms, Purpose::Deploy)
    }

    /// Orders that a head is announced. It is on its way when this returns; one that is anchored already is left alone.
    ///
    /// # Errors
    /// [`AnchorError::NoContract`], [`AnchorError::Busy`], or what the node or a file answers.
    pub fn anchor(
        &mut self,
        transport: &dyn Transport,
        terms: &Terms,
        head: TreeHead,
    ) -> Result<Progress, AnchorError> {
        if self.status().contract.is_none() {
            return Err(AnchorError::NoContract);
        }
        if self.status().anchored == Some(head) {
            return Ok(Progress::Idle);
        }
        self.order(&Node(transport), terms, Purpose::Anchor(head))
    }

    /// One step of what is on its way.
    ///
    /// # Errors
    /// What the node or a file answers; [`AnchorError::Reverted`] and [`AnchorError::TooExpensive`].
    pub fn step(
        &mut self,
        transport: &dyn Transport,
        terms: &Terms,
    ) -> Result<Progress, AnchorError> {
        let node = Node(transport);
        let Some(order) = self.journal.as_ref().and_then(|journal| journal.open.clone()) else {
            return Ok(Progress::Idle);
        };
        self.check_chain(&node)?;
        let view = self.look(&node, &order)?;
        match machine::next(&order, &view, terms.patience_blocks) {
            Next::Collect(mined) => self.collect(&node, &order, &mined),
            Next::Reverted => {
                self.close(|_journal| ())?;
                Err(AnchorError::Reverted)
            }
            Next::Lost => {
                self.close(|_journal| ())?;
                Ok(Progress::Lost(order.purpose))
            }
            Next::Wait(waiting) => Ok(Progress::Waiting(waiting)),
            Next::Send => {
                send_newest(&node, &order)?;
                Ok(Progress::Waiting(Waiting::Block))
            }
            Next::Raise => self.raise(&node, terms, order, view.latest),
        }
    }

    /// The proofs so far: the sizes of trees that are anchored, smallest first.
    ///
    /// # Errors
    /// [`AnchorError::File`].
    pub fn sizes(&self) -> Result<Vec<u64>, AnchorError> {
        let folder = self.folder.join("proofs");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(FileError::Io { doing: "read", path: folder, cause }.into()),
        };
        let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        let size = |name: std::ffi::OsString| name.to_str()?.strip_suffix(".evm")?.parse().ok();
        let mut sizes: Vec<u64> = names.filter_map(size).collect();
        sizes.sort_unstable();
        Ok(sizes)
    }

    /// The announcement of the tree of this size.
    ///
    /// # Errors
    /// [`AnchorError::Damaged`], [`AnchorError::File`].
    pub fn announcement(&self, size: u64) -> Result<Announcement, AnchorError> {
        proofs::read(&self.folder, size)
    }

    /// That what was anchored, or is on its way, are heads of this log: a folder of another one would prove nothing, and cost
    /// its fees.
    ///
    /// # Errors
    /// [`AnchorError::OtherLog`]; [`AnchorError::Log`] when the log cannot be read.
    pub fn check_log(&self, log: &LogView) -> Result<(), AnchorError> {
        let status = self.status();
        let open = match status.open {
            Some((Purpose::Anchor(head), _)) => Some(head),
            _ => None,
        };
        for head in status.anchored.into_iter().chain(open) {
            if log.root_at(head.size)? != Some(head.root) {
                return Err(AnchorError::OtherLog { size: head.size });
            }
        }
        Ok(())
    }

    fn store(&self, journal: &Journal) -> Result<(), AnchorError> {
        journal.store(&self.folder.join("journal.json"))
    }

    fn check_chain(&self, node: &Node<'_>) -> Result<u64, AnchorError> {
        let found = node.chain_id()?;
        match self.journal.as_ref().map(|journal| journal.chain_id) {
            Some(wanted) if wanted != found => Err(AnchorError::OtherChain { wanted, found }),
            _ => Ok(found),
        }
    }

    /// Journals an order and hands it to the node.
    fn order(
        &mut self,
        node: &Node<'_>,
        terms: &Terms,
        purpose: Purpose,
    ) -> Result<Progress, AnchorError> {
        let chain_id = self.check_chain(node)?;
        let mut journal = self.journal.clone().unwrap_or(Journal::new(chain_id));
        if journal.open.is_some() {
            return Err(AnchorError::Busy);
        }
        let account = self.key.address();
        let (to, data) = call(purpose, journal.contract)?;
        // What the account has in the newest block counts: whatever it had on its way there is over.
        let nonce = node.nonce(&account, At::Latest)?;
        let gas = node.gas(&account, to.as_ref(), &data)?;
        let fees = within(node.fees()?, terms)?;
        let at_block = node.height(At::Latest)?;
        let signed = Draft { chain_id, nonce, fees, gas, to, data }.sign(&self.key);
        let attempts = vec![Attempt { signed, fees, at_block }];
        let order = Order { purpose, nonce, gas, attempts };
        journal.open = Some(order.clone());
        self.store(&journal)?;
        self.journal = Some(journal);
        send_newest(node, &order)?;
        Ok(Progress::Sent)
    }

    /// Asks where an order stands, in the order that [`View`] demands.
    fn look(&self, node: &Node<'_>, order: &Order) -> Result<View, AnchorError> {
        let account = self.key.address();
        let finalized = node.height(At::Finalized)?;
        let nonce_final = node.nonce(&account, At::Finalized)?;
        let nonce_latest = node.nonce(&account, At::Latest)?;
        let latest = node.height(At::Latest)?;
        let mut mined = None;
        for attempt in order.attempts.iter().rev() {
            mined = node.mined(&attempt.signed.hash)?;
            if mined.is_some() {
                break;
            }
        }
        Ok(View { finalized, nonce_final, nonce_latest, latest, mined })
    }

    /// Makes the order anew with a higher fee and the same nonce, journals it, and hands it to the node.
    fn raise(
        &mut self,
        node: &Node<'_>,
        terms: &Terms,
        mut order: Order,
        at_block: u64,
    ) -> Result<Progress, AnchorError> {
        let Some(mut journal) = self.journal.clone() else { return Ok(Progress::Idle) };
        let Some(newest) = order.attempts.last() else { return Ok(Progress::Idle) };
        let fees = newest.fees.raised(node.fees()?);
        let Ok(fees) = within(fees, terms) else {
            // At the limit the newest attempt stays as it is, and may get through later.
            send_newest(node, &order)?;
            return Ok(Progress::Waiting(Waiting::Block));
        };
        let (to, data) = call(order.purpose, journal.contract)?;
        let Order { nonce, gas, .. } = order;
        let draft = Draft { chain_id: journal.chain_id, nonce, fees, gas, to, data };
        order.attempts.push(Attempt { signed: draft.sign(&self.key), fees, at_block });
        journal.open = Some(order.clone());
        self.store(&journal)?;
        self.journal = Some(journal);
        send_newest(node, &order)?;
        Ok(Progress::Sent)
    }

    /// Ends the open order after `change`.
    fn close(&mut self, change: impl FnOnce(&mut Journal)) -> Result<(), AnchorError> {
        let Some(mut journal) = self.journal.clone() else { return Ok(()) };
        change(&mut journal);
        journal.open = None;
        self.store(&journal)?;
        self.journal = Some(journal);
        Ok(())
    }

    /// Takes what a final block gives.
    fn collect(
        &mut self,
        node: &Node<'_>,
        order: &Order,
        mined: &Mined,
    ) -> Result<Progress, AnchorError> {
        match order.purpose {
            Purpose::Deploy => {
                let contract = transaction::contract_address(&self.key.address(), order.nonce);
                self.close(|journal| journal.contract = Some(contract))?;
                Ok(Progress::Deployed(contract))
            }
            Purpose::Anchor(head) => {
                let announcement = self.prove(node, mined, head)?;
                let path = proofs::path(&self.folder, head.size);
                files::create_folder(&self.folder.join("proofs"))?;
                let bytes = EvmAnchor { path: Vec::new(), announcement }.to_bytes();
                files::write_atomic(&path, &bytes, Durability::Synced, Access::Ordinary)?;
                // Only now: without the file the order would be over and its proof nowhere.
                self.close(|journal| journal.anchored = Some(head))?;
                Ok(Progress::Anchored(head))
            }
        }
    }

    fn prove(
        &self,
        node: &Node<'_>,
        mined: &Mined,
        head: TreeHead,
    ) -> Result<Announcement, AnchorError> {
        let Some(Journal { chain_id, contract: Some(contract), .. }) = self.journal else {
            return Err(AnchorError::NoContract);
        };
        let block = node.block(&mined.block)?;
        let (_root, nodes) = path_to(&block.receipts, mined.transaction)?;
        let ours = usize::try_from(mined.transaction).ok();
        let loggers = ours.and_then(|ours| block.loggers.get(ours));
        let event = loggers.and_then(|loggers| (0..).zip(loggers).find(|(_, by)| **by == contract));
        let (left, right) = ("the chain's node", "what was ordered");
        let differs = |field| ProofError::Mismatch { field, left, right };
        let (event, _contract) = event.ok_or_else(|| differs("event"))?;
        let transaction = mined.transaction;
        let header = block.header;
        let announcement = Announcement { chain_id, header, transaction, nodes, event };
        let told = announcement.tell()?;
        if told.block.hash != mined.block {
            return Err(differs("hash of the block").into());
        }
        if told.announced.contract != contract || TreeHead::from(&told.announced) != head {
            return Err(differs("announced head").into());
        }
        Ok(announcement)
    }
}

fn read_key(folder: &Path) -> Result<Option<ChainKey>, AnchorError> {
    let Some(bytes) = files::read(&folder.join("key"), KEY_LEN_MAX)? else { return Ok(None) };
    let bytes = Zeroizing::new(bytes);
    let key = ChainKey::from_secret_bytes(&bytes);
    key.map(Some).map_err(|_odd| AnchorError::Damaged { file: "key" })
}

fn send_newest(node: &Node<'_>, order: &Order) -> Result<(), AnchorError> {
    order.attempts.last().map_or(Ok(()), |newest| node.send(&newest.signed))
}

fn within(fees: Fees, terms: &Terms) -> Result<Fees, AnchorError> {
    if fees.max_wei > terms.max_wei {
        return Err(AnchorError::TooExpensive { wei: fees.max_wei, most: terms.max_wei });
    }
    Ok(fees)
}

/// Whom to call with which data.
fn call(
    purpose: Purpose,
    contract: Option<Address>,
) -> Result<(Option<Address>, Vec<u8>), AnchorError> {
    let head = match purpose {
        Purpose::Deploy => return Ok((None, bytecode()?)),
        Purpose::Anchor(head) => head,
    };
    let contract = contract.ok_or(AnchorError::NoContract)?;
    let [a, b, c, d, ..] = keccak256(b"anchor(bytes32,uint64)");
    let mut data = vec![a, b, c, d];
    data.extend_from_slice(head.root.as_bytes());
    data.extend_from_slice(&[0; 24]);
    data.extend_from_slice(&head.size.to_be_bytes());
    Ok((Some(contract), data))
}

fn bytecode() -> Result<Vec<u8>, AnchorError> {
    let artefact: serde_json::Value = serde_json::from_str(ARTEFACT).unwrap_or_default();
    let code = artefact.get("bytecode").and_then(serde_json::Value::as_str).and_then(rpc::data);
    code.ok_or(AnchorError::Damaged { file: "contracts/Anchor.json" })
}
