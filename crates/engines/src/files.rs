//! Files that are either wholly there or not at all, and folders that one process owns.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file or a folder could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {doing} `{}`: {cause}", path.display())]
    Io {
        /// What was being done, as in "cannot write".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// Another process holds the lock.
    #[error(
        "`{}` is in use by another process: stop that one, or give this one another folder",
        path.display()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
}

impl FileError {
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { doing, path, cause }
    }

    /// Whether the file or folder was not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }
}

/// When a written file must survive a power failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Before the call returns: file and folder are synced.
    Synced,
    /// Whenever the system likes. For what can be made again from durable data.
    Deferred,
}

/// Who may read a written file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever the system's defaults allow.
    Ordinary,
    /// The owner alone (mode 0600).
    Private,
}

/// Writes `bytes` as the whole file `path`: a reader sees the old file or the new one, never a part.
///
/// The bytes go to a temporary file beside it, which then takes its name.
///
/// # Errors
/// [`FileError::Io`]; the old file, if any, is then untouched unless the failure was in syncing the folder.
pub fn write_atomic(
    path: &Path,
    bytes: &[u8],
    durability: Durability,
    access: Access,
) -> Result<(), FileError> {
    let temporary = temporary_name(path);
    let written = write_temporary(&temporary, bytes, durability, access)
        .and_then(|()| fault::point(&temporary))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(cause) = written {
        // Best effort: a leftover is overwritten by the next attempt and never read.
        let _ignored = fs::remove_file(&temporary);
        return Err(FileError::io("write", path)(cause));
    }
    match (durability, path.parent()) {
        (Durability::Synced, Some(folder)) => sync(folder),
        _ => Ok(()),
    }
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn write_temporary(
    path: &Path,
    bytes: &[u8],
    durability: Durability,
    access: Access,
) -> io::Result<()> {
    fault::point(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    if access == Access::Private {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600);
        let file = options.open(path)?;
        // The mode above holds for a new file only; a leftover may have another.
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        return finish(file, bytes, durability);
    }
    #[cfg(not(unix))]
    let _system_decides = access;
    let file = options.open(path)?;
    if fault::point(path).is_err() {
        // A write that fails may have written a part.
        let half = bytes.get(..bytes.len() >> 1).unwrap_or_default();
        finish(file, half, durability)?;
        return Err(io::Error::other("injected fault"));
    }
    finish(file, bytes, durability)
}

fn finish(mut file: File, bytes: &[u8], durability: Durability) -> io::Result<()> {
    file.write_all(bytes)?;
    if durability == Durability::Synced { file.sync_all() } else { Ok(()) }
}

/// Makes the content of a file, or the names in a folder, survive a power failure.
///
/// # Errors
/// [`FileError::Io`]. After a failed sync nothing is known about what is on the disk: do not try again, rewrite.
pub fn sync(path: &Path) -> Result<(), FileError> {
    fault::point(path)
        .and_then(|()| File::open(path))
        .and_then(|file| file.sync_all())
        .map_err(FileError::io("sync", path))
}

/// File systems in user space do nothing when they are asked to sync as a whole (`linux/magic.h`).
#[cfg(target_os = "linux")]
const FUSE: rustix::fs::FsWord = 0x6573_5546;

/// The file system that a folder is on, to sync many new files with one call where each of them would wait for the disk.
#[derive(Debug)]
pub(crate) struct FileSystem {
    /// Opened before the files are written: Linux tells of failed writes since then (from 5.8 on).
    #[cfg(target_os = "linux")]
    folder: File,
    /// The device that one call reaches; none where a call does nothing.
    #[cfg(target_os = "linux")]
    device: Option<u64>,
}

impl FileSystem {
    /// From so many files on one call for all is cheaper: it waits for whatever else was written to the file system, too.
    #[cfg(target_os = "linux")]
    const MANY: usize = 16;

    pub(crate) fn of(folder: &Path) -> Result<Self, FileError> {
        #[cfg(target_os = "linux")]
        {
            use std::os::unix::fs::MetadataExt as _;
            let file = File::open(folder).map_err(FileError::io("open", folder))?;
            let error = FileError::io("look at", folder);
            let (kind, found) = (rustix::fs::fstatfs(&file), file.metadata());
            let (kind, found) =
                kind.map_err(std::io::Error::from).and_then(|k| Ok((k, found?))).map_err(error)?;
            let device = (kind.f_type != FUSE).then_some(found.dev());
            Ok(Self { folder: file, device })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _nothing_is_held = folder;
            Ok(Self {})
        }
    }

    /// Whether one call makes all of these survive: none is on a file system of its own that was mounted in the folder.
    #[cfg(target_os = "linux")]
    fn reaches(&self, paths: &[PathBuf]) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let folders: BTreeSet<_> = paths.iter().filter_map(|path| path.parent()).collect();
        let device = |folder: &Path| fs::metadata(folder).ok().map(|found| found.dev());
        self.device.is_some() && folders.into_iter().all(|folder| device(folder) == self.device)
    }

    /// Makes the content of these files of the file system, and their names, survive a power failure.
    pub(crate) fn sync(&self, paths: &[PathBuf]) -> Result<(), FileError> {
        #[cfg(target_os = "linux")]
        if let [first, ..] = paths
            && paths.len() >= Self::MANY
            && self.reaches(paths)
        {
            return fault::point(first)
                .and_then(|()| Ok(rustix::fs::syncfs(&self.folder)?))
                .map_err(FileError::io("sync", first));
        }
        let folders: BTreeSet<_> = paths.iter().filter_map(|path| path.parent()).collect();
        paths.iter().map(PathBuf::as_path).chain(folders).try_for_each(sync)
    }
}

