//! `tpw receipt`: a receipt taken apart for stock tools, shown, or renewed.

mod html;
mod pdf;
mod print;
mod sheet;

use super::verify::{RECEIPT_LEN_MAX, judge_all, trust};
use super::{Context, Outcome, evidence, input};
use crate::args::{Device, ExportFormat, Receipt};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use std::path::Path;
use tpw_core::Receipt as Parsed;
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::{ProofError, Trust, asic, bundle};

pub(super) async fn run(context: &Context, command: &Receipt) -> Outcome {
    match command {
        Receipt::Renew(args) => Box::pin(evidence::renew(context, args)).await,
        Receipt::Upgrade(args) => Box::pin(evidence::upgrade(context, args)).await,
        Receipt::Plan(args) => evidence::plan(context, args),
        Receipt::Export { file, format, out, trust, wallet } => {
            let trust = trusted(trust.as_deref(), wallet.as_deref())?;
            export(context, file, *format, out, &trust)
        }
        Receipt::Print(args) => print::run(context, args),
        // What is shown of a receipt is what it proves: showing and verifying are one thing.
        Receipt::Show { file, trust, wallet } => {
            let trust = trusted(trust.as_deref(), wallet.as_deref())?;
            judge_all(context, std::slice::from_ref(file), &trust)
        }
    }
}

/// The trust file named, or else whom this device's wallet trusts. Never one that lies beside the receipt: whoever
/// sends a forged receipt would send that too.
pub(super) fn trusted(path: Option<&Path>, wallet: Option<&Path>) -> Result<Trust, Failure> {
    if let Some(path) = path {
        return trust(path);
    }
    let device = Device { wallet: wallet.map(Path::to_owned), passphrase_file: None };
    let profile = input::folder(&device)?.profile();
    Ok(profile.map_err(|_none| Failure::usage("no-trust"))?.trust()?)
}

fn export(
    context: &Context,
    file: &Path,
    format: ExportFormat,
    out: &Path,
    trust: &Trust,
) -> Outcome {
    let bytes = read_named(file, RECEIPT_LEN_MAX)?;
    let broken = |why: String| {
        Failure::new(Exit::NotVerified, "receipt-broken").arg("path", file.display()).because(why)
    };
    let receipt = Parsed::from_bytes(&bytes).map_err(|error| broken(error.to_string()))?;
    let one = |container: Result<Vec<u8>, ProofError>| {
        Ok::<_, Failure>(vec![(
            out.to_owned(),
            container.map_err(|error| broken(error.to_string()))?,
        )])
    };
    let parts = match format {
        ExportFormat::Files => {
            let parts =
                bundle::export(&receipt, trust).map_err(|error| broken(error.to_string()))?;
            files::create_folder(out)?;
            parts.into_iter().map(|(name, content)| (out.join(name), content)).collect()
        }
        ExportFormat::Asic => one(asic::container(&receipt))?,
        ExportFormat::AsicErs => one(asic::evidence_container(&receipt))?,
    };
    let say = &context.say;
    let mut names = Vec::new();
    for (path, content) in parts {
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
