//! Goal: policies are put into force by who may, together with who has to agree, at once and for good; nothing that does not hold ever
//! is. Method: a real server; the program's own set changed in one place; each refusal, and that it changes nothing.

use crate::support::*;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tpw_access::policy::{ActivePolicy, PolicyFiles, PolicyRecord, active_key};
use tpw_access::record::VALUE_LEN_MAX;
use tpw_access::{RecordKey, RecordKind, RecordWrite};
use tpw_core::{Consent, Span};

const DAY: Span = Span::from_secs(24 * 3600);

type Files = BTreeMap<String, String>;

fn builtin() -> Files {
    let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
    PolicyFiles::builtin().iter().map(own).collect()
}

fn changed(file: &str, from: &str, to: &str) -> Files {
    let mut files = builtin();
    let text = files.get_mut(file).unwrap();
    assert!(text.contains(from), "{file}: {from}");
    *text = text.replacen(from, to, 1);
    files
}

/// The program's set with a remark, which makes it another version that means the same.
fn remarked(remark: &str) -> Files {
    let mut files = builtin();
    files.get_mut("holder.cedar").unwrap().push_str(&format!("// {remark}\n"));
    files
}

/// The program's set, filled up with remarks to so many bytes, half among the rules and half among the cases.
fn filled(bytes: usize, remark: &str) -> Files {
    let mut files = builtin();
    let mut left = bytes - PolicyFiles::new(files.clone()).unwrap().bytes();
    for (name, sign, share) in [("holder.cedar", "//", 2), ("cases/holder.toml", "#", 1)] {
        let room = left / share;
        left -= room;
        let mut lines = String::new();
        for number in 0.. {
            let line = format!("{sign} \"{remark}\" {number}\n");
            if lines.len() + line.len() + sign.len() + 1 > room {
                break;
            }
            lines += &line;
        }
        let rest = "x".repeat(room - lines.len() - sign.len() - 1);
        *files.get_mut(name).unwrap() += &format!("{lines}{sign}{rest}\n");
    }
    let total = files.iter().map(|(name, text)| name.len() + text.len());
    assert_eq!(total.sum::<usize>(), bytes);
    files
}

/// How many records of policies there are: what is in force, and the bytes of the versions.
fn records(server: &Server) -> usize {
    let all = server.engine.records(RecordKind::Policy, [0; 16], None, 1000).unwrap();
    assert!(all.iter().all(|(_, value)| value.len() <= VALUE_LEN_MAX));
    all.len()
}

struct Scene {
    server: Server,
    operator: Actor,
    carol: Actor,
}

impl Scene {
    async fn set() -> Self {
        Self::on(Server::start().await).await
    }

    async fn on(server: Server) -> Self {
        let operator = server.operator();
        let carol = server.person(&operator, "Carol", "0").await;
        server.recognise(&operator).await;
        Self { server, operator, carol }
    }

    async fn activate(&self, files: &Files) -> Answer {
        let body = json!({ "files": files });
        self.server.call(&self.operator, "POST", "/v1/policies:activate", Some(&body)).await
    }

    async fn roll_back(&self) -> Answer {
        self.server.call(&self.operator, "POST", "/v1/policies:rollback", None).await
    }

    async fn status(&self) -> Value {
        self.server.call(&self.operator, "GET", "/v1/policies", None).await.json()
    }

    /// Makes Carol an approver, and the operator's device older than a day.
    async fn two_people(&self) {
        let given = self.server.give(&self.operator, &self.carol, &["approver"]).await;
        assert_eq!(given.status, 200, "{given:?}");
        self.server.clock.advance(DAY);
        self.server.recognise(&self.operator).await;
    }
}

