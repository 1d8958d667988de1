//! Machines of a drill: network namespaces joined by a bridge, or addresses of loopback where namespaces are not allowed.

use std::fs;
use std::path::Path;

use super::account::{Account, signal};
use crate::shell::{Call, Failure, Workplace};

/// How machines are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Each has its own network, and can be cut off as by a pulled cable.
    Namespaces,
    /// All share loopback; one is cut off by stopping its processes in the middle of what they do.
    Loopback,
}

/// The network between the machines. It is taken down when this value goes.
pub(crate) struct Network<'p> {
    place: &'p Workplace,
    pub(crate) kind: Kind,
    bridge: String,
    number: u32,
    namespaces: Vec<String>,
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Its namespace and the host's end of its cable.
    wired: Option<(String, String)>,
}

impl Kind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Namespaces => "machines with networks of their own",
            Self::Loopback => "addresses of loopback",
        }
    }
}

impl<'p> Network<'p> {
    /// Namespaces if the system lets us make them, which takes root, unless loopback is wished for.
    pub(crate) fn new(
        place: &'p Workplace,
        account: Account,
        wish: Option<Kind>,
    ) -> Result<Self, Failure> {
        sweep(place);
        let number = std::process::id();
        let bridge = format!("tpw{number}");
        let mut network =
            Self { place, kind: Kind::Namespaces, bridge, number, namespaces: Vec::new() };
        let loopback = wish == Some(Kind::Loopback) || account == Account::Own;
        if loopback || !network.raise_bridge() {
            if wish == Some(Kind::Namespaces) {
                return Err(Failure::new("network namespaces cannot be made here; it takes root"));
            }
            network.kind = Kind::Loopback;
        }
        Ok(network)
    }

    fn raise_bridge(&self) -> bool {
        let bridge = self.bridge.as_str();
        let address = format!("{}/24", self.address(1));
        let made = self.ip(&["link", "add", bridge, "type", "bridge"]).is_ok()
            && self.ip(&["addr", "add", &address, "dev", bridge]).is_ok()
            && self.ip(&["link", "set", bridge, "up"]).is_ok();
        let probe = format!("tpw{}-probe", self.number);
        let allowed = made && self.ip(&["netns", "add", &probe]).is_ok();
        if allowed {
            return self.ip(&["netns", "del", &probe]).is_ok();
        }
        let _absent = self.ip(&["link", "del", bridge]);
        false
    }

    fn ip(&self, words: &[&str]) -> Result<(), Failure> {
        self.place.call("ip").words(words).read().map(|_output| ())
    }

    /// Addresses that no real network has: RFC 2544's for measurements, or loopback's own.
    fn address(&self, host: usize) -> String {
        let net = self.number % 250;
        match self.kind {
            Kind::Namespaces => format!("198.18.{net}.{host}"),
            Kind::Loopback => format!("127.77.{net}.{host}"),
        }
    }

    /// The addresses that connections between machines come from.
    pub(crate) fn range(&self) -> String {
        match self.kind {
            Kind::Namespaces => format!("{}/24", self.address(0)),
            Kind::Loopback => "127.0.0.0/8".to_owned(),
        }
    }

    /// Adds a machine.
    pub(crate) fn machine(&mut self, name: &str) -> Result<Machine, Failure> {
        let host = self.namespaces.len().saturating_add(11);
        let address = self.address(host);
        let namespace = format!("{}-{name}", self.bridge);
        self.namespaces.push(namespace.clone());
        let name = name.to_owned();
        if self.kind == Kind::Loopback {
            return Ok(Machine { name, address, wired: None });
        }
        let cable = format!("{}-{host}", self.bridge);
        let ours = namespace.as_str();
        self.ip(&["netns", "add", ours])?;
        self.ip(&["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", ours])?;
        self.ip(&["link", "set", &cable, "master", &self.bridge, "up"])?;
        self.ip(&["-n", ours, "addr", "add", &format!("{address}/24"), "dev", "eth0"])?;
        self.ip(&["-n", ours, "link", "set", "eth0", "up"])?;
        self.ip(&["-n", ours, "link", "set", "lo", "up"])?;
        Ok(Machine { name, address, wired: Some((namespace, cable)) })
    }

    /// Cuts a machine off from all others; `pids` are what runs on it.
    pub(crate) fn cut(&self, machine: &Machine, pids: &[u32]) -> Result<(), Failure> {
        match &machine.wired {
            Some((_, cable)) => self.ip(&["link", "set", cable, "down"]),
            None => signal(self.place, "STOP", pids),
        }
    }

    /// Joins it again.
    pub(crate) fn join(&self, machine: &Machine, pids: &[u32]) -> Result<(), Failure> {
        match &machine.wired {
            Some((_, cable)) => self.ip(&["link", "set", cable, "up"]),
            None => signal(self.place, "CONT", pids),
        }
    }
}

impl Machine {
    /// A call of a program on this machine under that account.
    pub(crate) fn call(
        &self,
        place: &Workplace,
        account: Account,
        program: impl AsRef<Path>,
    ) -> Call {
        match &self.wired {
            None => account.call(place, program),
            Some((namespace, _)) => {
                let entered = place.call("ip").words(&["netns", "exec", namespace, "setpriv"]);
                account.after(entered, program)
            }
        }
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        if self.kind == Kind::Namespaces {
            for namespace in &self.namespaces {
                let _gone = self.ip(&["netns", "del", namespace]);
            }
            let _gone = self.ip(&["link", "del", &self.bridge]);
        }
    }
}

/// Takes down what a drill that was killed left.
fn sweep(place: &Workplace) {
    let number = |name: &str| name.strip_prefix("tpw")?.split('-').next()?.parse::<u32>().ok();
    let left = |name: &str| {
        number(name).is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists())
    };
    for (folder, words) in [("/run/netns", ["netns", "del"]), ("/sys/class/net", ["link", "del"])] {
        for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if left(&name) {
                let _gone = place.call("ip").words(&words).word(&name).quiet();
            }
        }
    }
}
