//! Goal: two spellings of one address are one value, and two addresses never are.
//! Method: the equivalences of RFC 3986 §6.2 as pairs, texts that are refused, and properties.

use proptest::prelude::*;
use tpw_access::{HttpUrl, UrlError};

#[test]
fn spellings_of_one_address() {
    for (text, normal) in [
        ("https://a.example", "https://a.example/"),
        ("https://a.example/", "https://a.example/"),
        ("HTTPS://A.Example/", "https://a.example/"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example:/x", "https://a.example/x"),
        ("https://a.example:0443/x", "https://a.example/x"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("http://a.example:443/x", "http://a.example:443/x"),
        ("https://a.example:8443/x", "https://a.example:8443/x"),
        ("https://a.example?q", "https://a.example/"),
        ("https://a.example/x?q=/y#z", "https://a.example/x"),
        ("https://a.example/x#f?q", "https://a.example/x"),
        ("https://a.example/%7euser/%41", "https://a.example/~user/A"),
        ("https://a.example/a%2fb", "https://a.example/a%2Fb"),
        ("https://a.example/a%C3%a9", "https://a.example/a%C3%A9"),
        ("https://a.example//x/", "https://a.example//x/"),
        ("https://a.example/X", "https://a.example/X"),
        ("https://127.0.0.1:9000/x", "https://127.0.0.1:9000/x"),
        ("https://[::1]:9000/x", "https://[::1]:9000/x"),
        ("https://[0:0::0001]:443/x", "https://[::1]/x"),
        // RFC 3986 §3.3: all of pchar.
        ("https://a.example/a-._~!$&'()*+,;=:@", "https://a.example/a-._~!$&'()*+,;=:@"),
    ] {
        assert_eq!(
            HttpUrl::parse(text).map(|url| url.to_string()),
            Ok(normal.to_owned()),
            "{text}"
        );
    }
}

#[test]
fn refused_addresses() {
    let long = format!("https://a.example/{}", "x".repeat(2048));
    for (text, wanted) in [
        ("", UrlError::Scheme),
        ("/v1/payments", UrlError::Scheme),
        ("a.example/x", UrlError::Scheme),
        ("ftp://a.example/x", UrlError::Scheme),
        (" https://a.example/x", UrlError::Scheme),
        ("https:/a.example/x", UrlError::Scheme),
        ("https:///x", UrlError::Authority),
        ("https://:443/x", UrlError::Authority),
        ("https://user@a.example/x", UrlError::Authority),
        ("https://user:pass@a.example/x", UrlError::Authority),
        ("https://a.example:0/x", UrlError::Authority),
        ("https://a.example:65536/x", UrlError::Authority),
        ("https://a.example:+443/x", UrlError::Authority),
        ("https://a.example:44:3/x", UrlError::Authority),
        ("https://a.example\\@b.example/x", UrlError::Authority),
        ("https://a%2eexample/x", UrlError::Authority),
        ("https://ä.example/x", UrlError::Authority),
        ("https://[::1/x", UrlError::Authority),
        ("https://[::1]9/x", UrlError::Authority),
        ("https://[a.example]/x", UrlError::Authority),
        ("https://a.example/..", UrlError::Path),
        ("https://a.example/a/../b", UrlError::Path),
        ("https://a.example/./b", UrlError::Path),
        ("https://a.example/%2e%2E/b", UrlError::Path),
        ("https://a.example/a b", UrlError::Path),
        ("https://a.example/a\\b", UrlError::Path),
        ("https://a.example/ä", UrlError::Path),
        ("https://a.example/a\u{0}", UrlError::Path),
        ("https://a.example/%", UrlError::Path),
        ("https://a.example/%4", UrlError::Path),
        ("https://a.example/%4g", UrlError::Path),
        (long.as_str(), UrlError::TooLong),
    ] {
        assert_eq!(HttpUrl::parse(text), Err(wanted), "{text}");
    }
}

#[test]
fn another_path_at_the_same_origin() {
    let base = HttpUrl::parse("https://A.example:8443/base?x").unwrap();
    assert_eq!((base.origin(), base.path()), ("https://a.example:8443", "/base"));
    let other = base.with_path("/v1/payments?limit=1").unwrap();
    assert_eq!(other.to_string(), "https://a.example:8443/v1/payments");
    for bad in ["", "v1", "@evil.example/", "?x", "//../x"] {
        assert_eq!(base.with_path(bad), Err(UrlError::Path), "{bad}");
    }
}

proptest! {
    #[test]
    fn normal_form_is_stable(text in "https?://[a-zA-Z0-9.]{1,12}(:[0-9]{0,5})?(/[a-zA-Z0-9%.~@ -]{0,20}){0,3}") {
        if let Ok(url) = HttpUrl::parse(&text) {
            prop_assert_eq!(HttpUrl::parse(&url.to_string()), Ok(url));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}", tail in "\\PC{0,60}") {
        let _either = HttpUrl::parse(&text);
        let _either = HttpUrl::parse(&format!("https://{tail}"));
        let _either = HttpUrl::parse(&format!("https://[{tail}"));
        let _either = HttpUrl::parse(&format!("https://a/{tail}"));
    }
}
