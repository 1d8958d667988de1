//! How far the system's clock may be off: what the operator declares, or what chrony says at this moment.
//!
//! INVARIANT: what is not known is a fault, never a guess. A fault stops the time-stamps that are given to others.

use crate::clock::ClockFault;
use core::str::FromStr;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Monotonic};
use tpw_core::Span;

/// How often chrony is asked. It polls its servers every 64 s or more rarely.
const ASK_EVERY: Duration = Duration::from_secs(8);
/// How long it may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// What was read longer ago says nothing any more.
const AGE_MAX: Duration = Duration::from_secs(60);
/// By how much a clock can run wrong between two readings, in parts of a million: more than crystals of any computer do.
const DRIFT_PPM: u64 = 100;
/// An answer is one line of some two hundred bytes.
const ANSWER_LEN_MAX: u64 = 4096;

/// Where the clock's error is known from, as the operator says: `declared:MS`, `chrony` or `chrony:SOCKET`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ErrorSource {
    /// The operator vouches for so much.
    Declared(Span),
    /// `chronyc` is asked, again and again; of the daemon at this command socket, or at its usual place.
    Chrony(Option<PathBuf>),
}

impl FromStr for ErrorSource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "chrony" {
            return Ok(Self::Chrony(None));
        }
        if let Some(path) = text.strip_prefix("chrony:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Chrony(Some(path.into())));
        }
        let ms = text.strip_prefix("declared:").and_then(|ms| ms.parse::<u64>().ok());
        let declared = ms.filter(|ms| (1..=3_600_000).contains(ms)).map(Span::from_ms);
        declared.map(Self::Declared).ok_or_else(|| {
            format!(
                "`{text}` is neither `chrony`, `chrony:` with the whole path of its command socket, nor `declared:` with 1 to \
                 3600000 milliseconds"
            )
        })
    }
}

/// How far the system's clock may be off.
#[derive(Debug)]
pub enum ErrorBound {
    /// The operator vouches for so much.
    Declared(Span),
    /// A thread keeps asking.
    Watched(Watch),
}

impl ErrorBound {
    /// The bound from this source; for chrony a thread is started, which ends with the bound.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn from_source(source: &ErrorSource) -> std::io::Result<Self> {
        match source {
            ErrorSource::Declared(span) => Ok(Self::Declared(*span)),
            ErrorSource::Chrony(socket) => {
                let socket = socket.clone();
                let read = move || ask("chronyc".into(), socket.as_deref(), ANSWER_TIME_MAX);
                Watch::start(read).map(Self::Watched)
            }
        }
    }

    pub(crate) fn error(&self) -> Result<Span, ClockFault> {
        match self {
            Self::Declared(span) => Ok(*span),
            Self::Watched(watch) => watch.error_at(Monotonic::now()),
        }
    }
}

/// What was read last, and when.
struct Read {
    error_us: Result<u64, ClockFault>,
    at: Monotonic,
}

/// A thread that reads the clock's error again and again.
#[derive(Debug)]
pub struct Watch {
    last: Arc<Mutex<Read>>,
    /// Dropped with the watch, which ends the thread.
    _stop: Sender<()>,
}

impl core::fmt::Debug for Read {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:?}", self.error_us)
    }
}

impl Watch {
    /// Reads once before it returns, so that the first time-stamp need not wait.
    fn start(
        read: impl Fn() -> Result<String, ClockFault> + Send + 'static,
    ) -> std::io::Result<Self> {
        let take = move || {
            // The age counts from before the question was asked.
            let at = Monotonic::now();
            Read { error_us: read().and_then(|text| tracking_error_us(&text)), at }
        };
        let last = Arc::new(Mutex::new(take()));
        let (stop, stopped): (_, Receiver<()>) = channel();
        let shared = Arc::clone(&last);
        std::thread::Builder::new().name("clock-watch".to_owned()).spawn(move || {
            while stopped.recv_timeout(ASK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let fresh = take();
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
            }
        })?;
        Ok(Self { last, _stop: stop })
    }

