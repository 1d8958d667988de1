//! Goal: whatever single system call on the log's files fails, fails for ever, is the last one before the process is killed, or
//! is a write that is cut in half by that, the log comes back, contradicts nothing that it answered or published, and
//! passes its audit. Method: this test binary starts itself under `strace` as a child that lives through a log's life and writes
//! each checkpoint that it was answered to a pipe. A first run without faults lists the calls on the log's folder; then each
//! of them is crossed with each fault, in a folder of its own, which is opened and audited afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking and tells by printing"
)]

#[path = "../src/scratch.rs"]
mod scratch;
#[path = "../src/log_store/tests/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "the tests beside the log use all of it")]
mod world;

use scratch::Scratch;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use tpw_core::TreeHead;
use tpw_engines::log_store::{LeafSource, LogConfig, LogError, LogStore, Report, fsck};
use world::{Ledger, World, assert_not_contradicted, instant, keys, published};

const FOLDER: &str = "TPW_LOG_FAULTS_FOLDER";
const CHILD: &str = "child_with_a_log";
/// All leaves that the child's ledger comes to hold.
const LEAVES: u64 = 600;

/// Asks for all faults at calls that only read; `cargo xtask drill faults` does.
const ALL_WANTED: &str = "TPW_LOG_FAULTS_ALL";
/// Else each so-manieth of them.
const READING_EVERY: usize = 4;

/// The calls by which the standard library and SQLite change files. All but the last four need room on the disk.
const CHANGING: [&str; 12] = [
    "openat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "mkdir",
    "chmod",
    "fchmod",
    "ftruncate",
    "unlink",
    "unlinkat",
];
const NEED_ROOM: usize = 7;
const SIGKILL: i32 = 9;
/// And those by which they read and lock them.
const READING: [&str; 9] =
    ["read", "pread64", "getdents64", "statx", "fstat", "newfstatat", "lseek", "flock", "fcntl"];

/// A process that is started inherits the locks of this one for an instant: not while a log is opened here. So these tests have a
/// program of their own, too.
static ONE: Mutex<()> = Mutex::new(());

/// Not a test by itself: what the parent starts, and traces from the word `live` on.
#[test]
#[ignore = "runs as the child of the faults"]
fn child_with_a_log() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (told, wait) = channel();
    std::thread::spawn(move || told.send(std::io::stdin().lines().next()));
    println!("process {}", std::process::id());
    // A call that shows in the trace when tracing has begun, and is counted among no other.
    while wait.recv_timeout(Duration::from_millis(1)).is_err() {
        std::env::current_dir().unwrap();
    }
    live(Path::new(&folder)).unwrap();
}

/// A log is born, grows over the border of a tile, is closed, and is opened by a ledger that went on without it.
fn live(folder: &Path) -> Result<(), LogError> {
    let config = keys().config.clone();
    let ledger = Ledger::of(250);
    let mut store = LogStore::open(folder, config.clone(), &ledger, instant(0))?;
    tell(&store);
    for size in [262, 265] {
        store.append_and_checkpoint(&ledger.grow(size), instant(size))?;
        tell(&store);
        store.publish()?;
    }
    store.close()?;
    let store = LogStore::open(folder, config, &Ledger::of(LEAVES), instant(LEAVES))?;
    tell(&store);
    store.close()
}

/// What an answer tells the world.
fn tell(store: &LogStore) {
    let head = store.newest().unwrap().head;
    println!("answered {} {}", head.size, head.root);
}

/// What happens to one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// It fails once with an input/output error.
    Error,
    /// It and all later calls of its kind fail: the disk is full.
    Full,
    /// The process is killed instead of it.
    Killed,
    /// The process is killed after half of the bytes were written.
    Torn,
}

impl Fault {
    const ALL: [Self; 4] = [Self::Error, Self::Full, Self::Killed, Self::Torn];

    fn fits(self, call: &str) -> bool {
        match self {
            Self::Error => true,
            Self::Full => CHANGING.iter().take(NEED_ROOM).any(|name| *name == call),
            // Before a call that changes nothing it leaves what it leaves before the next one that does.
            Self::Killed => CHANGING.contains(&call),
            Self::Torn => matches!(call, "write" | "pwrite64"),
        }
    }

