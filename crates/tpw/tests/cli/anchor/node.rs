//! The chain of the tests: a real node (anvil), which `cargo xtask test` starts. Its chain is one, so that tests take turns.

use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tpw_engines::anchor::{ANSWER_LEN_MAX, AnchorError, Anchorer, Transport};
use tpw_engines::files::FileError;
use tpw_server::outbound::Outbound;

const VARIABLE: &str = "TPW_TEST_EVM";

/// The node's own account with coins, which everybody knows.
pub(crate) const RICH: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";

/// As many blocks as make one final, and some more.
pub(crate) const FINAL: u64 = 70;

static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Chain {
    pub(crate) url: String,
    runtime: Runtime,
    outbound: Outbound,
    _turn: MutexGuard<'static, ()>,
}

impl Chain {
    /// A new chain, without blocks, that makes one for each transaction.
    pub(crate) fn fresh() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let url = std::env::var(VARIABLE).unwrap_or_else(|_unset| {
            panic!("`{VARIABLE}` is not set: run `cargo xtask test`, or `eval \"$(cargo xtask anvil start)\"`")
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outbound = Outbound::new(None, Duration::from_secs(30)).unwrap();
        let chain = Self { url, runtime, outbound, _turn: turn };
        chain.ask("anvil_setChainId", &json!([31337]));
        chain.ask("anvil_reset", &json!([]));
        chain.ask("evm_setAutomine", &json!([true]));
        chain
    }

    pub(crate) fn ask(&self, method: &str, params: &Value) -> Value {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer: Value =
            serde_json::from_slice(&self.post(request.to_string()).unwrap()).unwrap();
        assert!(answer["error"].is_null(), "{method}: {answer}");
        answer["result"].clone()
    }

    pub(crate) fn mine(&self, blocks: u64) {
        self.ask("anvil_mine", &json!([format!("0x{blocks:x}")]));
    }

    /// The next block is no older than now: the chain's clock begins anew with each of them.
    pub(crate) fn catch_up(&self) {
        let newest = self.ask("eth_getBlockByNumber", &json!(["latest", false]));
        let newest = newest["timestamp"].as_str().unwrap().trim_start_matches("0x");
        let newest = u64::from_str_radix(newest, 16).unwrap();
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        self.ask("evm_setNextBlockTimestamp", &json!([now.max(newest + 1)]));
    }

    pub(crate) fn automine(&self, each: bool) {
        self.ask("evm_setAutomine", &json!([each]));
    }

    /// Coins for an account.
    pub(crate) fn fund(&self, account: &str) {
        self.ask("anvil_setBalance", &json!([account, "0xde0b6b3a7640000"]));
    }

    /// How many transactions the newest chain has of an account.
    pub(crate) fn sent(&self, account: &str) -> u64 {
        let count = self.ask("eth_getTransactionCount", &json!([account, "latest"]));
        u64::from_str_radix(count.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Waits for the node, which makes blocks on its own after it has answered.
    pub(crate) fn until_sent(&self, account: &str, count: u64) {
        for _ in 0..10_000 {
            if self.sent(account) == count {
                return;
            }
        }
        panic!("the node made no block of it");
    }

    /// A transaction of somebody that does nothing.
    pub(crate) fn noise(&self, from: &str) {
        self.ask("eth_sendTransaction", &json!([{ "from": from, "to": RICH, "value": "0x0" }]));
    }
}

impl Transport for Chain {
    fn post(&self, body: String) -> Result<Vec<u8>, String> {
        let asked = self.outbound.post_json(&self.url, body, ANSWER_LEN_MAX);
        let answer = self.runtime.block_on(asked);
        answer.map(|answer| answer.body.to_vec()).map_err(|error| error.to_string())
    }
}

/// An account's folder.
pub(crate) fn opened(folder: &Path) -> Anchorer {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match Anchorer::open(folder) {
            // What other tests start has every lock of this process until it runs its own program.
            Err(AnchorError::File(FileError::InUse { .. })) if Instant::now() < until => {
                std::thread::yield_now();
            }
            done => return done.unwrap(),
        }
    }
}

/// What goes wrong between this process and the node when it is asked for `method`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request does not arrive.
    Before,
    /// It arrives, and its answer does not.
    After,
    /// The first of two words becomes the other one, wherever it stands in the answer.
    Lie(&'static str, &'static str),
}

/// A connection to the real node with a fault, which strikes once.
pub(crate) struct Faulty<'c> {
    pub(crate) chain: &'c Chain,
    pub(crate) method: &'static str,
    fault: Cell<Option<Fault>>,
}

impl<'c> Faulty<'c> {
    pub(crate) fn new(chain: &'c Chain, method: &'static str, fault: Fault) -> Self {
        Self { chain, method, fault: Cell::new(Some(fault)) }
    }
}

impl Transport for Faulty<'_> {
    fn post(&self, body: String) -> Result<Vec<u8>, String> {
        let struck = body.contains(&format!("\"{}\"", self.method));
        let fault = if struck { self.fault.take() } else { None };
        if fault == Some(Fault::Before) {
            return Err("the wire is cut".to_owned());
        }
        let answer = self.chain.post(body)?;
        match fault {
            Some(Fault::After) => Err("the wire is cut".to_owned()),
            Some(Fault::Lie(from, to)) => {
                let text = String::from_utf8(answer).unwrap();
                assert!(text.contains(from), "{text}");
                Ok(text.replace(from, to).into_bytes())
            }
            _ => Ok(answer),
        }
    }
}
