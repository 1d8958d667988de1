//! Goal: of an order the chain takes exactly one transaction, and a proof comes only from a final block, whatever happens.
//! Method: the library against the real node; connections that fail at chosen requests stand for crashes, and the folder is
//! opened anew after each.

use super::node::{Chain, FINAL, Fault, Faulty, RICH, opened};
use serde_json::json;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tpw_core::{Hash32, TreeHead};
use tpw_engines::anchor::{AnchorError, Anchorer, Progress, Purpose, Terms, Transport, Waiting};
use tpw_proof::Frontier;
use tpw_proof::anchor::address_text;
use tpw_proof::tree::leaf_hash;

const TERMS: Terms = Terms { max_wei: 100_000_000_000, patience_blocks: 1000 };

fn head(size: u64) -> TreeHead {
    let mut tree = Frontier::default();
    (0..size).for_each(|entry| tree.push(leaf_hash(&entry.to_be_bytes())));
    TreeHead { size, root: tree.root() }
}

/// A funded account with a contract whose block is final.
struct World {
    chain: Chain,
    folder: PathBuf,
    account: String,
    _root: TempDir,
}

impl World {
    fn new() -> Self {
        let (chain, root) = (Chain::fresh(), tempfile::tempdir().unwrap());
        let folder = root.path().join("anchor");
        let account = address_text(&Anchorer::init(&folder).unwrap());
        chain.fund(&account);
        let world = Self { chain, folder, account, _root: root };
        let mut anchorer = world.open();
        assert_eq!(anchorer.deploy(&world.chain, &TERMS).unwrap(), Progress::Sent);
        world.chain.until_sent(&world.account, 1);
        let waits = Progress::Waiting(Waiting::Final(1));
        assert_eq!(anchorer.step(&world.chain, &TERMS).unwrap(), waits);
        world.chain.mine(FINAL);
        let deployed = anchorer.step(&world.chain, &TERMS).unwrap();
        assert!(matches!(deployed, Progress::Deployed(_)), "{deployed:?}");
        world
    }

    /// As after a restart.
    fn open(&self) -> Anchorer {
        opened(&self.folder)
    }

    fn step(&self, by: &dyn Transport) -> Result<Progress, AnchorError> {
        self.open().step(by, &TERMS)
    }

    /// Mines until what is on its way is final, and takes the proof.
    #[track_caller]
    fn finish(&self, wanted: TreeHead) {
        self.chain.automine(true);
        let mut progress = self.step(&self.chain).unwrap();
        for _ in 0..5 {
            if progress == Progress::Anchored(wanted) {
                return self.check(wanted);
            }
            self.chain.mine(FINAL);
            progress = self.step(&self.chain).unwrap();
        }
        panic!("{progress:?}");
    }

    /// The proof is kept, and leads from the announced head to the block's hash as the node knows it.
    #[track_caller]
    fn check(&self, wanted: TreeHead) {
        let anchorer = self.open();
        let told = anchorer.announcement(wanted.size).unwrap().tell().unwrap();
        assert_eq!(TreeHead::from(&told.announced), wanted);
        assert_eq!(Some(told.announced.contract), anchorer.status().contract);
        let number = format!("0x{:x}", told.block.number);
        let block = self.chain.ask("eth_getBlockByNumber", &json!([number, false]));
        assert_eq!(block["hash"], format!("0x{}", told.block.hash));
        assert_eq!(anchorer.status().anchored, Some(wanted));
        assert_eq!(anchorer.status().open, None);
    }
}

#[test]
fn a_head_is_anchored_once_its_block_is_final() {
    let world = World::new();
    let order = |size| world.open().anchor(&world.chain, &TERMS, head(size)).unwrap();
    assert_eq!(order(3), Progress::Sent);
    world.chain.until_sent(&world.account, 2);
    let waiting = world.step(&world.chain).unwrap();
    assert!(matches!(waiting, Progress::Waiting(Waiting::Final(_))), "{waiting:?}");
    assert!(world.open().sizes().unwrap().is_empty(), "no proof before the block is final");
    let busy = world.open().anchor(&world.chain, &TERMS, head(4));
    assert!(matches!(busy, Err(AnchorError::Busy)), "{busy:?}");
    world.finish(head(3));
    // The same head costs nothing more; a larger one is a transaction of its own.
    assert_eq!(order(3), Progress::Idle);
    assert_eq!(world.chain.sent(&world.account), 2);
    order(9);
    world.finish(head(9));
    assert_eq!(world.chain.sent(&world.account), 3);
    assert_eq!(world.open().sizes().unwrap(), [3, 9]);
}

#[test]
fn a_proof_is_found_among_many_transactions_of_a_block() {
    let world = World::new();
    for before in [1, 127, 129] {
        world.chain.automine(false);
        for _ in 0..before {
            world.chain.noise(RICH);
        }
        world.open().anchor(&world.chain, &TERMS, head(before)).unwrap();
        world.chain.noise(RICH);
        world.chain.mine(1);
        world.finish(head(before));
    }
}

