//! A printed receipt as one page of HTML: one that loads nothing and runs nothing, or the verify page in one file with the receipt inside,
//! which judges it whenever it is opened.
//!
//! Both carry the receipt file in the link with the id `receipt-file`, so that it can be verified again later.

use super::sheet::{Row, Section, Sheet, runs};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use qrcodegen::{QrCode, QrCodeEcc};
use tpw_crypto::sha256;
use tpw_proof::Trust;

/// Plain type, black on white: it is for paper.
const STYLE: &str = "\
body{font:10pt/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:#111;background:#fff;max-width:46rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.5rem;margin:0 0 .5rem}h2{font-size:1rem;margin:1.5rem 0 .25rem;border-bottom:1px solid #999}\
.amount{font-size:1.75rem;font-variant-numeric:tabular-nums;margin:.5rem 0 0}.words{font-size:1.1rem;margin:0 0 .5rem}\
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:400;color:#555;width:12rem;vertical-align:top;padding:.1rem .75rem .1rem 0}\
td{overflow-wrap:anywhere;padding:.1rem 0}svg{float:right;width:9rem;height:9rem;margin:0 0 1rem 1rem}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:.5rem}section{break-inside:avoid}\
@page{margin:15mm}@media print{body{margin:0;max-width:none}}";

/// The page. `receipt` is the file that it was made of.
pub(super) fn page(sheet: &Sheet, receipt: &[u8]) -> String {
    // A hash names the one style sheet; nothing else is allowed to be loaded, run, framed or sent.
    let style_hash = STANDARD.encode(sha256(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'"
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{content}</body>\n</html>\n",
        lang = sheet.lang.tag(),
        title = text(&sheet.title),
        content = content(sheet, "h1", &receipt_link(sheet, receipt)),
    )
}

/// The verify page in one file, with its policy, its script and the judge as they are, and inside it the receipt, the trust file and, for
/// readers without scripts, the printed text. Where there are scripts, it shows what it proves and none of that text.
pub(super) fn self_verifying(sheet: &Sheet, receipt: &[u8], trust: &Trust) -> String {
    let page = tpw_server::verify_page();
    let (before, after) = page.split_once(MAIN).unwrap_or((page, ""));
    let file = STANDARD.encode(trust.to_json());
    let trust = format!(
        " <a id=\"trust-file\" download=\"trust.json\" href=\"data:application/json;base64,{file}\">trust.json</a>"
    );
    let links = format!("{}{trust}", receipt_link(sheet, receipt));
    let (lang, content) = (sheet.lang.tag(), content(sheet, "h2", &links));
    format!("{before}{MAIN}\n<article id=\"carried\" lang=\"{lang}\">\n{content}</article>{after}")
}

/// Where the content of the verify page begins.
const MAIN: &str = "<main>";

fn receipt_link(sheet: &Sheet, receipt: &[u8]) -> String {
    let (name, file) = (text(&sheet.file_name), STANDARD.encode(receipt));
    let download = text(&sheet.download);
    format!(
        "<a id=\"receipt-file\" download=\"{name}\" href=\"data:application/vnd.tpw.receipt+cbor;base64,{file}\">{download}</a>"
    )
}

/// What is printed, under a heading of that rank.
fn content(sheet: &Sheet, heading: &str, links: &str) -> String {
    let sections: String = sheet.sections.iter().map(section).collect();
    let commands: String =
        sheet.commands.iter().map(|command| format!("{}\n", text(command))).collect();
    format!(
        "{qr}<{heading} data-fact=\"title\">{title}</{heading}>\n\
         <p class=\"amount\" data-fact=\"amount\">{amount}</p>\n\
         <p class=\"words\" data-fact=\"words\">{words}</p>\n<p>{verdict}</p>\n{sections}\
         <section>\n<p>{guide}</p>\n<pre>{commands}</pre>\n<p>{links}</p>\n</section>\n",
        title = text(&sheet.title),
        qr = qr(&sheet.code),
        amount = text(&sheet.amount),
        words = text(&sheet.in_words),
        verdict = text(&sheet.verdict),
        guide = text(&sheet.guide),
    )
}

fn section(section: &Section) -> String {
    // What people have written may run the other way: it does not turn its surroundings.
    let row = |row: &Row| {
        format!(
            "<tr><th>{}</th><td><bdi data-fact=\"{}\">{}</bdi></td></tr>\n",
            text(&row.name),
            row.fact,
            text(&row.value)
        )
    };
    let rows: String = section.rows.iter().map(row).collect();
    format!("<section>\n<h2>{}</h2>\n<table>\n{rows}</table>\n</section>\n", text(&section.title))
}

/// Text between tags or in a quoted attribute.
fn text(plain: &str) -> String {
    let mut safe = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// The code as a drawing, four modules of quiet zone around it (ISO/IEC 18004).
fn qr(code: &str) -> String {
    // The origin has at most 255 bytes, so that it always fits; without it the page is still true.
    let Ok(code) = QrCode::encode_text(code, QrCodeEcc::Medium) else { return String::new() };
    let mut path = String::new();
    for (x, y, length) in runs(&code) {
        let (x, y) = (x.saturating_add(4), y.saturating_add(4));
        path += &format!("M{x} {y}h{length}v1h-{length}z");
    }
    let side = code.size().saturating_add(8);
    format!(
        "<svg role=\"img\" aria-label=\"QR\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path d=\"{path}\"/></svg>\n"
    )
}

#[cfg(test)]
mod tests {
    //! Goal: nothing that a payer writes becomes part of the page's form. Method: the characters that would.

    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(text("<script>&\"'</script>"), "&lt;script&gt;&amp;&quot;&#39;&lt;/script&gt;");
        assert_eq!(text("发票 42"), "发票 42");
    }
}
