//! Goal: a code that was sent lets one payment go on, once, and raises nothing; it cannot be guessed, also by whoever waits for a restart;
//! nobody is flooded with codes, and what the operator switched off is off.
//! Method: a real server that writes its messages into a folder, from which they are read as their receiver would; each rule broken by
//! itself.

use crate::support::{Actor, Answer, Server, limits};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tpw_core::Span;
use tpw_engines::Config;
use tpw_engines::outbox::{ByChannel, FolderOutbox, Outbox};

const MAIL: &str = "ann@mail.example";
const PHONE: &str = "+8613800138000";
/// Enough that screening asks the payer again.
const LARGE: u128 = 150_000;

struct Set {
    server: Server,
    operator: Actor,
    ann: Actor,
    folder: TempDir,
}

/// Both channels into one folder.
fn into_folder(folder: &Path) -> impl FnOnce(&mut Config) {
    let outbox = FolderOutbox::new(folder).unwrap();
    move |config| config.outbox = Some(Arc::new(outbox))
}

impl Set {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let server = Server::start_as(limits(), into_folder(folder.path())).await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "90000000").await;
        Self { server, operator, ann, folder }
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.server.call(&self.ann, "POST", path, Some(body)).await
    }

    fn wait(&self, secs: u64) {
        self.server.clock.advance(Span::from_secs(secs));
        *self.ann.token.borrow_mut() = None;
    }

    /// What was sent, oldest first.
    fn messages(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// The code of the message that was sent last.
    fn code(&self) -> String {
        let message = self.messages().pop().unwrap();
        let digits = |text: &str| text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
        let words: Vec<&str> = message.split_whitespace().collect();
        let pair = words.windows(2).find(|pair| digits(pair[0]) && digits(pair[1])).unwrap();
        pair.concat()
    }

    async fn add(&self, address: &str) -> Answer {
        self.post("/v1/factors/contacts", &json!({ "address": address })).await
    }

    async fn confirm(&self, id: &str, code: &str) -> Answer {
        let path = format!("/v1/factors/contacts/{id}:confirm");
        self.post(&path, &json!({ "code": code })).await
    }

    /// A confirmed address, and the pause after it.
    async fn confirmed(&self, address: &str) -> String {
        let added = self.add(address).await;
        assert_eq!(added.status, 201, "{added:?}");
        let id = added.json()["id"].as_str().unwrap().to_owned();
        let confirmed = self.confirm(&id, &self.code()).await;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        self.wait(30);
        id
    }

    async fn challenge(&self, method: &str, payment: Option<&str>) -> Answer {
        let mut body = json!({ "method": method });
        if let Some(id) = payment {
            body["payment"] = id.into();
        }
        self.post("/v1/challenges", &body).await
    }

    async fn answer(&self, challenge: &Answer, code: &str) -> Answer {
        let id = challenge.json()["id"].as_str().unwrap().to_owned();
        self.post(&format!("/v1/challenges/{id}:answer"), &json!({ "code": code })).await
    }

    /// A payment of Ann's that waits for her.
    async fn waiting(&self, minor: u128) -> (String, String) {
        let bob = self.server.person(&self.operator, "Bob", "0").await;
        let (signed, waits) = self.server.pay(&self.ann, bob.account(), minor).await;
        assert_eq!(waits.problem(), "step_up_required");
        (signed.id.to_string(), bob.account().to_string())
    }
}

