//! `tpw-prove [DIR]`: see the README.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool talks to the person or the machine that runs it"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use tpw_access::policy::PolicyFiles;
use tpw_prove::{Counterexample, Finding, INVARIANTS, ProveError, Prover};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1);
    let files = match folder.as_deref().map(|folder| read(Path::new(folder))) {
        None => PolicyFiles::builtin(),
        Some(Ok(files)) => files,
        Some(Err(cause)) => {
            eprintln!("error: {cause}");
            return ExitCode::from(2);
        }
    };
    match prove(&files).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The rules in a folder; its cases are not needed.
fn read(folder: &Path) -> Result<PolicyFiles, String> {
    let failed = |error: std::io::Error| format!("`{}` cannot be read: {error}", folder.display());
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".cedar") || name.ends_with(".cedarschema") {
            files.insert(name, std::fs::read_to_string(entry.path()).map_err(failed)?);
        }
    }
    PolicyFiles::new(files).map_err(|error| error.to_string())
}

/// How many statements do not hold.
async fn prove(files: &PolicyFiles) -> Result<usize, ProveError> {
    let mut prover = Prover::new(files)?;
    let mut refuted = 0_usize;
    println!("policy set {}", files.version());
    for invariant in INVARIANTS {
        refuted = refuted.saturating_add(tell(&prover.prove(invariant).await?));
    }
    refuted = refuted.saturating_add(tell(&prover.prove_no_errors().await?));
    println!(
        "{} passed, {refuted} failed",
        INVARIANTS.len().saturating_add(1).saturating_sub(refuted)
    );
    Ok(refuted)
}

fn tell(finding: &Finding) -> usize {
    let Finding { name, words, actions, counterexample } = finding;
    let Some(Counterexample { request, entities }) = counterexample else {
        println!("proved   {name} ({actions} actions): {words}");
        return 0;
    };
    println!("REFUTED  {name}: {words}");
    println!("  this request is allowed: {request}");
    // What actions there are is the schema's, and the same in every counterexample.
    let found = entities.iter().filter(|entity| entity.uid().type_name().basename() != "Action");
    for entity in found {
        println!(
            "  where {}",
            entity.to_json_value().map_or_else(|e| e.to_string(), |v| v.to_string())
        );
    }
    1
}
