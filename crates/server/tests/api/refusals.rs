//! What a client that does not behave gets: each wrong request has its own code and changes nothing.

use crate::support::{Actor, Server, Signed, encode, limits, random, sorted};
use insta::assert_json_snapshot;
use serde_json::{Value, json};
use tpw_core::{
    AccountId, Amount, Hash32, Instant, Intent, Name, PaymentId, Span, TransferId, TreeHead,
};
use tpw_server::Rate;

struct Scene {
    server: Server,
    operator: Actor,
    ann: Actor,
    bob: Actor,
}

impl Scene {
    async fn set() -> Self {
        let server = Server::start().await;
        let operator = server.operator();
        let ann = server.person(&operator, "Ann", "100000").await;
        let bob = server.person(&operator, "Bob", "100000").await;
        Self { server, operator, ann, bob }
    }

    async fn state(&self) -> Vec<Value> {
        self.server.state(&self.operator, &[&self.ann, &self.bob]).await
    }

    fn altered(&self, alter: impl FnOnce(&mut Intent)) -> Signed {
        let mut intent = self.server.intent(&self.ann, self.bob.account(), 100);
        alter(&mut intent);
        self.server.sign(&self.ann, intent)
    }
}

#[tokio::test]
async fn payments_that_are_not_taken_change_nothing() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let (first, answer) = server.pay(&scene.ann, scene.bob.account(), 100).await;
    assert_eq!(answer.status, 201);
    let before = scene.state().await;
    let hour = Span::from_secs(3600);
    let shifted = |at: Instant| (at, at.plus(Span::from_secs(60)));
    let mut broken = scene.altered(|_| {});
    let end = broken.bytes.len() - 1;
    broken.bytes[end] ^= 1;
    let mut cut = scene.altered(|_| {});
    cut.bytes.truncate(40);
    let mut stranger = scene.altered(|_| {});
    let other = Actor::new();
    stranger.bytes = tpw_proof::sign(&stranger.intent, &other.slots, &other.slot).unwrap();
    let cases = [
        ("other_amount_under_the_same_id", 409, "exists_with_different", {
            let mut intent = first.intent.clone();
            intent.money.amount = Amount::from_minor(101);
            server.sign(&scene.ann, intent)
        }),
        ("sequence_used", 409, "sequence_used", scene.altered(|i| i.sequence = 1)),
        ("sequence_gap", 409, "sequence_gap", scene.altered(|i| i.sequence = 9)),
        ("chain", 409, "chain_mismatch", scene.altered(|i| i.previous = Hash32::new([7; 32]))),
        ("audience", 422, "wrong_audience", {
            scene.altered(|i| i.audience = Name::new("other.example").unwrap())
        }),
        ("expired", 422, "expired", {
            scene.altered(|i| (i.created, i.expires) = shifted(i.created.minus(hour)))
        }),
        ("future", 422, "from_future", {
            scene.altered(|i| (i.created, i.expires) = shifted(i.created.plus(hour)))
        }),
        ("not_owner", 403, "not_owner", {
            let (ann, bob) = (scene.ann.account(), scene.bob.account());
            scene.altered(|i| (i.payer, i.payee) = (bob, ann))
        }),
        ("zero_amount", 422, "bad_statement", { scene.altered(|i| i.money.amount = Amount::ZERO) }),
        ("to_itself", 422, "bad_statement", scene.altered(|i| i.payee = i.payer)),
        ("signature", 422, "bad_statement", broken),
        ("cut_off", 422, "bad_statement", cut),
        ("stranger", 403, "unknown_device", stranger),
    ];
    let mut problems = serde_json::Map::new();
    for (name, status, code, signed) in cases {
        let answer = server.submit(&signed).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code), "{name}");
        assert_eq!(answer.json()["consumed"], false, "{name}");
        problems.insert(name.to_owned(), answer.shown());
        assert_eq!(scene.state().await, before, "{name}");
    }
    assert_json_snapshot!("payments_not_taken", sorted(problems.into()));
    assert_eq!(server.submit(&first).await.json(), answer.json(), "the first outcome stands");
}

