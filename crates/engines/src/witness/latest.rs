//! The newest checkpoint of a log, as a witness and a mirror keep it.

use crate::decode::int;
use tpw_core::{Hash32, TreeHead};
use tpw_proof::SignedCheckpoint;

/// A checkpoint with the log's lines, and with those of whoever cosigned it.
pub(crate) struct Latest {
    pub(crate) head: TreeHead,
    pub(crate) note: SignedCheckpoint,
}

/// Size, root and note as they are stored, their meaning unchecked.
pub(crate) type Stored = (i64, Vec<u8>, String);

impl Latest {
    /// As it was stored of the log called so; otherwise what is wrong with it.
    pub(crate) fn from_stored(origin: &str, stored: Stored) -> Result<Self, &'static str> {
        let (size, root, note) = stored;
        let note = SignedCheckpoint::parse(&note).map_err(|_odd| "the note")?;
        let size = u64::try_from(size).ok().zip(Hash32::from_slice(&root));
        let (size, root) = size.ok_or("size or root")?;
        let (head, checkpoint) = (TreeHead { size, root }, note.checkpoint());
        if checkpoint.head != head || checkpoint.origin.as_str() != origin {
            return Err("the note speaks of another tree head");
        }
        Ok(Self { head, note })
    }

    /// As it is stored.
    pub(crate) fn to_stored(&self) -> Stored {
        let (size, root) = stored_head(self.head);
        (size, root, self.note.to_string())
    }
}

/// Size and root as they are stored.
pub(crate) fn stored_head(head: TreeHead) -> (i64, Vec<u8>) {
    (int(head.size), head.root.as_bytes().to_vec())
}
