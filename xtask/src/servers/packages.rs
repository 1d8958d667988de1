//! The Debian packages of the servers: found, or installed without starting any service.

use std::fs;
use std::path::{Path, PathBuf};

use crate::setup;
use crate::shell::{self, Failure, Workplace};

/// Where Debian's packages put the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";
/// The oldest version that the product supports.
const VERSION_MIN: u32 = 15;
/// Debian makes a cluster at the installation unless a file here says otherwise.
const CREATE_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/tests.conf";
/// Asked by Debian's packages whether a service may be started.
const START_POLICY: &str = "/usr/sbin/policy-rc.d";

/// The programs of PostgreSQL.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Finds them, or installs the package.
    pub(crate) fn find(place: &Workplace) -> Result<Self, Failure> {
        if let Some(found) = Self::installed() {
            return Ok(found);
        }
        let package = "postgresql-15";
        let _quiet = Quiet::begin(place)?;
        no_default_cluster(place)?;
        setup::system_packages(place, &[package])?;
        Self::installed().ok_or_else(|| {
            Failure::new(format!("`{package}` is installed, and `{VERSIONS}` has no programs"))
        })
    }

    fn installed() -> Option<Self> {
        let folders = fs::read_dir(VERSIONS).ok()?.filter_map(Result::ok);
        let versions = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let complete = |version: &u32| {
            let folder = Path::new(VERSIONS).join(version.to_string()).join("bin");
            ["postgres", "initdb", "psql"].iter().all(|name| folder.join(name).is_file())
        };
        let version = versions.filter(|version| *version >= VERSION_MIN).filter(complete).min()?;
        Some(Self { folder: Path::new(VERSIONS).join(version.to_string()).join("bin") })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Patroni and etcd, for the drill.
pub(crate) fn cluster(place: &Workplace) -> Result<(), Failure> {
    let mut missing = Vec::new();
    if !setup::answers(place, "etcd", &["--version"]) {
        missing.push("etcd-server");
    }
    if !setup::answers(place, "patroni", &["--version"]) {
        missing.extend(["patroni", "python3-psycopg2"]);
    }
    if missing.is_empty() {
        return Ok(());
    }
    let _quiet = Quiet::begin(place)?;
    setup::system_packages(place, &missing)
}

/// What the tests of the time-stamp authority need: SoftHSM2 with a tool that makes keys in it, and chrony. No service is started: the
/// tests have daemons and tokens of their own.
pub(crate) fn of_the_authority(place: &Workplace) -> Result<(), Failure> {
    let wanted = [
        ("softhsm2", "/usr/lib/softhsm/libsofthsm2.so"),
        ("opensc", "/usr/bin/pkcs11-tool"),
        ("chrony", "/usr/sbin/chronyd"),
    ];
    let missing = wanted.iter().filter(|(_, file)| !Path::new(file).exists());
    let missing: Vec<&str> = missing.map(|(package, _)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let _quiet = Quiet::begin(place)?;
    setup::system_packages(place, &missing)
}

/// Writes into a folder of the system, as root or through `sudo`.
fn write_system(place: &Workplace, path: &str, text: &str, mode: &str) -> Result<(), Failure> {
    let draft = place.target().join("system-file");
    shell::write(&draft, text)?;
    setup::as_root(place, "install")?.words(&["-D", "-m", mode]).word(&draft).word(path).pass()
}

fn no_default_cluster(place: &Workplace) -> Result<(), Failure> {
    if Path::new(CREATE_CLUSTER).exists() {
        return Ok(());
    }
    let text = "# Tests make clusters of their own.\ncreate_main_cluster = false\n";
    write_system(place, CREATE_CLUSTER, text, "0644")
}

/// While this lives no package starts its service. A policy that the machine has already is left alone.
struct Quiet<'p> {
    place: &'p Workplace,
    ours: bool,
}

impl<'p> Quiet<'p> {
    fn begin(place: &'p Workplace) -> Result<Self, Failure> {
        let ours = !Path::new(START_POLICY).exists();
        if ours {
            write_system(place, START_POLICY, "#!/bin/sh\nexit 101\n", "0755")?;
        }
        Ok(Self { place, ours })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if self.ours {
            let removed = setup::as_root(self.place, "rm")
                .and_then(|call| call.words(&["-f", START_POLICY]).pass());
            if let Err(failure) = removed {
                println!("remove `{START_POLICY}` by hand: {failure}");
            }
        }
    }
}