#[tokio::test]
async fn nobody_governs_from_elsewhere_where_networks_have_names() {
    let scene = Scene::on(Server::start_named(&["office=192.0.2.0/24"]).await).await;
    let before = scene.status().await;
    assert_eq!(scene.activate(&remarked("from elsewhere")).await.problem(), "forbidden");
    assert_eq!(scene.status().await, before);
    let denied = scene.server.call(&scene.operator, "GET", "/v1/decisions", None).await.json();
    let all = denied["items"].as_array().unwrap();
    let denied = all.iter().find(|one| one["ruling"] == "denied").unwrap();
    assert_eq!(denied["policies"], json!(["separation.elsewhere"]), "{denied}");
    assert_eq!(denied["facts"]["place"], "elsewhere", "{denied}");

    let there = Server::start_named(&["office=192.0.2.0/24", "office=127.0.0.0/8"]).await;
    let scene = Scene::on(there).await;
    assert_eq!(scene.activate(&remarked("from the office")).await.status, 200);
}

#[tokio::test]
async fn an_operator_alone_activates_and_rolls_back() {
    let scene = Scene::set().await;
    let (server, operator) = (&scene.server, &scene.operator);
    let first = scene.status().await;
    assert_eq!(first["version"], first["builtin"]);
    assert_eq!(scene.roll_back().await.problem(), "no_earlier_policy");
    // An auditor may not read holds any more.
    let narrow = {
        let mut files = changed(
            "oversight.cedar",
            "     Action::\"read_holds\",\n     Action::\"read_alarms\",\n     Action::\"read_changes\",\n     Action::\"read_policies\"",
            "     Action::\"read_alarms\",\n     Action::\"read_changes\",\n     Action::\"read_policies\"",
        );
        let cases = files.get_mut("cases/oversight.toml").unwrap();
        let from = "{ action = \"read_holds\", as = [\"auditor\"], allow = [\"auditor.read\"] }";
        assert!(cases.contains(from), "{cases}");
        *cases = cases.replace(from, "{ action = \"read_holds\", as = [\"auditor\"], deny = [] }");
        files
    };
    assert_eq!(server.give(operator, &scene.carol, &["auditor"]).await.status, 200);
    let holds = async || {
        *scene.carol.token.borrow_mut() = None;
        server.call(&scene.carol, "GET", "/v1/holds", None).await.status.as_u16()
    };
    assert_eq!(holds().await, 200);
    let activated = scene.activate(&narrow).await;
    assert_json_snapshot!("policies_activated", activated.shown());
    assert_eq!(holds().await, 403, "the next request is decided by them");
    let status = server.call(operator, "GET", "/v1/policies", None).await;
    assert_json_snapshot!("policies", status.shown());
    let version = status.json()["version"].as_str().unwrap().to_owned();
    assert_ne!(status.json()["builtin"], version.as_str());
    let path = format!("/v1/policies/{version}");
    let read = server.call(&scene.carol, "GET", &path, None).await;
    assert_eq!(read.json()["files"], json!(narrow));
    assert_json_snapshot!(
        "policy_set",
        read.shown_as(&json!({ "version": "[hash]", "files": "[files]" }))
    );
    for unknown in ["0".repeat(64), "x".to_owned()] {
        let path = format!("/v1/policies/{unknown}");
        assert_eq!(server.call(operator, "GET", &path, None).await.problem(), "unknown_policy");
    }
    // The same once more is no news.
    let again = scene.activate(&narrow).await;
    assert_eq!(again.json()["history"].as_array().unwrap().len(), 2);
    let back = scene.roll_back().await;
    assert_json_snapshot!("policies_rolled_back", back.shown());
    assert_eq!((&back.json()["version"], holds().await), (&first["version"], 200));
}

