//! What chrony says of the clock, and of who it has the time from.
//!
//! Trust: chrony says whether a server is authenticated; whether its certificate is the right one is chrony's to know
//! (`ntstrustedcerts`).

use super::Pace;
use crate::clock::ClockFault;
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

/// How long it may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// It polls its servers every 64 s or more rarely.
pub(super) const PACE: Pace = Pace {
    every: Duration::from_secs(8),
    again: Duration::from_secs(8),
    age_max: Duration::from_secs(60),
    first: Duration::from_secs(16),
};
/// An answer is a line of some hundred bytes for each source.
const ANSWER_LEN_MAX: u64 = 1 << 16;

/// Whose time chrony may follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sources {
    /// Whatever its configuration names.
    Any,
    /// Servers that are authenticated with NTS, and nothing else.
    Nts,
}

/// A chrony daemon that is asked by its own program.
pub(super) struct Chrony {
    program: OsString,
    socket: Option<PathBuf>,
    sources: Sources,
}

impl Chrony {
    /// The daemon at this command socket, or at its usual place.
    pub(super) fn at(socket: Option<PathBuf>, sources: Sources) -> Self {
        Self { program: "chronyc".into(), socket, sources }
    }

    /// How far the clock may be off, in microseconds.
    pub(super) fn error_us(&self) -> Result<u64, ClockFault> {
        if self.sources == Sources::Nts {
            // Read before the bound is: a daemon that changes over meanwhile is asked again in some seconds.
            let authentication = self.ask("authdata")?;
            demand_nts(&self.ask("sources")?, &authentication)?;
        }
        tracking_error_us(&self.ask("tracking")?)
    }

    fn ask(&self, question: &str) -> Result<String, ClockFault> {
        ask(&self.program, self.socket.as_deref(), question, ANSWER_TIME_MAX)
    }
}

fn odd() -> ClockFault {
    ClockFault::Unreadable("chronyc answers in another form".to_owned())
}

/// Refuses a clock that follows anything but servers authenticated with NTS. chrony may combine several sources: each of them has to be.
fn demand_nts(sources: &str, authentication: &str) -> Result<(), ClockFault> {
    let refused = |why: String| Err(ClockFault::Unauthenticated(why));
    let mut with_nts = Vec::new();
    for line in authentication.lines() {
        let [name, mode, _, _, _, _, _, _, _, _] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(odd());
        };
        with_nts.extend((mode == "NTS").then_some(name));
    }
    let mut selected = false;
    for line in sources.lines() {
        let [_, state, name, _, _, _, _, _, _, _] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(odd());
        };
        // `*` is the one that it follows, `+` one that is combined with it.
        if !matches!(state, "*" | "+") {
            continue;
        }
        if !with_nts.contains(&name) {
            return refused(format!(
                "the clock follows `{name}`, which is not authenticated with NTS; give its server the option `nts`, or set \
                 `authselectmode require`"
            ));
        }
        selected |= state == "*";
    }
    if selected {
        return Ok(());
    }
    refused(
        "the clock follows no server that is authenticated with NTS; see `chronyc -N authdata`"
            .to_owned(),
    )
}