#[tokio::test]
async fn a_device_that_has_seen_another_log_raises_an_alarm() {
    let scene = Scene::set().await;
    let fork = TreeHead { size: 2, root: Hash32::new([9; 32]) };
    let answer = scene.server.submit(&scene.altered(|i| i.seen = fork)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "checkpoint_fork"));
    let alarms = scene.server.call(&scene.operator, "GET", "/v1/alarms", None).await;
    assert_json_snapshot!("alarms", alarms.shown());
}

#[tokio::test]
async fn the_idempotency_key_is_the_payments_id() {
    let scene = Scene::set().await;
    let before = scene.state().await;
    let signed = scene.altered(|_| {});
    let other = PaymentId::new(0, random()).to_string();
    let missing = scene.server.post_json("/v1/payments", &[], &signed.body()).await;
    assert_json_snapshot!("key_missing", missing.shown());
    for (key, status) in [(other.as_str(), 422), ("", 422), ("x", 422)] {
        let headers = [("idempotency-key", key)];
        let answer = scene.server.post_json("/v1/payments", &headers, &signed.body()).await;
        let expected = (status, "idempotency_key_mismatch");
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), expected, "`{key}`");
    }
    assert_eq!(scene.state().await, before);
    assert_eq!(scene.server.submit(&signed).await.status, 201, "the id was not used up");
}

#[tokio::test]
async fn bodies_that_are_not_what_is_expected() {
    let scene = Scene::set().await;
    let before = scene.state().await;
    let key = PaymentId::new(0, random()).to_string();
    let pay = |media_type: &'static str, body: Vec<u8>| {
        let (server, key) = (&scene.server, key.as_str());
        async move {
            let headers = [("content-type", media_type), ("idempotency-key", key)];
            let answer = server.send("POST", "/v1/payments", &headers, body).await;
            (answer.status.as_u16(), answer.problem(), answer)
        }
    };
    let json = "application/json";
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    for (name, body) in [
        ("empty", ""),
        ("no JSON", "{"),
        ("two values", "{\"statement\":\"\"} {}"),
        ("another type", "{\"statement\": 7}"),
        ("a member missing", "{}"),
        ("a member unknown", "{\"statement\": \"\", \"amount\": \"1\"}"),
        ("a member twice", "{\"statement\": \"\", \"statement\": \"\"}"),
        ("padding", "{\"statement\": \"AA==\"}"),
        ("another alphabet", "{\"statement\": \"+/+/\"}"),
        ("deep", deep.as_str()),
    ] {
        let (status, code, answer) = pay(json, body.as_bytes().to_vec()).await;
        assert_eq!((status, code.as_str()), (400, "bad_json"), "{name}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("line 1 column"), "{name}: names the place: {detail}");
    }
    let (status, code, _) = pay(json, vec![0xff, 0xfe, 0x00]).await;
    assert_eq!((status, code.as_str()), (400, "bad_json"), "no UTF-8");
    let (_, _, answer) = pay(json, b"{\"statement\": 7}".to_vec()).await;
    assert_json_snapshot!("bad_json", answer.shown());
    for media_type in ["text/plain", "", "application/jsonx", "application/cose-key"] {
        let (status, code, _) = pay(media_type, b"{}".to_vec()).await;
        assert_eq!((status, code.as_str()), (415, "unsupported_media_type"), "{media_type}");
    }
    let (status, code, answer) = pay(json, vec![b' '; 1 << 20]).await;
    assert_eq!((status, code.as_str()), (413, "body_too_large"));
    assert_json_snapshot!("body_too_large", answer.shown());
    let (status, code, _) = pay("application/cose", vec![0xd2; 5000]).await;
    assert_eq!((status, code.as_str()), (422, "bad_statement"));
    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn values_that_are_not_allowed() {
    let scene = Scene::set().await;
    let before = scene.state().await;
    let person = |change: &dyn Fn(&mut Value)| {
        let mut body = json!({
            "name": "C",
            "accounts": [{ "asset": "USD/2", "kind": "custodial", "label": "main", "opening": "1" }],
        });
        change(&mut body);
        body
    };
    let at = |pointer: &'static str, value: Value| {
        move |body: &mut Value| *body.pointer_mut(pointer).unwrap() = value.clone()
    };
    let huge = "9".repeat(60);
    for (name, status, code, body) in [
        ("negative", 400, "bad_json", person(&at("/accounts/0/opening", "-1".into()))),
        ("a number", 400, "bad_json", person(&at("/accounts/0/opening", 1.into()))),
        ("decimals", 400, "bad_json", person(&at("/accounts/0/opening", "1.5".into()))),
        ("exponent", 400, "bad_json", person(&at("/accounts/0/opening", "1e3".into()))),
        ("leading zero", 400, "bad_json", person(&at("/accounts/0/opening", "01".into()))),
        ("beyond 128 bits", 400, "bad_json", person(&at("/accounts/0/opening", huge.into()))),
        ("no asset", 400, "bad_json", person(&at("/accounts/0/asset", "dollars".into()))),
        ("unknown asset", 422, "unknown_asset", person(&at("/accounts/0/asset", "ABC/2".into()))),
        ("other scale", 422, "unknown_asset", person(&at("/accounts/0/asset", "USD/3".into()))),
        ("issuance", 422, "bad_value", person(&at("/accounts/0/kind", "issuance".into()))),
        ("external", 422, "bad_value", person(&at("/accounts/0/kind", "external".into()))),
        ("unknown kind", 400, "bad_json", person(&at("/accounts/0/kind", "piggy_bank".into()))),
        ("no name", 422, "bad_value", person(&at("/name", "".into()))),
        ("long name", 422, "bad_value", person(&at("/name", "x".repeat(65).into()))),
        ("control character", 422, "bad_value", person(&at("/name", "a\nb".into()))),
        ("no id", 400, "bad_json", {
            let mut body = person(&|_| {});
            body["id"] = "acc_01h455vb4pex5vsknk084sn02q".into();
            body
        }),
        ("too many accounts", 422, "bad_value", {
            let mut body = person(&|_| {});
            body["accounts"] = vec![body["accounts"][0].clone(); 17].into();
            body
        }),
    ] {
        let answer = scene.server.call(&scene.operator, "POST", "/v1/people", Some(&body)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code), "{name}");
    }
    let (account, fund) = (scene.ann.account(), || TransferId::new(0, random()));
    for (amount, status, code) in [
        ("0", 422, "bad_value"),
        ("-5", 400, "bad_json"),
        // More than one person brings in.
        ("340282366920938463463374607431768211455", 401, "insufficient_user_authentication"),
        ("340282366920938463463374607431768211456", 400, "bad_json"),
    ] {
        let answer = scene.server.fund(&scene.operator, account, amount, fund()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code), "{amount}");
    }
    let (path, body) = (format!("/v1/accounts/{account}:fund"), json!({ "amount": "1" }));
    let payment = PaymentId::new(0, random()).to_string();
    for (headers, status, code) in [
        (&[][..], 400, "idempotency_key_missing"),
        (&[("idempotency-key", "once")][..], 422, "bad_value"),
        (&[("idempotency-key", payment.as_str())][..], 422, "bad_value"),
    ] {
        let (server, operator) = (&scene.server, &scene.operator);
        let answer = server.call_in(operator, "POST", &path, Some(&body), headers).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, code));
    }
    assert_eq!(scene.state().await, before);
}