#[test]
fn a_reorganisation_before_finality_only_delays() {
    let world = World::new();
    world.open().anchor(&world.chain, &TERMS, head(5)).unwrap();
    world.chain.until_sent(&world.account, 2);
    world.chain.mine(3);
    world.chain.automine(false);
    world.chain.ask("anvil_reorg", &json!([6, []]));
    world.chain.ask("anvil_dropAllTransactions", &json!([]));
    assert_eq!(world.chain.sent(&world.account), 1, "the chain has forgotten it");
    assert_eq!(world.step(&world.chain).unwrap(), Progress::Waiting(Waiting::Block));
    world.chain.mine(1);
    let again = world.step(&world.chain).unwrap();
    assert!(matches!(again, Progress::Waiting(Waiting::Final(_))), "{again:?}");
    // And once more, to another height.
    world.chain.ask("anvil_reorg", &json!([2, []]));
    world.chain.ask("anvil_dropAllTransactions", &json!([]));
    world.step(&world.chain).unwrap();
    world.finish(head(5));
    assert_eq!(world.chain.sent(&world.account), 2);
}

#[test]
fn a_crash_around_sending_sends_nothing_twice() {
    let world = World::new();
    for (size, fault) in [(1, Fault::Before), (2, Fault::After)] {
        let faulty = Faulty::new(&world.chain, "eth_sendRawTransaction", fault);
        let crashed = world.open().anchor(&faulty, &TERMS, head(size));
        assert!(matches!(crashed, Err(AnchorError::Away(_))), "{crashed:?}");
        let status = world.open().status();
        assert_eq!(status.open, Some((Purpose::Anchor(head(size)), 1)), "journalled first");
        world.finish(head(size));
        assert_eq!(world.chain.sent(&world.account), 1 + size);
    }
}

#[test]
fn a_crash_at_any_request_leaves_an_order_that_goes_on() {
    let world = World::new();
    for (size, method) in (1..).zip([
        "eth_chainId",
        "eth_getTransactionCount",
        "eth_estimateGas",
        "eth_maxPriorityFeePerGas",
        "eth_getBlockByNumber",
        "eth_getTransactionReceipt",
        "eth_getBlockByHash",
        "eth_getBlockReceipts",
    ]) {
        let faulty = Faulty::new(&world.chain, method, Fault::Before);
        // Where the order fails nothing was journalled, and it is given again.
        if world.open().anchor(&faulty, &TERMS, head(size)).is_err() {
            assert_eq!(world.open().status().open, None, "{method}");
            world.open().anchor(&faulty, &TERMS, head(size)).unwrap();
        }
        world.chain.mine(FINAL);
        while world.step(&faulty).is_err() {}
        world.check(head(size));
        assert_eq!(world.chain.sent(&world.account), 1 + size, "{method}");
    }
}

#[test]
fn a_nonce_that_somebody_else_used_is_given_up_only_when_that_is_final() {
    let world = World::new();
    let faulty = Faulty::new(&world.chain, "eth_sendRawTransaction", Fault::Before);
    world.open().anchor(&faulty, &TERMS, head(7)).unwrap_err();
    // Another program with the same key is quicker.
    world.chain.ask("anvil_impersonateAccount", &json!([world.account]));
    world.chain.noise(&world.account);
    world.chain.until_sent(&world.account, 2);
    let waiting = world.step(&world.chain).unwrap();
    assert_eq!(waiting, Progress::Waiting(Waiting::OtherTransaction));
    world.chain.mine(FINAL);
    assert_eq!(world.step(&world.chain).unwrap(), Progress::Lost(Purpose::Anchor(head(7))));
    world.open().anchor(&world.chain, &TERMS, head(7)).unwrap();
    world.finish(head(7));
    assert_eq!(world.chain.sent(&world.account), 3);
}

#[test]
fn a_fee_that_is_too_low_is_raised_with_the_same_nonce() {
    let world = World::new();
    world.chain.automine(false);
    world.open().anchor(&world.chain, &TERMS, head(2)).unwrap();
    let dear = |blocks: u32| {
        for _ in 0..blocks {
            // 40 gwei: more than twice what it was.
            world.chain.ask("anvil_setNextBlockBaseFeePerGas", &json!(["0x9502f9000"]));
            world.chain.mine(1);
        }
    };
    dear(1);
    assert_eq!(world.step(&world.chain).unwrap(), Progress::Waiting(Waiting::Block));
    dear(3);
    let hasty = Terms { patience_blocks: 3, ..TERMS };
    assert_eq!(world.open().step(&world.chain, &hasty).unwrap(), Progress::Sent);
    assert_eq!(world.open().status().open, Some((Purpose::Anchor(head(2)), 2)));
    dear(1);
    let taken = world.step(&world.chain).unwrap();
    assert!(matches!(taken, Progress::Waiting(Waiting::Final(_))), "{taken:?}");
    world.finish(head(2));
    assert_eq!(world.chain.sent(&world.account), 2);
}

