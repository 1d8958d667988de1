//! Goal: whoever is asked for more than their device gives it where they are, and the command goes on by itself; where nobody can be asked it
//! ends as before.
//! Method: the binary on a terminal of its own (`script` of util-linux); another device of the same person; a folder into which the server
//! writes its mails.

use super::support::{Device, Ran, Server, command, secret, tpw};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PASSWORD: &str = "violet hammock 57";
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Waits for something, for a bounded time.
fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < WAIT_MAX, "{what} did not come");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A command on a terminal, and somebody who types.
struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: Arc<Mutex<String>>,
}

impl Terminal {
    fn run(args: &[&str]) -> Self {
        let quoted = |text: &&str| format!("'{text}'");
        let words: Vec<String> = args.iter().map(quoted).collect();
        let line = format!("'{}' {}", env!("CARGO_BIN_EXE_tpw"), words.join(" "));
        let mut child = Command::new("/usr/bin/script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env_clear()
            .envs([("LC_ALL", "C"), ("SHELL", "/bin/sh"), ("TERM", "dumb"), ("PATH", "")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test needs script of util-linux");
        let screen = Arc::new(Mutex::new(String::new()));
        let (own, mut output) = (Arc::clone(&screen), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                own.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let keyboard = child.stdin.take().unwrap();
        Self { child, keyboard, screen }
    }

    /// Types a line when the screen shows something.
    fn types_at(&mut self, shown: &str, text: &str) {
        let screen = Arc::clone(&self.screen);
        let mut seen = String::new();
        let began = Instant::now();
        while !seen.contains(shown) {
            assert!(began.elapsed() < WAIT_MAX, "`{shown}` is not on the screen: {seen}");
            std::thread::park_timeout(Duration::from_millis(50));
            seen.clone_from(&screen.lock().unwrap());
        }
        self.screen.lock().unwrap().clear();
        self.keyboard.write_all(format!("{text}\n").as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    #[track_caller]
    fn ends(mut self, code: i32) -> String {
        let status = wait_for("the end", || self.child.try_wait().unwrap());
        let screen = self.screen.lock().unwrap().clone();
        assert_eq!(status.code(), Some(code), "{screen}");
        screen
    }
}

struct Set {
    root: tempfile::TempDir,
    server: Server,
    alice: Device,
    bob: Device,
}

impl Set {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mails");
        let mails = ["--mail-folder", folder.to_str().unwrap()];
        let server = Server::start(&root.path().join("operator"), &mails);
        let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:9000:label=main"]);
        let bob = Device::enrolled(&server, root.path(), "Bob", &["USD/2:label=main"]);
        Self { root, server, alice, bob }
    }

    fn run(&self, words: &[&str]) -> Ran {
        tpw(&self.alice.args(words))
    }

    fn with(&self, words: &[&str], text: &str) -> Ran {
        let file = secret(&self.root.path().join("typed"), text);
        self.run(&[words, &["--secret-file", &file]].concat())
    }

    /// A payment that waits, because nobody can be asked.
    fn waiting(&self, amount: &str) -> String {
        let order = ["pay", "main", &self.bob.accounts[0], amount, "USD/2", "--no-input", "--json"];
        let waits = self.alice.wallet(&order).ends(5).json();
        waits["payment"].as_str().unwrap().to_owned()
    }

    /// Another device of Alice's.
    fn another_device(&self) -> Device {
        let shown = self.alice.wallet(&["show", "--json"]).ends(0).json();
        let person = shown["person"].as_str().unwrap().to_owned();
        let issued = self.server.ops(&["person", "code", &person]).ends(0).json();
        let root = self.root.path();
        let code = secret(&root.join("second.code"), issued["code"].as_str().unwrap());
        let device = Device {
            folder: root.join("second"),
            passphrase: self.alice.passphrase.clone(),
            accounts: self.alice.accounts.clone(),
        };
        device.wallet(&["init"]).ends(0);
        let (url, ca) = (self.server.url.as_str(), self.server.ca.as_str());
        device.wallet(&["enrol", "--server", url, "--ca", ca, "--code-file", &code]).ends(0);
        device
    }

    /// The code of the newest mail, when there are so many.
    fn code(&self, mails: usize) -> String {
        let folder = self.root.path().join("mails");
        let text = wait_for("the mail", || {
            let files = std::fs::read_dir(&folder).ok()?;
            let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
            paths.sort();
            (paths.len() >= mails).then(|| std::fs::read_to_string(paths.last().unwrap()).unwrap())
        });
        let digits = |text: &str| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
        let words: Vec<&str> = text.split_whitespace().collect();
        words.windows(2).find(|pair| digits(pair[0]) && digits(pair[1])).unwrap().concat()
    }
}

impl Set {
    /// The mails that were sent are known as the operator's, and an altered one is not.
    fn messages_can_be_checked(&self) {
        let out = self.root.path().join("receipts");
        self.alice.wallet(&["receipts", "--out", out.to_str().unwrap()]).ends(0);
        let trust = out.join("trust.json");
        let verify = |file: &str, more: &[&str]| {
            let words = ["message", "verify", file, "--trust", trust.to_str().unwrap()];
            tpw(&[&words[..], more].concat())
        };
        let mails = std::fs::read_dir(self.root.path().join("mails")).unwrap();
        for mail in mails.map(|file| file.unwrap().path()) {
            let path = mail.to_str().unwrap();
            assert!(verify(path, &[]).ends(0).stdout.contains("tpw.example"));
            verify(path, &["--to", "ann@mail.example", "--json"]).ends(0).json();
            verify(path, &["--to", "bob@mail.example"]).ends(4);
            let forged = self.root.path().join("forged");
            let text = std::fs::read_to_string(&mail).unwrap();
            std::fs::write(&forged, text.replace("minutes", "days")).unwrap();
            verify(forged.to_str().unwrap(), &[]).ends(4);
        }
        let listed = self.run(&["message", "list", "--json"]).ends(0).json();
        assert_eq!(listed["messages"].as_array().unwrap().len(), 2);
        assert_eq!(self.run(&["message", "list"]).ends(0).stdout.lines().count(), 2);
    }
}

#[test]
fn at_a_terminal_the_factor_is_asked_for_and_the_command_goes_on() {
    let set = Set::new();
    set.with(&["factor", "password"], PASSWORD).ends(0);
    // Where nobody can be asked it waits.
    let payment = set.waiting("1500");
    let shown = set.server.ops(&["payment", "show", &payment]);
    assert!(shown.stdout.contains("step_up"), "{}", shown.stdout);
    let payee = set.bob.accounts[0].clone();
    let pay = ["wallet", "pay", "main", &payee, "1500", "USD/2", "--yes"];
    let mut terminal = Terminal::run(&set.alice.args(&pay));
    terminal.types_at("your password", "2");
    // A slip is told, and asked for again.
    terminal.types_at("Password:", "violet hammock 58");
    std::thread::park_timeout(Duration::from_millis(1_200));
    terminal.types_at("your password", "2");
    terminal.types_at("Password:", PASSWORD);
    assert!(terminal.ends(0).contains("booked"));
    assert_eq!(set.bob.available(), "150000");
    // What wants a better session gets it, and is done.
    let mut terminal = Terminal::run(&set.alice.args(&["factor", "recovery"]));
    terminal.types_at("Password:", PASSWORD);
    let screen = terminal.ends(0);
    assert!(
        screen.lines().filter(|line| line.trim().split('-').count() == 4).count() >= 10,
        "{screen}"
    );
}

#[test]
fn another_device_is_asked_and_its_number_typed() {
    let set = Set::new();
    assert!(!set.run(&["factor", "list"]).ends(0).stdout.contains("push"));
    let second = set.another_device();
    assert!(set.run(&["factor", "list"]).ends(0).stdout.contains("push"));
    assert_ne!(tpw(&second.args(&["factor", "push", "deny"])).code, 0, "nothing is asked");
    let payment = set.waiting("1500");
    let mut child = command(&set.alice.args(&["login", "--with", "push", "--payment", &payment]))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let number = lines.map(Result::unwrap).find_map(|line| {
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        (digits.len() == 6).then_some(digits)
    });
    let number = number.unwrap();
    let listed = tpw(&second.args(&["factor", "push", "list", "--json"])).ends(0).json();
    assert_eq!(listed["prompts"][0]["payment"]["id"], payment.as_str());
    // The device that asks has nothing to answer.
    let own = set.run(&["factor", "push", "list", "--json"]).ends(0).json();
    assert_eq!(own["prompts"], serde_json::json!([]));
    let typed = secret(&set.root.path().join("number"), &number);
    let answer = ["factor", "push", "answer", "--secret-file", &typed];
    let answered = tpw(&second.args(&answer)).ends(0);
    let hash = listed["prompts"][0]["payment"]["intent_hash"].as_str().unwrap();
    for shown in ["1500.00 USD", &set.bob.accounts[0], hash] {
        assert!(answered.stderr.contains(shown), "{shown}: {}", answered.stderr);
    }
    let status = wait_for("the end", || child.try_wait().unwrap());
    assert!(status.success());
    assert_eq!(set.bob.available(), "150000");
    let kept = set.alice.wallet(&["receipts", "--json"]).ends(0).json();
    assert_eq!(kept["receipts"][0]["payment"], payment.as_str());
}

#[test]
fn a_code_by_mail_lets_a_payment_go_on() {
    let set = Set::new();
    let added = set.run(&["factor", "contact", "add", "ann@mail.example", "--json"]).ends(0).json();
    let id = added["id"].as_str().unwrap().to_owned();
    assert_ne!(set.with(&["factor", "contact", "confirm", &id], "12345678").code, 0);
    std::thread::park_timeout(Duration::from_millis(1_200));
    set.with(&["factor", "contact", "confirm", &id], &set.code(1)).ends(0);
    let listed = set.run(&["factor", "contact", "list"]).ends(0).stdout;
    assert!(listed.contains("a…@mail.example") && listed.contains("ready"), "{listed}");
    let payment = set.waiting("1500");
    // Half a minute lies between two codes to one address.
    let login = ["login", "--with", "mail", "--payment", &payment, "--secret-file", "-"];
    let mut child = wait_for("the second code", || {
        let mut child = command(&set.alice.args(&login))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        lines.read_line(&mut first).unwrap();
        if first.contains("on its way") {
            return Some(child);
        }
        child.wait().unwrap();
        std::thread::park_timeout(Duration::from_secs(2));
        None
    });
    let code = set.code(2);
    writeln!(child.stdin.take().unwrap(), "{code}").unwrap();
    assert!(wait_for("the end", || child.try_wait().unwrap()).success());
    assert_eq!(set.bob.available(), "150000");
    set.run(&["factor", "contact", "remove", &id]).ends(0);
    set.messages_can_be_checked();
}
