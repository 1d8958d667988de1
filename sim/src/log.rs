//! The virtual log: what was published survives a crash; what was only staged does not.

use crate::keys::Keys;
use crate::{Checked, Defect, broken, ensure};
use tpw_core::{Hash32, Instant, TreeHead};
use tpw_proof::tile::{self, TileReader};
use tpw_proof::timestamp::{ClockState, serial};
use tpw_proof::tree::{root_of, verify_consistency};
use tpw_proof::{Checkpoint, Frontier, Leaf, ProofError, RootSignature, SignedCheckpoint};
use tpw_sim_disk::Chance;

/// A published tree head with all that signs it.
pub(crate) struct Published {
    pub(crate) head: TreeHead,
    pub(crate) checkpoint: SignedCheckpoint,
    pub(crate) root_signature: RootSignature,
    pub(crate) token: Vec<u8>,
}

/// Leaf hashes as tiles.
pub(crate) struct Tiles<'h>(pub(crate) &'h [Hash32]);

impl TileReader for Tiles<'_> {
    fn hashes(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash32>, ProofError> {
        let bad = ProofError::BadTile { level, index, width };
        let span = 256_usize.checked_pow(level.into()).ok_or_else(|| bad.clone())?;
        let start = usize::try_from(index).ok().and_then(|i| i.checked_mul(256));
        let start = start.ok_or_else(|| bad.clone())?;
        let part = |offset: usize| {
            let from = start.checked_add(offset)?.checked_mul(span)?;
            self.0.get(from..from.checked_add(span)?).map(root_of)
        };
        (0..usize::from(width)).map(part).collect::<Option<Vec<_>>>().ok_or(bad)
    }
}

#[derive(Default)]
pub(crate) struct Log {
    /// The leaves under the newest published head.
    pub(crate) hashes: Vec<Hash32>,
    frontier: Frontier,
    staged: Vec<Leaf>,
    pub(crate) published: Vec<Published>,
    defect: Option<Defect>,
}

impl Log {
    pub(crate) fn new(defect: Option<Defect>) -> Self {
        Self { defect, ..Self::default() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(crate) fn head(&self) -> TreeHead {
        let nothing = TreeHead { size: 0, root: Hash32::ZERO };
        self.published.last().map_or(nothing, |published| published.head)
    }

    /// Whether this head was published.
    pub(crate) fn has_published(&self, head: TreeHead) -> bool {
        self.published.iter().rev().any(|published| published.head == head)
    }

    pub(crate) fn stage(&mut self, leaves: impl IntoIterator<Item = Leaf>) {
        self.staged.extend(leaves);
    }

    /// Forgets what was only staged.
    pub(crate) fn crash(&mut self) {
        self.staged.clear();
    }

    /// Publishes what is staged: the root by two ways, the signatures, and only then the new head.
    pub(crate) fn publish(
        &mut self,
        keys: &Keys,
        now: Instant,
        chance: &mut Chance,
    ) -> Checked<bool> {
        if self.staged.is_empty() {
            return Ok(false);
        }
        let (mut hashes, mut frontier) = (self.hashes.clone(), self.frontier.clone());
        self.sabotage(&mut hashes, &mut frontier);
        for leaf in self.staged.drain(..) {
            hashes.push(leaf.leaf_hash());
            frontier.push(leaf.leaf_hash());
        }
        let (size, root) = (frontier.size(), frontier.root());
        let tiles = Tiles(&hashes);
        let second = tile::root(&tiles, size).map_err(broken)?;
        ensure(root == second, || "the two ways to the root disagree".to_owned())?;
        let head = TreeHead { size, root };
        if let Some(last) = self.published.last() {
            consistent(&tiles, last.head, head)?;
        }
        if let Some(earlier) = chance.pick(&self.published) {
            consistent(&tiles, earlier.head, head)?;
        }
        let checkpoint = Checkpoint { origin: keys.trust.origin.clone(), head };
        let checkpoint = checkpoint.sign(&keys.slots, &keys.log, &keys.log_pq).map_err(broken)?;
        let root_signature = RootSignature::sign(&root, &keys.slots, &keys.log).map_err(broken)?;
        let (data, serial) = (checkpoint.log_signed_bytes(), serial(size, chance.bytes()));
        let clock = ClockState::Good { error_ms: 1000 };
        let token = keys.authority.stamp(&keys.slots, &data, now, clock, serial).map_err(broken)?;
        (self.hashes, self.frontier) = (hashes, frontier);
        self.published.push(Published { head, checkpoint, root_signature, token });
        Ok(true)
    }

    /// The planted defects of a log.
    fn sabotage(&mut self, hashes: &mut [Hash32], frontier: &mut Frontier) {
        match self.defect {
            Some(Defect::LogForks) if hashes.len() > 20 => {
                if let Some(slot) = hashes.get_mut(10) {
                    *slot = tpw_proof::tree::empty_root();
                }
                *frontier = Frontier::new();
                hashes.iter().for_each(|hash| frontier.push(*hash));
            }
            Some(Defect::LogDropsLeaf) if hashes.len() > 20 => {
                self.staged.pop();
            }
            _ => {}
        }
    }

    /// At the end: every published head is the root of the first leaves.
    pub(crate) fn check(&self, leaves: &[Hash32]) -> Checked {
        for published in &self.published {
            let size = usize::try_from(published.head.size).unwrap_or(usize::MAX);
            let root = leaves.get(..size).map(root_of);
            ensure(root == Some(published.head.root), || {
                format!("the published head of size {size} is not that of the stored leaves")
            })?;
        }
        Ok(())
    }
}

fn consistent(tiles: &Tiles<'_>, old: TreeHead, new: TreeHead) -> Checked {
    let proof = tile::consistency_proof(tiles, old.size, new.size).map_err(broken)?;
    verify_consistency(old.size, new.size, &proof, &old.root, &new.root)
        .map_err(|error| format!("the log is not append-only: {error}"))
}
