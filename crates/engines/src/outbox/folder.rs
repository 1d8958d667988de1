//! For development: each message becomes a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tpw_access::factor::code::Channel;
use tpw_core::Instant;
use tpw_crypto::{Entropy as _, Zeroizing};

use super::{Message, Outbox, OutboxError, Sending};
use crate::entropy::OsEntropy;
use crate::files::{self, Access, Durability};

/// The most files in the folder: who forgets it does not fill the disk.
const FILES_MAX: usize = 1_000;

/// Writes each message into a folder, where whoever may read the folder reads every code. Not for real use: whoever sets it up tells the
/// operator so at the start.
#[derive(Debug)]
pub struct FolderOutbox {
    folder: Arc<PathBuf>,
}

impl FolderOutbox {
    /// Writes into `folder`, which is made if it is missing, for its owner alone.
    ///
    /// # Errors
    /// [`OutboxError::Setup`] when it cannot be made.
    pub fn new(folder: &Path) -> Result<Self, OutboxError> {
        files::create_private_folder(folder)
            .map_err(|error| OutboxError::Setup(error.to_string()))?;
        Ok(Self { folder: Arc::new(folder.to_owned()) })
    }
}

impl Outbox for FolderOutbox {
    fn takes(&self, _any: Channel) -> bool {
        true
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let text = Zeroizing::new(format!(
            "To: {}\nDate: {}\nSubject: {}\n\n{}\n",
            message.to.as_str(),
            message.at,
            message.subject,
            message.text.as_str()
        ));
        let (folder, at) = (Arc::clone(&self.folder), message.at);
        Box::pin(async move {
            let written = tokio::task::spawn_blocking(move || write(&folder, at, &text)).await;
            written.map_err(|_stopped| OutboxError::Later("the server is stopping".to_owned()))?
        })
    }
}

fn write(folder: &Path, at: Instant, text: &str) -> Result<(), OutboxError> {
    let later = |error: &dyn std::fmt::Display| OutboxError::Later(error.to_string());
    let files = std::fs::read_dir(folder).map_err(|error| later(&error))?.take(FILES_MAX).count();
    if files >= FILES_MAX {
        let why = format!("`{}` holds {FILES_MAX} files: remove old ones", folder.display());
        return Err(OutboxError::Later(why));
    }
    let mut random = [0; 4];
    OsEntropy.fill(&mut random).map_err(|error| later(&error))?;
    // The names stand in the order of time.
    let name = format!("{:015}-{}.txt", at.unix_ms(), hex::encode(random));
    let path = folder.join(name);
    files::write_atomic(&path, text.as_bytes(), Durability::Deferred, Access::Private)
        .map_err(|error| later(&error))
}
