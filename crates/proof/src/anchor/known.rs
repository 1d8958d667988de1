//! Blocks that a person knows from elsewhere and writes down, one a line: the hash of a block of an EVM chain, `0x…`, or a
//! Bitcoin block header behind its network and height, `main 900000 00e0ff…`.

use crate::ots::{Headers, Network};
use crate::trust::Trust;
use tpw_core::Hash32;

/// The longest text that is read, in bytes, and the most lines that say something.
pub const KNOWN_LEN_MAX: usize = 1 << 14;
const LINES_MAX: usize = 64;

/// Why a line is no block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KnownFault {
    /// It is neither a hash nor a header.
    Form,
    /// A hash, and the trust file speaks of no chain that the block could be of.
    NoChain,
    /// A header without the work that it claims, or with less than its network asks for.
    Header,
    /// There are too many.
    TooMany,
}

impl KnownFault {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::NoChain => "no-chain",
            Self::Header => "header",
            Self::TooMany => "too-many",
        }
    }
}

/// The trust file with these blocks. A hash names one block of one chain, whichever that is.
///
/// # Errors
/// The first line that is none, counted from 1, and why.
pub fn with_known(trust: &Trust, text: &str) -> Result<Trust, (usize, KnownFault)> {
    let mut more = trust.clone();
    if text.len() > KNOWN_LEN_MAX {
        return Err((1, KnownFault::TooMany));
    }
    let lines = (1_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    for (count, (number, line)) in lines.enumerate() {
        if count >= LINES_MAX {
            return Err((number, KnownFault::TooMany));
        }
        add(&mut more, line.trim()).map_err(|fault| (number, fault))?;
    }
    Ok(more)
}

fn add(trust: &mut Trust, line: &str) -> Result<(), KnownFault> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [hash] => {
            let hash = block_hash(hash).ok_or(KnownFault::Form)?;
            if trust.evm_anchors.is_empty() {
                return Err(KnownFault::NoChain);
            }
            trust.evm_anchors.iter_mut().for_each(|chain| chain.blocks.push(hash));
        }
        [network, height, header] => {
            let network = Network::from_name(network).ok_or(KnownFault::Form)?;
            let height = height.parse().map_err(|_odd| KnownFault::Form)?;
            let header = hex::decode(header).map_err(|_odd| KnownFault::Form)?;
            let headers = Headers::read(height, &header, network);
            trust.bitcoin_headers.push(headers.map_err(|_odd| KnownFault::Header)?);
        }
        _ => return Err(KnownFault::Form),
    }
    Ok(())
}

/// A block's hash as EVM chains write it, in letters of any size.
#[must_use]
pub fn block_hash(text: &str) -> Option<Hash32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    Hash32::from_slice(&hex::decode(digits).ok()?)
}
