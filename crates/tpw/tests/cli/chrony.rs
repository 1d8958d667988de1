//! Goal: the time-stamp authority believes the clock exactly as far as chrony does.
//!
//! Method: two real `chronyd` on the loopback interface, neither of which sets a clock: one serves its time, the other follows it and is
//! asked by the server through its command socket. The first one is stopped, and starts again; at last the other one is stopped.

use super::support::{Server, command};
use super::tsa::{Desk, post};
use std::net::UdpSocket;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tpw_proof::timestamp::info;

/// A daemon; killed at the end.
struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path, name: &str, text: &str) -> Self {
        let own = folder.join(name);
        if !own.exists() {
            // It takes no folder that others could write into.
            std::fs::DirBuilder::new().mode(0o770).create(&own).unwrap();
        }
        let common =
            format!("{text}cmdport 0\nbindcmdaddress {0}/sock\npidfile {0}/pid\n", own.display());
        let path = folder.join(format!("{name}.conf"));
        std::fs::write(&path, common).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        // -d in the foreground, -x without setting the clock, -U also when it is not root.
        let child = Command::new("/usr/sbin/chronyd")
            .args(["-d", "-x", "-U", "-u", user.trim(), "-f", path.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs `/usr/sbin/chronyd`: install it (package chrony)");
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Asked to, so that its socket and its file are gone for the next one.
        let _asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _reaped = self.0.wait();
    }
}

/// A port that nobody has at this moment.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port()
}

/// The accuracy of a token in milliseconds, or the failure bits.
fn ask(desk: &Desk, server: &Server) -> Result<u64, Vec<u8>> {
    desk.openssl("ts -query -data data -sha256 -cert -out q");
    let summary = info(&post(server, &std::fs::read(desk.path("q")).unwrap())).unwrap();
    let Some(token) = summary.token else { return Err(summary.failure) };
    let [s, ms, us] = token.accuracy.unwrap();
    assert_eq!(us, 0);
    Ok(s * 1000 + ms)
}

/// Asks until the answer is as wanted.
fn wait_for(desk: &Desk, server: &Server, wanted: impl Fn(&Result<u64, Vec<u8>>) -> bool) {
    let begun = Instant::now();
    loop {
        let answer = ask(desk, server);
        if wanted(&answer) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(40), "it stays {answer:?}");
        std::thread::park_timeout(Duration::from_millis(500));
    }
}

fn follows(socket: &Path) -> bool {
    let output = Command::new("chronyc")
        .args(["-c", "-n", "-h", socket.to_str().unwrap(), "tracking"])
        .output()
        .expect("this test needs the `chronyc` program: install it (package chrony)");
    output.status.success() && String::from_utf8_lossy(&output.stdout).starts_with("7F000002,")
}

#[test]
fn a_clock_that_follows_nobody_any_more_gives_no_time() {
    let (desk, folder) = (Desk::new(), tempfile::tempdir().unwrap());
    let port = free_port();
    let source =
        format!("local stratum 3\nallow 127.0.0.0/8\nport {port}\nbindaddress 127.0.0.2\n");
    // Without news its bound grows by 10 ms in a second: a stand-in for the hours that it takes otherwise.
    let follower = format!(
        "server 127.0.0.2 port {port} minpoll -2 maxpoll -2 iburst\nport 0\nmaxclockerror 10000\n"
    );
    let first = Daemon::start(folder.path(), "source", &source);
    let second = Daemon::start(folder.path(), "follower", &follower);
    let socket: PathBuf = folder.path().join("follower/sock");
    let begun = Instant::now();
    while !follows(&socket) {
        assert!(begun.elapsed() < Duration::from_secs(30), "chronyd does not follow the other");
        std::thread::park_timeout(Duration::from_millis(100));
    }

    let clock = format!("chrony:{}", socket.display());
    let flags = ["--tsa-clock", &clock, "--tsa-accuracy", "60"];
    let path = [("PATH", "/usr/bin:/bin")];
    let server = Server::start_in(&desk.path("operator"), &flags, &path);
    // The first samples of a daemon say little.
    wait_for(&desk, &server, |answer| matches!(answer, Ok(2..=60)));
    drop(first);
    // RFC 3161 §2.4.2: timeNotAvailable is bit 14.
    wait_for(&desk, &server, |answer| *answer == Err(vec![14]));
    let first = Daemon::start(folder.path(), "source", &source);
    wait_for(&desk, &server, |answer| answer.is_ok());
    drop(second);
    wait_for(&desk, &server, |answer| *answer == Err(vec![14]));
    drop(first);
}

#[test]
fn a_place_that_is_no_path_is_a_usage_error() {
    for clock in ["chrony:", "chrony:localhost", "chrony:run/sock"] {
        let output =
            command(&["serve", "--data", "/nowhere", "--tsa-clock", clock]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{clock}");
    }
}
