//! The time-stamping key of the data folder is replaced, and the old one destroyed, which the log records.
//!
//! A file asks for it, so that no two processes ever write keys: the server does it, at its start or while it runs. Each step can be
//! broken off: the certificate says which key is the authority's, and any other time-stamping key in the folder is an old one whose end
//! is still to be finished.

use super::EngineError;
use super::keys::{SIZE_MAX, Slots, new_certificate};
use crate::files::{self, Access, Durability};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use tpw_core::{Hash32, Instant, Span};
use tpw_crypto::{Algorithm, Entropy, Signer as _, SlotName, SoftwareSlots, sha256};
use tpw_flow::key_end_record;
use tpw_proof::timestamp::{Authority, serial};

/// In the data folder: what becomes of the key.
const WISH: &str = "tsa-rotate";
/// The same while it is being carried out, so that a later wish is not lost.
const TAKEN: &str = "tsa-rotating";
/// What the file says when no other key may answer requests.
const DESTROY: &[u8] = b"destroy";
/// In the data folder: no key answers requests before there is another rotation.
const CLOSED: &str = "tsa-closed";
const KEYS: &str = "keys";
/// The file of keys as it was before.
const OLD_KEYS: &str = "keys.old";
const CERTIFICATE: &str = "tsa.der";
/// The record of a key's end, before the log has it.
const UNLOGGED: &str = "unlogged";
/// The same afterwards.
const RECORD: &str = "cbor";
/// So long before a key's last day the operator is told at every start.
const NOTICE: Span = Span::from_secs(30 * 24 * 3600);

/// What becomes of the time-stamping key. In either case it is destroyed, and the log's own checkpoints are stamped by a new one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyWish {
    /// The new key answers requests too.
    Rotate,
    /// No key answers requests any more, until there is a rotation.
    Destroy,
}

/// Asks the server, the running one or its next start, to replace or destroy the key.
///
/// # Errors
/// [`EngineError::Missing`] for a folder without keys, [`EngineError::File`].
pub fn ask_for_key_change(dir: &Path, wish: KeyWish) -> Result<(), EngineError> {
    if !dir.join(KEYS).exists() {
        return Err(EngineError::Missing { what: KEYS });
    }
    let text: &[u8] = match wish {
        KeyWish::Rotate => b"",
        KeyWish::Destroy => DESTROY,
    };
    files::write_atomic(&dir.join(WISH), text, Durability::Synced, Access::Ordinary)?;
    Ok(())
}

/// Whether nothing is left to be done of what was asked for: the log has the ends of all keys.
///
/// # Errors
/// [`EngineError::Damaged`], [`EngineError::File`].
pub fn is_key_change_done(dir: &Path) -> Result<bool, EngineError> {
    Ok(wished(dir)?.is_none() && unlogged(dir)?.is_empty())
}

/// What is wished, or was and is not carried out to its end.
///
/// # Errors
/// [`EngineError::Damaged`] when the file says something else; [`EngineError::File`].
pub(super) fn wished(dir: &Path) -> Result<Option<KeyWish>, EngineError> {
    let newer = wish_in(&dir.join(WISH))?;
    if newer.is_some() { Ok(newer) } else { wish_in(&dir.join(TAKEN)) }
}

fn wish_in(path: &Path) -> Result<Option<KeyWish>, EngineError> {
    match files::read(path, SIZE_MAX)?.as_deref() {
        None => Ok(None),
        Some(b"") => Ok(Some(KeyWish::Rotate)),
        Some(DESTROY) => Ok(Some(KeyWish::Destroy)),
        Some(_) => Err(EngineError::Damaged { what: WISH }),
    }
}

/// Whether no key may answer requests.
pub(super) fn is_closed(dir: &Path) -> bool {
    dir.join(CLOSED).exists()
}

/// The certificate of the key that counts.
pub(super) fn certificate(dir: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    Ok(files::read(&dir.join(CERTIFICATE), SIZE_MAX)?)
}

