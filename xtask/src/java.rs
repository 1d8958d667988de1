//! The Java libraries that judge our formats: fetched once through Maven, checked against their pinned hashes.

use std::path::PathBuf;

use crate::setup::{answers, system_packages};
use crate::shell::{self, Failure, Workplace};

/// A line each: group, artefact and version, then the SHA-256 of its file. Their licences and reasons are in
/// `docs/dependencies.md`.
const LIBRARIES: &str = include_str!("../java-judges.txt");
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy";

/// A folder with the libraries, and a machine that can run programs with them.
pub(crate) fn libraries(place: &Workplace) -> Result<PathBuf, Failure> {
    if !answers(place, "javac", &["-version"]) {
        system_packages(place, &["default-jdk-headless"])?;
    }
    let folder = place.target().join("java-judges");
    std::fs::create_dir_all(&folder)
        .map_err(|error| Failure::new(format!("cannot make `{}`: {error}", folder.display())))?;
    let hashes = folder.join("hashes.txt");
    let line = |(name, hash): (&str, &str)| {
        let file = name.split(':').skip(1).collect::<Vec<_>>().join("-");
        format!("{hash}  {}\n", folder.join(format!("{file}.jar")).display())
    };
    let wanted = || LIBRARIES.lines().filter_map(|line| line.split_once(' '));
    shell::write(&hashes, &wanted().map(line).collect::<String>())?;
    let whole = || {
        let call = place.call("sha256sum").words(&["--check", "--status"]).word(&hashes);
        call.quiet().is_ok_and(|finished| finished.success)
    };
    if whole() {
        return Ok(folder);
    }
    if !answers(place, "mvn", &["--version"]) {
        system_packages(place, &["maven"])?;
    }
    for (name, _) in wanted() {
        let (artefact, out) =
            (format!("-Dartifact={name}"), format!("-DoutputDirectory={}", folder.display()));
        println!("fetching {name}");
        place.call("mvn").words(&["-q", "-B", COPY, &artefact, &out]).pass()?;
    }
    if whole() {
        return Ok(folder);
    }
    Err(Failure::new("a library is not the one whose hash is in `xtask/java-judges.txt`"))
}
