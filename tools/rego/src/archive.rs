//! A bundle as one file, as `opa build` writes it: a tar archive under gzip.

use std::io::Read;
use std::path::{Component, Path};

use flate2::read::GzDecoder;
use tar::{Archive, EntryType};

use crate::bundle::{BYTES_MAX, BundleError, DEPTH_MAX, FILES_MAX};

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its path in the bundle, without a slash at its beginning.
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// What the heads of all files, and the end of the archive, may take beside what is in them.
const HEADS_MAX: u64 = 4 << 20;

/// All files of an archive. What it grows to is bounded before it is read.
pub(crate) fn read(path: &Path) -> Result<Vec<File>, BundleError> {
    let shown = || path.display().to_string();
    let failed = |cause| BundleError::Read { path: shown(), cause };
    let packed = std::fs::File::open(path).map_err(failed)?;
    let most = BYTES_MAX.saturating_add(HEADS_MAX);
    let mut archive = Archive::new(GzDecoder::new(packed).take(most.saturating_add(1)));
    let (mut files, mut bytes) = (Vec::new(), 0_u64);
    for entry in archive.entries().map_err(failed)? {
        let mut entry = entry.map_err(failed)?;
        let odd = |cause: &str| BundleError::Content { path: shown(), cause: cause.to_owned() };
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Directory | EntryType::XGlobalHeader => continue,
            // A link could lead out of the bundle, and a signature says nothing of where it leads.
            _ => return Err(odd("an entry is neither a file nor a folder")),
        }
        let name = name(&entry.path().map_err(failed)?).ok_or_else(|| odd("an odd path"))?;
        if name.matches('/').count() > DEPTH_MAX {
            return Err(BundleError::TooLarge);
        }
        if files.iter().any(|file: &File| file.name == name) {
            return Err(odd("a file is there twice"));
        }
        let mut content = Vec::new();
        let left = BYTES_MAX.saturating_sub(bytes);
        let read = (&mut entry).take(left.saturating_add(1)).read_to_end(&mut content);
        bytes = bytes.saturating_add(u64::try_from(read.map_err(failed)?).unwrap_or(u64::MAX));
        if bytes > BYTES_MAX || files.len() >= FILES_MAX {
            return Err(BundleError::TooLarge);
        }
        files.push(File { name, bytes: content });
    }
    // To the end: there stands the checksum of all of it.
    let mut rest = archive.into_inner();
    std::io::copy(&mut rest, &mut std::io::sink()).map_err(failed)?;
    if rest.limit() == 0 { Err(BundleError::TooLarge) } else { Ok(files) }
}

/// A path of plain names.
fn name(path: &Path) -> Option<String> {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => names.push(name.to_str()?),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!names.is_empty()).then(|| names.join("/"))
}
