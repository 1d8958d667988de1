//! Goal: the verify page comes whole to whoever asks for it, with the headers that keep everything else out, and nothing beside it
//! is handed out. Method: the real server, and the committed files. That it works in a browser is tested there: `web/verify`.

use crate::support::{Answer, Server};

/// Path, committed file, media type.
const FILES: [(&str, &str, &str); 8] = [
    ("/verify", "verify/dist/index.html", "text/html; charset=utf-8"),
    ("/verify/page.js", "verify/dist/page.js", "text/javascript; charset=utf-8"),
    ("/verify/page.css", "verify/dist/page.css", "text/css; charset=utf-8"),
    ("/verify/judge.wasm", "verify/dist/judge.wasm", "application/wasm"),
    ("/verify/verify.html", "verify/dist/verify.html", "text/html; charset=utf-8"),
    ("/passkeys", "passkeys/index.html", "text/html; charset=utf-8"),
    ("/passkeys/page.js", "passkeys/page.js", "text/javascript; charset=utf-8"),
    ("/passkeys/page.css", "passkeys/page.css", "text/css; charset=utf-8"),
];

#[tokio::test]
async fn the_page_comes_whole_and_only_once() {
    let server = Server::start().await;
    for (path, name, media_type) in FILES {
        let answer = server.get(path).await;
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/").to_owned() + name;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body == std::fs::read(file).unwrap(), "{path} is not the committed file");
        let headers = ["content-type", "cache-control", "x-content-type-options"];
        let found = headers.map(|name| answer.header(name).unwrap());
        assert_eq!(found, [media_type, "no-cache", "nosniff"], "{path}");
        let tag = answer.header("etag").unwrap();
        let again = server.send("GET", path, &[("if-none-match", tag)], Vec::new()).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag));
        let head = server.send("HEAD", path, &[], Vec::new()).await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0), "{path}");
    }
}

fn policy(answer: &Answer) -> Vec<String> {
    let policy = answer.header("content-security-policy").unwrap();
    policy.split(';').map(|part| part.trim().to_owned()).collect()
}

#[tokio::test]
async fn the_page_is_framed_by_nobody_and_lets_in_no_stranger() {
    let server = Server::start().await;
    let page = server.get("/verify").await;
    let found = policy(&page);
    for wanted in [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(found.iter().any(|part| part == wanted), "{wanted}: {found:?}");
    }
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    // The page in one file has a policy of its own inside; nobody may frame it either.
    assert_eq!(policy(&server.get("/verify/verify.html").await), ["frame-ancestors 'none'"]);
    // A page that is not there is a problem as everywhere, without a policy that was meant for another.
    assert_eq!(server.get("/verify/index.html").await.header("content-security-policy"), None);
}

#[tokio::test]
async fn what_is_no_file_of_the_page_is_not_there() {
    let server = Server::start().await;
    for path in [
        "/verify/index.html",
        "/verify/judge.wasm.sources",
        "/verify/page.js/",
        "/verify/../v1/people",
        "/verify/%2e%2e/Cargo.toml",
        "/verify/dist/page.js",
        "/verifyx",
        "/VERIFY",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem()),
            (404, "not_found".to_owned()),
            "{path}"
        );
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = server.send(method, "/verify", &[], b"x".to_vec()).await;
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.problem(), "method_not_allowed");
    }
    let slash = server.get("/verify/").await;
    assert_eq!((slash.status.as_u16(), slash.header("location")), (308, Some("/verify")));
}