#[tokio::test]
async fn proofs_and_tokens_that_do_not_hold() {
    let scene = Scene::set().await;
    let (server, ann, bob) = (&scene.server, &scene.ann, &scene.bob);
    let path = format!("/v1/accounts/{}", ann.account());
    let token = server.token(ann).await;
    let get = |token: Option<String>, proofs: Vec<String>| {
        let path = path.clone();
        async move {
            let authorization = token.map(|token| format!("DPoP {token}"));
            let mut headers: Vec<(&str, &str)> = Vec::new();
            headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
            headers.extend(proofs.iter().map(|proof| ("dpop", proof.as_str())));
            server.send("GET", &path, &headers, Vec::new()).await
        }
    };
    let proof = |actor: &Actor, method: &str, token: Option<&str>| {
        server.proof(actor, method, &path, token)
    };
    let good = proof(ann, "GET", Some(&token));
    assert_eq!(get(Some(token.clone()), vec![good.clone()]).await.status, 200);
    let other_path = server.proof(ann, "GET", "/v1/accounts", Some(&token));
    let mut forged = token.clone();
    let place = token.len() - 5..token.len() - 4;
    // One letter of the signature becomes another one, whichever it is.
    let other = if &forged[place.clone()] == "A" { "B" } else { "A" };
    forged.replace_range(place, other);
    let fresh = || proof(ann, "GET", Some(&token));
    let forged_proof = proof(ann, "GET", Some(&forged));
    let stolen = proof(bob, "GET", Some(&token));
    let cases = [
        ("nothing", None, vec![], "unauthenticated", None),
        ("no token", None, vec![fresh()], "unauthenticated", None),
        ("no proof", Some(token.clone()), vec![], "unauthenticated", None),
        ("two proofs", Some(token.clone()), vec![fresh(), fresh()], "unauthenticated", None),
        ("replayed", Some(token.clone()), vec![good], "bad_proof", Some("replayed")),
        ("stolen token", Some(token.clone()), vec![stolen], "bad_token", Some("not_bound")),
        ("forged token", Some(forged), vec![forged_proof], "bad_token", Some("bad_signature")),
        (
            "no proof form",
            Some(token.clone()),
            vec!["x".to_owned()],
            "bad_proof",
            Some("malformed"),
        ),
        ("other path", Some(token.clone()), vec![other_path], "bad_proof", Some("wrong_url")),
        (
            "other method",
            Some(token.clone()),
            vec![proof(ann, "POST", Some(&token))],
            "bad_proof",
            Some("wrong_method"),
        ),
        (
            "other token",
            Some(token.clone()),
            vec![proof(ann, "GET", None)],
            "bad_proof",
            Some("wrong_token"),
        ),
    ];
    let mut problems = serde_json::Map::new();
    for (name, token, proofs, code, reason) in cases {
        let answer = get(token, proofs).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, code), "{name}");
        assert_eq!(answer.json().get("reason").and_then(Value::as_str), reason, "{name}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("DPoP "), "{name}");
        problems.insert(name.to_owned(), answer.shown());
    }
    assert_json_snapshot!("not_authenticated", sorted(problems.into()));
}

