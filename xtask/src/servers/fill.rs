//! The files in `deploy/` with their words filled in: what the drill runs is what operators run.

use std::path::Path;

use crate::shell::{self, Failure};

/// Replaces each `@word@` of a file below `deploy/`. A word without a value, or a value without a word, is a failure:
/// either means that the file and the drill no longer belong together.
pub(crate) fn fill(
    root: &Path,
    file: &str,
    values: &[(&str, &str)],
    to: &Path,
) -> Result<(), Failure> {
    let text = shell::read(&root.join("deploy").join(file))?;
    let filled =
        filled(&text, values).map_err(|why| Failure::new(format!("`deploy/{file}`: {why}")))?;
    shell::write(to, &filled)
}

fn filled(text: &str, values: &[(&str, &str)]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut used = vec![false; values.len()];
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('#') {
            out.push_str(line);
            continue;
        }
        let mut line = line.to_owned();
        for ((word, value), used) in values.iter().zip(&mut used) {
            let mark = format!("@{word}@");
            *used |= line.contains(&mark);
            line = line.replace(&mark, value);
        }
        if let Some(word) = word(&line) {
            return Err(format!("nothing fills in `{word}`"));
        }
        out.push_str(&line);
    }
    match values.iter().zip(used).find(|(_, used)| !used) {
        Some(((word, _), _)) => Err(format!("there is no `@{word}@`")),
        None => Ok(out),
    }
}

/// A word that was left.
fn word(line: &str) -> Option<String> {
    let mut parts = line.split('@').skip(1);
    let word = parts.find(|part| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    })?;
    // The last part has no closing mark, so it is a word only where another part follows.
    parts.next().map(|_| format!("@{word}@"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_filled_in() {
        let text = "# @left@ as it is\na: @x@:5432\nb: @x@/@y@\n";
        let out = filled(text, &[("x", "1"), ("y", "2")]);
        assert_eq!(out.as_deref(), Ok("# @left@ as it is\na: 1:5432\nb: 1/2\n"));
    }

    #[test]
    fn a_word_or_a_value_too_many_is_found() {
        assert!(filled("a: @x@\n", &[]).is_err());
        assert!(filled("a: 1\n", &[("x", "1")]).is_err());
        assert_eq!(filled("a: me@host\n", &[]).as_deref(), Ok("a: me@host\n"));
    }
}
