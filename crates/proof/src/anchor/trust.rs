//! What a trust file says of chains: its member `evm_anchors`.

use super::evm::{Address, EvmTrust};
use crate::error::ProofError;
use serde::{Deserialize, Serialize};
use tpw_core::Hash32;

/// The most chains, and the most contracts of one.
const ITEMS_MAX: usize = 16;

/// The most blocks of a chain: one for each day of two and a half years.
const BLOCKS_MAX: usize = 1024;

/// The wire form of one chain.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wire {
    chain_id: u64,
    contracts: Vec<String>,
    blocks: Vec<String>,
}

fn wrong(why: &'static str) -> ProofError {
    ProofError::Malformed { what: "trust file", why }
}

/// Reads the chains; each stands there once.
pub(crate) fn read(chains: &[Wire]) -> Result<Vec<EvmTrust>, ProofError> {
    let most = |items: usize, most| {
        let what = "list in the trust file";
        if items > most { Err(ProofError::TooLarge { what, most }) } else { Ok(()) }
    };
    most(chains.len(), ITEMS_MAX)?;
    let mut read: Vec<EvmTrust> = Vec::new();
    for chain in chains {
        most(chain.contracts.len(), ITEMS_MAX)?;
        most(chain.blocks.len(), BLOCKS_MAX)?;
        if chain.contracts.is_empty() {
            return Err(wrong("a chain without a contract"));
        }
        if read.iter().any(|known| known.chain_id == chain.chain_id) {
            return Err(wrong("a chain that stands there twice"));
        }
        let contract = |text: &String| bytes(text).ok_or(wrong("a contract's address"));
        let block =
            |text: &String| bytes(text).map(Hash32::new).ok_or(wrong("the hash of a block"));
        read.push(EvmTrust {
            chain_id: chain.chain_id,
            contracts: chain.contracts.iter().map(contract).collect::<Result<_, _>>()?,
            blocks: chain.blocks.iter().map(block).collect::<Result<_, _>>()?,
        });
    }
    Ok(read)
}

/// Bytes as chains write them: `0x` and small hexadecimal digits.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    let small = !digits.bytes().any(|digit| digit.is_ascii_uppercase());
    let bytes = hex::decode(digits).ok().filter(|_| small)?;
    bytes.try_into().ok()
}

/// An address as chains write it, in small letters.
#[must_use]
pub fn address_text(address: &Address) -> String {
    format!("0x{}", hex::encode(address))
}

/// A hash as chains write it.
#[must_use]
pub fn hash_text(hash: &Hash32) -> String {
    format!("0x{hash}")
}

/// Writes the chains; nothing when there are none.
pub(crate) fn write(chains: &[EvmTrust]) -> Option<Vec<Wire>> {
    let wire = |chain: &EvmTrust| Wire {
        chain_id: chain.chain_id,
        contracts: chain.contracts.iter().map(address_text).collect(),
        blocks: chain.blocks.iter().map(hash_text).collect(),
    };
    (!chains.is_empty()).then(|| chains.iter().map(wire).collect())
}