#[tokio::test]
async fn proofs_and_tokens_end() {
    let scene = Scene::set().await;
    let (server, ann) = (&scene.server, &scene.ann);
    let path = format!("/v1/accounts/{}", ann.account());
    let token = server.token(ann).await;
    let get = async |proof: String| {
        let authorization = format!("DPoP {token}");
        let headers = [("authorization", authorization.as_str()), ("dpop", proof.as_str())];
        let answer = server.send("GET", &path, &headers, Vec::new()).await;
        (answer.problem(), answer.json()["reason"].as_str().unwrap().to_owned())
    };
    let said = |code: &str, reason: &str| (code.to_owned(), reason.to_owned());
    let stale = server.proof(ann, "GET", &path, Some(&token));
    server.clock.advance(Span::from_secs(61));
    assert_eq!(get(stale).await, said("bad_proof", "stale"));
    server.clock.advance(Span::from_secs(240));
    let fresh = server.proof(ann, "GET", &path, Some(&token));
    assert_eq!(get(fresh).await, said("bad_token", "expired"));
    let elsewhere = server.proof(ann, "POST", &path, None);
    let headers = [("dpop", elsewhere.as_str())];
    let answer = server.send("POST", "/v1/tokens", &headers, Vec::new()).await;
    assert_eq!(answer.json()["reason"], "wrong_url");
}

