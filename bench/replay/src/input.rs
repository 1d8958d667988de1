//! The two files of a transfer list: accounts with opening balances, and transfers between them.

use crate::error::{ReplayError, bad_amount};
use crate::order::Edge;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;
use tpw_core::{Amount, Asset};
use tpw_crypto::sha256;

/// An account of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Node {
    /// Its name in the list.
    pub name: String,
    /// What it opens with.
    pub opening: Amount,
}

/// A transfer of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Its place among the transfers of the file, from 1.
    pub number: u32,
    /// Who pays whom, as places in [`Input::nodes`].
    pub edge: Edge,
    /// How much.
    pub amount: Amount,
}

/// Accounts and transfers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Input {
    /// The asset of all amounts.
    pub asset: Asset,
    /// The accounts.
    pub nodes: Vec<Node>,
    /// The transfers that can be intents, in file order.
    pub transfers: Vec<Transfer>,
    /// The numbers of those that cannot: from an account to itself, or of nothing.
    pub not_sendable: Vec<u32>,
    /// SHA-256 of both files, 64 hexadecimal digits.
    pub fingerprint: String,
}

#[derive(Deserialize)]
struct NodeRow {
    nodeid: String,
    init_balance: String,
}

#[derive(Deserialize)]
struct TransferRow {
    #[serde(rename = "sourceNodeId")]
    source: String,
    #[serde(rename = "targetNodeId")]
    target: String,
    value: String,
}

fn read(path: &Path) -> Result<Vec<u8>, ReplayError> {
    std::fs::read(path).map_err(ReplayError::io("read", path))
}

/// Reads the header now, so that line numbers are those of rows.
fn skip_header(reader: &mut csv::Reader<&[u8]>, path: &Path) -> Result<(), ReplayError> {
    reader.headers().map(drop).map_err(|error| ReplayError::input(path, 1, error.to_string()))
}

fn line_of(reader: &csv::Reader<&[u8]>) -> u64 {
    reader.position().line()
}

impl Input {
    /// Reads both files; of the transfers the first `limit`.
    ///
    /// # Errors
    /// [`ReplayError::Input`] names file and line; [`ReplayError::Io`].
    pub fn read(
        nodes_path: &Path,
        transfers_path: &Path,
        asset: Asset,
        limit: Option<usize>,
    ) -> Result<Self, ReplayError> {
        let (nodes_csv, transfers_csv) = (read(nodes_path)?, read(transfers_path)?);
        let (nodes, places) = read_nodes(nodes_path, &nodes_csv, asset)?;
        let mut input = Self {
            asset,
            nodes,
            transfers: Vec::new(),
            not_sendable: Vec::new(),
            fingerprint: hex::encode(sha256(
                &[sha256(&nodes_csv), sha256(&transfers_csv)].concat(),
            )),
        };
        let mut reader = csv::Reader::from_reader(transfers_csv.as_slice());
        skip_header(&mut reader, transfers_path)?;
        let mut number = 0_u32;
        while limit.is_none_or(|limit| usize::try_from(number).is_ok_and(|n| n < limit)) {
            let line = line_of(&reader);
            let Some(row) = reader.deserialize::<TransferRow>().next() else { break };
            let row = row.map_err(|e| ReplayError::input(transfers_path, line, e.to_string()))?;
            number = number.saturating_add(1);
            let place = |name: &str| {
                places.get(name).copied().ok_or_else(|| {
                    ReplayError::input(
                        transfers_path,
                        line,
                        format!("no account is called `{name}`"),
                    )
                })
            };
            let edge = Edge { payer: place(&row.source)?, payee: place(&row.target)? };
            let amount = asset.parse_units(&row.value);
            let amount = amount.map_err(|error| bad_amount(transfers_path, line, &error))?;
            if edge.payer == edge.payee || amount.is_zero() {
                input.not_sendable.push(number);
            } else {
                input.transfers.push(Transfer { number, edge, amount });
            }
        }
        Ok(input)
    }

    /// Who pays whom, in file order.
    #[must_use]
    pub fn edges(&self) -> Vec<Edge> {
        self.transfers.iter().map(|transfer| transfer.edge).collect()
    }
}

type Places = HashMap<String, u32>;

fn read_nodes(path: &Path, bytes: &[u8], asset: Asset) -> Result<(Vec<Node>, Places), ReplayError> {
    let mut reader = csv::Reader::from_reader(bytes);
    skip_header(&mut reader, path)?;
    let (mut nodes, mut places) = (Vec::new(), HashMap::new());
    loop {
        let line = line_of(&reader);
        let Some(row) = reader.deserialize::<NodeRow>().next() else { break };
        let row = row.map_err(|error| ReplayError::input(path, line, error.to_string()))?;
        let opening = asset.parse_units(&row.init_balance);
        let opening = opening.map_err(|error| bad_amount(path, line, &error))?;
        let place = u32::try_from(nodes.len());
        let place = place.map_err(|_| ReplayError::input(path, line, "too many accounts"))?;
        if places.insert(row.nodeid.clone(), place).is_some() {
            let why = format!("the account `{}` comes twice", row.nodeid);
            return Err(ReplayError::input(path, line, why));
        }
        nodes.push(Node { name: row.nodeid, opening });
    }
    Ok((nodes, places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(nodes: &str, transfers: &str, limit: Option<usize>) -> Result<Input, ReplayError> {
        let folder = tempfile::tempdir().unwrap();
        let (n, t) = (folder.path().join("nodes.csv"), folder.path().join("transactions.csv"));
        std::fs::write(&n, nodes).unwrap();
        std::fs::write(&t, transfers).unwrap();
        Input::read(&n, &t, "USD/2".parse().unwrap(), limit)
    }

    const NODES: &str = "nodeid,isFraud,init_balance,fraudStep\na,0,184.44,-1\nb,1,7,3\n";
    const HEAD: &str = "sourceNodeId,targetNodeId,value,time\n";

    #[test]
    fn amounts_become_minor_units_and_odd_transfers_are_set_apart() {
        let rows = format!("{HEAD}a,b,163.3,1\na,a,5,1\nb,a,0,2\nb,a,0.01,2\n");
        let read = input(NODES, &rows, None).unwrap();
        assert_eq!(read.nodes.iter().map(|n| n.opening.minor()).collect::<Vec<_>>(), [18_444, 700]);
        let sent: Vec<_> = read.transfers.iter().map(|t| (t.number, t.amount.minor())).collect();
        assert_eq!(sent, [(1, 16_330), (4, 1)]);
        assert_eq!(read.not_sendable, [2, 3]);
        assert_eq!(input(NODES, &rows, Some(2)).unwrap().transfers.len(), 1);
    }

    #[test]
    fn bad_lines_are_named() {
        for (nodes, rows, line) in [
            (NODES, "a,b,1.234,1\n", 2),
            (NODES, "a,b,1,1\na,c,1,1\n", 3),
            (NODES, "a,b,-1,1\n", 2),
            (NODES, "a,b,1e3,1\n", 2),
            (NODES, "a,b\n", 2),
            ("nodeid,isFraud,init_balance,fraudStep\na,0,x,-1\n", "", 2),
            ("nodeid,isFraud,init_balance,fraudStep\na,0,1,-1\na,0,1,-1\n", "", 3),
        ] {
            let error = input(nodes, &format!("{HEAD}{rows}"), None).unwrap_err();
            assert!(matches!(error, ReplayError::Input { line: at, .. } if at == line), "{error}");
        }
    }
}
