//! Goal: the committed verify page is what the sources give. Method: the page is put together again from `web/verify/src`, the
//! texts in `i18n` and the committed module, and compared byte for byte. Another compiler gives other bytes of the module, so
//! that is held to the hash of its sources, which stands beside it. With `TPW_UPDATE=1`, as `cargo xtask web` calls it, what
//! differs is written anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tpw_crypto::{Sha256, sha256};

/// The scripts, in the order in which they use each other.
const SCRIPTS: [&str; 6] =
    ["judge.js", "dom.js", "picture.js", "findings.js", "carried.js", "page.js"];
const LANGUAGES: [&str; 2] = ["en", "zh-CN"];
/// What the page takes of the texts of the command line.
const SHARED_TEXTS: [&str; 6] = ["level-", "layer-", "kind-", "field-", "word-", "proved-"];
/// What it takes of the texts of prints.
const PRINTED_TEXTS: [&str; 3] = ["field-", "approval-", "print-"];
/// The crates in the module.
const CRATES: [&str; 4] = ["core", "crypto", "proof", "wasm"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn source(name: &str) -> String {
    read(&format!("web/verify/src/{name}"))
}

/// The file of the bundle, or what it should be.
fn settle(name: &str, wanted: &str) {
    let path = root().join("web/verify/dist").join(name);
    if std::env::var_os("TPW_UPDATE").is_some() {
        fs::write(&path, wanted).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "web/verify/dist/{name} is stale: run `cargo xtask web`");
}

/// `key = text`, one line each: the page knows values in braces and nothing else of Fluent.
fn texts_of(path: &str, wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let text = read(path);
    let mut found = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.starts_with(' '))
        else {
            continue;
        };
        if !wanted(key) {
            continue;
        }
        let braces = value.matches('{').count();
        let values = value.match_indices("{ $").filter(|(at, _)| value[*at..].contains(" }"));
        assert_eq!(braces, values.count(), "{path}: `{key}` is more than the page can say");
        found.insert(key.to_owned(), value.to_owned());
    }
    found
}

fn texts() -> String {
    // In the order of their names: whether a JSON object keeps its own depends on what else is built.
    let mut all = BTreeMap::new();
    for language in LANGUAGES {
        let file = |name: &str| format!("i18n/{language}/{name}.ftl");
        let mut texts = texts_of(&file("page"), |_key| true);
        texts.extend(texts_of(&file("evidence"), |_key| true));
        let shared = |key: &str| SHARED_TEXTS.iter().any(|start| key.starts_with(start));
        texts.extend(texts_of(&file("cli"), shared));
        let printed = |key: &str| PRINTED_TEXTS.iter().any(|start| key.starts_with(start));
        texts.extend(texts_of(&file("exports"), printed));
        texts.extend(texts_of(&file("reasons"), |_key| true));
        texts.extend(texts_of(&file("renewal"), |key| key.starts_with("proved-")));
        all.insert(language, texts);
    }
    // A text with `</script>` would end the element that it stands in.
    serde_json::to_string(&all).unwrap().replace('<', "\\u003c")
}

fn script() -> String {
    let parts: Vec<String> = SCRIPTS.iter().map(|name| source(name)).collect();
    format!("'use strict';\n(() => {{\n{}}})();\n", parts.join("\n"))
}

fn hash_source(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(sha256(text.as_bytes())))
}

/// What both forms of the page share; `parts` are (place, content).
fn page(parts: &[(&str, &str)]) -> String {
    let mut page = source("page.html").replace("@texts@", &texts());
    for (place, content) in parts {
        assert!(page.contains(place), "page.html has no {place}");
        page = page.replace(place, content);
    }
    page
}