    fn error_at(&self, now: Monotonic) -> Result<Span, ClockFault> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.saturating_duration_since(last.at);
        let error_us = last.error_us.clone()?;
        if age > AGE_MAX {
            return Err(ClockFault::Stale(age.as_secs()));
        }
        let age_us = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let drift_us = age_us.saturating_mul(DRIFT_PPM).div_ceil(1_000_000);
        // One more, because the time itself is cut to milliseconds.
        let error_ms = error_us.saturating_add(drift_us).div_ceil(1000).saturating_add(1);
        Ok(Span::from_ms(error_ms))
    }
}

/// What `chronyc -c -n tracking` answers.
fn ask(program: OsString, socket: Option<&Path>, patience: Duration) -> Result<String, ClockFault> {
    let unreadable = |why: &dyn core::fmt::Display| ClockFault::Unreadable(why.to_string());
    let mut child = Command::new(program)
        .args(["-c", "-n"])
        .args(socket.iter().flat_map(|path| [OsStr::new("-h"), path.as_os_str()]))
        .arg("tracking")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| unreadable(&format!("chronyc does not start: {error}")))?;
    let answer = read_within(&mut child, patience);
    if answer.is_err() {
        let _ended_already = child.kill();
    }
    let status = child.wait().map_err(|error| unreadable(&error))?;
    let answer = answer?;
    if status.success() {
        return Ok(answer);
    }
    Err(unreadable(&format!("chronyc says: {}", answer.lines().next().unwrap_or_default())))
}

fn read_within(child: &mut Child, patience: Duration) -> Result<String, ClockFault> {
    let unreadable = |why: String| ClockFault::Unreadable(why);
    let out = child.stdout.take().ok_or_else(|| unreadable("chronyc has no output".to_owned()))?;
    let (sender, receiver) = channel();
    let reader = std::thread::Builder::new().name("clock-answer".to_owned()).spawn(move || {
        let mut text = String::new();
        let read = out.take(ANSWER_LEN_MAX).read_to_string(&mut text);
        let _nobody_waits = sender.send(read.map(|_length| text));
    });
    reader.map_err(|error| unreadable(error.to_string()))?;
    match receiver.recv_timeout(patience) {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(unreadable(error.to_string())),
        Err(_late) => Err(unreadable("chronyc does not answer".to_owned())),
    }
}

/// The largest error that the answer allows, in microseconds: chrony's own bound, the offset that is still being corrected, the
/// root dispersion and half the root delay. Of the two offsets that it tells the larger one counts.
fn tracking_error_us(line: &str) -> Result<u64, ClockFault> {
    let unreadable = || ClockFault::Unreadable("chronyc answers in another form".to_owned());
    let fields: Vec<&str> = line.trim().split(',').collect();
    let [id, _, stratum, _, offset, last_offset, _, _, _, _, delay, dispersion, _, leap] =
        fields[..]
    else {
        return Err(unreadable());
    };
    // No reference, or this computer's own clock declared to be one (`local`).
    let own = matches!(id, "00000000" | "7F7F0101" | "7F000001");
    if own || leap == "Not synchronised" || matches!(stratum, "0" | "16") {
        return Err(ClockFault::Unsynchronised);
    }
    let seconds = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let not_negative = |text: &str| seconds(text).filter(|value| *value >= 0.0);
    let offset = seconds(offset).ok_or_else(unreadable)?.abs();
    let last_offset = seconds(last_offset).ok_or_else(unreadable)?.abs();
    let delay = not_negative(delay).ok_or_else(unreadable)?;
    let dispersion = not_negative(dispersion).ok_or_else(unreadable)?;
    let error_us = ((offset.max(last_offset) + dispersion + delay / 2.0) * 1e6).ceil();
    // An hour is far more than any authority declares; beyond it the number says nothing.
    if error_us > 3.6e9 {
        return Err(ClockFault::Unsynchronised);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "finite, not negative and at most 3.6e9, as checked above"
    )]
    Ok(error_us as u64)
}

#[cfg(test)]
mod tests {
    //! Goal: the error is never told smaller than it is, and what is not known is a fault. Method: answers of chrony 4 as they
    //! are and with one thing wrong; a shell as the program, which answers late, wrongly or never.

    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const GOOD: &str = "A29FC87B,162.159.200.123,3,1795342500.123456789,-0.000012345,0.000002000,\
        0.000023456,-12.345,0.001,0.123,0.012345000,0.000456789,64.2,Normal\n";