    fn injected(self, point: &Point) -> String {
        let Point { call, number } = point;
        match self {
            Self::Error => format!("inject={call}:error=EIO:when={number}"),
            Self::Full => format!("inject={call}:error=ENOSPC:when={number}+"),
            Self::Killed | Self::Torn => format!("inject={call}:signal=KILL:when={number}"),
        }
    }
}

/// The so-manieth call of its kind in each thread, from 1.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Point {
    call: String,
    number: u32,
}

/// One life under `strace`, and what it left.
struct Life {
    world: World,
    trace: String,
    /// What it told the world.
    said: String,
    ended: Output,
}

impl Life {
    fn run(fault: Option<(Fault, &Point)>) -> Self {
        let world = World::of(LEAVES);
        let trace = world.scratch.path().join("trace");
        let calls = CHANGING.into_iter().chain(READING).collect::<Vec<_>>().join(",");
        let alone = ONE.lock().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([CHILD, "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, world.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let process = read_process(&mut stdout);
        let mut tracer = Command::new("strace");
        // What is written is wanted whole when half of it is to be written here.
        let shown = if matches!(fault, Some((Fault::Torn, _))) { "1000000" } else { "200" };
        tracer.args(["-f", "-qq", "-y", "-xx", "-s", shown, "-e", "signal=none", "-o"]);
        tracer.arg(&trace).arg("-e").arg(format!("trace=getcwd,{calls}")).args(["-p", &process]);
        if let Some((fault, point)) = fault {
            tracer.arg("-e").arg(fault.injected(point));
        }
        let tracer = tracer.stderr(Stdio::piped()).spawn();
        drop(alone);
        let mut tracer =
            tracer.expect("install `strace` (`cargo xtask setup`): these tests trace themselves");
        wait_for_calls(&trace, &mut tracer);
        writeln!(child.stdin.take().unwrap(), "live").unwrap();
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        let ended = child.wait_with_output().unwrap();
        tracer.wait().unwrap();
        let trace = std::fs::read_to_string(&trace).unwrap();
        Self { world, trace, said, ended }
    }

    /// The checkpoints that were answered.
    fn answered(&self) -> Vec<TreeHead> {
        let lines = self.said.lines().filter_map(|line| line.strip_prefix("answered "));
        lines
            .map(|line| {
                let (size, root) = line.split_once(' ').unwrap();
                TreeHead { size: size.parse().unwrap(), root: root.parse().unwrap() }
            })
            .collect()
    }

    /// The calls on the log's folder, and the number of each among all of its kind in its thread: as faults are counted.
    fn points(&self) -> BTreeSet<Point> {
        let folder = hex(self.world.folder().to_str().unwrap().as_bytes());
        let mut counts = BTreeMap::<(&str, &str), u32>::new();
        let mut points = BTreeSet::new();
        for line in self.trace.lines() {
            let Some((before, rest)) = line.split_once('(') else { continue };
            let Some((thread, call)) = before.split_once(' ') else { continue };
            let count = counts.entry((thread, call.trim())).or_default();
            *count += 1;
            if rest.contains(&folder) {
                points.insert(Point { call: call.trim().to_owned(), number: *count });
            }
        }
        points
    }

    /// Does the first half of the write before which the process was killed.
    fn tear(&self) {
        // Its line ends in `= ?`, or is cut in two where another thread was traced in between.
        let killed = |line: &&str| {
            line.contains("write")
                && line.contains(">, \"")
                && (line.contains("= ?") || line.ends_with("<unfinished ...>"))
        };
        let line = self.trace.lines().rfind(killed).unwrap();
        let (_call, rest) = line.split_once('<').unwrap();
        let (path, rest) = rest.split_once(">, \"").unwrap();
        let (bytes, rest) = rest.split_once('"').unwrap();
        let bytes: Vec<u8> = bytes
            .split("\\x")
            .skip(1)
            .map(|digits| u8::from_str_radix(digits, 16).unwrap())
            .collect();
        let numbers: Vec<u64> = rest
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        assert_eq!(numbers.first(), Some(&(bytes.len() as u64)), "the whole write is in: {rest}");
        let path = PathBuf::from(unescaped(path));
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        // A write without an offset of its own goes to a file that was just made.
        file.seek(SeekFrom::Start(numbers.get(1).copied().unwrap_or(0))).unwrap();
        file.write_all(&bytes[..bytes.len() / 2]).unwrap();
    }

    /// A healthy start afterwards holds all leaves, and agrees with all that was said.
    fn demand_sound(&self, seen: Option<TreeHead>, what: &str) {
        let _alone = ONE.lock().unwrap();
        let store = self.world.try_open().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(store.size(), LEAVES, "{what}");
        for head in self.answered().into_iter().chain(seen) {
            assert_not_contradicted(&self.world, &store, Some(head));
        }
        store.close().unwrap();
        self.world.assert_sound();
    }
}

/// The bytes as `strace` escapes them.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

fn unescaped(path: &str) -> String {
    if !path.contains("\\x") {
        return path.to_owned();
    }
    let bytes = path.split("\\x").skip(1).map(|digits| u8::from_str_radix(digits, 16).unwrap());
    String::from_utf8(bytes.collect()).unwrap()
}

/// The number of the child, which it says first.
fn read_process(stdout: &mut impl BufRead) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the child says nothing");
        // The harness has begun the line.
        if let Some((_harness, process)) = line.trim().split_once("process ") {
            return process.to_owned();
        }
    }
}