#[tokio::test]
async fn nobody_reads_what_is_anothers_and_holders_do_not_operate() {
    let scene = Scene::set().await;
    let (server, bob) = (&scene.server, &scene.bob);
    let eve = server.person(&scene.operator, "Eve", "0").await;
    let (signed, _) = server.pay(&scene.ann, bob.account(), 100).await;
    let before = scene.state().await;
    let (account, person) = (scene.ann.account(), scene.ann.person.unwrap());
    let device = scene.ann.device.unwrap();
    for (method, path) in [
        ("GET", format!("/v1/accounts/{account}")),
        ("GET", format!("/v1/accounts/{account}/statement")),
        ("GET", format!("/v1/accounts/{account}/chain")),
        ("GET", format!("/v1/accounts?person={person}")),
        ("GET", format!("/v1/people/{person}")),
        ("GET", format!("/v1/payments/{}", signed.id)),
        ("GET", format!("/v1/payments/{}/receipt", signed.id)),
        ("DELETE", format!("/v1/devices/{device}")),
    ] {
        let answer = server.call(&eve, method, &path, None).await;
        assert_eq!(answer.status, 404, "{method} {path}: {answer:?}");
        answer.problem();
        // What does not exist at all looks the same.
        let absent = path
            .replace(&account.to_string(), &eve.account().to_string().replace("acc_0", "acc_1"))
            .replace(&person.to_string(), &person.to_string().replace("per_0", "per_1"))
            .replace(&device.to_string(), &device.to_string().replace("dev_0", "dev_1"))
            .replace(&signed.id.to_string(), &signed.id.to_string().replace("pay_0", "pay_1"));
        let other = server.call(&eve, method, &absent, None).await;
        assert_eq!(other.shown(), answer.shown(), "{method} {absent}");
    }
    let fund = json!({ "amount": "1" });
    for (method, path, body) in [
        ("POST", "/v1/people".to_owned(), Some(json!({ "name": "X" }))),
        ("POST", "/v1/people:batch".to_owned(), Some(json!({ "people": [{ "name": "X" }] }))),
        ("POST", format!("/v1/people/{}/codes", eve.person.unwrap()), None),
        ("POST", "/v1/accounts".to_owned(), Some(json!({}))),
        ("POST", format!("/v1/accounts/{}:fund", eve.account()), Some(fund)),
        ("POST", format!("/v1/accounts/{}:freeze", eve.account()), None),
        ("POST", format!("/v1/accounts/{}:unfreeze", eve.account()), None),
        ("POST", format!("/v1/payments/{}:release", signed.id), None),
        ("POST", format!("/v1/payments/{}:reject", signed.id), None),
        ("POST", format!("/v1/payments/{}:recall", signed.id), None),
        ("POST", format!("/v1/payments/{}:rail-confirm", signed.id), None),
        ("POST", format!("/v1/payments/{}:rail-return", signed.id), None),
        ("GET", "/v1/holds".to_owned(), None),
        ("GET", "/v1/rail".to_owned(), None),
        ("GET", "/v1/alarms".to_owned(), None),
    ] {
        let answer = server.call(&eve, method, &path, body.as_ref()).await;
        let got = (answer.status.as_u16(), answer.problem());
        assert_eq!(got, (403, "forbidden".to_owned()), "{method} {path}");
    }
    assert_eq!(scene.state().await, before);
    // The operator does not bring money in for itself.
    let own = json!({
        "person": server.engine.device_by_jkt(&operator_jkt(&scene.operator)).unwrap().person.to_string(),
        "account": { "asset": "USD/2", "kind": "custodial", "label": "mine", "opening": "1" },
    });
    let answer = server.call(&scene.operator, "POST", "/v1/accounts", Some(&own)).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

/// The operator's own device, with an account of the operator's person.
async fn paying_operator(scene: &Scene) -> Actor {
    let server = &scene.server;
    let mut operator = server.operator();
    let device = server.engine.device_by_jkt(&operator_jkt(&operator)).unwrap();
    let account = json!({
        "person": device.person.to_string(),
        "account": { "asset": "USD/2", "kind": "custodial", "label": "mine" },
    });
    let opened = server.call(&scene.operator, "POST", "/v1/accounts", Some(&account)).await;
    assert_eq!(opened.status, 201, "{opened:?}");
    operator.device = Some(device.id);
    operator.person = Some(device.person);
    operator.account = Some(opened.json()["id"].as_str().unwrap().parse().unwrap());
    operator
}

/// Every cell: on which side the operator's own person stands, and what it then may not do.
#[tokio::test]
async fn no_operator_decides_on_a_payment_in_its_own_favour() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let own = paying_operator(&scene).await;
    for _ in 0..2 {
        let transfer = TransferId::new(0, random());
        let funded = server.fund(&scene.operator, scene.ann.account(), "900000", transfer).await;
        assert_eq!(funded.status, 200, "{funded:?}");
    }
    let external = json!({ "account": { "asset": "USD/2", "kind": "external", "label": "bank" } });
    let opened = server.call(&scene.operator, "POST", "/v1/accounts", Some(&external)).await;
    let bank: AccountId = opened.json()["id"].as_str().unwrap().parse().unwrap();

    let (booked_to_own, answer) = server.pay(&scene.ann, own.account(), 90_000).await;
    assert_eq!(answer.json()["status"], "booked", "{answer:?}");
    let (large_to_own, waits) = server.pay(&scene.ann, own.account(), 1_500_000).await;
    assert_eq!(waits.json()["status"], "held", "{waits:?}");
    let (from_own, _) = server.pay(&own, scene.bob.account(), 1_000).await;
    let (to_bank, answer) = server.pay(&own, bank, 2_000).await;
    assert_eq!(answer.json()["rail"], "instructed", "{answer:?}");
    let (other_to_bank, _) = server.pay(&scene.ann, bank, 3_000).await;

    let decide = async |payment: PaymentId, verb: &str| {
        let path = format!("/v1/payments/{payment}:{verb}");
        server.call(&scene.operator, "POST", &path, None).await
    };
    let actors = [&scene.ann, &scene.bob, &own];
    let before = server.state(&scene.operator, &actors).await;
    for (side, payment, verb) in [
        ("payee", large_to_own.id, "release"),
        ("payee", booked_to_own.id, "recall"),
        ("payer", from_own.id, "release"),
        ("payer", from_own.id, "reject"),
        ("payer", from_own.id, "recall"),
        ("payer", from_own.id, "rail-return"),
        ("payer", to_bank.id, "recall"),
        ("payer", to_bank.id, "rail-return"),
    ] {
        let answer = decide(payment, verb).await;
        let got = (answer.status.as_u16(), answer.problem());
        assert_eq!(got, (403, "forbidden".to_owned()), "{verb} as {side}");
        assert_eq!(answer.json()["reason"], "own_favour", "{verb} as {side}");
    }
    let leg = json!({
        "id": TransferId::new(0, random()).to_string(), "debit": bank.to_string(),
        "credit": own.account().to_string(), "amount": "1", "asset": "USD/2",
    });
    for order in [
        json!({ "kind": "transfer", "leg": leg }),
        json!({ "kind": "linked", "legs": [leg] }),
        json!({ "kind": "hold", "leg": leg, "expires": "2099-01-01T00:00:00.000Z" }),
    ] {
        let body = json!({ "orders": [{ "order": order }] });
        let path = "/v1/transfers:batch";
        let answer = server.call(&scene.operator, "POST", path, Some(&body)).await;
        assert_eq!(answer.problem(), "forbidden", "{body}");
        assert_eq!(answer.json()["reason"], "own_favour", "{body}");
    }
    assert_eq!(server.state(&scene.operator, &actors).await, before, "nothing has changed");
    // Against its own favour, in nobody's, and about others, the operator decides.
    assert_eq!(decide(large_to_own.id, "reject").await.json()["status"], "refused");
    assert_eq!(decide(to_bank.id, "rail-confirm").await.json()["rail"], "confirmed");
    assert_eq!(decide(other_to_bank.id, "rail-return").await.json()["status"], "compensated");
}