/// The page that a server serves: style, script and module beside it, the policy in a header.
fn served() -> String {
    page(&[
        ("@where@", r#" data-judge="verify/judge.wasm" data-trust="v1/trust""#),
        ("@policy@", ""),
        ("@style@", r#"<link rel="stylesheet" href="verify/page.css">"#),
        (
            "@offline@",
            "<p><a href=\"verify/verify.html\" download=\"verify.html\" data-text=\"page-offline\"></a>\n\
             <span data-text=\"page-offline-note\"></span></p>\n",
        ),
        ("@judge@", ""),
        ("@script@", r#"<script src="verify/page.js"></script>"#),
    ])
}

/// The page as one file: everything inside, and a policy that lets nothing else in and nothing out.
fn alone(module: &[u8]) -> String {
    let (style, script) = (source("page.css"), script());
    let policy = format!(
        "default-src 'none'; script-src {} 'wasm-unsafe-eval'; style-src {}; img-src data:; base-uri 'none'; \
         form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash_source(&script),
        hash_source(&style),
    );
    let module = STANDARD.encode(module);
    page(&[
        ("@where@", ""),
        (
            "@policy@",
            &format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n"),
        ),
        ("@style@", &format!("<style>{style}</style>")),
        ("@offline@", ""),
        (
            "@judge@",
            &format!("<script type=\"application/wasm;base64\" id=\"judge\">{module}</script>\n"),
        ),
        ("@script@", &format!("<script>{script}</script>")),
    ])
}

fn module() -> Vec<u8> {
    let path = root().join("web/verify/dist/judge.wasm");
    fs::read(path).unwrap_or_else(|error| panic!("judge.wasm: {error}; run `cargo xtask web`"))
}

#[test]
fn the_page_is_what_its_sources_give() {
    settle("index.html", &served());
    settle("page.js", &script());
    settle("page.css", &source("page.css"));
    settle("verify.html", &alone(&module()));
}

fn sources_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources_below(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.insert(path);
        }
    }
}

/// The hash of all that the module is made of: the sources of its crates and the versions of what they are built on.
fn sources_hash() -> String {
    let root = root();
    let mut files = BTreeSet::new();
    let mut hash = Sha256::new();
    for name in CRATES {
        let folder = root.join("crates").join(name);
        sources_below(&folder.join("src"), &mut files);
        files.insert(folder.join("Cargo.toml"));
    }
    for path in files {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let bytes = fs::read(&path).unwrap();
        hash.update(format!("{name} {}\n", bytes.len()).as_bytes());
        hash.update(&bytes);
    }
    for line in pinned() {
        hash.update(line.as_bytes());
    }
    hex(&hash.finish())
}

/// The workspace's lines of what the crates name, and the profile of the build.
fn pinned() -> Vec<String> {
    let named: BTreeSet<String> = CRATES
        .iter()
        .flat_map(|name| {
            let manifest = read(&format!("crates/{name}/Cargo.toml"));
            let names = manifest.lines().filter_map(|line| line.split_once(".workspace"));
            names.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let workspace = read("Cargo.toml");
    let of_named =
        |line: &&str| line.split_once(" = ").is_some_and(|(name, _)| named.contains(name));
    let mut lines: Vec<String> = workspace.lines().filter(of_named).map(str::to_owned).collect();
    let profile = workspace.split("[profile.wasm]").nth(1).unwrap();
    lines.extend(profile.lines().take_while(|line| !line.starts_with('[')).map(str::to_owned));
    lines
}

/// Who compiled the module: told by whoever does it now, or else what the file said before.
fn compiler() -> String {
    let stated = || {
        let text = read("web/verify/dist/judge.wasm.sources");
        text.lines().find_map(|line| line.strip_prefix("compiler ")).map(str::to_owned)
    };
    std::env::var("TPW_COMPILER").ok().or_else(stated).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_module_is_of_these_sources() {
    let module = hex(&sha256(&module()));
    let wanted = format!("sources {}\nmodule {module}\ncompiler {}\n", sources_hash(), compiler());
    settle("judge.wasm.sources", &wanted);
}

#[test]
fn the_module_names_no_folder_of_the_machine_that_built_it() {
    let module = module();
    // Where people's folders are, and, when it was just built here, this machine's own.
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf);
    let own = here.into_iter().chain(std::env::var_os("HOME").map(PathBuf::from));
    let own = own.chain([std::env::temp_dir()]).filter(|folder| folder.components().count() > 1);
    let own = own.map(|folder| format!("{}/", folder.display()));
    for folder in own.chain(["/home/", "/Users/"].map(str::to_owned)) {
        let found = module.windows(folder.len()).any(|part| part == folder.as_bytes());
        assert!(!found, "judge.wasm names {folder}");
    }
}

#[test]
fn both_languages_have_every_text_and_the_scripts_name_no_other() {
    let texts: serde_json::Value = serde_json::from_str(&texts()).unwrap();
    let keys = |language: &str| -> BTreeSet<String> {
        texts[language].as_object().unwrap().keys().cloned().collect()
    };
    let (english, chinese) = (keys("en"), keys("zh-CN"));
    assert_eq!(english, chinese);
    let sources = [script(), source("page.html")].concat();
    for (at, _) in sources.match_indices("page-") {
        let key: String = sources[at..]
            .chars()
            .take_while(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter))
            .collect();
        // `page-holds-` and the like go on with a code.
        let known = |text: &String| *text == key || (key.ends_with('-') && text.starts_with(&key));
        assert!(english.iter().any(known), "no text for {key}");
    }
    for level in tpw_proof::Level::ALL {
        for start in ["level-", "proves-"] {
            assert!(
                english.contains(&format!("{start}{}", level.code())),
                "{start}{}",
                level.code()
            );
        }
    }
    for layer in tpw_proof::Layer::ALL {
        for start in ["layer-", "proves-layer-"] {
            assert!(
                english.contains(&format!("{start}{}", layer.code())),
                "{start}{}",
                layer.code()
            );
        }
    }
}
