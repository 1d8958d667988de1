//! A node of a chain, asked for what anchoring needs.

use super::AnchorError;
use super::machine::{Execution, Mined};
use super::rpc::{self, Member, Transport, hex_of};
use super::transaction::{Fees, Signed};
use serde_json::{Value, json};
use tpw_core::Hash32;
use tpw_proof::anchor::{Address, rlp};

/// A tip for nodes that do not suggest one: one gwei.
const TIP_WEI: u128 = 1_000_000_000;

/// Which state of the chain an answer is about.
#[derive(Clone, Copy)]
pub(super) enum At {
    Latest,
    Finalized,
}

impl At {
    const fn tag(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::Finalized => "finalized",
        }
    }
}

pub(super) struct Node<'t>(pub(super) &'t dyn Transport);

/// All that a block's anchors are proved with.
pub(super) struct Block {
    /// RLP.
    pub(super) header: Vec<u8>,
    /// As they stand in the receipts trie.
    pub(super) receipts: Vec<Vec<u8>>,
    /// Of each receipt, who logged its events.
    pub(super) loggers: Vec<Vec<Address>>,
}

impl Node<'_> {
    fn call(&self, method: &'static str, params: &Value) -> Result<Value, AnchorError> {
        rpc::call(self.0, method, params)
    }

    fn number(&self, method: &'static str, params: &Value) -> Result<u128, AnchorError> {
        let answer = self.call(method, params)?;
        let number = answer.as_str().and_then(rpc::quantity);
        number.ok_or(AnchorError::Odd { method, what: "no number" })
    }

    fn uint(&self, method: &'static str, params: &Value) -> Result<u64, AnchorError> {
        let number = self.number(method, params)?;
        u64::try_from(number).map_err(|_large| AnchorError::Odd { method, what: "a large number" })
    }

    pub(super) fn chain_id(&self) -> Result<u64, AnchorError> {
        self.uint("eth_chainId", &json!([]))
    }

    /// How many transactions the account has sent.
    pub(super) fn nonce(&self, account: &Address, at: At) -> Result<u64, AnchorError> {
        self.uint("eth_getTransactionCount", &json!([hex_of(account), at.tag()]))
    }

    /// The number of the newest block.
    pub(super) fn height(&self, at: At) -> Result<u64, AnchorError> {
        let (method, name) = ("eth_getBlockByNumber", "number");
        let block = self.call(method, &json!([at.tag(), false]))?;
        // A young chain may have no final block yet.
        if block.is_null() {
            return Ok(0);
        }
        Member { method, object: &block, name }.uint()
    }

    /// What a transaction should pay now.
    pub(super) fn fees(&self) -> Result<Fees, AnchorError> {
        let method = "eth_getBlockByNumber";
        let block = self.call(method, &json!([At::Latest.tag(), false]))?;
        let base = Member { method, object: &block, name: "baseFeePerGas" }.number()?;
        let tip = match self.number("eth_maxPriorityFeePerGas", &json!([])) {
            Ok(tip) => tip,
            Err(AnchorError::Refused { .. }) => TIP_WEI,
            Err(error) => return Err(error),
        };
        Ok(Fees::over(base, tip))
    }

    /// The gas of a call with a quarter more; a call that would be reverted is refused here.
    pub(super) fn gas(
        &self,
        from: &Address,
        to: Option<&Address>,
        data: &[u8],
    ) -> Result<u64, AnchorError> {
        let mut call = json!({ "from": hex_of(from), "data": hex_of(data) });
        if let (Some(to), Value::Object(members)) = (to, &mut call) {
            members.insert("to".to_owned(), hex_of(to).into());
        }
        let gas = self.uint("eth_estimateGas", &json!([call]))?;
        Ok(gas.saturating_add(gas >> 2))
    }

    /// Hands a transaction over. That the node has it already, that its nonce has been used, or that it now pays too little is
    /// no failure here: where the order stands is looked up, not concluded from an answer, and its fee is raised in time.
    pub(super) fn send(&self, signed: &Signed) -> Result<(), AnchorError> {
        match self.call("eth_sendRawTransaction", &json!([hex_of(&signed.raw)])) {
            Ok(_hash) => Ok(()),
            Err(AnchorError::Refused { method, message }) => {
                let said = message.to_lowercase();
                let harmless =
                    ["already", "nonce too low", "underpriced", "less than block base fee"];
                if harmless.iter().any(|words| said.contains(words)) {
                    return Ok(());
                }
                Err(AnchorError::Refused { method, message })
            }
            Err(error) => Err(error),
        }
    }

    /// Where a transaction stands in the chain that the node now follows.
    pub(super) fn mined(&self, transaction: &Hash32) -> Result<Option<Mined>, AnchorError> {
        let method = "eth_getTransactionReceipt";
        let receipt = self.call(method, &json!([hex_of(transaction.as_bytes())]))?;
        if receipt.is_null() {
            return Ok(None);
        }
        let member = |name| Member { method, object: &receipt, name };
        let outcome = match member("status").uint()? {
            1 => Execution::Succeeded,
            _ => Execution::Reverted,
        };
        Ok(Some(Mined {
            block: Hash32::new(member("blockHash").fixed()?),
            number: member("blockNumber").uint()?,
            transaction: member("transactionIndex").uint()?,
            outcome,
        }))
    }

    /// A block's header and receipts, as the chain hashes them.
    pub(super) fn block(&self, hash: &Hash32) -> Result<Block, AnchorError> {
        let (method, id) = ("eth_getBlockByHash", hex_of(hash.as_bytes()));
        let block = self.call(method, &json!([id, false]))?;
        let header = header(method, &block)?;
        let method = "eth_getBlockReceipts";
        let answer = self.call(method, &json!([id]))?;
        let list = answer.as_array().ok_or(AnchorError::Odd { method, what: "no list" })?;
        let receipts = list.iter().map(|object| receipt(method, object));
        let receipts = receipts.collect::<Result<_, _>>()?;
        let loggers = list.iter().map(|object| {
            let logs = Member { method, object, name: "logs" }.list()?.iter();
            logs.map(|object| Member { method, object, name: "address" }.fixed()).collect()
        });
        Ok(Block { header, receipts, loggers: loggers.collect::<Result<_, _>>()? })
    }
}