/// Reads a whole file of at most `size_max` bytes; `None` when there is no such file.
///
/// # Errors
/// [`FileError::Io`], also for a file that is larger.
pub fn read(path: &Path, size_max: u64) -> Result<Option<Vec<u8>>, FileError> {
    use io::Read as _;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(FileError::io("read", path)(cause)),
    };
    // As long as it says it is, so that one call reads it; what it says is not relied on.
    let length = file.metadata().map_or(0, |about| about.len()).min(size_max);
    let mut bytes = Vec::with_capacity(usize::try_from(length.saturating_add(1)).unwrap_or(0));
    file.take(size_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(FileError::io("read", path))?;
    if u64::try_from(bytes.len()).is_ok_and(|size| size <= size_max) {
        Ok(Some(bytes))
    } else {
        let cause = io::Error::new(io::ErrorKind::FileTooLarge, "larger than it can be");
        Err(FileError::io("read", path)(cause))
    }
}

/// Makes a folder, with its parents, that the owner alone may enter (mode 0700). One that is there stays as it is.
///
/// # Errors
/// [`FileError::Io`].
pub fn create_private_folder(path: &Path) -> Result<(), FileError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(path).map_err(FileError::io("create the folder", path))
}

/// Makes a folder with its parents under the system's defaults.
///
/// # Errors
/// [`FileError::Io`].
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    fault::point(path)
        .and_then(|()| fs::create_dir_all(path))
        .map_err(FileError::io("create the folder", path))
}

/// The same, and the names of the folders that were not there survive a power failure.
///
/// # Errors
/// [`FileError::Io`].
pub fn create_folder_synced(path: &Path) -> Result<(), FileError> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let made: Vec<&Path> = path.ancestors().take_while(is_missing).collect();
    create_folder(path)?;
    for folder in made {
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
        sync(above.unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove(path: &Path) -> Result<(), FileError> {
    match fault::point(path).and_then(|()| fs::remove_file(path)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(FileError::io("remove", path)(cause))
        }
        _ => Ok(()),
    }
}

/// Removes a folder with all that is in it; one that is not there is fine.
///
/// # Errors
/// [`FileError::Io`].
pub fn remove_folder(path: &Path) -> Result<(), FileError> {
    match fault::point(path).and_then(|()| fs::remove_dir_all(path)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(FileError::io("remove the folder", path)(cause))
        }
        _ => Ok(()),
    }
}

/// The sole right to a folder, held by this process until it is dropped or the process ends.
///
/// The lock is advisory: it keeps a second process of this product out, not an editor.
#[derive(Debug)]
pub struct FolderLock {
    _held: File,
}

impl FolderLock {
    /// Takes the folder, through a file `lock` in it.
    ///
    /// # Errors
    /// [`FileError::InUse`] when another process, or this one, holds it; [`FileError::Io`].
    pub fn take(folder: &Path) -> Result<Self, FileError> {
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(FileError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _held: file }),
            Err(TryLockError::WouldBlock) => Err(FileError::InUse { path: folder.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(FileError::io("lock", &path)(cause)),
        }
    }
}

