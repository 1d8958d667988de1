//! Goal: the time-stamp authority believes the clock exactly as far as chrony does.
//!
//! Method: real `chronyd` on the loopback interface, none of which sets a clock: one serves its time, another follows it and is asked
//! by the server through its command socket. The first one is stopped, and starts again; at last the other one is stopped. With NTS, the
//! first one has a certificate, which the others trust or not.

use super::support::{Server, command};
use super::tsa::{Desk, exchange, post};
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
pub(crate) fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.2:0").unwrap().local_addr().unwrap().port()
}

/// The accuracy of a token in milliseconds, or the failure bits.
pub(crate) fn ask(desk: &Desk, server: &Server) -> Result<u64, Vec<u8>> {
    desk.openssl("ts -query -data data -sha256 -cert -out q");
    let summary = info(&post(server, &std::fs::read(desk.path("q")).unwrap())).unwrap();
    let Some(token) = summary.token else { return Err(summary.failure) };
    let [s, ms, us] = token.accuracy.unwrap();
    assert_eq!(us, 0);
    Ok(s * 1000 + ms)
}

/// Asks until the answer is as wanted.
pub(crate) fn wait_for(
    desk: &Desk,
    server: &Server,
    wanted: impl Fn(&Result<u64, Vec<u8>>) -> bool,
) {
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
    for clock in ["chrony:", "chrony:localhost", "chrony:run/sock", "chrony:nts:sock", "roughtime:"]
    {
        let output =
            command(&["serve", "--data", "/nowhere", "--tsa-clock", clock]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{clock}");
    }
}

/// A daemon that serves its time with NTS, beside another one that has none.
struct Town {
    desk: Desk,
    folder: tempfile::TempDir,
    ports: [u16; 3],
    daemons: Vec<Daemon>,
}

impl Town {
    fn new() -> Self {
        let (desk, folder) = (Desk::new(), tempfile::tempdir().unwrap());
        // A certificate of an address, under a root of its own; another root signs nothing here.
        std::fs::write(desk.path("ext"), "subjectAltName=IP:127.0.0.2\n").unwrap();
        let ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        desk.openssl(&format!("req {ec} -keyout nts.key -out nts.csr -subj /CN=time"));
        desk.openssl(
            "x509 -req -in nts.csr -CA ca.pem -CAkey ca.key -set_serial 5 -days 9 -extfile ext -out nts.pem",
        );
        desk.openssl(&format!("req -x509 {ec} -keyout no.key -out no.pem -days 9 -subj /CN=Other"));
        let ports = [free_port(), free_port(), free_port()];
        let mut town = Self { desk, folder, ports, daemons: Vec::new() };
        let [port, plain_port, nts_port] = town.ports;
        let served = |address: &str, port| {
            format!("local stratum 3\nallow 127.0.0.0/8\nport {port}\nbindaddress {address}\n")
        };
        let file = |name| town.desk.path(name).display().to_string();
        let with_nts = format!(
            "{}ntsserverkey {}\nntsservercert {}\nntsport {nts_port}\nntsprocesses 0\n",
            served("127.0.0.2", port),
            file("nts.key"),
            file("nts.pem")
        );
        town.start("with-nts", &with_nts);
        town.start("plain", &served("127.0.0.3", plain_port));
        town
    }

    fn start(&mut self, name: &str, text: &str) {
        let daemon = Daemon::start(self.folder.path(), name, text);
        self.daemons.push(daemon);
    }

    /// A daemon that follows the one with NTS, trusting this root. Gives its socket.
    fn follower(&mut self, name: &str, root: &str, more: &str) -> PathBuf {
        let [port, _, nts_port] = self.ports;
        let root = self.desk.path(root).display().to_string();
        let text = format!(
            "server 127.0.0.2 port {port} nts ntsport {nts_port} minpoll -2 maxpoll -2 iburst\n\
             ntstrustedcerts {root}\nport 0\n{more}"
        );
        self.start(name, &text);
        self.folder.path().join(name).join("sock")
    }

    /// A daemon that follows one of the two without NTS.
    fn plain_follower(&mut self, name: &str) -> PathBuf {
        let port = self.ports[0];
        let text = format!("server 127.0.0.2 port {port} minpoll -2 maxpoll -2 iburst\nport 0\n");
        self.start(name, &text);
        self.folder.path().join(name).join("sock")
    }
}

/// Asks whether it is ready, until it has written down that it is not because of this.
pub(crate) fn wait_for_reason(server: &Server, why: &str) {
    let begun = Instant::now();
    while !server.records().contains(why) {
        let request = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let (head, body) = exchange(server, request);
        let body = String::from_utf8(body).unwrap();
        assert!(head.starts_with("http/1.1 503") && body.contains("\"clock\""), "{head}{body}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{why}: {}", server.records());
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

#[test]
fn a_clock_that_anybody_could_set_is_not_believed_where_nts_is_demanded() {
    let mut town = Town::new();
    let trusted = town.follower("trusted", "ca.pem", "");
    let strangers = town.follower("strangers", "no.pem", "");
    let plain = town.plain_follower("bare");
    // Both sources agree, and chrony combines them when it is told to make no difference.
    let both = format!(
        "authselectmode ignore\nserver 127.0.0.3 port {} minpoll -2 maxpoll -2 iburst\n",
        town.ports[1]
    );
    let mixed = town.follower("mixed", "ca.pem", &both);
    for socket in [&trusted, &plain, &mixed] {
        let begun = Instant::now();
        while !follows_any(socket) {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{} follows nobody",
                socket.display()
            );
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
    let ask_with = |clock: &str, name: &str| {
        let path = [("PATH", "/usr/bin:/bin")];
        let flags = ["--tsa-clock", clock, "--tsa-accuracy", "200"];
        Server::start_in(&town.desk.path(name), &flags, &path)
    };
    let nts = |socket: &Path| format!("chrony:nts:{}", socket.display());
    let server = ask_with(&nts(&trusted), "operator");
    wait_for(&town.desk, &server, |answer| matches!(answer, Ok(2..=200)));
    drop(server);

    for (socket, why) in [
        (&plain, "127.0.0.2`, which is not authenticated with NTS"),
        (&strangers, "no server that is authenticated with NTS"),
        (&mixed, "127.0.0.3`, which is not authenticated with NTS"),
    ] {
        let server = ask_with(&nts(socket), "refusing");
        assert_eq!(ask(&town.desk, &server), Err(vec![14]), "{why}");
        wait_for_reason(&server, why);
    }
    // Without the demand the same clock is believed.
    let server = ask_with(&format!("chrony:{}", plain.display()), "operator");
    wait_for(&town.desk, &server, |answer| answer.is_ok());
}

/// Whether it follows somebody: two sources at once if it has two.
fn follows_any(socket: &Path) -> bool {
    let output = Command::new("chronyc")
        .args(["-c", "-n", "-h", socket.to_str().unwrap(), "sources"])
        .output()
        .expect("this test needs the `chronyc` program: install it (package chrony)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let used = text.lines().filter(|line| line.starts_with("^,*") || line.starts_with("^,+"));
    output.status.success() && !text.is_empty() && used.count() == text.lines().count()
}
