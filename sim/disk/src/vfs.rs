//! SQLite's layer over the operating system (its "VFS"), over simulated disks.
//!
//! This is the only module with `unsafe`. What it relies on, and SQLite guarantees
//! (<https://www.sqlite.org/c3ref/io_methods.html>):
//!
//! 1. A `sqlite3_file` that `xOpen` filled is passed to its methods until `xClose`, never afterwards, and by one
//!    thread at a time.
//! 2. Buffers are as long as the length beside them says, and stay valid during the call.
//! 3. Names are terminated by zero.

#![expect(
    unsafe_code,
    reason = "SQLite calls a table of C functions; each block says why it holds"
)]

use crate::chance::Chance;
use crate::disk::{Failed, State, find, lock};
use crate::locks::{Held, REGION};
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;
use rusqlite::ffi;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// The name by which SQLite finds this layer.
pub(crate) const NAME: &str = "tpw-sim-disk";
const C_NAME: &CStr = c"tpw-sim-disk";

/// What SQLite allocates for an open file: its own part, then a pointer to ours.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

/// An open file.
struct Open {
    disk: Arc<Mutex<State>>,
    /// The start of the machine in which it was opened.
    starts: u64,
    name: String,
    /// The holder of its locks.
    who: u64,
    held: Held,
    delete_on_close: bool,
}

static NEXT_HOLDER: AtomicU64 = AtomicU64::new(1);

static REGISTERED: OnceLock<c_int> = OnceLock::new();

/// Tells SQLite of this layer, once.
pub(crate) fn register() {
    REGISTERED.get_or_init(|| {
        let layer = Box::leak(Box::new(layer()));
        // SAFETY: the structure is complete, lives as long as the process, and is only SQLite's from here on.
        unsafe { ffi::sqlite3_vfs_register(layer, 0) }
    });
}

fn layer() -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size(size_of::<Handle>()),
        mxPathname: 256,
        pNext: ptr::null_mut(),
        zName: C_NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path_name),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_ms),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(take_lock),
    xUnlock: Some(release_lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn size(length: usize) -> c_int {
    c_int::try_from(length).unwrap_or(c_int::MAX)
}

fn length(count: c_int) -> usize {
    usize::try_from(count).unwrap_or(0)
}

fn offset(place: i64) -> u64 {
    u64::try_from(place).unwrap_or(0)
}

/// The code for a failure; `plain` is the one for an error of this call.
fn code(failed: Failed, plain: c_int) -> c_int {
    match failed {
        Failed::Full => ffi::SQLITE_FULL,
        Failed::Off | Failed::Error | Failed::Missing => plain,
    }
}

fn done(result: Result<(), Failed>, plain: c_int) -> c_int {
    result.map_or_else(|failed| code(failed, plain), |()| ffi::SQLITE_OK)
}

/// The text of a name, or nothing for a temporary file.
///
/// # Safety
/// The name is null or terminated by zero.
unsafe fn text<'n>(name: *const c_char) -> Option<&'n str> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by the contract of this function.
    unsafe { CStr::from_ptr(name) }.to_str().ok()
}

/// The disk of a name and the name on it.
fn on_disk(name: &str) -> Option<(Arc<Mutex<State>>, &str)> {
    Some((find(name)?, name.split_once('/')?.1))
}

