//! Goal: short, common, borrowed and stolen passwords are not set; odd but good ones are; and no text costs more than it should.
//! Method: both sides of each border; the same word from two keyboards; a list of stolen passwords of each length, searched for
//! each of its own lines and for others, as bytes and as a reader that fails.

use proptest::prelude::*;
use tpw_access::factor::password::{
    ALONE_MIN, BESIDE_MIN, Beside, CHARACTERS_MAX, Password, PasswordError, StolenList, check,
};

fn password(text: &str) -> Password {
    Password::prepare(text).unwrap()
}

fn set(text: &str) -> Result<(), PasswordError> {
    check(&password(text), Beside::AnotherFactor, &["Alice Example", "alice@mail.example"], None)
}

#[test]
fn length_counts_characters_and_has_both_borders() {
    let of = |count: usize| "海阔天空任鸟飞鱼跃".chars().cycle().take(count).collect::<String>();
    for (beside, least) in [(Beside::Nothing, ALONE_MIN), (Beside::AnotherFactor, BESIDE_MIN)] {
        let short = check(&password(&of(least - 1)), beside, &[], None);
        assert_eq!(short, Err(PasswordError::TooShort { least }));
        assert_eq!(check(&password(&of(least)), beside, &[], None), Ok(()));
    }
    assert!(Password::prepare(&of(CHARACTERS_MAX)).is_ok());
    let long = Password::prepare(&of(CHARACTERS_MAX + 1));
    assert_eq!(long.unwrap_err(), PasswordError::TooLong);
    assert_eq!(Password::prepare(&"a".repeat(1 << 24)).unwrap_err(), PasswordError::TooLong);
    assert_eq!(Password::prepare("").unwrap_err(), PasswordError::Empty);
}

#[test]
fn the_same_password_from_two_keyboards_is_the_same() {
    for (one, other) in [
        ("caf\u{e9} au lait", "cafe\u{301} au lait"),
        ("one two three", "one\u{3000}two\u{a0}three"),
    ] {
        let line = line_of(one);
        for typed in [one, other] {
            let mut list = line.as_bytes();
            let found = check(&password(typed), Beside::AnotherFactor, &[], Some(&mut list));
            assert_eq!(found, Err(PasswordError::Stolen), "{typed:?}");
        }
    }
    assert_eq!(format!("{:?}", password("any")), "Password(hidden)");
}

/// A line of the list.
fn line_of(word: &str) -> String {
    let hash = tpw_crypto::sha1_to_compare(word.as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("{hex}:{}\r\n", 10_usize.pow(u32::from(hash[0] % 8)))
}

#[test]
fn control_characters_are_refused_and_no_mixture_is_wanted() {
    for text in ["pass\0word12", "tab\tstop and more", "line\nline line", "\u{85}eightchars"] {
        assert_eq!(Password::prepare(text).unwrap_err(), PasswordError::Control, "{text:?}");
    }
    for text in
        ["correct donkey", "kdjfhgkjdfhg", "84629107355", "我想要一匹小马", "🦀🦞🦐🦑🐙🐚🐌🦋"]
    {
        let wanted = if text.chars().count() < BESIDE_MIN {
            Err(PasswordError::TooShort { least: BESIDE_MIN })
        } else {
            Ok(())
        };
        assert_eq!(set(text), wanted, "{text}");
    }
}

#[test]
fn first_guesses_are_refused() {
    for text in [
        "password",
        "PassWord1",
        "qwertyuiop",
        "1q2w3e4r",
        "iloveyou",
        "aaaaaaaaaa",
        "abababab",
        "abcabcabcabc",
        "abcdefghij",
        "zyxwvuts",
        "12121212121212121212",
        "23456789:;<=",
    ] {
        assert_eq!(set(text), Err(PasswordError::Common), "{text}");
    }
}

#[test]
fn names_of_the_account_are_refused() {
    for text in ["AliceExample", "alice2026!!", "Example-1999", "TPWallet2026", "mail.example.1"] {
        assert_eq!(set(text), Err(PasswordError::Context), "{text}");
    }
    for text in ["alice rides a purple bicycle", "wallet of sheepskin and thread"] {
        assert_eq!(set(text), Ok(()), "{text}");
    }
    // Without the words of an account its names are words as any other.
    assert_eq!(check(&password("AliceExample"), Beside::AnotherFactor, &[], None), Ok(()));
}

/// So many words, and the list that holds them.
fn list(count: usize) -> (Vec<String>, Vec<u8>) {
    let words: Vec<String> = (0..count).map(|n| format!("strange word {n}")).collect();
    let mut lines: Vec<String> = words.iter().map(|word| line_of(word)).collect();
    lines.sort();
    (words, lines.concat().into_bytes())
}

#[test]
fn a_stolen_password_is_found_wherever_it_stands() {
    for count in [1, 2, 3, 7, 64, 257] {
        let (words, bytes) = list(count);
        for bytes in [bytes.as_slice(), bytes.trim_ascii_end()] {
            for word in &words {
                let mut list = bytes;
                let refused = check(&password(word), Beside::AnotherFactor, &[], Some(&mut list));
                assert_eq!(refused, Err(PasswordError::Stolen), "{word} of {count}");
            }
            for other in 0..50 {
                let mut list = bytes;
                let text = format!("unheard of {other}");
                let fine = check(&password(&text), Beside::AnotherFactor, &[], Some(&mut list));
                assert_eq!(fine, Ok(()), "{text} of {count}");
            }
        }
    }
    let mut empty: &[u8] = b"";
    assert_eq!(
        check(&password("unheard of"), Beside::AnotherFactor, &[], Some(&mut empty)),
        Ok(())
    );
}

#[test]
fn the_published_hash_of_a_known_password() {
    // SHA-1("correct horse battery staple"), FIPS 180-4, by sha1sum.
    let mut list: &[u8] = b"ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42:2\n";
    let known = password("correct horse battery staple");
    let refused = check(&known, Beside::Nothing, &[], Some(&mut list));
    assert_eq!(refused, Err(PasswordError::Stolen));
}

struct Broken;

impl StolenList for Broken {
    fn length(&mut self) -> Result<u64, String> {
        Ok(1 << 40)
    }
    fn read_at(&mut self, _offset: u64, _out: &mut [u8]) -> Result<usize, String> {
        Err("the disk is gone".to_owned())
    }
}

#[test]
fn a_list_that_cannot_be_read_is_said_and_lets_nothing_pass() {
    let ask = |list: &mut dyn StolenList| {
        check(&password("unheard of word"), Beside::AnotherFactor, &[], Some(list))
    };
    assert_eq!(ask(&mut Broken), Err(PasswordError::List("the disk is gone".to_owned())));
    let html = "<html>".repeat(1000);
    for bytes in [html.as_bytes(), b"5BAA61E4:1\n", b"zz\n", &[0; 500], b"\n\n\n"] {
        let mut list = bytes;
        assert!(matches!(ask(&mut list), Err(PasswordError::List(_))), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn no_text_and_no_list_make_it_panic(text: String, bytes: Vec<u8>) {
        if let Ok(password) = Password::prepare(&text) {
            let mut list = bytes.as_slice();
            let _outcome = check(&password, Beside::AnotherFactor, &[&text], Some(&mut list));
        }
    }
}
