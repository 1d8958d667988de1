//! Pruning (`c2sp.org/tlog-tiles`, "Pruning"): a log that has a minimum index need not serve what ends before it.
//!
//! Requests are denied, and nothing is removed, as the specification recommends: the log can still prove every entry, and a minimum
//! index that was wrong is simply set again. INVARIANT: it rises only over entries that somebody else was seen to hold.

use super::folder::LogFolder;
use super::heads::{Heads, SharedHeads};
use super::{LogError, TiledLog};
use crate::files::FolderLock;
use std::path::Path;
use tpw_proof::tile::{self, BundleId};

const FULL_WIDTH: u16 = 256;

/// Whether a tile's or a bundle's end index (`level` 0) is not beyond the minimum index.
pub(super) fn ends_before(level: u8, index: u64, minimum: u64) -> bool {
    let leaves = 256_u64.checked_pow(u32::from(level).saturating_add(1));
    let end = leaves.and_then(|leaves| index.checked_add(1)?.checked_mul(leaves));
    end.is_some_and(|end| end <= minimum)
}

/// What a pruning came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pruned {
    /// The minimum index before.
    pub before: u64,
    /// Bundles that were compared with those of each holder.
    pub compared: u64,
}

/// Sets the minimum index of the log in `folder`, whose checkpoints may be in a store that machines share. To raise it, each of
/// `holders`, of which there must be one at least, has to have all entries before it: they are read and compared. The caller has verified
/// whose checkpoints these are.
///
/// # Errors
/// [`LogError::NotHeld`] when an entry is not seen to be held, [`LogError::NotYet`] beyond the newest checkpoint; an error of files, also
/// when a server runs in the folder. The minimum index stays as it was.
pub fn prune(
    folder: &Path,
    shared: Option<Box<dyn SharedHeads>>,
    minimum: u64,
    holders: &[TiledLog<'_>],
) -> Result<Pruned, LogError> {
    let _lock = FolderLock::take(folder)?;
    let heads = Heads::open(&folder.join("log.db"))?.sharing(shared);
    let size = heads.newest()?.map_or(0, |newest| newest.head.size);
    if minimum > size {
        return Err(LogError::NotYet { wanted: minimum, size });
    }
    let before = heads.minimum()?;
    let mut compared = 0_u64;
    if minimum > before {
        if holders.is_empty() {
            return Err(LogError::NotHeld { why: "no mirror was named".to_owned() });
        }
        let own = LogFolder::new(folder.to_owned());
        for holder in holders {
            demand_same_log(&heads, holder, minimum)?;
            // From the first entry on: what another mirror was seen to hold when it was pruned, this one may lack.
            for index in 0..minimum >> 8 {
                demand_held(&own, holder, index)?;
                compared = compared.saturating_add(1);
            }
        }
    }
    heads.set_minimum(minimum)?;
    Ok(Pruned { before, compared })
}

/// The holder's checkpoint is one that this log has signed, and covers all that is to be pruned.
fn demand_same_log(heads: &Heads, holder: &TiledLog<'_>, minimum: u64) -> Result<(), LogError> {
    let head = holder.checkpoint().checkpoint().head;
    if head.size < minimum {
        let why = format!("its newest checkpoint has {} entries, not {minimum}", head.size);
        return Err(LogError::NotHeld { why });
    }
    match heads.at(head.size)? {
        Some(signed) if signed.head == head => Ok(()),
        _ => Err(LogError::NotHeld { why: "its checkpoint is none of this log's".to_owned() }),
    }
}

fn demand_held(own: &LogFolder, holder: &TiledLog<'_>, index: u64) -> Result<(), LogError> {
    let id = BundleId { index, width: FULL_WIDTH };
    let bytes = own.bundle(id)?.ok_or_else(|| LogError::NoFile { path: id.path() })?;
    let entries = tile::decode_bundle(&bytes, FULL_WIDTH)?;
    let held = match holder.bundle_entries(index) {
        Err(LogError::NoFile { path }) => {
            return Err(LogError::NotHeld { why: format!("it has no `{path}`") });
        }
        other => other?,
    };
    if entries.into_iter().eq(held.iter().map(Vec::as_slice)) {
        return Ok(());
    }
    Err(LogError::NotHeld { why: format!("its `{}` has other entries", id.path()) })
}