/// What is behind an open file.
///
/// # Safety
/// `file` was filled by [`open`] and not yet given to [`close`].
unsafe fn behind<'f>(file: *mut ffi::sqlite3_file) -> &'f mut Open {
    // SAFETY: `open` stored a pointer from `Box::into_raw`, which `close` alone takes back; one thread at a time
    // uses the file (guarantee 1).
    unsafe { &mut *(*file.cast::<Handle>()).open }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes `szOsFile` bytes for us. Without methods it does not call `close` after a failure.
    unsafe { (*file).pMethods = ptr::null() };
    // SAFETY: guarantee 3.
    let (disk, name) = match unsafe { text(name) } {
        // A temporary file has a disk of its own, which ends with it.
        None => (Arc::default(), "temporary"),
        Some(name) => match on_disk(name) {
            Some(found) => found,
            None => return ffi::SQLITE_CANTOPEN,
        },
    };
    let opened = lock(&disk).open(name, flags & ffi::SQLITE_OPEN_CREATE != 0);
    if opened.is_err() {
        return ffi::SQLITE_CANTOPEN;
    }
    let starts = lock(&disk).starts;
    let open = Box::new(Open {
        starts,
        name: name.to_owned(),
        who: NEXT_HOLDER.fetch_add(1, Ordering::Relaxed),
        held: Held::default(),
        delete_on_close: flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0,
        disk,
    });
    // SAFETY: as above, `file` has room for a `Handle`; `out_flags` is null or a place for an integer.
    unsafe {
        (*file.cast::<Handle>()).open = Box::into_raw(open);
        (*file).pMethods = &raw const METHODS;
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: guarantee 1; nobody uses the pointer after this call, which takes it back into its box.
    let mut open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
    open.held.release();
    let mut state = lock(&open.disk);
    if state.starts == open.starts {
        if let Some(locks) = state.locks.get_mut(&open.name) {
            locks.release(open.who);
        }
        if open.delete_on_close {
            // Nobody asks whether a temporary file could be deleted.
            let _result = state.delete(&open.name, false);
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, synced: c_int) -> c_int {
    // SAFETY: guarantee 3.
    let Some((disk, name)) = unsafe { text(name) }.and_then(on_disk) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    let deleted = lock(&disk).delete(name, synced != 0);
    match deleted {
        Err(Failed::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        result => done(result, ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: guarantee 3.
    let Some((disk, name)) = unsafe { text(name) }.and_then(on_disk) else {
        return ffi::SQLITE_IOERR_ACCESS;
    };
    let found = lock(&disk).has(name);
    match found {
        Ok(there) => {
            // SAFETY: `out` is a place for an integer.
            unsafe { *out = there.into() };
            ffi::SQLITE_OK
        }
        Err(failed) => code(failed, ffi::SQLITE_IOERR_ACCESS),
    }
}

unsafe extern "C" fn full_path_name(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: guarantee 3.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > length(room) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: `out` has room for `room` bytes, which are enough; the two do not overlap.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

/// Salts of the write-ahead log and the like: any bytes do, and the same for all runs are best.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    let mut chance = Chance::new(0);
    // SAFETY: guarantee 2.
    let out = unsafe { core::slice::from_raw_parts_mut(out.cast::<u8>(), length(count)) };
    out.iter_mut().for_each(|byte| [*byte] = chance.bytes());
    count
}

/// Time is virtual: whoever waits for another thread lets it run, and goes on.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    std::thread::yield_now();
    microseconds
}

/// The beginning of 2025 as a Julian day in milliseconds; no statement of ours asks for the time.
const NOW_MS: i64 = 212_602_320_000_000;

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: `out` is a place for a number.
    unsafe { *out = 2_460_676.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_ms(_: *mut ffi::sqlite3_vfs, out: *mut i64) -> c_int {
    // SAFETY: `out` is a place for a number.
    unsafe { *out = NOW_MS };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    into: *mut c_void,
    count: c_int,
    place: i64,
) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    // SAFETY: guarantee 2.
    let into = unsafe { core::slice::from_raw_parts_mut(into.cast::<u8>(), length(count)) };
    // What is not there reads as zeros.
    into.fill(0);
    let result = lock(&open.disk).read(&open.name, open.starts, offset(place), into);
    match result {
        Ok(found) if found == into.len() => ffi::SQLITE_OK,
        Ok(_) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(failed) => code(failed, ffi::SQLITE_IOERR_READ),
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    place: i64,
) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    // SAFETY: guarantee 2.
    let from = unsafe { core::slice::from_raw_parts(from.cast::<u8>(), length(count)) };
    let result = lock(&open.disk).write(&open.name, open.starts, offset(place), from);
    done(result, ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    let result = lock(&open.disk).truncate(&open.name, open.starts, offset(size));
    done(result, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    done(lock(&open.disk).sync(&open.name, open.starts), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    let found = lock(&open.disk).size(&open.name, open.starts);
    match found {
        Ok(size) => {
            // SAFETY: `out` is a place for a number.
            unsafe { *out = i64::try_from(size).unwrap_or(i64::MAX) };
            ffi::SQLITE_OK
        }
        Err(failed) => code(failed, ffi::SQLITE_IOERR_FSTAT),
    }
}

unsafe extern "C" fn take_lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    let mut state = lock(&open.disk);
    if state.is_off(open.starts) {
        return ffi::SQLITE_IOERR_LOCK;
    }
    let locks = state.locks.entry(open.name.clone()).or_default();
    let taken = match level {
        ffi::SQLITE_LOCK_NONE => true,
        ffi::SQLITE_LOCK_SHARED => locks.shared(open.who),
        ffi::SQLITE_LOCK_RESERVED => locks.reserved(open.who),
        _ => locks.exclusive(open.who),
    };
    if taken { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn release_lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    let mut state = lock(&open.disk);
    if state.starts == open.starts
        && let Some(locks) = state.locks.get_mut(&open.name)
    {
        if level == ffi::SQLITE_LOCK_NONE {
            locks.release(open.who);
        } else {
            locks.down_to_shared(open.who);
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    let state = lock(&open.disk);
    let reserved = state.locks.get(&open.name).is_some_and(crate::locks::Locks::is_reserved);
    // SAFETY: `out` is a place for an integer.
    unsafe { *out = reserved.into() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    size(crate::sheet::BLOCK)
}

/// As SQLite's own layer on Unix: a write leaves the bytes around it alone, also when it is torn.
unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    number: c_int,
    region_size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    // SAFETY: `out` is a place for an address.
    unsafe { *out = ptr::null_mut() };
    if length(region_size) != REGION {
        return ffi::SQLITE_IOERR_SHMSIZE;
    }
    let mut state = lock(&open.disk);
    if state.is_off(open.starts) {
        return ffi::SQLITE_IOERR_SHMMAP;
    }
    let memory = open
        .held
        .memory
        .get_or_insert_with(|| Arc::clone(state.shared.entry(open.name.clone()).or_default()));
    let address = memory.region(length(number), extend != 0);
    // SAFETY: as above. The region lives as long as `held.memory`, which goes with `xShmUnmap` or `xClose`, after
    // which SQLite does not use it.
    unsafe { *out = address.cast() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    first: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    let wanted = length(first)..length(first).saturating_add(length(count));
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        open.held.unlock(wanted);
        return ffi::SQLITE_OK;
    }
    if lock(&open.disk).is_off(open.starts) {
        return ffi::SQLITE_IOERR_SHMLOCK;
    }
    let taken = if flags & ffi::SQLITE_SHM_SHARED != 0 {
        open.held.lock_shared(wanted.start)
    } else {
        open.held.lock_exclusive(wanted)
    };
    if taken { ffi::SQLITE_OK } else { ffi::SQLITE_BUSY }
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    core::sync::atomic::fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: guarantee 1.
    let open = unsafe { behind(file) };
    open.held.release();
    let mut state = lock(&open.disk);
    if delete != 0 && state.starts == open.starts {
        state.shared.remove(&open.name);
    }
    ffi::SQLITE_OK
}
