//! The page that a person sees while a client asks for them: who asks, for what, and the code to type into their device.
//!
//! It has no script. It loads itself anew every few seconds until the person has decided.

use super::pending::Entry;
use crate::text::{Language, say};
use axum::body::Body;
use axum::http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::OnceLock;
use tpw_access::oauth::UserCode;
use tpw_crypto::sha256;

const STYLE: &str = "body{font-family:system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem;line-height:1.5}\
     code{font-size:2rem;letter-spacing:.1em}";

/// Nothing is loaded, nothing is sent, nobody may frame it; the one style is named by its hash.
fn policy() -> &'static str {
    static POLICY: OnceLock<String> = OnceLock::new();
    POLICY.get_or_init(|| {
        let hash = STANDARD.encode(sha256(STYLE.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    })
}

/// Text as it stands in HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Letters that turn the writing around could make one name look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

fn words(language: Language, id: &str, args: &[(&'static str, String)]) -> String {
    say(language, id, None, args).unwrap_or_else(|| id.to_owned())
}

fn page(status: StatusCode, language: Language, head: &str, body: &str) -> Response<Body> {
    let title = escaped(&words(language, "oauth-title", &[]));
    let html = format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n{head}<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n",
        language.tag()
    );
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy()));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // The address holds the request's name, which is nobody else's business.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The host of a redirect address: what a person can recognise.
pub(super) fn host_of(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

/// The request, to be approved on the device.
pub(super) fn asking(language: Language, entry: &Entry, code: UserCode) -> Response<Body> {
    let client = entry.name.as_str().to_owned();
    let host = host_of(&entry.request.redirect_uri).to_owned();
    let line = |id: &str, args: &[(&'static str, String)]| {
        format!("<p>{}</p>\n", escaped(&words(language, id, args)))
    };
    let mut body = line("oauth-asks", &[("client", client), ("host", host)]);
    body.push_str("<ul>\n");
    for scope in entry.request.scopes.iter() {
        let id = format!("oauth-scope-{}", scope.code().replace(':', "-"));
        body.push_str(&format!("<li>{}</li>\n", escaped(&words(language, &id, &[]))));
    }
    body.push_str("</ul>\n");
    body.push_str(&line("oauth-approve", &[]));
    body.push_str(&format!("<p><code>tpw grant {code}</code></p>\n"));
    body.push_str(&line("oauth-careful", &[]));
    // An empty address is the page's own.
    let again = escaped(&words(language, "oauth-continue", &[]));
    body.push_str(&format!("<p><a href=\"\">{again}</a></p>\n"));
    page(StatusCode::OK, language, "<meta http-equiv=\"refresh\" content=\"3\">\n", &body)
}

/// There is nothing to approve. The browser is sent nowhere: an address that could not be checked is not followed.
pub(super) fn nothing(language: Language) -> Response<Body> {
    let text = escaped(&words(language, "oauth-nothing", &[]));
    page(StatusCode::BAD_REQUEST, language, "", &format!("<p>{text}</p>\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_text_and_never_markup() {
        assert_eq!(escaped("<b onclick='x'>&\""), "&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;");
        assert_eq!(escaped("a\u{202e}b"), "a\u{fffd}b");
    }

    #[test]
    fn the_policy_allows_the_one_style_and_nothing_else() {
        assert!(policy().starts_with("default-src 'none'; style-src 'sha256-"));
        for open in ["unsafe", "http", "*", "data:", "'self'"] {
            assert!(!policy().contains(open), "{open}");
        }
    }

    #[test]
    fn the_host_is_what_stands_before_the_path() {
        assert_eq!(host_of("https://books.example:8443/cb?x=y"), "books.example:8443");
        assert_eq!(host_of("https://books.example?x"), "books.example");
    }
}
