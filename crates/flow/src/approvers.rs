//! Several people who let one payment go on.

use tpw_core::{Approval, Hash32, Instant};

/// One of them: with which key, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Approver {
    /// RFC 7638 thumbprint of the key of the device on which the approval was given.
    pub key: Hash32,
    /// When the server took it.
    pub at: Instant,
}

/// Those whose approval a release rests on, in the order in which they approved.
///
/// INVARIANT: at least one, at most as many as a record holds, and no key twice. That they are different people is the caller's
/// part: the desk knows keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Approvers(Vec<Approver>);

impl Approvers {
    /// The most approvals that a record holds: `spec/leaf.md`.
    pub const MOST: usize = 16;

    /// `None` if there are none or too many, or if a key comes twice.
    #[must_use]
    pub fn new(approvers: Vec<Approver>) -> Option<Self> {
        let mut keys: Vec<Hash32> = approvers.iter().map(|approver| approver.key).collect();
        keys.sort_unstable();
        let apart = keys.windows(2).all(|pair| pair.first() != pair.last());
        let fits = (1..=Self::MOST).contains(&approvers.len());
        (fits && apart).then_some(Self(approvers))
    }

    pub(crate) fn approvals(&self) -> Vec<Approval> {
        self.0.iter().map(|by| Approval::Operator { key: by.key, at: by.at }).collect()
    }
}
