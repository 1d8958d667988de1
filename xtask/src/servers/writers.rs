//! Clients of the database in a drill: each writes numbers one after the other and notes which were acknowledged.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::patroni::{Cluster, ROLE};
use super::wait;
use crate::shell::{Failure, Workplace};

const COUNT: usize = 4;
const START_TIME_MAX: Duration = Duration::from_secs(20);
/// A server that is stopped in its tracks keeps its connections and says nothing: only time tells.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(6);
const PAUSE: Duration = Duration::from_millis(200);

/// The table that they write to (beside the schema of the books), and a number once and for all: a repetition finds it there.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS public.drill (writer int, number bigint, tries int NOT NULL DEFAULT 1, \
                     PRIMARY KEY (writer, number))";

/// What all writers share.
struct Shared {
    ended: AtomicBool,
    /// The program that a writer talks to, so that one that hangs can be ended.
    sessions: Mutex<Vec<Option<Child>>>,
    acknowledged: Mutex<Vec<(usize, u64, Instant)>>,
}

/// The writers at work.
pub(crate) struct Writers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// How to reach the database.
#[derive(Clone)]
struct Session {
    place: Workplace,
    program: PathBuf,
    connection: String,
    passwords: PathBuf,
    log: PathBuf,
}

impl Writers {
    pub(crate) fn start(
        place: &Workplace,
        cluster: &Cluster<'_>,
        folder: &Path,
    ) -> Result<Self, Failure> {
        let passwords = folder.join("writers.pgpass");
        cluster.password_file(&passwords)?;
        // A connection that says nothing is given up after 5 s: the server may be cut off.
        let connection = format!(
            "host={} user={ROLE} dbname={ROLE} target_session_attrs=read-write connect_timeout=2 \
             keepalives_idle=2 keepalives_interval=1 keepalives_count=3 tcp_user_timeout=5000 \
             sslmode=verify-full sslrootcert={}",
            cluster.hosts().join(","),
            cluster.authority().display()
        );
        let session = Session {
            place: place.clone(),
            program: cluster.psql(),
            connection,
            passwords,
            log: folder.join("writers.log"),
        };
        // A standby may not know the new database yet, and libpq asks no other host when one says so.
        wait::until("table of the writers", START_TIME_MAX, || {
            let call = place.call(&session.program).env("PGPASSFILE", &session.passwords);
            let call = call.words(&["-X", "-q", "-d", &session.connection, "-c", TABLE]);
            Ok(call.quiet()?.success.then_some(()))
        })?;
        let shared = Arc::new(Shared {
            ended: AtomicBool::new(false),
            sessions: Mutex::new((0..COUNT).map(|_| None).collect()),
            acknowledged: Mutex::new(Vec::new()),
        });
        let threads = (0..COUNT).map(|writer| {
            let (shared, session) = (Arc::clone(&shared), session.clone());
            std::thread::spawn(move || work(writer, &shared, &session))
        });
        Ok(Self { threads: threads.collect(), shared })
    }

    /// The longest time without any acknowledgement since `from`, until the last one.
    pub(crate) fn outage(&self, from: Instant) -> Duration {
        let all = self.lock();
        let before = all.iter().map(|(_, _, at)| *at).filter(|at| *at <= from).max();
        let mut times: Vec<Instant> =
            all.iter().map(|(_, _, at)| *at).filter(|at| *at > from).collect();
        times.extend(before);
        times.sort_unstable();
        let gaps = times.windows(2).filter_map(|pair| {
            let [earlier, later] = pair else { return None };
            Some(later.duration_since(*earlier))
        });
        gaps.max().unwrap_or_default()
    }

    /// Waits until every writer has been acknowledged something that it sent after now.
    pub(crate) fn resumed(&self, time_max: Duration) -> Result<(), Failure> {
        let from = Instant::now();
        wait::until("acknowledgement for every writer", time_max, || {
            let all = self.lock();
            let new = |writer| {
                let after = |(of, _, at): &&(usize, u64, Instant)| *of == writer && *at > from;
                // The first may have been sent before.
                all.iter().filter(after).count() >= 2
            };
            Ok((0..COUNT).all(new).then_some(()))
        })
    }