/// Faults for tests: the n-th file operation of a thread fails, as with a broken disk. Nothing in a release.
pub(crate) mod fault {
    use std::io;
    use std::path::Path;

    #[cfg(not(test))]
    #[expect(clippy::unnecessary_wraps, reason = "in tests it fails on demand")]
    pub(crate) fn point(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    thread_local! {
        static LEFT: std::cell::Cell<Option<u32>> = const { std::cell::Cell::new(None) };
    }

    /// From now on `left` operations of this thread succeed and all later ones fail.
    #[cfg(test)]
    pub(crate) fn arm(left: Option<u32>) {
        LEFT.set(left);
    }

    /// Whether an armed fault has not struck yet.
    #[cfg(test)]
    pub(crate) fn is_pending() -> bool {
        LEFT.get().is_some_and(|left| left > 0)
    }

    #[cfg(test)]
    pub(crate) fn point(path: &Path) -> io::Result<()> {
        match LEFT.get() {
            None => Ok(()),
            Some(0) => Err(io::Error::other(format!("injected fault at {}", path.display()))),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_written_file_is_whole_and_replaces_the_old_one() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a");
        for bytes in [&b"first"[..], b"", b"a longer second text"] {
            write_atomic(&path, bytes, Durability::Synced, Access::Ordinary).unwrap();
            assert_eq!(read(&path, 100).unwrap().unwrap(), bytes);
        }
        assert!(read(&path, 3).is_err());
        assert!(read(&scratch.path().join("b"), 3).unwrap().is_none());
    }

    #[test]
    fn a_fault_at_any_operation_leaves_the_old_file() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a");
        write_atomic(&path, b"old", Durability::Synced, Access::Ordinary).unwrap();
        for left in 0..3 {
            fault::arm(Some(left));
            let failed = write_atomic(&path, b"new", Durability::Synced, Access::Ordinary);
            fault::arm(None);
            assert!(failed.is_err(), "operation {left}");
            assert_eq!(read(&path, 9).unwrap().unwrap(), b"old", "operation {left}");
            assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 1, "no leftover");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn many_files_are_synced_by_one_call_that_reaches_them_all() {
        let scratch = Scratch::new();
        let system = FileSystem::of(scratch.path()).unwrap();
        let paths: Vec<_> = (0..16).map(|n| scratch.path().join(n.to_string())).collect();
        paths.iter().for_each(|path| fs::write(path, b"new").unwrap());
        assert!(system.reaches(&paths));
        system.sync(&paths).unwrap();
        fault::arm(Some(0));
        let failed = system.sync(&paths);
        fault::arm(None);
        assert!(failed.is_err(), "its failure is told");
        // One that lies on another file system is synced by itself.
        let elsewhere = [paths.as_slice(), &[PathBuf::from("/proc/self/none")]].concat();
        assert!(!system.reaches(&elsewhere) && system.sync(&elsewhere).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn private_means_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let folder = scratch.path().join("x/y");
        create_private_folder(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        let path = folder.join("key");
        fs::write(folder.join(".key.tmp"), b"leftover").unwrap();
        write_atomic(&path, b"secret", Durability::Synced, Access::Private).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_folder_has_one_owner_at_a_time() {
        let scratch = Scratch::new();
        let held = FolderLock::take(scratch.path()).unwrap();
        let second = FolderLock::take(scratch.path());
        assert!(matches!(second, Err(FileError::InUse { .. })));
        drop(held);
        FolderLock::take(scratch.path()).unwrap();
    }

    #[test]
    fn the_names_of_new_folders_are_synced_and_no_others() {
        let scratch = Scratch::new();
        let path = scratch.path().join("logs/one");
        for (left, named) in [(1, scratch.path().join("logs")), (2, scratch.path().to_owned())] {
            fault::arm(Some(left));
            let error = create_folder_synced(&path);
            fault::arm(None);
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&format!("cannot sync `{}`", named.display())), "{error}");
            remove_folder(&scratch.path().join("logs")).unwrap();
        }
        create_folder_synced(&path).unwrap();
        fault::arm(Some(1));
        let again = create_folder_synced(&path);
        fault::arm(None);
        again.unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let scratch = Scratch::new();
        fs::write(scratch.path().join("file"), b"").unwrap();
        let error = create_folder(&scratch.path().join("file/below")).unwrap_err();
        assert!(error.to_string().contains("file/below"), "{error}");
    }
}