#[tokio::test]
async fn a_restart_decides_as_before_and_never_by_what_it_cannot_load() {
    let scene = Scene::set().await;
    let version = scene.activate(&remarked("kept")).await.json()["version"].clone();
    let Scene { server, .. } = scene;
    let (engine, dir) = server.stop().await;
    close(engine).await;
    let server = Server::start_in(dir).await;
    let operator = server.operator();
    let status = server.call(&operator, "GET", "/v1/policies", None).await.json();
    assert_eq!(status["version"], version);
    // What stands there is damaged: the books are whole, and nothing is decided by guessing.
    let hash: tpw_core::Hash32 = version.as_str().unwrap().parse().unwrap();
    let key = RecordKey::new(RecordKind::Policy, [0; 16], hash.as_bytes()).unwrap();
    let before = server.engine.record(&key).unwrap();
    let write = RecordWrite { key, before, after: None };
    server.engine.write_records(vec![write]).await.unwrap();
    let engine = std::sync::Arc::clone(&server.engine);
    let refused = tpw_server::router(engine, "pay.example", limits()).unwrap_err().to_string();
    assert!(refused.contains("--builtin-policies"), "{refused}");
    assert!(refused.contains("missing"), "{refused}");
    // Whoever runs the machine says what holds instead, and it is written down.
    tpw_server::restore_builtin_policies(&server.engine).await.unwrap();
    let engine = std::sync::Arc::clone(&server.engine);
    assert!(tpw_server::router(engine, "pay.example", limits()).is_ok());
    let status = server.call(&operator, "GET", "/v1/policies", None).await.json();
    assert_eq!(status["history"][0]["version"], status["builtin"]);
    assert!(status["history"][0]["by"].is_null());
    // Once more changes nothing.
    let before = server.engine.record(&active_key()).unwrap();
    tpw_server::restore_builtin_policies(&server.engine).await.unwrap();
    assert_eq!(server.engine.record(&active_key()).unwrap(), before);
}

#[tokio::test]
async fn a_set_as_large_as_may_be_is_agreed_to_kept_and_read_back() {
    let scene = Scene::set().await;
    scene.two_people().await;
    let files = filled(PolicyFiles::BYTES_MAX, "large");
    let asked = scene.activate(&files).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let (server, carol) = (&scene.server, &scene.carol);
    let done = server.says(carol, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    let version = PolicyFiles::new(files.clone()).unwrap().version().to_string();
    assert_eq!(scene.status().await["version"], version.as_str());
    // In force, the program's own set, and nine records of this one.
    assert_eq!(records(server), 11);
    let Scene { server, operator, .. } = scene;
    let server = server.restart(|_usual| {}).await;
    *operator.token.borrow_mut() = None;
    let status = server.call(&operator, "GET", "/v1/policies", None).await.json();
    assert_eq!(status["version"], version.as_str());
    let read = server.call(&operator, "GET", &format!("/v1/policies/{version}"), None).await;
    assert_eq!(read.json()["files"], json!(files));
    // One record less, and nothing decides by what is left.
    let hash: tpw_core::Hash32 = version.parse().unwrap();
    let last = RecordKey::new(RecordKind::Policy, [0; 16], &[hash.as_bytes(), &[8][..]].concat());
    let key = last.unwrap();
    let before = server.engine.record(&key).unwrap();
    assert!(before.is_some());
    let write = RecordWrite { key, before, after: None };
    server.engine.write_records(vec![write]).await.unwrap();
    let engine = std::sync::Arc::clone(&server.engine);
    let refused = tpw_server::router(engine, "pay.example", limits()).unwrap_err().to_string();
    assert!(refused.contains("--builtin-policies"), "{refused}");
}

#[tokio::test]
async fn a_set_with_a_byte_too_many_is_refused_with_the_bound_and_changes_nothing() {
    let scene = Scene::set().await;
    let first = scene.status().await;
    let most = PolicyFiles::BYTES_MAX;
    for bytes in [most + 1, most + 1024] {
        let refused = scene.activate(&filled(bytes, "too large")).await;
        assert_eq!(refused.problem(), "policy_refused", "{refused:?}");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains(&bytes.to_string()) && detail.contains("524288"), "{detail}");
    }
    assert_eq!((scene.status().await, records(&scene.server)), (first, 0));
}