    #[test]
    fn the_bound_is_offset_dispersion_and_half_the_delay() {
        // 12.345 + 456.789 + 6172.5 microseconds.
        assert_eq!(tracking_error_us(GOOD), Ok(6642));
        let later = GOOD.replace("0.000002000", "-0.500000000");
        assert_eq!(tracking_error_us(&later), Ok(506_630));
        let leap = GOOD.replace("Normal", "Insert second");
        assert_eq!(tracking_error_us(&leap), Ok(6642));
    }

    #[test]
    fn what_is_not_synchronised_or_not_read_is_a_fault() {
        for (from, to) in [
            ("Normal", "Not synchronised"),
            ("A29FC87B", "00000000"),
            ("A29FC87B", "7F7F0101"),
            (",3,", ",0,"),
            (",3,", ",16,"),
            ("0.000456789", "3601.0"),
        ] {
            let unsynchronised = tracking_error_us(&GOOD.replace(from, to));
            assert_eq!(unsynchronised, Err(ClockFault::Unsynchronised), "{to}");
        }
        for bad in [
            String::new(),
            "506 Cannot talk to daemon".to_owned(),
            GOOD.replace(",Normal", ""),
            GOOD.replace("Normal", "Normal,more"),
            GOOD.replace("0.000456789", "-0.1"),
            GOOD.replace("0.000456789", "NaN"),
            GOOD.replace("0.012345000", "inf"),
            GOOD.replace("-0.000012345", "x"),
        ] {
            let read = tracking_error_us(&bad);
            assert!(matches!(read, Err(ClockFault::Unreadable(_))), "{bad}: {read:?}");
        }
    }

    #[test]
    fn the_error_grows_with_its_age_until_it_says_nothing() {
        let watch = Watch::start(|| Ok(GOOD.to_owned())).unwrap();
        let at = watch.last.lock().unwrap().at;
        let after = |secs| watch.error_at(at + Duration::from_secs(secs));
        assert_eq!(after(0), Ok(Span::from_ms(8)));
        assert_eq!(after(60), Ok(Span::from_ms(14)));
        assert_eq!(after(61), Err(ClockFault::Stale(61)));
        let none = Watch::start(|| Err(ClockFault::Unsynchronised)).unwrap();
        assert_eq!(none.error_at(Monotonic::now()), Err(ClockFault::Unsynchronised));
    }

    #[test]
    fn the_program_is_asked_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let program = |text: &str| {
            let path = folder.path().join("chronyc");
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            path.into_os_string()
        };
        let patience = Duration::from_secs(20);
        let expects = format!("test \"$*\" = '-c -n tracking' && echo '{}'", GOOD.trim());
        let answer = ask(program(&expects), None, patience).unwrap();
        assert_eq!(answer, GOOD);
        let expects = format!("test \"$*\" = '-c -n -h /s tracking' && echo '{}'", GOOD.trim());
        assert_eq!(ask(program(&expects), Some(Path::new("/s")), patience).unwrap(), GOOD);
        let fails = |program, patience| match ask(program, None, patience) {
            Err(ClockFault::Unreadable(why)) => why,
            other => panic!("{other:?}"),
        };
        let says = fails(program("echo '506 Cannot talk to daemon'; exit 1"), patience);
        assert_eq!(says, "chronyc says: 506 Cannot talk to daemon");
        let late = fails(program("exec tail -f /dev/null"), Duration::from_millis(100));
        assert_eq!(late, "chronyc does not answer");
        assert!(fails("no-such-program".into(), patience).starts_with("chronyc does not start"));
    }

    #[test]
    fn a_source_is_named_exactly() {
        let read = str::parse::<ErrorSource>;
        assert_eq!(read("chrony"), Ok(ErrorSource::Chrony(None)));
        let socket = Some(PathBuf::from("/run/c/sock"));
        assert_eq!(read("chrony:/run/c/sock"), Ok(ErrorSource::Chrony(socket)));
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
        ] {
            assert!(read(bad).unwrap_err().starts_with(&format!("`{bad}` is neither")), "{bad}");
        }
    }
}
