//! `tpw receipt`: a receipt taken apart for stock tools, or shown.

use super::verify::{RECEIPT_LEN_MAX, run as verify, trust};
use super::{Context, Outcome};
use crate::args::{Receipt, Verify};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use std::path::Path;
use tpw_core::Receipt as Parsed;
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::bundle;

pub(super) fn run(context: &Context, command: &Receipt) -> Outcome {
    match command {
        Receipt::Export { file, out, trust } => export(context, file, out, trust),
        // What is shown of a receipt is what it proves: showing and verifying are one thing.
        Receipt::Show { file, trust } => {
            verify(context, &Verify { files: vec![file.clone()], trust: trust.clone() })
        }
    }
}

fn export(context: &Context, file: &Path, out: &Path, trust_path: &Path) -> Outcome {
    let (bytes, trust) = (read_named(file, RECEIPT_LEN_MAX)?, trust(trust_path)?);
    let broken = |why: String| {
        Failure::new(Exit::NotVerified, "receipt-broken").arg("path", file.display()).because(why)
    };
    let receipt = Parsed::from_bytes(&bytes).map_err(|error| broken(error.to_string()))?;
    let parts = bundle::export(&receipt, &trust).map_err(|error| broken(error.to_string()))?;
    files::create_folder(out)?;
    let say = &context.say;
    let mut names = Vec::new();
    for (name, content) in parts {
        let path = out.join(&name);
        files::write_atomic(&path, &content, Durability::Deferred, Access::Ordinary)?;
        names.push(path.display().to_string());
    }
    if say.is_json() {
        say.json(&serde_json::json!({ "files": names }));
    } else {
        names.iter().for_each(|name| say.data(name));
        say.tell("exported", &[("folder", &out.display().to_string())]);
    }
    Ok(Exit::Done)
}
