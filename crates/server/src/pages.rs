//! The pages: files that are built into this program (`web/verify/dist`, `web/passkeys`), with headers that keep everything else out.

use crate::app::App;
use crate::routes::typed;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::response::Redirect;
use axum::routing::get;
use std::sync::{Arc, OnceLock};
use tpw_crypto::sha256;

/// Scripts, styles and the module come from this server alone, the trust file is all that is fetched, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

static OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const HTML: &str = "text/html; charset=utf-8";

/// A file of a page.
struct File {
    path: &'static str,
    media_type: &'static str,
    bytes: &'static [u8],
    /// Computed with the first answer; the file is the same for as long as this program runs.
    tag: OnceLock<String>,
}

macro_rules! files {
    ($($path:literal, $name:literal, $media_type:expr;)*) => {
        /// Every path of the pages.
        pub(crate) const PATHS: &[&str] = &[$($path),*];

        static FILES: [File; PATHS.len()] = [$(File {
            path: $path,
            media_type: $media_type,
            bytes: include_bytes!(concat!("../../../web/", $name)),
            tag: OnceLock::new(),
        }),*];
    };
}

files! {
    "/verify", "verify/dist/index.html", HTML;
    "/verify/page.js", "verify/dist/page.js", "text/javascript; charset=utf-8";
    "/verify/page.css", "verify/dist/page.css", "text/css; charset=utf-8";
    "/verify/judge.wasm", "verify/dist/judge.wasm", "application/wasm";
    // The page in one file, to be kept; opened from here it obeys its own, stricter policy as well.
    "/verify/verify.html", "verify/dist/verify.html", HTML;
    "/passkeys", "passkeys/index.html", HTML;
    "/passkeys/page.js", "passkeys/page.js", "text/javascript; charset=utf-8";
    "/passkeys/page.css", "passkeys/page.css", "text/css; charset=utf-8";
}

/// The verify page in one file, as text: a printed receipt can carry it.
#[must_use]
pub fn verify_page() -> &'static str {
    let whole = FILES.iter().find(|file| file.path.ends_with("/verify.html"));
    whole.and_then(|file| str::from_utf8(file.bytes).ok()).unwrap_or_default()
}

/// The routes of the pages.
pub(crate) fn all() -> Router<Arc<App>> {
    // What the page refers to lies beside it, not below it.
    let slash = get(async || Redirect::permanent("/verify"));
    FILES.iter().fold(Router::new().route("/verify/", slash), |router, file| {
        router.route(file.path, get(async move |headers: HeaderMap| file.answer(&headers)))
    })
}

impl File {
    fn tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let hash = sha256(self.bytes);
            let digits = hash.iter().take(16).map(|byte| format!("{byte:02x}"));
            format!("\"{}\"", digits.collect::<String>())
        })
    }

    /// The file; without its bytes when the browser has them already (RFC 9110 §13.1.2).
    fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let tag = self.tag();
        let known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
        let is_known = known
            .flat_map(|field| field.split(','))
            .any(|one| one.trim().trim_start_matches("W/") == tag);
        let mut response = if is_known {
            let mut unchanged = Response::new(Body::empty());
            *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
            unchanged
        } else {
            typed(StatusCode::OK, self.media_type, Bytes::from_static(self.bytes))
        };
        let headers = response.headers_mut();
        // One name for each file: the browser asks whether it is still the same.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(tag) {
            headers.insert(ETAG, tag);
        }
        if self.media_type == HTML {
            // The page in one file carries its script inside, under a policy of its own with the script's hash.
            let is_whole = self.path.ends_with(".html");
            let policy = if is_whole { "frame-ancestors 'none'" } else { POLICY };
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            headers.insert(OPENER_POLICY.clone(), HeaderValue::from_static("same-origin"));
        }
        headers.insert(RESOURCE_POLICY.clone(), HeaderValue::from_static("same-origin"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tag: &str) -> Response<Body> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_NONE_MATCH, HeaderValue::from_str(tag).unwrap());
        FILES[0].answer(&headers)
    }

    #[test]
    fn every_file_is_there_with_its_type_and_a_tag_of_its_own() {
        let mut tags = Vec::new();
        for file in &FILES {
            let response = file.answer(&HeaderMap::new());
            assert_eq!(response.status(), StatusCode::OK, "{}", file.path);
            assert!(!file.bytes.is_empty(), "{}", file.path);
            tags.push(response.headers()[ETAG].clone());
        }
        tags.sort_by_key(|tag| tag.as_bytes().to_vec());
        tags.dedup();
        assert_eq!(tags.len(), FILES.len());
    }

    #[test]
    fn a_known_file_is_not_sent_again_and_any_other_is() {
        let tag = FILES[0].tag();
        for known in [tag.to_owned(), format!("\"x\", {tag}"), format!("W/{tag}")] {
            let response = asked(&known);
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert!(response.headers().contains_key(CONTENT_SECURITY_POLICY));
        }
        for other in ["\"x\"", "*x", FILES[1].tag(), ""] {
            assert_eq!(asked(other).status(), StatusCode::OK, "{other}");
        }
    }

    #[test]
    fn the_policy_lets_in_no_inline_script_and_no_stranger() {
        let response = FILES[0].answer(&HeaderMap::new());
        let policy = response.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "));
        for open in ["'unsafe-inline'", "'unsafe-eval'", "http:", "https:", " *", "blob:"] {
            assert!(!policy.contains(open), "{open}");
        }
    }

    #[test]
    fn the_page_itself_has_nothing_inline() {
        let pages = [("verify", &FILES[0]), ("passkeys", &FILES[5])];
        for (name, file) in pages {
            let page = str::from_utf8(file.bytes).unwrap();
            for inline in
                ["<style", " style=", " onclick=", " onload=", "javascript:", "http://", "https://"]
            {
                assert!(!page.contains(inline), "{inline}");
            }
            let scripts: Vec<&str> = page.split("<script").skip(1).collect();
            assert!(scripts.iter().all(|s| s.starts_with(&format!(" src=\"{name}/"))
                || s.starts_with(" type=\"application/json\"")));
        }
    }
}
