//! The demo as a test: what it prints must be what the READMEs show.

use serde_json::Value;

use crate::shell::{self, Failure, Workplace};

const OPEN: &str = "<!-- demo output -->";
const CLOSE: &str = "<!-- end of demo output -->";

/// The pages that show the demo, with the language in which they show it.
const PAGES: &[(&str, &str)] = &[("README.md", "en"), ("README.zh-CN.md", "zh-CN")];

fn demo(place: &Workplace) -> shell::Call {
    place.call(place.program("tpw")).words(&["demo", "--once"]).env("NO_COLOR", "1")
}

/// Runs the demo for machines: one JSON object, of a payment that went through all eight steps.
pub(crate) fn check_json(place: &Workplace) -> Result<(), Failure> {
    judge_json(&demo(place).word("--json").read()?)
}

fn judge_json(text: &str) -> Result<(), Failure> {
    let value: Value = serde_json::from_str(text.trim()).map_err(|error| {
        Failure::new(format!("the demo did not print one JSON object: {error}"))
    })?;
    let steps = value.get("steps").and_then(Value::as_array).map_or(0, Vec::len);
    if steps == 8 {
        Ok(())
    } else {
        Err(Failure::new(format!("the demo shows {steps} steps, not 8")))
    }
}

/// Compares what the demo prints with what the READMEs show. Numbers, names of keys and times may differ.
pub(crate) fn check_pages(place: &Workplace) -> Result<(), Failure> {
    for (page, language) in PAGES {
        let shown = shown(&shell::read(&place.root().join(page))?)
            .ok_or_else(|| Failure::new(format!("`{page}` has no block `{OPEN}`")))?;
        let printed = demo(place).words(&["--lang", language]).read()?;
        if let Some((was, is)) = difference(&shown, &printed) {
            return Err(Failure::new(format!(
                "`{page}` shows `{was}` where the demo prints `{is}`; run `cargo xtask demo-output`"
            )));
        }
    }
    Ok(())
}

/// Puts what the demo prints into the READMEs.
pub(crate) fn refresh(place: &Workplace) -> Result<(), Failure> {
    place.build_programs()?;
    for (page, language) in PAGES {
        let path = place.root().join(page);
        let text = shell::read(&path)?;
        let printed = demo(place).words(&["--lang", language]).read()?;
        let (Some((before, _)), Some((_, after))) = (text.split_once(OPEN), text.split_once(CLOSE))
        else {
            return Err(Failure::new(format!(
                "`{page}` needs a line `{OPEN}` and a line `{CLOSE}`"
            )));
        };
        let printed = without_folder(&printed);
        let trimmed: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        let block = format!("{OPEN}\n```text\n{}\n```\n{CLOSE}", trimmed.join("\n"));
        shell::write(&path, &format!("{before}{block}{after}"))?;
        println!("wrote {page}");
    }
    Ok(())
}

/// The text inside the fenced block between the two marks.
fn shown(page: &str) -> Option<String> {
    let (_, rest) = page.split_once(OPEN)?;
    let (block, _) = rest.split_once(CLOSE)?;
    Some(block.lines().filter(|line| !line.starts_with("```")).collect::<Vec<_>>().join("\n"))
}

/// The first line that says something else, on both sides.
fn difference(shown: &str, printed: &str) -> Option<(String, String)> {
    let (shown, printed) = (plain(shown), plain(printed));
    let lines = shown.len().max(printed.len());
    (0..lines).find_map(|at| {
        let line = |side: &[String]| side.get(at).cloned().unwrap_or_default();
        let (was, is) = (line(&shown), line(&printed));
        (was != is).then_some((was, is))
    })
}

/// The text with the temporary folder of this run as `…`.
fn without_folder(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        for word in line.split_inclusive(' ') {
            let below = word.split_once("/.tmp").and_then(|(_, rest)| rest.split_once('/'));
            match below {
                Some((_, below)) => out.extend(["…/", below]),
                None => out.push_str(word),
            }
        }
    }
    out
}

/// Lines without what changes from run to run: a word with a digit, and a path, become `#`.
fn plain(text: &str) -> Vec<String> {
    let varies = |word: &str| word.contains('/') || word.contains(|c: char| c.is_ascii_digit());
    let word = |word| if varies(word) { "#" } else { word };
    let lines =
        text.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_count_not_numbers() {
        assert_eq!(difference("paid in 12 ms\n", "paid in 9.5 ms"), None);
        let found = difference("paid in 12 ms\n", "sent in 12 ms");
        assert_eq!(found, Some(("paid in # ms".to_owned(), "sent in # ms".to_owned())));
        assert!(difference("a\nb\n", "a\n").is_some());
    }

    #[test]
    fn a_temporary_folder_is_hidden() {
        let text = "file: /var/.tmpAb3/alice/a.tpr (valid)\nno folder\n";
        assert_eq!(without_folder(text), "file: …/alice/a.tpr (valid)\nno folder\n");
    }

    #[test]
    fn the_block_is_found_between_its_marks() {
        let page = format!("x\n{OPEN}\n```text\nhello\n```\n{CLOSE}\ny\n");
        assert_eq!(shown(&page).map(|text| text.trim().to_owned()), Some("hello".to_owned()));
        assert_eq!(shown("x"), None);
    }

    #[test]
    fn a_demo_with_fewer_steps_fails() {
        assert!(judge_json("{\"steps\":[1,2,3,4,5,6,7,8]}").is_ok());
        assert!(judge_json("{\"steps\":[1]}").is_err());
        assert!(judge_json("{} {}").is_err());
    }
}