/// Whether a change that failed left the key as it was: with this certificate, and without a record of its end.
pub(super) fn is_untouched(dir: &Path, before: Option<&[u8]>) -> Result<bool, EngineError> {
    let same = certificate(dir)?.as_deref() == before;
    Ok(same && !is_closed(dir) && unlogged(dir)?.is_empty())
}

/// Takes the newest wish. One that was taken before and not carried out to its end counts as long as no other came.
fn taken(dir: &Path) -> Result<Option<KeyWish>, EngineError> {
    if wished(dir)?.is_none() {
        return Ok(None);
    }
    let (wish, taken) = (dir.join(WISH), dir.join(TAKEN));
    match std::fs::rename(&wish, &taken) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(files::FileError::io("rename", &wish)(cause).into())
        }
        Ok(()) | Err(_) => wish_in(&taken),
    }
}

/// Makes a new key with its certificate if that was asked for. Gives the certificate that counts.
pub(super) fn rotated(
    dir: &Path,
    operator: &str,
    (signer, slots, root): (&mut SoftwareSlots, &Slots, &[u8]),
    leaf: Vec<u8>,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Result<Vec<u8>, EngineError> {
    let Some(wish) = taken(dir)? else { return Ok(leaf) };
    let closed = dir.join(CLOSED);
    if wish == KeyWish::Destroy {
        // First of all: whatever is broken off from here on, no key answers.
        files::write_atomic(&closed, b"", Durability::Synced, Access::Ordinary)?;
    }
    let mut random = [0_u8; 11];
    entropy.fill(&mut random)?;
    let slot = free_slot(signer, &slots.tsa, now)?;
    let key = signer.generate(slot.clone(), Algorithm::P256, entropy)?;
    store(dir, signer)?;
    let issuer = (&*signer, &slots.tsa_root, root);
    let leaf = new_certificate(operator, issuer, &key, now, serial(now.unix_ms(), random))?;
    let path = dir.join(CERTIFICATE);
    let written = files::write_atomic(&path, &leaf, Durability::Synced, Access::Ordinary);
    if let Err(error) = written {
        give_back(dir, signer, &slot, &leaf);
        return Err(error.into());
    }
    if wish == KeyWish::Rotate {
        files::remove(&closed)?;
    }
    tracing::info!(?wish, "time-stamps have a new key");
    Ok(leaf)
}

/// Takes a key out of the folder again that has no certificate and has signed nothing: each new try would leave one more there, until
/// nobody could read the file of keys.
fn give_back(dir: &Path, signer: &mut SoftwareSlots, slot: &SlotName, leaf: &[u8]) {
    // INVARIANT: the certificate that is there keeps its key. It is the new one if all that failed was to sync its name.
    match certificate(dir) {
        Ok(Some(there)) if there != leaf => {}
        Ok(_) | Err(_) => return,
    }
    let removed = signer.remove(slot).map_err(EngineError::from);
    if let Err(error) = removed.and_then(|()| store(dir, signer)) {
        tracing::warn!(%error, "a stamping key without a certificate stays in `keys` until the next one");
    }
}

/// The name of a slot has room for the time. A clock that stands has the same one again: there is one old key at most, and what a broken
/// change left.
fn free_slot(
    signer: &SoftwareSlots,
    first: &SlotName,
    now: Instant,
) -> Result<SlotName, EngineError> {
    let mut at = now.unix_ms();
    loop {
        let slot = SlotName::new(&format!("{first}-{at}"))?;
        if signer.public_key(&slot).is_err() {
            return Ok(slot);
        }
        at = at.saturating_add(1);
    }
}

/// Nothing is wished any more: the record of the old key's end is there. Before that whoever waits would believe that all is done.
pub(super) fn carried_out(dir: &Path) -> Result<(), EngineError> {
    Ok(files::remove(&dir.join(TAKEN))?)
}

/// Destroys every time-stamping key that the certificate is not for. Gives the slot of the one that it is for.
pub(super) fn retired(
    dir: &Path,
    signer: &mut SoftwareSlots,
    first: &SlotName,
    leaf: &[u8],
    now: Instant,
) -> Result<SlotName, EngineError> {
    // Of the kind of key alone nothing is asked here: whether it can sign is looked at behind this.
    let certified = Authority::new(first.clone(), leaf, "1.2", 1)?;
    let is_ours = |slot: &SlotName| {
        slot == first
            || slot.as_str().strip_prefix(first.as_str()).is_some_and(|rest| rest.starts_with('-'))
    };
    let ours: Vec<SlotName> =
        signer.slots().map(|(slot, _)| slot).filter(|slot| is_ours(slot)).cloned().collect();
    let fits = |slot: &&SlotName| signer.public_key(slot).is_ok_and(|key| certified.is_of(&key));
    let Some(current) = ours.iter().find(fits).cloned() else {
        // A certificate for no key of this folder: the check of the authority says so.
        return Ok(ours.first().unwrap_or(first).clone());
    };
    let old: Vec<SlotName> = ours.into_iter().filter(|slot| *slot != current).collect();
    for slot in &old {
        let key = Hash32::new(sha256(&signer.public_key(slot)?.spki_der()));
        let path = record_path(dir, &key, UNLOGGED);
        if !path.exists() {
            let record = key_end_record(key, now);
            files::write_atomic(&path, &record, Durability::Synced, Access::Ordinary)?;
        }
        signer.remove(slot)?;
    }
    if !old.is_empty() {
        store(dir, signer)?;
    }
    shred(&dir.join(OLD_KEYS))?;
    Ok(current)
}

fn record_path(dir: &Path, key: &Hash32, kind: &str) -> PathBuf {
    let name = key.to_string();
    dir.join(format!("tsa-destroyed-{}.{kind}", name.get(..16).unwrap_or_default()))
}

/// Replaces the file of keys and overwrites the old one, as far as the file system lets us: one that keeps what was written before,
/// or a copy of the folder, still has it.
fn store(dir: &Path, signer: &SoftwareSlots) -> Result<(), EngineError> {
    let (keys, old) = (dir.join(KEYS), dir.join(OLD_KEYS));
    shred(&old)?;
    let failed = |cause| files::FileError::io("link", &old)(cause);
    std::fs::hard_link(&keys, &old).map_err(failed)?;
    files::write_atomic(&keys, &signer.to_secret_bytes(), Durability::Synced, Access::Private)?;
    shred(&old)
}

/// Overwrites a file and removes it; one that is not there is fine.
fn shred(path: &Path) -> Result<(), EngineError> {
    let failed = |cause| files::FileError::io("overwrite", path)(cause);
    let mut file = match std::fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(failed(cause).into()),
    };
    let found = file.metadata().map_err(failed)?;
    // INVARIANT: what has another name is in use. A crash may have come between the second name and the new file.
    if found.nlink() == 1 {
        let size = usize::try_from(found.len().min(SIZE_MAX)).unwrap_or_default();
        file.write_all(&vec![0; size]).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    files::remove(path)?;
    Ok(())
}

/// The records of destroyed keys that the log does not have yet: where they are, and their bytes.
pub(super) fn unlogged(dir: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, EngineError> {
    let failed = |cause| files::FileError::io("read", dir)(cause);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|kind| kind == UNLOGGED) {
            found.extend(files::read(&path, SIZE_MAX)?.map(|record| (path, record)));
        }
    }
    found.sort();
    Ok(found)
}

/// The log has it now. A crash before this logs it twice, which says the same.
pub(super) fn logged(path: &Path) -> Result<(), EngineError> {
    let failed = |cause| files::FileError::io("rename", path)(cause);
    std::fs::rename(path, path.with_extension(RECORD)).map_err(failed)?;
    Ok(())
}

/// Tells the operator when the key's time is nearly over.
pub(super) fn warn(authority: &Authority, now: Instant) {
    let Some(end) = authority.used_until() else { return };
    if now.plus(NOTICE) >= end {
        tracing::warn!(%end, "time-stamps end when the time of their key is over: rotate it with `tpw tsa rotate`");
    }
}