#[test]
fn the_limit_of_the_fee_holds() {
    let world = World::new();
    let poor = Terms { max_wei: 1, patience_blocks: 3 };
    let refused = world.open().anchor(&world.chain, &poor, head(2));
    assert!(matches!(refused, Err(AnchorError::TooExpensive { most: 1, .. })), "{refused:?}");
    assert_eq!(world.open().status().open, None);
    // An order that would have to pay more stays as it is.
    world.chain.automine(false);
    world.open().anchor(&world.chain, &TERMS, head(2)).unwrap();
    world.chain.ask("anvil_dropAllTransactions", &json!([]));
    world.chain.mine(5);
    let kept = world.open().step(&world.chain, &poor).unwrap();
    assert_eq!(kept, Progress::Waiting(Waiting::Block));
    assert_eq!(world.open().status().open, Some((Purpose::Anchor(head(2)), 1)));
    world.finish(head(2));
}

#[test]
fn only_the_maker_of_a_contract_speaks_through_it() {
    let world = World::new();
    let contract = hex::encode(world.open().status().contract.unwrap());
    let other = world.folder.with_file_name("other");
    let account = address_text(&Anchorer::init(&other).unwrap());
    world.chain.fund(&account);
    let journal = json!({
        "version": 1, "chain_id": 31337, "contract": contract, "anchored": null, "open": null,
    });
    std::fs::write(other.join("journal.json"), journal.to_string()).unwrap();
    let mut other = Anchorer::open(&other).unwrap();
    let refused = other.anchor(&world.chain, &TERMS, head(1));
    assert!(matches!(refused, Err(AnchorError::Refused { .. })), "{refused:?}");
    assert_eq!((other.status().open, world.chain.sent(&account)), (None, 0));
}

#[test]
fn a_lying_node_gives_no_proof() {
    let world = World::new();
    for (size, (method, from, to)) in (1..).zip([
        ("eth_getBlockReceipts", "\"status\":\"0x1\"", "\"status\":\"0x0\""),
        ("eth_getBlockReceipts", "\"cumulativeGasUsed\":\"0x", "\"cumulativeGasUsed\":\"0x1"),
        ("eth_getBlockByHash", "\"gasUsed\":\"0x", "\"gasUsed\":\"0x1"),
        ("eth_getBlockByHash", "\"extraData\":\"0x", "\"extraData\":\"0x00"),
        (
            "eth_getTransactionReceipt",
            "\"transactionIndex\":\"0x0\"",
            "\"transactionIndex\":\"0x1\"",
        ),
        ("eth_getBlockByHash", "\"result\":{", "\"result\":null,\"x\":{"),
    ]) {
        world.open().anchor(&world.chain, &TERMS, head(size)).unwrap();
        world.chain.mine(FINAL);
        let lie = Faulty::new(&world.chain, method, Fault::Lie(from, to));
        let found = world.step(&lie);
        let told = matches!(found, Err(AnchorError::Unproved(_) | AnchorError::Odd { .. }));
        assert!(told, "{method} {to}: {found:?}");
        assert!(world.open().announcement(size).is_err(), "{method}");
        // What one node cannot prove another one can.
        world.finish(head(size));
    }
}

#[test]
fn a_node_of_another_chain_is_refused() {
    let world = World::new();
    world.chain.ask("anvil_setChainId", &json!([5]));
    let other = world.open().anchor(&world.chain, &TERMS, head(1));
    let told = matches!(other, Err(AnchorError::OtherChain { wanted: 31337, found: 5 }));
    assert!(told, "{other:?}");
}

#[test]
fn a_damaged_folder_is_refused() {
    let world = World::new();
    let damaged = |file: &str, bytes: &[u8]| {
        let path = world.folder.join(file);
        let good = std::fs::read(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let found = Anchorer::open(&world.folder);
        assert!(matches!(found, Err(AnchorError::Damaged { .. })), "{file}: {found:?}");
        std::fs::write(&path, good).unwrap();
    };
    damaged("key", b"");
    damaged("key", b"tpw-chain\x01");
    damaged("journal.json", b"");
    damaged("journal.json", b"{\"version\": 2}");
    let faulty = Faulty::new(&world.chain, "eth_sendRawTransaction", Fault::Before);
    world.open().anchor(&faulty, &TERMS, head(1)).unwrap_err();
    let text = std::fs::read_to_string(world.folder.join("journal.json")).unwrap();
    // Another transaction than the one that was signed, and one without its bytes.
    damaged("journal.json", text.replacen("\"raw\": \"02", "\"raw\": \"03", 1).as_bytes());
    let root = Hash32::ZERO.to_string();
    damaged("journal.json", text.replace(&head(1).root.to_string(), &root[1..]).as_bytes());
    let held = world.open();
    assert!(matches!(Anchorer::open(&world.folder), Err(AnchorError::File(_))), "one at a time");
    drop(held);
    assert!(matches!(Anchorer::init(&world.folder), Err(AnchorError::HasAccount(_))));
    let nothing = Anchorer::open(Path::new("/nowhere"));
    assert!(matches!(nothing, Err(AnchorError::NoAccount)), "{nothing:?}");
}