/// Waits until the tracer sees calls.
fn wait_for_calls(trace: &Path, tracer: &mut Child) {
    while !std::fs::read_to_string(trace).is_ok_and(|text| text.contains("getcwd")) {
        if let Some(ended) = tracer.try_wait().unwrap() {
            let mut said = String::new();
            let mut errors = tracer.stderr.take().unwrap();
            errors.read_to_string(&mut said).unwrap();
            panic!("`strace` cannot trace a process of this account: {ended}: {said}");
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn failure(ended: &Output) -> String {
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

/// Whether the fault struck: threads that work side by side do not make the very same calls each time.
fn cross(point: &Point, fault: Fault) -> bool {
    let what = format!("{fault:?} at call {} of {}", point.number, point.call);
    let life = Life::run(Some((fault, point)));
    let struck = life.trace.contains("INJECTED") || life.ended.status.signal() == Some(SIGKILL);
    if struck && fault == Fault::Torn {
        life.tear();
    }
    // A torn file is nobody's checkpoint: it does not verify.
    let seen = if fault == Fault::Torn { None } else { published(&life.world) };
    life.demand_sound(seen, &what);
    struck
}

/// Each fault at each call, and those at calls that only read as far as they are wanted.
fn crossings(whole: &Life) -> Vec<(Point, Fault)> {
    let every = if std::env::var_os(ALL_WANTED).is_some() { 1 } else { READING_EVERY };
    let points = whole.points();
    let (changing, reading): (Vec<_>, Vec<_>) =
        points.into_iter().partition(|point| CHANGING.contains(&point.call.as_str()));
    let crossed = |point: &Point| Fault::ALL.map(|fault| (point.clone(), fault));
    let all = changing.iter().chain(reading.iter().step_by(every)).flat_map(crossed);
    all.filter(|(point, fault)| fault.fits(&point.call)).collect()
}

#[test]
fn every_system_call_may_fail_or_be_the_last_one() {
    let whole = Life::run(None);
    assert!(whole.ended.status.success(), "{}", failure(&whole.ended));
    assert_eq!(whole.answered().len(), 4);
    whole.demand_sound(published(&whole.world), "no fault");
    let crossings = crossings(&whole);
    let (next, struck) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((point, fault)) = crossings.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    struck.fetch_add(usize::from(cross(point, *fault)), Ordering::Relaxed);
                }
            });
        }
    });
    let struck = struck.into_inner();
    println!("{struck} of {} faults struck", crossings.len());
    assert!(struck > 700 && struck * 100 > crossings.len() * 98, "{struck} of {}", crossings.len());
}
