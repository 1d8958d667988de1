//! `tpw receipt print`: a receipt for people and paper, with the receipt file inside.

use super::super::verify::RECEIPT_LEN_MAX;
use super::super::{Context, Outcome};
use super::sheet::Sheet;
use super::{html, pdf, trusted};
use crate::args::{Print, PrintFormat};
use crate::device::files::read_named;
use crate::exit::{Exit, Failure};
use serde_json::json;
use tpw_engines::files::{self, Access, Durability};
use tpw_proof::judge;

/// Fonts with Chinese characters have some megabytes.
const FONT_LEN_MAX: u64 = 64 << 20;

pub(super) fn run(context: &Context, args: &Print) -> Outcome {
    let say = &context.say;
    let trust = trusted(args.trust.as_deref(), args.wallet.as_deref())?;
    let bytes = read_named(&args.file, RECEIPT_LEN_MAX)?;
    let judgement = judge(&bytes, &trust);
    // Paper looks the same whether or not it is true: nothing is printed that does not hold.
    let Some(proved) = judgement.payment.as_ref().filter(|_| judgement.is_valid()) else {
        let layer = judgement.first_failure().map_or("none", |(layer, _)| layer.code());
        let layer = say.text(&format!("layer-{layer}"));
        return Err(Failure::new(Exit::NotVerified, "receipt-bad").arg("layer", layer));
    };
    let sheet = Sheet::of(say, &judgement, proved, &bytes, &trust);
    let written = match (args.format, &args.font) {
        (PrintFormat::Html, _) => html::page(&sheet, &bytes).into_bytes(),
        (PrintFormat::SelfVerifying, _) => {
            html::self_verifying(&sheet, &bytes, &trust).into_bytes()
        }
        (PrintFormat::Pdf, Some(path)) => {
            let font = read_named(path, FONT_LEN_MAX)?;
            let unfit = |why: pdf::FontError| {
                Failure::usage("font").arg("path", path.display()).because(why)
            };
            pdf::document(&sheet, &bytes, &font).map_err(unfit)?
        }
        (PrintFormat::Pdf, None) => return Err(Failure::usage("font-missing")),
    };
    // It says who paid whom: for its owner alone, as the receipt itself is.
    files::write_atomic(&args.out, &written, Durability::Deferred, Access::Private)?;
    let shown = args.out.display().to_string();
    if say.is_json() {
        say.json(&json!({ "file": shown }));
    } else {
        say.data(&shown);
    }
    Ok(Exit::Done)
}
