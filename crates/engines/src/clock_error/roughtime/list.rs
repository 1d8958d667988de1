//! The list of servers (RFC 10049 §8.3), with one member of our own: `quorum`, how many of them have to agree.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::Path;
use tpw_crypto::{Algorithm, PublicKey};

const LIST_LEN_MAX: u64 = 1 << 16;
/// They are asked one after the other.
const SERVERS_MAX: usize = 16;
const NAME_LEN_MAX: usize = 64;

/// Whom to ask, and how many of them have to agree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct ServerList {
    pub(super) servers: Vec<Server>,
    pub(super) quorum: usize,
}

/// One server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) key: PublicKey,
    /// Host and port.
    pub(super) address: String,
}

#[derive(Deserialize)]
struct WireList {
    servers: Vec<WireServer>,
    quorum: Option<usize>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireServer {
    name: String,
    public_key_type: String,
    public_key: String,
    addresses: Vec<WireAddress>,
}

#[derive(Deserialize)]
struct WireAddress {
    protocol: String,
    address: String,
}

impl ServerList {
    /// Reads the file; what is wrong with it in words otherwise.
    pub(in super::super) fn read(path: &Path) -> Result<Self, String> {
        let bytes = crate::files::read(path, LIST_LEN_MAX).map_err(|error| error.to_string())?;
        Self::parse(&bytes.ok_or("it is not there")?)
    }

    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let list: WireList = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let count = list.servers.len();
        if !(1..=SERVERS_MAX).contains(&count) {
            return Err(format!("it has {count} servers, and there are to be 1 to {SERVERS_MAX}"));
        }
        let servers = list.servers.into_iter().map(Server::new).collect::<Result<Vec<_>, _>>()?;
        let keys: BTreeSet<&[u8]> = servers.iter().map(|server| server.key.as_bytes()).collect();
        if keys.len() < count {
            return Err("two of its servers have one key, and would count twice".to_owned());
        }
        // Two groups of fewer could agree on two times.
        let majority = (count / 2).saturating_add(1);
        let quorum = list.quorum.unwrap_or(majority);
        if !(majority..=count).contains(&quorum) {
            return Err(format!(
                "`quorum` is {quorum}, and of {count} servers {majority} to {count} have to agree"
            ));
        }
        Ok(Self { servers, quorum })
    }
}

impl Server {
    fn new(wire: WireServer) -> Result<Self, String> {
        let WireServer { name, public_key_type, public_key, addresses } = wire;
        let shown = !name.is_empty() && name.chars().all(|c| !c.is_control());
        if !shown || name.len() > NAME_LEN_MAX {
            return Err(format!("a server's name has 1 to {NAME_LEN_MAX} bytes"));
        }
        if public_key_type != "ed25519" {
            return Err(format!(
                "the key of `{name}` is of type `{public_key_type}`, not `ed25519`"
            ));
        }
        let key = STANDARD.decode(&public_key).ok();
        let key = key.and_then(|key| PublicKey::from_bytes(Algorithm::Ed25519, &key).ok());
        let key = key.ok_or_else(|| format!("`publicKey` of `{name}` is no key in base64"))?;
        let udp = addresses.into_iter().find(|address| address.protocol == "udp");
        let address = udp.map(|udp| udp.address).filter(|text| has_port(text));
        let wrong = || format!("`{name}` has no address for `udp` with host and port");
        Ok(Self { key, address: address.ok_or_else(wrong)?, name })
    }
}

fn has_port(address: &str) -> bool {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    //! Goal: a list is understood as its author means it, or refused with what is wrong. Method: a good list, and one thing wrong.

    use super::*;

    /// RFC 8032 §7.1, tests 1 to 3.
    const GOOD: &str = r#"{"servers": [
        {"name": "a.example", "version": 1, "publicKeyType": "ed25519",
         "publicKey": "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
         "addresses": [{"protocol": "tcp", "address": "a.example:2002"},
                       {"protocol": "udp", "address": "a.example:2003"}]},
        {"name": "b", "version": 1, "publicKeyType": "ed25519",
         "publicKey": "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
         "addresses": [{"protocol": "udp", "address": "[2001:db8::1]:2002"}]},
        {"name": "c", "version": 1, "publicKeyType": "ed25519",
         "publicKey": "/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=",
         "addresses": [{"protocol": "udp", "address": "192.0.2.1:2002"}]}
        ], "sources": ["https://example.com/list"]}"#;

    #[test]
    fn a_list_names_its_servers_and_their_quorum() {
        let list = ServerList::parse(GOOD.as_bytes()).unwrap();
        let addresses: Vec<&str> = list.servers.iter().map(|one| one.address.as_str()).collect();
        assert_eq!(addresses, ["a.example:2003", "[2001:db8::1]:2002", "192.0.2.1:2002"]);
        assert_eq!(list.quorum, 2, "more than half");
        let all = GOOD.replace(r#""sources""#, r#""quorum": 3, "sources""#);
        assert_eq!(ServerList::parse(all.as_bytes()).unwrap().quorum, 3);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        for (from, to, said) in [
            ("{\"servers\"", "{\"server\"", "missing field `servers`"),
            ("\"ed25519\"", "\"rsa\"", "of type `rsa`"),
            ("11qYAY", "11qYA", "is no key"),
            ("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "AAAA", "is no key"),
            (
                "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
                "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
                "count twice",
            ),
            ("a.example:2003", "a.example", "no address"),
            ("a.example:2003", ":2003", "no address"),
            ("a.example:2003", "a.example:0", "no address"),
            ("\"udp\", \"address\": \"a", "\"sctp\", \"address\": \"a", "no address"),
            ("\"name\": \"b\"", "\"name\": \"\"", "name has"),
            ("\"name\": \"b\"", "\"name\": \"b\\n\"", "name has"),
            ("\"sources\"", "\"quorum\": 1, \"sources\"", "2 to 3 have to agree"),
            ("\"sources\"", "\"quorum\": 4, \"sources\"", "2 to 3 have to agree"),
            ("list\"]}", "list\"]", "EOF"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let refused = ServerList::parse(GOOD.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert!(refused.contains(said), "{from} -> {to}: {refused}");
        }
        let none = ServerList::parse(br#"{"servers": []}"#).unwrap_err();
        assert!(none.contains("0 servers"), "{none}");
        assert_eq!(ServerList::read(Path::new("/nowhere")), Err("it is not there".to_owned()));
    }
}
