//! Other time-stamp authorities of a server: the files that describe them, the asking, and the evidence records that they stamp too.

use crate::args::Stamps;
use crate::device::files::read_named;
use crate::exit::Failure;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tpw_engines::stamped::OutsideAuthority;
use tpw_engines::{Config, Engine};
use tpw_proof::timestamp::certificates;
use tpw_server::outbound::Outbound;
use tpw_server::{Archiving, ArchivingTimes, Stamping, StampingTimes};

/// The longest file that describes an authority, in bytes.
const FILE_MAX: u64 = 1 << 16;
/// The longest file of certificates: as long as the stores of operating systems.
const CERTIFICATES_MAX: u64 = 4 << 20;

/// The file of one authority, in TOML. Other files are named from where it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: String,
    url: String,
    policy: String,
    roots: PathBuf,
    ca: Option<PathBuf>,
    #[serde(default = "asked")]
    ask: bool,
}

const fn asked() -> bool {
    true
}

/// An authority, and the certificates that its address is trusted by.
pub(super) struct Named {
    authority: OutsideAuthority,
    ca: Option<Vec<u8>>,
}

/// The other authorities that were named, in their order.
pub(super) fn named(args: &Stamps) -> Result<Vec<Named>, Failure> {
    args.timestamp_authority.iter().map(|path| read(path)).collect()
}

fn unusable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::usage("timestamp-authority").arg("path", path.display()).because(why)
}

fn read(path: &Path) -> Result<Named, Failure> {
    let text = String::from_utf8(read_named(path, FILE_MAX)?);
    let text = text.map_err(|_odd| Failure::usage("not-text").arg("path", path.display()))?;
    let described: Described = toml::from_str(&text).map_err(|error| unusable(path, &error))?;
    let beside = |file: &Path| path.parent().unwrap_or_else(|| Path::new("")).join(file);
    let roots = certificates(&read_named(&beside(&described.roots), FILE_MAX)?);
    let roots = roots.map_err(|error| unusable(path, &error))?;
    let ca = described.ca.map(|ca| read_named(&beside(&ca), CERTIFICATES_MAX)).transpose()?;
    let Described { name, url, policy, ask, .. } = described;
    let authority = OutsideAuthority::new(&name, &url, &policy, roots);
    let authority = authority.map_err(|error| unusable(path, &error))?;
    Ok(Named { authority: if ask { authority } else { authority.not_asked() }, ca })
}

/// Writes policies and authorities into the settings.
pub(super) fn configure(
    config: &mut Config,
    args: &Stamps,
    named: &[Named],
) -> Result<(), Failure> {
    if let Some(policy) = &args.tsa_policy {
        config.tsa_policy.clone_from(&policy.0);
    }
    if let Some(policy) = &args.tsa_compat_policy {
        config.tsa_policy_seconds.clone_from(&policy.0);
    }
    config.tsa_second_policy = args.tsa_pq_policy.as_ref().map(|policy| policy.0.clone());
    let all = [Some(&config.tsa_policy), Some(&config.tsa_policy_seconds)];
    let mut all: Vec<_> =
        all.into_iter().chain([config.tsa_second_policy.as_ref()]).flatten().collect();
    all.sort_unstable();
    let twice = |pair: &&[&String]| pair.first() == pair.last();
    if let Some(policy) = all.windows(2).find(twice).and_then(<[_]>::first) {
        return Err(Failure::usage("tsa-policies").arg("policy", policy));
    }
    config.evidence = args.evidence_every > 0;
    config.outside = named.iter().map(|named| named.authority.clone()).collect();
    Ok(())
}

/// What asks authorities.
pub(super) struct Prepared {
    times: StampingTimes,
    archiving: Option<ArchivingTimes>,
    /// One for each, in their order.
    clients: Vec<Outbound>,
}

/// What asks authorities, until it is dropped.
pub(super) struct Asking {
    _stamping: Option<Stamping>,
    _archiving: Option<Archiving>,
}

/// What the authorities will be asked with, if some were named.
pub(super) fn prepared(args: &Stamps, named: &[Named]) -> Result<Prepared, Failure> {
    let archiving = (args.evidence_every > 0)
        .then(|| ArchivingTimes::every(Duration::from_secs(args.evidence_every)));
    let times = StampingTimes::every(Duration::from_secs(args.timestamp_every));
    let clients = args.timestamp_authority.iter().zip(named).map(|(path, named)| {
        let outbound = Outbound::new(named.ca.as_deref(), times.answer);
        outbound.map_err(|error| unusable(path, &error))
    });
    Ok(Prepared { times, archiving, clients: clients.collect::<Result<_, _>>()? })
}

impl Prepared {
    /// Begins to ask them.
    pub(super) fn begin(self, engine: &Arc<Engine>) -> Asking {
        let Self { times, archiving, clients } = self;
        let archive = |times| Archiving::start(Arc::clone(engine), clients.clone(), times);
        let _archiving = archiving.and_then(archive);
        Asking { _stamping: Stamping::start(Arc::clone(engine), clients, times), _archiving }
    }
}