/// What a set is replaced by, and what nobody asks about any more, leaves nothing behind: a version's records are those of one time.
#[tokio::test]
async fn other_cases_take_the_place_of_those_before_and_old_versions_go() {
    let scene = Scene::set().await;
    let (server, operator) = (&scene.server, &scene.operator);
    let long = filled(300_000, "long");
    let version = scene.activate(&long).await.json()["version"].as_str().unwrap().to_owned();
    assert_eq!(records(server), 2 + 5);
    let path = format!("/v1/policies/{version}");
    for (cases, count) in [
        (builtin()["cases/holder.toml"].clone(), 2 + 3),
        (long["cases/holder.toml"].clone(), 2 + 5),
    ] {
        let mut files = long.clone();
        files.insert("cases/holder.toml".to_owned(), cases);
        assert_eq!(scene.activate(&files).await.json()["version"], version.as_str());
        assert_eq!(records(server), count);
        let read = server.call(operator, "GET", &path, None).await;
        assert_eq!(read.json()["files"], json!(files));
    }
    // Asked for and never agreed to: the next but one takes its place.
    scene.two_people().await;
    for (bytes, count) in [(500_000, 8), (200_000, 8 + 4), (66_000, 4 + 2)] {
        assert_eq!(scene.activate(&filled(bytes, "asked")).await.status, 202);
        server.clock.advance(Span::from_secs(1));
        assert_eq!(records(server), 2 + 5 + count, "{bytes}");
    }
}

