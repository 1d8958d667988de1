//! Factors on the command line: a password that is set and proved, codes of an app, recovery codes; what is refused changes nothing.

use super::support::{Device, Ran, Server, secret, tpw};
use std::path::Path;
use tpw_access::factor::totp::{Params, TotpSecret, step_at};
use tpw_engines::clock::{Clock as _, SystemClock};

struct Set<'a> {
    root: &'a Path,
    alice: Device,
}

impl Set<'_> {
    fn run(&self, words: &[&str]) -> Ran {
        tpw(&self.alice.args(words))
    }

    fn with(&self, words: &[&str], text: &str) -> Ran {
        let file = secret(&self.root.join("typed"), text);
        self.run(&[words, &["--secret-file", &file]].concat())
    }

    /// The code that an app shows after the one that was used last.
    fn next_code(&self, app: &TotpSecret, last: &mut u64) -> String {
        let clock = SystemClock::new();
        while step_at(clock.now()).saturating_add(1) <= *last {
            std::thread::park_timeout(std::time::Duration::from_millis(200));
        }
        *last = step_at(clock.now()).max(last.saturating_add(1));
        app.code(Params::PHONE, *last).to_string()
    }
}

/// RFC 4648 §6.
fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut out) = (0_u32, 0, Vec::new());
    for c in text.bytes() {
        let value = if c.is_ascii_uppercase() { c - b'A' } else { c - b'2' + 26 };
        bits = (bits << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from((bits >> count) & 0xff).unwrap());
        }
    }
    out
}

#[test]
fn a_password_an_app_and_recovery_codes() {
    let root = tempfile::tempdir().unwrap();
    let server = Server::start(&root.path().join("operator"), &[]);
    let alice = Device::enrolled(&server, root.path(), "Alice", &["USD/2:100.00:label=main"]);
    let set = Set { root: root.path(), alice };
    assert!(set.run(&["factor", "list"]).ends(0).stderr.contains("aal1"));

    // The device refuses what anybody would try first, before the server hears of it.
    for bad in ["password1", "short", "main main main"] {
        let refused = set.with(&["factor", "password"], bad).ends(1);
        assert!(refused.stderr.contains("cannot be used"), "{bad}: {}", refused.stderr);
    }
    let stolen = root.path().join("stolen");
    std::fs::write(&stolen, "00000000000000000000000000000000000000AA:1\n").unwrap();
    let list = ["factor", "password", "--stolen", stolen.to_str().unwrap()];
    set.with(&list, "violet hammock 57").ends(0);
    let listed = set.run(&["factor", "list", "--json"]).ends(0).json();
    assert_eq!(
        (&listed["factors"][0]["method"], &listed["acr"]),
        (&"password".into(), &"aal1".into())
    );

    // Whoever only has the device changes nothing now.
    let refused = set.run(&["factor", "totp"]);
    assert!(refused.stderr.contains("tpw login"), "{}", refused.stderr);
    assert_ne!(refused.code, 0);
    let wrong = set.with(&["login"], "violet hammock 58").ends(1);
    assert!(wrong.stderr.contains("password"), "{}", wrong.stderr);
    // A second goes by before the next attempt is judged.
    std::thread::park_timeout(std::time::Duration::from_millis(1_200));
    let proved = set.with(&["login", "--json"], "violet hammock 57").ends(0).json();
    assert_eq!(proved["acr"], "aal2");
    assert!(proved.get("token").is_none(), "{proved}");

    let made = set.run(&["factor", "totp"]).ends(0).stdout;
    let text = made.split("secret=").nth(1).unwrap().split(['&', '\n']).next().unwrap();
    let app = TotpSecret::from_bytes(&base32(text)).unwrap();
    let mut last = 0;
    let code = set.next_code(&app, &mut last);
    set.with(&["factor", "confirm"], &code).ends(0);
    assert_ne!(set.with(&["login", "--with", "totp"], &code).code, 0, "used");
    let made = set.run(&["factor", "recovery"]).ends(0).stdout;
    let codes: Vec<&str> = made.lines().collect();
    assert_eq!(codes.len(), 10);
    set.with(&["login", "--with", "recovery"], codes[0]).ends(0);
    assert_ne!(set.with(&["login", "--with", "recovery"], codes[0]).code, 0, "used");
    set.run(&["factor", "remove", "recovery"]).ends(0);
    assert_ne!(set.run(&["factor", "remove", "recovery"]).code, 0, "gone");
    set.run(&["factor", "remove", "shoe"]).ends(2);
    let link = set.run(&["factor", "passkey"]).ends(0).stdout;
    assert!(link.contains("/passkeys#"), "{link}");
}