fn other_than(code: &str) -> String {
    let value: u32 = code.parse().unwrap();
    format!("{:08}", (value + 1) % 100_000_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_confirmed_and_its_code_lets_a_payment_go_on() {
    for (address, method) in [(MAIL, "mail"), (PHONE, "sms")] {
        let set = Set::new().await;
        let added = set.add(address).await;
        let id = added.json()["id"].as_str().unwrap().to_owned();
        // Before it is confirmed it counts for nothing.
        assert_eq!(set.challenge(method, None).await.json()["reason"], "no_address");
        let confirmed = set.confirm(&id, &set.code()).await;
        let list = set.server.call(&set.ann, "GET", "/v1/factors/contacts", None).await;
        if method == "sms" {
            assert_json_snapshot!("contact_added", added.shown());
            assert_json_snapshot!("contact_confirmed", confirmed.shown());
            assert_json_snapshot!("contacts", list.shown());
        }
        set.wait(30);
        let (payment, payee) = set.waiting(LARGE).await;
        let challenge = set.challenge(method, Some(&payment)).await;
        assert_eq!(challenge.status, 201, "{challenge:?}");
        let hint = challenge.json()["sent_to"].as_str().unwrap().to_owned();
        assert!(!hint.contains("138001") && !hint.contains("ann"), "{hint}");
        // Who reads the message knows what it is for.
        let message = set.messages().pop().unwrap();
        assert!(message.contains("1500.00 USD") && message.contains(&payee), "{message}");
        let answered = set.answer(&challenge, &set.code()).await;
        let paid = answered.json()["payment"].clone();
        assert_eq!(
            (&paid["status"], &paid["approvals"][0]["kind"]),
            (&"booked".into(), &"factor".into())
        );
        let path = format!("/v1/factors/contacts/{id}");
        let removed = set.server.call(&set.ann, "DELETE", &path, None).await;
        if method == "sms" {
            assert_json_snapshot!("contact_removed", removed.shown());
        }
        let again = set.server.call(&set.ann, "DELETE", &path, None).await;
        assert_eq!(again.problem(), "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_raises_no_session() {
    let set = Set::new().await;
    for (address, method) in [(MAIL, "mail"), (PHONE, "sms")] {
        set.confirmed(address).await;
        let challenge = set.challenge(method, None).await;
        let answered = set.answer(&challenge, &set.code()).await;
        assert_eq!((answered.status.as_u16(), &answered.json()["acr"]), (200, &json!("aal1")));
        set.wait(30);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_code() {
    let set = Set::new().await;
    set.confirmed(MAIL).await;
    let challenge = set.challenge("mail", None).await;
    let code = set.code();
    assert_eq!(set.answer(&challenge, &code).await.status, 200);
    assert_eq!(set.answer(&challenge, &code).await.problem(), "not_found");
    set.wait(30);
    let next = set.challenge("mail", None).await;
    assert_eq!(set.answer(&next, &code).await.problem(), "factor_refused");
    // The new one works still: a mistyped code is typed again.
    set.wait(5);
    assert_eq!(set.answer(&next, &set.code()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn code_of_another_payment() {
    let set = Set::new().await;
    set.confirmed(MAIL).await;
    let (first, _) = set.waiting(LARGE).await;
    let (second, _) = set.waiting(LARGE + 1).await;
    let of_first = set.challenge("mail", Some(&first)).await;
    let code = set.code();
    set.wait(30);
    let of_second = set.challenge("mail", Some(&second)).await;
    // Neither the code of the first for the second, nor the other way round, nor one of a payment for the session.
    assert_eq!(set.answer(&of_second, &code).await.problem(), "factor_refused");
    set.wait(5);
    assert_eq!(set.answer(&of_first, &set.code()).await.problem(), "factor_refused");
    set.wait(5);
    let session = set.challenge("mail", None).await;
    assert_eq!(session.problem(), "throttled");
    assert_eq!(set.answer(&of_second, &set.code()).await.json()["payment"]["status"], "booked");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessed_codes_are_throttled_across_restarts() {
    let set = Set::new().await;
    set.confirmed(MAIL).await;
    let challenge = set.challenge("mail", None).await;
    let code = set.code();
    let mut texts = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let refused = set.answer(&challenge, &other_than(&code)).await;
        assert_eq!(refused.problem(), "factor_refused");
        texts.insert(refused.json()["detail"].as_str().unwrap().to_owned());
        set.wait(2);
    }
    assert_eq!(set.answer(&challenge, &other_than(&code)).await.problem(), "throttled");
    let Set { server, operator, ann, folder } = set;
    let server = server.restart(into_folder(folder.path())).await;
    *ann.token.borrow_mut() = None;
    *operator.token.borrow_mut() = None;
    let set = Set { server, operator, ann, folder };
    // The challenge is forgotten; the failures, the tries and the pause are not.
    assert_eq!(set.answer(&challenge, &code).await.problem(), "not_found");
    assert_eq!(set.challenge("mail", None).await.problem(), "throttled");
    set.wait(30);
    let next = set.challenge("mail", None).await;
    let code = set.code();
    for tried in 0..2 {
        let refused = set.answer(&next, &other_than(&code)).await;
        assert_eq!(refused.problem(), if tried == 0 { "factor_refused" } else { "throttled" });
        texts.extend((tried == 0).then(|| refused.json()["detail"].as_str().unwrap().to_owned()));
    }
    // After five tries the right one is as good as any other.
    for _ in 0..4 {
        set.wait(5);
        set.answer(&next, &other_than(&code)).await;
    }
    set.wait(5);
    let refused = set.answer(&next, &code).await;
    texts.insert(refused.json()["detail"].as_str().unwrap().to_owned());
    assert_eq!((refused.problem().as_str(), texts.len()), ("factor_refused", 1), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_flooded_with_codes() {
    let set = Set::new().await;
    let id = set.confirmed(MAIL).await;
    assert_eq!(set.challenge("mail", None).await.status, 201);
    // Neither a new challenge nor the address removed and added again makes it faster, nor another person.
    assert_eq!(set.challenge("mail", None).await.problem(), "throttled");
    let path = format!("/v1/factors/contacts/{id}");
    assert_eq!(set.server.call(&set.ann, "DELETE", &path, None).await.status, 200);
    // Other addresses of Ann's wait for her own pause.
    assert_eq!(set.add("other@mail.example").await.problem(), "throttled");
    set.wait(5);
    let again = set.add(MAIL).await;
    assert_eq!((again.problem().as_str(), again.header("retry-after")), ("throttled", Some("25")));
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    let body = json!({ "address": MAIL });
    let bobs = set.server.call(&bob, "POST", "/v1/factors/contacts", Some(&body)).await;
    assert_eq!(bobs.problem(), "throttled");
    for name in ["a", "b", "c", "d"] {
        assert_eq!(set.add(&format!("{name}@mail.example")).await.status, 201);
        set.wait(5);
    }
    assert_eq!(set.add("e@mail.example").await.json()["reason"], "too_many_addresses");
    // A known one gets another first code after its pause.
    set.wait(30);
    assert_eq!(set.add("a@mail.example").await.status, 201);
    let sent = set.messages().len();
    assert_eq!(sent, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_sends_nothing() {
    let folder = TempDir::new().unwrap();
    let mail: Arc<dyn Outbox> = Arc::new(FolderOutbox::new(folder.path()).unwrap());
    let both = into_folder(folder.path());
    let server = Server::start_as(limits(), both).await;
    let operator = server.operator();
    let ann = server.person(&operator, "Ann", "0").await;
    let set = Set { server, operator, ann, folder };
    set.confirmed(PHONE).await;
    let Set { server, operator, ann, folder } = set;
    let no_sms = ByChannel { mail: Some(mail), sms: None };
    let server = server.restart(|config| config.outbox = Some(Arc::new(no_sms))).await;
    *ann.token.borrow_mut() = None;
    let set = Set { server, operator, ann, folder };
    assert_eq!(set.challenge("sms", None).await.json()["reason"], "channel_off");
    assert_eq!(set.add("+8613800138001").await.json()["reason"], "channel_off");
    let list = set.server.call(&set.ann, "GET", "/v1/factors/contacts", None).await.json();
    assert_eq!(
        (&list["contacts"][0]["available"], &list["contacts"][0]["restricted"]),
        (&json!(false), &json!(true))
    );
    let factors = set.server.call(&set.ann, "GET", "/v1/factors", None).await.json();
    assert_eq!(factors["factors"], json!([]));
    assert_eq!(set.messages().len(), 1);
    assert_eq!(set.add(MAIL).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_uses_anothers_address_and_odd_ones_are_refused() {
    let set = Set::new().await;
    let id = set.confirmed(MAIL).await;
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    for (method, path) in [
        ("DELETE", format!("/v1/factors/contacts/{id}")),
        ("POST", format!("/v1/factors/contacts/{id}:confirm")),
    ] {
        let body = json!({ "code": "12345678" });
        let refused = set.server.call(&bob, method, &path, Some(&body)).await;
        assert_eq!(refused.problem(), "not_found", "{path}");
    }
    let body = json!({ "method": "mail", "contact": id });
    let refused = set.server.call(&bob, "POST", "/v1/challenges", Some(&body)).await;
    assert_eq!(refused.json()["reason"], "no_address");
    for odd in ["ann", "a b@mail.example", "+86", "13800138000", "a@b@c.example", ""] {
        assert_eq!(set.add(odd).await.problem(), "factor_form", "{odd}");
    }
    for path in ["/v1/factors/contacts/x:confirm", "/v1/factors/contacts/x:send"] {
        let refused = set.post(path, &json!({ "code": "12345678" })).await;
        assert_eq!(refused.problem(), "not_found", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_signed_and_a_forged_one_is_refused() {
    let set = Set::new().await;
    set.confirmed(MAIL).await;
    set.confirmed(PHONE).await;
    let trust = tpw_proof::Trust::from_json(&set.server.engine.trust_json()).unwrap();
    let [mail, sms] = set.messages().try_into().unwrap();
    let verified = tpw_proof::letter::verify(&mail, &trust).unwrap();
    let address: tpw_access::factor::code::Address = MAIL.parse().unwrap();
    assert_eq!(verified.value().recipient.as_bytes(), &address.record_id());
    for forged in [mail.replace("your code", "our code"), mail.replace("10 minutes", "10 days")] {
        assert_ne!(forged, mail);
        assert!(tpw_proof::letter::verify(&forged, &trust).is_err());
    }
    // An SMS names what is in the list.
    let list = set.server.call(&set.ann, "GET", "/v1/messages", None).await;
    let mut shown = list.shown();
    for (place, message) in shown["body"]["messages"].as_array_mut().unwrap().iter_mut().enumerate()
    {
        message["reference"] = format!("[reference {place}]").into();
    }
    assert_json_snapshot!("messages", shown);
    let newest = list.json()["messages"][0].clone();
    assert!(sms.contains(newest["reference"].as_str().unwrap()), "{sms}");
    let statement = URL_SAFE_NO_PAD.decode(newest["statement"].as_str().unwrap()).unwrap();
    let unverified = tpw_proof::Unverified::<tpw_core::Letter>::parse(&statement).unwrap();
    let letter = unverified.verify(&trust.cose_keys[0]).unwrap().into_value();
    let text = sms.split_once("\n\n").unwrap().1;
    assert_eq!(letter.text, tpw_proof::letter::text_hash(text));
    // Nobody else's.
    let bob = set.server.person(&set.operator, "Bob", "0").await;
    let empty = set.server.call(&bob, "GET", "/v1/messages", None).await;
    assert_eq!(empty.json()["messages"], json!([]));
}