/// What `chronyc -c -n QUESTION` answers.
fn ask(
    program: &OsStr,
    socket: Option<&Path>,
    question: &str,
    patience: Duration,
) -> Result<String, ClockFault> {
    let unreadable = |why: &dyn core::fmt::Display| ClockFault::Unreadable(why.to_string());
    let mut child = Command::new(program)
        .args(["-c", "-n"])
        .args(socket.iter().flat_map(|path| [OsStr::new("-h"), path.as_os_str()]))
        .arg(question)
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
    let fields: Vec<&str> = line.trim().split(',').collect();
    let [id, _, stratum, _, offset, last_offset, _, _, _, _, delay, dispersion, _, leap] =
        fields[..]
    else {
        return Err(odd());
    };
    // No reference, or this computer's own clock declared to be one (`local`).
    let own = matches!(id, "00000000" | "7F7F0101" | "7F000001");
    if own || leap == "Not synchronised" || matches!(stratum, "0" | "16") {
        return Err(ClockFault::Unsynchronised);
    }
    let seconds = |text: &str| text.parse::<f64>().ok().filter(|value| value.is_finite());
    let not_negative = |text: &str| seconds(text).filter(|value| *value >= 0.0);
    let offset = seconds(offset).ok_or_else(odd)?.abs();
    let last_offset = seconds(last_offset).ok_or_else(odd)?.abs();
    let delay = not_negative(delay).ok_or_else(odd)?;
    let dispersion = not_negative(dispersion).ok_or_else(odd)?;
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
    //! Goal: chrony is understood or not believed. Method: answers of chrony 4 as they are and with one thing wrong; a shell as the
    //! program, which answers late, wrongly or never.

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
        let answer = ask(&program(&expects), None, "tracking", patience).unwrap();
        assert_eq!(answer, GOOD);
        let expects = format!("test \"$*\" = '-c -n -h /s tracking' && echo '{}'", GOOD.trim());
        let answer = ask(&program(&expects), Some(Path::new("/s")), "tracking", patience);
        assert_eq!(answer.unwrap(), GOOD);
        let fails = |program: OsString, patience| match ask(&program, None, "tracking", patience) {
            Err(ClockFault::Unreadable(why)) => why,
            other => panic!("{other:?}"),
        };
        let says = fails(program("echo '506 Cannot talk to daemon'; exit 1"), patience);
        assert_eq!(says, "chronyc says: 506 Cannot talk to daemon");
        let late = fails(program("exec tail -f /dev/null"), Duration::from_millis(100));
        assert_eq!(late, "chronyc does not answer");
        assert!(fails("no-such-program".into(), patience).starts_with("chronyc does not start"));
    }

    const SOURCES: &str = "^,*,192.0.2.1,3,6,377,0,0.000000406,0.000000462,0.000005060\n\
        ^,+,192.0.2.2,3,6,377,0,0.000000406,0.000000462,0.000005060\n\
        ^,-,192.0.2.3,3,6,377,0,0.000000406,0.000000462,0.000005060\n";
    const AUTHENTICATION: &str = "192.0.2.1,NTS,1,15,256,7,0,0,8,100\n\
        192.0.2.2,NTS,1,15,256,7,0,0,8,100\n\
        192.0.2.3,-,0,0,0,4294967295,0,0,0,0\n";

    #[test]
    fn who_is_followed_has_to_be_authenticated() {
        demand_nts(SOURCES, AUTHENTICATION).unwrap();
        // One thing wrong with whom it follows, and the name that the reason has.
        for (from, to, named) in [
            ("192.0.2.1,NTS", "192.0.2.1,-", "`192.0.2.1`"),
            ("192.0.2.1,NTS", "192.0.2.1,SK", "`192.0.2.1`"),
            ("192.0.2.1,NTS", "192.0.2.10,NTS", "`192.0.2.1`"),
            ("192.0.2.2,NTS", "192.0.2.2,-", "`192.0.2.2`"),
        ] {
            let bad = demand_nts(SOURCES, &AUTHENTICATION.replace(from, to)).unwrap_err();
            let said = bad.to_string();
            assert!(matches!(bad, ClockFault::Unauthenticated(_)), "{said}");
            assert!(said.contains(named), "{said}");
        }
        // The third one has no NTS, and is followed now; so is a clock of this machine, which has no authentication at all.
        for (from, to) in [("^,-,192.0.2.3", "^,+,192.0.2.3"), ("^,-,192.0.2.3", "#,+,PPS0")] {
            let bad = demand_nts(&SOURCES.replace(from, to), AUTHENTICATION).unwrap_err();
            assert!(matches!(bad, ClockFault::Unauthenticated(_)), "{bad}");
        }
        for none in [String::new(), SOURCES.replace("^,*", "^,?").replace("^,+", "^,?")] {
            let bad = demand_nts(&none, AUTHENTICATION).unwrap_err().to_string();
            assert!(bad.contains("follows no server"), "{bad}");
        }
        for (sources, authentication) in [
            ("506 Cannot talk to daemon", AUTHENTICATION),
            (SOURCES, "501 Not authorised"),
            (SOURCES, "192.0.2.1,NTS"),
        ] {
            let bad = demand_nts(sources, authentication);
            assert!(matches!(bad, Err(ClockFault::Unreadable(_))), "{bad:?}");
        }
    }
}