    /// Compares what was acknowledged with what a node has; returns how many that were.
    pub(crate) fn check(&self, cluster: &Cluster<'_>, at: usize) -> Result<usize, Failure> {
        let acknowledged = self.lock().clone();
        let query = "SELECT writer, count(*), max(number) FROM public.drill GROUP BY writer";
        let text = cluster.sql(at)?.words(&["-d", ROLE, "-c", query]).read()?;
        let mut rows = [(0_u64, 0_u64); COUNT];
        for line in text.lines() {
            let words: Vec<u64> = line.split('|').filter_map(|word| word.parse().ok()).collect();
            let [writer, count, last] = words[..] else { continue };
            let place = usize::try_from(writer).ok().and_then(|writer| rows.get_mut(writer));
            *place.ok_or_else(|| Failure::new("a row of no writer"))? = (count, last);
        }
        for (writer, (count, last)) in rows.iter().enumerate() {
            let of = acknowledged.iter().filter(|(of, _, _)| *of == writer);
            let highest = of.map(|(_, number, _)| *number).max().unwrap_or_default();
            // Numbers are given out one after the other, so all are there when the last is and there is no gap.
            if count != last || *last < highest {
                return Err(Failure::new(format!(
                    "LOST: writer {writer} was acknowledged {highest}, and there are {count} rows up to {last}"
                )));
            }
        }
        Ok(acknowledged.len())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(usize, u64, Instant)>> {
        self.shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let mut sessions = self.shared.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for session in sessions.iter_mut().flatten() {
            let _gone = session.kill();
        }
        drop(sessions);
        for thread in self.threads.drain(..) {
            let _ended = thread.join();
        }
    }
}

/// One writer: the next number is sent when the last one is acknowledged, the same one again after a failure.
fn work(writer: usize, shared: &Shared, session: &Session) {
    let mut next = 1;
    while !shared.ended.load(Ordering::SeqCst) {
        let Some(mut child) = session.open() else { return };
        let pipes = (child.stdin.take(), child.stdout.take());
        put(shared, writer, Some(child));
        let mut listener = None;
        if let (Some(mut to), Some(from)) = pipes {
            let (told, lines) = mpsc::channel();
            listener = Some(std::thread::spawn(move || {
                for line in BufReader::new(from).lines().map_while(Result::ok) {
                    if told.send(line).is_err() {
                        return;
                    }
                }
            }));
            while !shared.ended.load(Ordering::SeqCst) {
                let statement = format!(
                    "INSERT INTO public.drill AS drill VALUES ({writer}, {next}) ON CONFLICT (writer, number) \
                     DO UPDATE SET tries = drill.tries + 1 RETURNING number;\n"
                );
                let sent = to.write_all(statement.as_bytes()).and_then(|()| to.flush());
                let answer = sent.ok().and_then(|()| lines.recv_timeout(ANSWER_TIME_MAX).ok());
                if answer.and_then(|line| line.parse().ok()) != Some(next) {
                    break;
                }
                let mut all = shared.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                all.push((writer, next, Instant::now()));
                next += 1;
            }
        }
        put(shared, writer, None);
        if let Some(listener) = listener {
            let _ended = listener.join();
        }
        wait::pause(PAUSE);
    }
}

/// Keeps a writer's session where it can be ended, and ends the one before.
fn put(shared: &Shared, writer: usize, session: Option<Child>) {
    let mut sessions = shared.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = sessions.get_mut(writer)
        && let Some(mut old) = std::mem::replace(place, session)
    {
        let _gone = old.kill();
        let _reaped = old.wait();
    }
}

impl Session {
    fn open(&self) -> Option<Child> {
        let call = self.place.call(&self.program).env("PGPASSFILE", &self.passwords);
        let call = call.words(&["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d"]);
        call.word(&self.connection).piped(&self.log).ok()
    }
}