/// How a field of a header is written in RLP.
#[derive(Clone, Copy)]
enum Form {
    Bytes,
    Number,
}

/// The fields of a header, in the order in which the chain hashes them.
const HEADER: [(&str, Form); 15] = [
    ("parentHash", Form::Bytes),
    ("sha3Uncles", Form::Bytes),
    ("miner", Form::Bytes),
    ("stateRoot", Form::Bytes),
    ("transactionsRoot", Form::Bytes),
    ("receiptsRoot", Form::Bytes),
    ("logsBloom", Form::Bytes),
    ("difficulty", Form::Number),
    ("number", Form::Number),
    ("gasLimit", Form::Number),
    ("gasUsed", Form::Number),
    ("timestamp", Form::Number),
    ("extraData", Form::Bytes),
    ("mixHash", Form::Bytes),
    ("nonce", Form::Bytes),
];

/// Those that forks added at its end: London, Shanghai, Cancun (three), Prague.
const LATER: [(&str, Form); 6] = [
    ("baseFeePerGas", Form::Number),
    ("withdrawalsRoot", Form::Bytes),
    ("blobGasUsed", Form::Number),
    ("excessBlobGas", Form::Number),
    ("parentBeaconBlockRoot", Form::Bytes),
    ("requestsHash", Form::Bytes),
];

/// The header's RLP. A chain with further fields gives another hash than its node says, and is refused by that.
fn header(method: &'static str, block: &Value) -> Result<Vec<u8>, AnchorError> {
    let there =
        |(name, _): &&(&'static str, Form)| Member { method, object: block, name }.is_there();
    let fields = HEADER.iter().chain(LATER.iter().take_while(there));
    let field = |(name, form): &(&'static str, Form)| {
        let member = Member { method, object: block, name };
        Ok(match form {
            Form::Bytes => rlp::of_bytes(&member.bytes()?),
            Form::Number => rlp::of_big_uint(&member.big_number()?),
        })
    };
    Ok(rlp::of_list(&fields.map(field).collect::<Result<Vec<_>, AnchorError>>()?))
}

/// A receipt as it stands in the trie (EIP-2718): its type, unless that is 0, and the RLP of its fields.
fn receipt(method: &'static str, object: &Value) -> Result<Vec<u8>, AnchorError> {
    let member = |name| Member { method, object, name };
    let log = |object: &Value| {
        let member = |name| Member { method, object, name };
        let topics = member("topics").list()?.iter().map(|topic| {
            let topic = topic.as_str().and_then(rpc::data);
            let topic = topic.ok_or(AnchorError::Odd { method, what: "topics" })?;
            Ok(rlp::of_bytes(&topic))
        });
        let topics = topics.collect::<Result<Vec<_>, AnchorError>>()?;
        Ok(rlp::of_list(&[
            rlp::of_bytes(&member("address").bytes()?),
            rlp::of_list(&topics),
            rlp::of_bytes(&member("data").bytes()?),
        ]))
    };
    let logs = member("logs").list()?.iter().map(log).collect::<Result<Vec<_>, AnchorError>>()?;
    let fields = rlp::of_list(&[
        rlp::of_uint(member("status").number()?),
        rlp::of_uint(member("cumulativeGasUsed").number()?),
        rlp::of_bytes(&member("logsBloom").bytes()?),
        rlp::of_list(&logs),
    ]);
    let kind = u8::try_from(member("type").uint()?)
        .map_err(|_large| AnchorError::Odd { method, what: "type" })?;
    Ok(if kind == 0 { fields } else { [&[kind][..], &fields].concat() })
}