fn operator_jkt(operator: &Actor) -> Hash32 {
    use tpw_crypto::Signer as _;
    Hash32::new(operator.slots.public_key(&operator.slot).unwrap().jwk_thumbprint())
}

#[tokio::test]
async fn step_up_proofs_that_do_not_fit() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let transfer = TransferId::new(0, random());
    server.fund(&scene.operator, scene.ann.account(), "900000", transfer).await;
    let (signed, _) = server.pay(&scene.ann, scene.bob.account(), 200_000).await;
    let (other, _) = server.pay(&scene.ann, scene.bob.account(), 1).await;
    let path = format!("/v1/payments/{}:step-up", signed.id);
    let send = |proof: String| {
        let path = path.clone();
        async move {
            let answer = server.post_json(&path, &[], &json!({ "proof": proof })).await;
            (answer.status.as_u16(), answer.problem())
        }
    };
    let proof = scene.ann.step_up(server, other.id, other.hash);
    assert_eq!(send(proof).await, (422, "proof_mismatch".to_owned()));
    let proof = scene.ann.step_up(server, signed.id, other.hash);
    assert_eq!(send(proof).await, (422, "proof_mismatch".to_owned()));
    let mut bob = scene.bob;
    bob.device = scene.ann.device;
    let (status, _) = send(bob.step_up(server, signed.id, signed.hash)).await;
    assert!((400..500).contains(&status), "another device: {status}");
    assert_eq!(send(encode(&signed.bytes)).await, (422, "bad_statement".to_owned()));
    let stale = scene.ann.step_up(server, signed.id, signed.hash);
    server.clock.advance(Span::from_secs(301));
    let late = send(stale).await;
    assert_eq!(late, (422, "proof_stale".to_owned()));
}

