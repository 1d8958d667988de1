//! The trace: what happened, as a hash that two runs of a seed must share.

use tpw_core::Hash32;
use tpw_crypto::sha256_parts;

pub(crate) struct Trace {
    head: Hash32,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(keep: bool) -> Self {
        Self { head: Hash32::ZERO, lines: keep.then(Vec::new) }
    }

    pub(crate) fn note(&mut self, line: String) {
        self.head = Hash32::new(sha256_parts(&[self.head.as_bytes(), line.as_bytes()]));
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    pub(crate) const fn head(&self) -> Hash32 {
        self.head
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