/// What is in force is stored first and loaded then: whoever goes away between the two leaves neither half behind.
#[tokio::test]
async fn who_goes_away_while_a_set_is_put_into_force_leaves_nothing_half_done() {
    let scene = Scene::set().await;
    let engine = &scene.server.engine;
    let in_force = || engine.record(&active_key()).unwrap();
    let before = in_force();
    // Many policies, which take a while to load.
    let more: String = (0..400)
        .map(|number| format!("@id(\"more.{number}\") forbid (principal, action == Action::\"fund\", resource) when {{ context has place && context.place == \"{number}\" }};\n"))
        .collect();
    let files: Files = [("more.cedar".to_owned(), more)].into_iter().chain(builtin()).collect();
    let version = PolicyFiles::new(files.clone()).unwrap().version().to_string();
    let stored = async {
        while in_force() == before {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        biased;
        () = stored => {}
        answer = scene.activate(&files) => panic!("it was answered first: {answer:?}"),
    }
    for _ in 0..500 {
        if scene.status().await["version"] == version.as_str() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the books have {version}, and what decides is {}", scene.status().await);
}

#[tokio::test]
async fn sets_that_do_not_hold_are_refused_and_change_nothing() {
    let scene = Scene::set().await;
    let first = scene.status().await;
    let without = |name: &str| {
        let mut files = builtin();
        files.remove(name).unwrap();
        files
    };
    let dropped = {
        // Whoever drops the separation drops the cases that demand it as well.
        let text = builtin()["separation.cedar"].clone();
        let own = text.find("@id(\"separation.own-favour\")").unwrap();
        let end = own + text[own..].find("};").unwrap() + 2;
        let mut files = without("cases/separation.toml");
        files.insert("separation.cedar".to_owned(), format!("{}{}", &text[..own], &text[end..]));
        files
    };
    for (what, files) in [
        ("no schema", without("schema.cedarschema")),
        ("no cases", builtin().into_iter().filter(|(name, _)| !name.ends_with("toml")).collect()),
        ("an action without a case", without("cases/holder.toml")),
        ("no separation", dropped),
        ("not parsed", changed("holder.cedar", "permit (", "permit ((")),
        ("not in the schema", changed("holder.cedar", "resource has owner", "resource has colour")),
        (
            "who may agree depends on the device",
            changed(
                "approval.cedar",
                "when { resource has initiator };",
                "when { resource has initiator && context has device };",
            ),
        ),
        ("a misspelt obligation", changed("governance.cedar", "@acr", "@arc")),
        (
            "more people than can be asked",
            changed("governance.cedar", "@approvals(\"1\")", "@approvals(\"17\")"),
        ),
        ("a case that fails", changed("operator.cedar", "10000000", "10000001")),
        (
            "an odd name",
            [("../x.cedar".to_owned(), String::new())].into_iter().chain(builtin()).collect(),
        ),
        (
            "too large",
            [("x.cedar".to_owned(), "//".repeat(300_000))].into_iter().chain(builtin()).collect(),
        ),
    ] {
        let refused = scene.activate(&files).await;
        assert_eq!(refused.problem(), "policy_refused", "{what}: {refused:?}");
        assert_eq!(scene.status().await, first, "{what}");
    }
    let body = json!({ "files": builtin(), "by": "me" });
    let path = "/v1/policies:activate";
    let odd = scene.server.call(&scene.operator, "POST", path, Some(&body)).await;
    assert_eq!(odd.problem(), "bad_json");
    let kept = scene.server.engine.records(RecordKind::Policy, [0; 16], None, 10).unwrap();
    assert!(kept.is_empty(), "what is refused is not kept");
}

#[tokio::test]
async fn who_may_not_and_who_is_not_recognised() {
    let scene = Scene::set().await;
    let first = scene.status().await;
    let (server, carol) = (&scene.server, &scene.carol);
    let body = json!({ "files": remarked("mine") });
    let all = [
        ("GET", "/v1/policies", None),
        ("POST", "/v1/policies:activate", Some(&body)),
        ("POST", "/v1/policies:rollback", None),
    ];
    for (method, path, body) in all {
        server.recognise(carol).await;
        assert_eq!(server.call(carol, method, path, body).await.problem(), "forbidden", "{path}");
    }
    server.clock.advance(Span::from_secs(301));
    *scene.operator.token.borrow_mut() = None;
    for (method, path, body) in &all[1..] {
        let weak = server.call(&scene.operator, method, path, *body).await;
        assert_eq!(weak.problem(), "insufficient_user_authentication", "{path}");
    }
    assert_eq!(scene.status().await, first);
}

#[tokio::test]
async fn two_people_activate_as_soon_as_there_are_two() {
    let scene = Scene::set().await;
    let (server, carol) = (&scene.server, &scene.carol);
    scene.two_people().await;
    let first = scene.status().await;
    let files = remarked("ours");
    let asked = scene.activate(&files).await;
    assert_eq!(
        (asked.status.as_u16(), &asked.json()["kind"]),
        (202, &json!("policy")),
        "{asked:?}"
    );
    assert_eq!(scene.activate(&files).await.json()["id"], asked.json()["id"], "asked for once");
    assert_eq!(scene.status().await, first, "nothing is in force yet");
    let own = server.says(&scene.operator, &asked.json(), Consent::Approve).await;
    assert_eq!(own.json()["reason"], "own_operation");
    *carol.token.borrow_mut() = None;
    let weak = server.word(carol, &asked.json(), Consent::Approve, |_| {}).await;
    assert_eq!(weak.problem(), "insufficient_user_authentication");
    assert_eq!(scene.status().await, first);
    let done = server.says(carol, &asked.json(), Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    let now = scene.status().await;
    assert_ne!(now["version"], first["version"]);
    assert_eq!(now["history"][0]["approvals"], json!([carol.person.unwrap().to_string()]));
    // Back, in the same way; rejected, it stays.
    server.recognise(&scene.operator).await;
    let asked = scene.roll_back().await;
    assert_eq!(asked.status, 202, "{asked:?}");
    server.says(carol, &asked.json(), Consent::Reject).await;
    assert_eq!(scene.status().await, now);
    let asked = scene.roll_back().await;
    server.clock.advance(Span::from_secs(72 * 3600));
    let late = server.says(carol, &asked.json(), Consent::Approve).await;
    assert_eq!(late.json()["reason"], "expired");
    server.recognise(&scene.operator).await;
    assert_eq!(scene.status().await, now);
    let asked = scene.roll_back().await;
    server.says(carol, &asked.json(), Consent::Approve).await;
    assert_eq!(scene.status().await["version"], first["version"]);
}

#[tokio::test]
async fn of_two_activations_one_takes_the_place_of_the_other_openly() {
    let scene = Scene::set().await;
    // Alone: of those that begin from the same state one is stored, and what is stored decides.
    let sets = [remarked("one"), remarked("two"), remarked("three")];
    let [a, b, c] = &sets;
    let (a, b, c) = tokio::join!(scene.activate(a), scene.activate(b), scene.activate(c));
    let answers = [a, b, c];
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(done > 0);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.problem(), "record_changed");
    }
    let status = scene.status().await;
    assert_eq!(status["version"], status["history"][0]["version"]);
    assert_eq!(status["history"].as_array().unwrap().len(), 1 + done);
    // Together: what was asked for before another one came in between is not what was agreed to.
    scene.two_people().await;
    let (first, second) = (remarked("first"), remarked("second"));
    let (first, second) =
        (scene.activate(&first).await.json(), scene.activate(&second).await.json());
    assert_ne!(first["id"], second["id"]);
    let (server, carol) = (&scene.server, &scene.carol);
    let done = server.says(carol, &first, Consent::Approve).await;
    assert_eq!(done.json()["stage"], "executed", "{done:?}");
    server.recognise(&scene.operator).await;
    let status = scene.status().await;
    let late = server.says(carol, &second, Consent::Approve).await;
    assert_eq!(late.json()["reason"], "changed");
    assert_eq!(scene.status().await, status);
}

/// Sets of before they had to deny it are in force where they were put into force, and stay so.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_says_nothing_of_disowned_devices_lets_them_change_nothing_all_the_same() {
    let server = Server::start().await;
    let mut files = builtin();
    let text = files.get_mut("separation.cedar").unwrap();
    let begin = text.find("@id(\"separation.disowned-device\")").unwrap();
    let last = "context.device.disowned };";
    let end = text.find(last).unwrap() + last.len();
    text.replace_range(begin..end, "");
    let files = PolicyFiles::new(files).unwrap();
    let active = ActivePolicy::starting_with(files.version(), server.engine.now());
    let mut records = PolicyRecord { files }.to_records();
    records.push((active_key(), active.to_bytes()));
    let write = |(key, after)| RecordWrite { key, before: None, after: Some(after) };
    server.engine.write_records(records.into_iter().map(write).collect()).await.unwrap();
    let server = server.restart(|_usual| {}).await;

    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "100").await;
    let other = server.another_device(&operator, &ann).await;
    crate::prompts::disowned(&server, &ann, &other).await;
    let path = format!("/v1/devices/{}", other.device.unwrap());
    let refused = server.call(&ann, "DELETE", &path, None).await;
    assert_eq!(refused.json()["reason"], "disowned_device", "{refused:?}");
    let code = format!("/v1/people/{}/codes", ann.person.unwrap());
    let refused = server.call(&ann, "POST", &code, None).await;
    assert_eq!(refused.json()["reason"], "disowned_device", "{refused:?}");
    let path = "/v1/decisions?action=revoke_device&limit=250";
    let found = server.call(&operator, "GET", path, None).await.json();
    let denied = &found["items"][0];
    assert_eq!(
        (&denied["ruling"], &denied["policies"]),
        (&json!("denied"), &json!(["disowned-device"]))
    );
    let own = format!("/v1/accounts/{}", ann.account());
    assert_eq!(server.call(&ann, "GET", &own, None).await.status, 200, "it reads");
    let revoked = format!("/v1/devices/{}", ann.device.unwrap());
    assert_eq!(server.call(&other, "DELETE", &revoked, None).await.status, 200);
}