#[tokio::test]
async fn guessed_enrolment_codes_are_slowed_down() {
    let scene = Scene::set().await;
    let server = &scene.server;
    let added = server.add_person(&scene.operator, "Carl", "0").await;
    let right = added["code"].as_str().unwrap();
    let wrong = "00000-00000-00000-00000";
    let first = server.enrol_with(&Actor::new(), wrong).await;
    assert_json_snapshot!("code_invalid", first.shown());
    let throttled = server.enrol_with(&Actor::new(), right).await;
    assert_json_snapshot!("throttled", throttled.shown());
    server.clock.advance(Span::from_secs(2));
    let device = Actor::new();
    assert_eq!(server.enrol_with(&device, right).await.status, 201);
    // Used by another device: the same answer as for a wrong one.
    let used = server.enrol_with(&Actor::new(), right).await;
    assert_eq!(used.problem(), "code_invalid");
}

#[tokio::test]
async fn addresses_that_lead_nowhere() {
    let scene = Scene::set().await;
    let server = &scene.server;
    for path in [
        "/",
        "/v1",
        "/v2/payments",
        "/v1/log/tile/0/../../../operator.key",
        "/v1/log/tile/0/%2e%2e/%2e%2e/operator.key",
        "/v1/log/..%2f..%2foperator.key",
        "/v1/log/tile/64/000",
        "/v1/log/tile/0/0",
        "/v1/log/tile/0/000.p/999",
        "/v1/log/tile/entries/x001",
        "/v1/log//etc/passwd",
        "/v1/log/%ff",
        "/problems/nothing",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (404, "not_found"),
            "{path}"
        );
    }
    let nowhere = server.get("/v1/nothing").await;
    assert_json_snapshot!("not_found", nowhere.shown());
    let wrong = server.send("PUT", "/v1/payments", &[], Vec::new()).await;
    assert_json_snapshot!("method_not_allowed", wrong.shown());
    let plain = server.send("POST", "/v1/payments/pay_x", &[], Vec::new()).await;
    assert_eq!((plain.status.as_u16(), plain.header("allow")), (405, Some("GET,HEAD")));
    for path in ["/v1/payments/x:release", "/v1/accounts/acc_x:fund", "/v1/people/per_x"] {
        let answer = server.call(&scene.operator, "POST", path, None).await;
        assert!(matches!(answer.status.as_u16(), 404 | 405), "{path}: {answer:?}");
    }
    for query in ["limit=0", "limit=x", "limit=251", "page_token=x", "limit=1&limit=2", "other=1"] {
        let path = format!("/v1/accounts/{}/statement?{query}", scene.ann.account());
        let answer = server.call(&scene.ann, "GET", &path, None).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "bad_query"),
            "{query}"
        );
    }
    let tsa = server.post_json("/tsa", &[], &json!({})).await;
    assert_eq!((tsa.status.as_u16(), tsa.problem().as_str()), (415, "unsupported_media_type"));
}

#[tokio::test]
async fn too_many_requests_must_wait() {
    let mut limits = limits();
    limits.per_address = Rate::new(1, 8);
    let server = Server::start_with(limits).await;
    let mut last = server.get("/livez").await;
    for _ in 0..9 {
        last = server.get("/livez").await;
    }
    assert_eq!((last.status.as_u16(), last.problem().as_str()), (429, "rate_limited"));
    assert!(last.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);

    let mut limits = self::limits();
    limits.timestamps = Rate::new(1, 2);
    limits.per_device = Rate::new(1, 3);
    let server = Server::start_with(limits).await;
    let headers = [("content-type", "application/timestamp-query")];
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(server.send("POST", "/tsa", &headers, vec![1]).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429]);
    let operator = server.operator();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(server.call(&operator, "GET", "/v1/holds", None).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 429], "the token was the first of three");
}
