//! How far the system's clock may be off: what the operator declares, what chrony says at this moment, or what Roughtime servers agree
//! on.
//!
//! INVARIANT: what is not known is a fault, never a guess. A fault stops the time-stamps that are given to others.

mod chrony;
mod offset;
mod roughtime;

use crate::clock::{ClockFault, Readings, micros};
use chrony::{Chrony, Sources};
use core::str::FromStr;
use offset::Offset;
use roughtime::{Round, ServerList};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tpw_core::Span;

/// By how much a crystal can run wrong between two readings, in parts of a million: more than those of any computer do.
const DRIFT_PPM: u64 = 100;

/// Where the clock's error is known from, as the operator says: `declared:MS`, `chrony`, `chrony:SOCKET`, the same with `nts`, or
/// `roughtime:FILE`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ErrorSource {
    /// The operator vouches for so much.
    Declared(Span),
    /// `chronyc` is asked, again and again; of the daemon at this command socket, or at its usual place.
    Chrony(Option<PathBuf>),
    /// The same, and the daemon may follow nothing but servers that are authenticated with NTS (RFC 8915).
    ChronyNts(Option<PathBuf>),
    /// The Roughtime servers (RFC 10049) in this file are asked, again and again.
    Roughtime(PathBuf),
}

impl FromStr for ErrorSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{text}` is neither `chrony`, `chrony:` with the whole path of its command socket, `chrony:nts`, `chrony:nts:` with that \
                 path, `roughtime:` with the whole path of a list of servers, nor `declared:` with 1 to 3600000 milliseconds"
            )
        };
        let path =
            |path: &str| path.starts_with('/').then(|| PathBuf::from(path)).ok_or_else(unknown);
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("chrony", "nts") => Ok(Self::ChronyNts(None)),
            ("chrony", _) if text == "chrony" => Ok(Self::Chrony(None)),
            ("chrony", rest) => match rest.strip_prefix("nts:") {
                Some(socket) => Ok(Self::ChronyNts(Some(path(socket)?))),
                None => Ok(Self::Chrony(Some(path(rest)?))),
            },
            ("roughtime", list) => Ok(Self::Roughtime(path(list)?)),
            ("declared", ms) => {
                let ms = ms.parse::<u64>().ok().filter(|ms| (1..=3_600_000).contains(ms));
                ms.map(|ms| Self::Declared(Span::from_ms(ms))).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }
}

/// Why a source of the clock's error cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The list of servers is none.
    #[error("`{path}` is no list of Roughtime servers: {why}")]
    List {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The system gives no thread.
    #[error("the system gives no thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// How far the system's clock may be off.
#[derive(Debug)]
pub enum ErrorBound {
    /// The operator vouches for so much.
    Declared(Span),
    /// A thread keeps asking.
    Watched(Watch),
    /// All of these have to know it, and may not exclude each other; the least of what they say counts.
    Together(Vec<Self>),
}

impl ErrorBound {
    /// The bound from these sources together.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn from_sources(sources: &[ErrorSource], evidence: &Path) -> Result<Self, SourceError> {
        let bounds = sources.iter().map(|source| Self::from_source(source, evidence));
        let mut bounds = bounds.collect::<Result<Vec<_>, _>>()?;
        match bounds.pop() {
            Some(only) if bounds.is_empty() => Ok(only),
            last => {
                bounds.extend(last);
                Ok(Self::Together(bounds))
            }
        }
    }

    /// The bound from this source. For all but a declared one a thread is started, which ends with the bound. Proofs that somebody
    /// lies are kept in the folder `evidence`.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn from_source(source: &ErrorSource, evidence: &Path) -> Result<Self, SourceError> {
        match source {
            ErrorSource::Declared(span) => Ok(Self::Declared(*span)),
            ErrorSource::Chrony(socket) => Self::chrony(Chrony::at(socket.clone(), Sources::Any)),
            ErrorSource::ChronyNts(socket) => {
                Self::chrony(Chrony::at(socket.clone(), Sources::Nts))
            }
            ErrorSource::Roughtime(path) => {
                let list = ServerList::read(path)
                    .map_err(|why| SourceError::List { path: path.clone(), why })?;
                let mut round = Round::of(list, evidence);
                let read = move || round.offset();
                Ok(Self::Watched(Watch::start(roughtime::PACE, read)?))
            }
        }
    }

    fn chrony(chrony: Chrony) -> Result<Self, SourceError> {
        let read = move || chrony.error_us().map(Offset::within);
        Ok(Self::Watched(Watch::start(chrony::PACE, read)?))
    }

    pub(crate) fn error(&self, now: &Readings) -> Result<Span, ClockFault> {
        match self {
            Self::Declared(span) => Ok(*span),
            // One more, because the time itself is cut to milliseconds.
            Self::Watched(watch) => {
                let error_us = watch.offset_at(now)?.error_us();
                Ok(Span::from_ms(error_us.div_ceil(1000).saturating_add(1)))
            }
            Self::Together(bounds) => {
                let offsets =
                    bounds.iter().map(|one| one.offset(now)).collect::<Result<Vec<_>, _>>()?;
                if !offsets.iter().all(|one| offsets.iter().all(|other| one.meets(*other))) {
                    return Err(ClockFault::Contradiction);
                }
                let errors =
                    bounds.iter().map(|one| one.error(now)).collect::<Result<Vec<_>, _>>()?;
                errors.into_iter().min().ok_or(ClockFault::Unsynchronised)
            }
        }
    }

    fn offset(&self, now: &Readings) -> Result<Offset, ClockFault> {
        match self {
            Self::Watched(watch) => watch.offset_at(now),
            Self::Declared(_) | Self::Together(_) => {
                Ok(Offset::within(self.error(now)?.as_ms().saturating_mul(1000)))
            }
        }
    }
}

/// How often somebody is asked, and for how long an answer counts.
#[derive(Clone, Copy, Debug)]
struct Pace {
    every: Duration,
    /// After a fault.
    again: Duration,
    age_max: Duration,
    /// How long the start waits for the first answer.
    first: Duration,
}

/// What was read last, and the clocks before it.
struct Read {
    offset: Result<Offset, ClockFault>,
    taken: Readings,
}

/// A thread that reads the clock's error again and again.
#[derive(Debug)]
pub struct Watch {
    last: Arc<Mutex<Read>>,
    pace: Pace,
    /// Dropped with the watch, which ends the thread.
    _stop: Sender<()>,
}

impl core::fmt::Debug for Read {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.offset)
    }
}

impl Watch {
    /// Waits a while for the first answer, so that the first time-stamp need not. `read` tells the offset at the time when it was
    /// called.
    fn start(
        pace: Pace,
        mut read: impl FnMut() -> Result<Offset, ClockFault> + Send + 'static,
    ) -> std::io::Result<Self> {
        let mut take = move || {
            // The age counts from before the question was asked.
            let taken = Readings::take();
            Read { offset: read(), taken }
        };
        let unread = ClockFault::Unreadable("nobody has answered yet".to_owned());
        let last = Arc::new(Mutex::new(Read { offset: Err(unread), taken: Readings::take() }));
        let (stop, stopped): (_, Receiver<()>) = channel();
        let (tell, told) = channel();
        let shared = Arc::clone(&last);
        std::thread::Builder::new().name("clock-watch".to_owned()).spawn(move || {
            let mut known = None;
            loop {
                let fresh = take();
                note_change(&mut known, &fresh.offset);
                let wait = if fresh.offset.is_ok() { pace.every } else { pace.again };
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
                let _started_already = tell.send(());
                if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        let _late = told.recv_timeout(pace.first);
        Ok(Self { last, pace, _stop: stop })
    }

    fn offset_at(&self, now: &Readings) -> Result<Offset, ClockFault> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.passed_since(&last.taken);
        let offset = last.offset.clone()?;
        if age > self.pace.age_max {
            return Err(ClockFault::Stale(age.as_secs()));
        }
        // The offset has become other by the true time that passed, less what passed on the wall clock. The crystal tells the true time up
        // to its own error, and what the wall clock went away from it is known; but it may have been set or slewed rightly, as after a
        // sleep that the crystal did not count, or wrongly. So it counts either way: for a clock that is disciplined the bound gets wider
        // by some parts of a million more than it need be, and one that is slewed fast has no bound that is too small.
        let drift_us = micros(age).saturating_mul(DRIFT_PPM).div_ceil(1_000_000);
        let strayed_us = now.strayed_us_since(&last.taken);
        Ok(offset.widened(drift_us.saturating_add(strayed_us)))
    }
}

/// Writes down when the error gets known, and why it is not known any more.
fn note_change(known: &mut Option<bool>, offset: &Result<Offset, ClockFault>) {
    if known.replace(offset.is_ok()) == Some(offset.is_ok()) {
        return;
    }
    match offset {
        Ok(offset) => {
            let error_us = offset.error_us();
            tracing::info!(error_us, "it is known how far the clock may be off");
        }
        Err(fault) => tracing::warn!(%fault, "it is not known how far the clock may be off"),
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the error is never told smaller than it is, and what is not known is a fault. Method: readings that get old, clocks that
    //! are set, and names of sources that are good or have one thing wrong.

    use super::*;

    #[test]
    fn the_error_grows_with_its_age_until_it_says_nothing() {
        let watch = Watch::start(chrony::PACE, || Ok(Offset::within(6_642))).unwrap();
        let taken = watch.last.lock().unwrap().taken;
        let watch = ErrorBound::Watched(watch);
        let after = |secs: u64, set_us: i64| {
            let passed = Duration::from_secs(secs);
            let wall_us = (taken.wall_us + micros(passed)).checked_add_signed(set_us).unwrap();
            let (monotonic, crystal) = (taken.monotonic + passed, taken.crystal + passed);
            watch.error(&Readings { wall_us, monotonic, crystal })
        };
        assert_eq!(after(0, 0), Ok(Span::from_ms(8)));
        assert_eq!(after(60, 0), Ok(Span::from_ms(14)));
        assert_eq!(after(61, 0), Err(ClockFault::Stale(61)));
        assert_eq!(after(0, 500_000), Ok(Span::from_ms(508)), "somebody set the clock");
        assert_eq!(after(0, -500_000), Ok(Span::from_ms(508)));
        let none = Watch::start(chrony::PACE, || Err(ClockFault::Unsynchronised)).unwrap();
        assert_eq!(none.offset_at(&Readings::take()), Err(ClockFault::Unsynchronised));
    }

    #[test]
    fn a_clock_that_is_slewed_has_no_smaller_error_than_it_was_slewed_by() {
        let watch = Watch::start(roughtime::PACE, || Ok(Offset::within(3_000_000))).unwrap();
        let taken = watch.last.lock().unwrap().taken;
        let watch = ErrorBound::Watched(watch);
        // The monotonic clock is slewed with the wall clock, and shows nothing.
        let after = |secs: u64, ppm: i64| {
            let corrected_us = 1_000_000_u64.checked_add_signed(ppm).unwrap() * secs;
            watch.error(&Readings {
                wall_us: taken.wall_us + corrected_us,
                monotonic: taken.monotonic + Duration::from_micros(corrected_us),
                crystal: taken.crystal + Duration::from_secs(secs),
            })
        };
        let ms = |ms| Ok(Span::from_ms(ms));
        assert_eq!(after(1_000, 0), ms(3_000 + 100 + 1));
        // Usual discipline: the bound is wider by what was corrected, and that is all.
        assert_eq!((after(1_000, 50), after(1_000, -500)), (ms(3_151), ms(3_601)));
        // chrony's fastest, either way: 83 s in 1,000 s.
        assert_eq!((after(1_000, 83_333), after(1_000, -83_333)), (ms(86_434), ms(86_434)));
        // A clock that is slowed down makes nothing younger.
        assert_eq!(after(3_601, -83_333), Err(ClockFault::Stale(3_601)));
    }

    #[test]
    fn who_has_not_answered_yet_is_not_waited_for_long() {
        let pace = Pace { first: Duration::from_millis(20), ..chrony::PACE };
        let (never, wait) = channel::<()>();
        let watch = Watch::start(pace, move || {
            let _ended = wait.recv();
            Ok(Offset::within(1))
        });
        let error = watch.unwrap().offset_at(&Readings::take()).unwrap_err();
        assert_eq!(error.to_string(), "the clock's error cannot be read: nobody has answered yet");
        drop(never);
    }

    #[test]
    fn sources_that_exclude_each_other_are_not_believed() {
        let rough = |least_us, most_us| {
            let offset = Offset { least_us, most_us };
            ErrorBound::Watched(Watch::start(roughtime::PACE, move || Ok(offset)).unwrap())
        };
        let declared = || ErrorBound::Declared(Span::from_ms(500));
        let error = |bounds| ErrorBound::Together(bounds).error(&Readings::take());
        assert_eq!(error(vec![rough(-5_000_000, 5_000_000), declared()]), Ok(Span::from_ms(500)));
        // What one of them knows better counts: some are only asked whether it can be true.
        let fine = error(vec![rough(-5_000_000, 5_000_000), declared(), rough(-9_000, 7_000)]);
        assert!((Span::from_ms(10)..=Span::from_ms(30)).contains(&fine.unwrap()));
        for (least_us, most_us) in [(900_000, 9_000_000), (-3_600_000_000, -3_599_000_000)] {
            let error = error(vec![declared(), rough(least_us, most_us)]);
            assert_eq!(error, Err(ClockFault::Contradiction));
        }
        let none = Watch::start(chrony::PACE, || Err(ClockFault::Unsynchronised)).unwrap();
        let error = error(vec![declared(), ErrorBound::Watched(none)]);
        assert_eq!(error, Err(ClockFault::Unsynchronised), "each of them has to know");
    }

    #[test]
    fn a_source_is_named_exactly() {
        let read = str::parse::<ErrorSource>;
        assert_eq!(read("chrony"), Ok(ErrorSource::Chrony(None)));
        let socket = || Some(PathBuf::from("/run/c/sock"));
        assert_eq!(read("chrony:/run/c/sock"), Ok(ErrorSource::Chrony(socket())));
        assert_eq!(read("chrony:nts"), Ok(ErrorSource::ChronyNts(None)));
        assert_eq!(read("chrony:nts:/run/c/sock"), Ok(ErrorSource::ChronyNts(socket())));
        assert_eq!(read("roughtime:/etc/r"), Ok(ErrorSource::Roughtime("/etc/r".into())));
        assert_eq!(read("declared:500"), Ok(ErrorSource::Declared(Span::from_ms(500))));
        for bad in [
            "",
            "ntp",
            "declared",
            "declared:0",
            "declared:3600001",
            "declared:1s",
            "Chrony",
            "chrony:",
            "chrony:sock",
            "chrony:nts:",
            "chrony:nts:sock",
            "chrony:ntp",
            "nts",
            "roughtime",
            "roughtime:",
            "roughtime:list.json",
        ] {
            assert!(read(bad).unwrap_err().starts_with(&format!("`{bad}` is neither")), "{bad}");
        }
    }
}
