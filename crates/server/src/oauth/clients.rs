//! Clients, which the operator enters and removes.

use super::books::{self, Change, Stored};
use crate::app::App;
use crate::approving::{self, Asked};
use crate::body::{self, Query};
use crate::fault::ValueFault;
use crate::gate::{About, Caller};
use crate::problem::{Code, Problem};
use crate::routes::{Reply, json, off_thread};
use crate::wire::{
    self, ApiClient, ClientCredentials, ClientList, FormerCredentials, NewClient, Text,
};
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::sync::Arc;
use tpw_access::approval::{Operation, OperationKind};
use tpw_access::oauth::client::read_jwks;
use tpw_access::oauth::token::kid;
use tpw_access::oauth::{Client, ClientAuth, ClientError, ClientId, Former, GrantType, Scopes};
use tpw_access::{Action, CertificateName, ClientCertificate, RecordKey, RecordKind, RecordWrite};
use tpw_core::{Hash32, Instant, Name};

/// The most clients of one page.
const PAGE_MAX: usize = 100;

fn fault(error: ClientError) -> Problem {
    let (field, fault) = match error {
        ClientError::Id => ("/id", ValueFault::ClientId),
        ClientError::RedirectUri => ("/redirect_uris", ValueFault::RedirectUri),
        ClientError::RedirectUris => ("/redirect_uris", ValueFault::RedirectUris),
        ClientError::Keys => ("/jwks", ValueFault::Jwks),
        ClientError::PrivateKey => ("/jwks", ValueFault::PrivateKey),
        ClientError::Certificates => ("/certificates", ValueFault::Certificates),
        ClientError::Overlap => ("/former_until", ValueFault::Overlap),
        ClientError::Unchanged => ("/former_until", ValueFault::Unchanged),
        ClientError::Grants => ("/grants", ValueFault::Grants),
        ClientError::Scopes => ("/scopes", ValueFault::Scopes),
    };
    Problem::bad_value(field, fault)
}

/// The scopes of a list of names.
pub(super) fn scopes(names: &[String]) -> Result<Scopes, Problem> {
    let scopes = Scopes::of_names(names.iter().map(String::as_str));
    scopes.ok_or_else(|| Problem::bad_value("/scopes", ValueFault::Scopes))
}

/// The names of a set of scopes.
pub(super) fn scope_names(scopes: Scopes) -> Vec<String> {
    scopes.iter().map(|scope| scope.code().to_owned()).collect()
}

/// What a new client proves itself with.
fn credentials(new: &NewClient) -> ClientCredentials {
    ClientCredentials {
        jwks: new.jwks.clone(),
        certificates: new.certificates.clone(),
        tls_client_auth_san_dns: new.tls_client_auth_san_dns.clone(),
        tls_client_auth_san_uri: new.tls_client_auth_san_uri.clone(),
        tls_client_auth_san_ip: new.tls_client_auth_san_ip.clone(),
        tls_client_auth_san_email: new.tls_client_auth_san_email.clone(),
        tls_client_auth_subject_dn: new.tls_client_auth_subject_dn.clone(),
        former_until: None,
    }
}

/// The one way in which a client proves itself.
fn auth(by: &ClientCredentials, now: Instant) -> Result<ClientAuth, Problem> {
    let mut names = named(by).into_iter().flatten();
    match (&by.jwks, by.certificates.as_slice(), names.next(), names.next()) {
        (Some(jwks), [], None, None) => {
            Ok(ClientAuth::Keys(read_jwks(jwks.to_string().as_bytes()).map_err(fault)?))
        }
        (None, [_, ..], None, None) => {
            let read = by.certificates.iter().map(|text| thumbprint(text, now));
            Ok(ClientAuth::Certificates(read.collect::<Result<_, _>>()?))
        }
        (None, [], Some(name), None) => {
            name.map(ClientAuth::Name).ok_or_else(|| fault(ClientError::Certificates))
        }
        _ => Err(fault(ClientError::Keys)),
    }
}

/// The names that a certificate may be for (RFC 8705 §2.1.2): those that are there, and in them `None` for what is no name.
fn named(by: &ClientCredentials) -> [Option<Option<CertificateName>>; 5] {
    let dns = |host: &String| Some(CertificateName::Dns(host.to_lowercase()));
    let uri = |uri: &String| Some(CertificateName::Uri(uri.clone()));
    let ip = |address: &String| address.parse().ok().map(CertificateName::Ip);
    let mail = |mailbox: &String| {
        let (local, host) = mailbox.rsplit_once('@')?;
        Some(CertificateName::Mail(format!("{local}@{}", host.to_lowercase())))
    };
    let subject = |text: &String| CertificateName::subject(text);
    [
        by.tls_client_auth_san_dns.as_ref().map(dns),
        by.tls_client_auth_san_uri.as_ref().map(uri),
        by.tls_client_auth_san_ip.as_ref().map(ip),
        by.tls_client_auth_san_email.as_ref().map(mail),
        by.tls_client_auth_subject_dn.as_ref().map(subject),
    ]
}

/// Of a certificate by which the client could prove itself now.
fn thumbprint(text: &str, now: Instant) -> Result<Hash32, Problem> {
    let der = STANDARD.decode(text).ok();
    let certificate = der.and_then(|der| ClientCertificate::read(&der).ok());
    let certificate = certificate.filter(|certificate| certificate.holds(now).is_ok());
    Ok(certificate.ok_or_else(|| fault(ClientError::Certificates))?.thumbprint())
}

fn entered(new: &NewClient, now: Instant) -> Result<Client, Problem> {
    let name = Name::new(&new.name).map_err(|_| Problem::bad_value("/name", ValueFault::Name))?;
    let mut grants = Vec::new();
    for code in &new.grants {
        let grant = GrantType::from_code(code).filter(|grant| !grants.contains(grant));
        grants.push(grant.ok_or_else(|| fault(ClientError::Grants))?);
    }
    let client = Client {
        id: new.id.parse().map_err(fault)?,
        name,
        redirect_uris: new.redirect_uris.clone(),
        scopes: scopes(&new.scopes)?,
        grants,
        auth: auth(&credentials(new), now)?,
        former: None,
        added: now,
        removed: None,
        ended: Vec::new(),
    };
    client.checked().map_err(fault)
}

/// The thumbprints by which a client is known, of its keys or of its certificates.
fn thumbprints(auth: &ClientAuth) -> Vec<String> {
    match auth {
        ClientAuth::Keys(keys) => keys.iter().map(|key| kid(&key.key)).collect(),
        ClientAuth::Certificates(all) => {
            all.iter().map(|one| URL_SAFE_NO_PAD.encode(one.as_bytes())).collect()
        }
        ClientAuth::Name(_) => Vec::new(),
    }
}

fn former(former: &Former) -> FormerCredentials {
    let mut known_by = thumbprints(&former.auth);
    if let ClientAuth::Name(name) = &former.auth {
        known_by.push(name.to_string());
    }
    FormerCredentials {
        token_endpoint_auth_method: former.auth.method().to_owned(),
        known_by,
        until: Text(former.until),
    }
}

fn shown(client: &Client, now: Instant) -> ApiClient {
    let is_former = |former: &&Former| now < former.until;
    let known_by = thumbprints(&client.auth);
    let (keys, certificates) = match &client.auth {
        ClientAuth::Keys(_) => (known_by, Vec::new()),
        ClientAuth::Certificates(_) | ClientAuth::Name(_) => (Vec::new(), known_by),
    };
    let name = match &client.auth {
        ClientAuth::Name(name) => Some(name),
        ClientAuth::Keys(_) | ClientAuth::Certificates(_) => None,
    };
    let of_kind =
        |is: fn(&CertificateName) -> bool| name.filter(|name| is(name)).map(ToString::to_string);
    ApiClient {
        id: client.id.to_string(),
        name: client.name.as_str().to_owned(),
        redirect_uris: client.redirect_uris.clone(),
        scopes: scope_names(client.scopes),
        grants: client.grants.iter().map(|grant| grant.code().to_owned()).collect(),
        token_endpoint_auth_method: client.auth.method().to_owned(),
        keys,
        certificates,
        tls_client_auth_san_dns: of_kind(|name| matches!(name, CertificateName::Dns(_))),
        tls_client_auth_san_uri: of_kind(|name| matches!(name, CertificateName::Uri(_))),
        tls_client_auth_san_ip: of_kind(|name| matches!(name, CertificateName::Ip(_))),
        tls_client_auth_san_email: of_kind(|name| matches!(name, CertificateName::Mail(_))),
        tls_client_auth_subject_dn: of_kind(|name| matches!(name, CertificateName::Subject(_))),
        former: client.former.as_ref().filter(is_former).map(former),
        added: Text(client.added),
        removed: client.removed.map(Text),
    }
}

/// `POST /v1/clients`: 201 when it is entered, 202 with the request when somebody has to approve it.
pub(crate) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let needed = caller.ask(Action::ManageClients, &About::default())?;
    let new: NewClient = body::json(&headers, body, app.small_body()).await?;
    let client = entered(&new, app.engine.now())?;
    let key = client.id.record().ok_or_else(|| fault(ClientError::Id))?;
    let bytes = client.to_bytes();
    let decide = |before: Option<&[u8]>| {
        let Some(before) = before else {
            let after = Some(Stored::Value(bytes.clone()));
            return Ok(Change { after, gives: (StatusCode::CREATED, client.clone()) });
        };
        let stored = Client::from_bytes(before).map_err(|error| Problem::internal(&error))?;
        // The same client once more changes nothing.
        let (added, ended) = (stored.added, stored.ended.clone());
        let same = Client { added, ended, former: stored.former.clone(), ..client.clone() };
        if same.to_bytes() != before {
            return Err(Problem::new(Code::IdInUse).with("what", "client"));
        }
        Ok(Change { after: None, gives: (StatusCode::OK, stored) })
    };
    let ((status, client), waits) = changed(&app, &caller, (key, needed), decide).await?;
    Ok(waits.unwrap_or_else(|| json(status, &shown(&client, app.engine.now()))))
}

/// `PUT /v1/clients/{id}/credentials`: what it proved itself with so far ends at once, or when the request says. 202 with the request when
/// somebody has to approve it. Once more changes nothing.
pub(crate) async fn change_credentials(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let needed = caller.ask(Action::ManageClients, &About::default())?;
    let unknown = || Problem::new(Code::UnknownClient);
    let id: ClientId = id.parse().map_err(|_| unknown())?;
    let key = id.record().ok_or_else(unknown)?;
    let by: ClientCredentials = body::json(&headers, body, app.small_body()).await?;
    let (now, until) = (app.engine.now(), by.former_until.map(|Text(until)| until));
    let auth = auth(&by, now)?;
    let decide = |before: Option<&[u8]>| {
        let before = before.ok_or_else(unknown)?;
        let stored = Client::from_bytes(before).map_err(|error| Problem::internal(&error))?;
        if stored.removed.is_some() {
            return Err(unknown());
        }
        match stored.proves_by(auth.clone(), until, now) {
            Ok(client) => {
                Ok(Change { after: Some(Stored::Value(client.to_bytes())), gives: client })
            }
            Err(ClientError::Unchanged) if stored.former.as_ref().map(|it| it.until) == until => {
                Ok(Change { after: None, gives: stored })
            }
            Err(error) => Err(fault(error)),
        }
    };
    let (client, waits) = changed(&app, &caller, (key, needed), decide).await?;
    Ok(waits.unwrap_or_else(|| json(StatusCode::OK, &shown(&client, app.engine.now()))))
}

/// Changes a client's record as `decide` says, or has others asked whether it may be changed so.
async fn changed<T>(
    app: &Arc<App>,
    caller: &Caller,
    (key, needed): (RecordKey, u32),
    decide: impl Fn(Option<&[u8]>) -> Result<Change<T>, Problem>,
) -> Result<(T, Option<Response<Body>>), Problem> {
    if needed == 0 {
        return Ok((books::change(app, key, decide).await?, None));
    }
    let read = key.clone();
    let before = off_thread(app, move |engine| Ok(engine.record(&read)?)).await?;
    let Change { after, gives } = decide(before.as_deref())?;
    let Some(Stored::Value(after)) = after else { return Ok((gives, None)) };
    let resource = Operation::resource_of(key.id());
    let change = [RecordWrite { key, before, after: Some(after) }];
    let operation = Operation::of_records(OperationKind::Client, resource, &change);
    let asked = Asked::new(operation, Vec::new(), needed).same_if(same_but_for_times);
    Ok((gives, Some(approving::asked(app, caller, asked).await?)))
}

/// Whether two changes of a client differ in nothing but when they were asked for.
fn same_but_for_times(one: &Operation, other: &Operation) -> bool {
    let wanted = |operation: &Operation| {
        let change = operation.changes().ok()?.into_iter().next()?;
        let client = Client::from_bytes(&change.after?).ok()?;
        let removed = client.removed.map(|_| Instant::MIN);
        Some((change.key, change.before, Client { added: Instant::MIN, removed, ..client }))
    };
    wanted(one).is_some_and(|(key, before, client)| {
        wanted(other).is_some_and(|(other_key, other_before, other)| {
            (key, before) == (other_key, other_before) && client.to_bytes() == other.to_bytes()
        })
    })
}

/// `GET /v1/clients?after=&limit=`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Reply {
    caller.may(Action::ListAll, None)?;
    let query = Query::parse(query.as_deref(), &["after", "limit"])?;
    let limit = query.limit(PAGE_MAX)?;
    let after: Option<ClientId> = query.value("after")?;
    let items = off_thread(&app, move |engine| {
        let after = after.as_ref().map(|after| after.as_str().as_bytes());
        let stored = engine.records(RecordKind::Client, [0; 16], after, limit)?;
        let read = stored.iter().map(|(_, bytes)| Client::from_bytes(bytes));
        read.collect::<Result<Vec<_>, _>>().map_err(|error| Problem::internal(&error))
    })
    .await?;
    let full = items.len() >= limit;
    let next_after = items.last().filter(|_| full).map(|client| client.id.to_string());
    let now = app.engine.now();
    let items = items.iter().map(|client| shown(client, now)).collect();
    Ok(json(StatusCode::OK, &ClientList { items, next_after }))
}

/// `DELETE /v1/clients/{id}`: its tokens end with the next request. Once more changes nothing.
pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let needed = caller.ask(Action::ManageClients, &About::default())?;
    let unknown = || Problem::new(Code::UnknownClient);
    let id: ClientId = id.parse().map_err(|_| unknown())?;
    let key = id.record().ok_or_else(unknown)?;
    let decide = |before: Option<&[u8]>| {
        let before = before.ok_or_else(unknown)?;
        let stored = Client::from_bytes(before).map_err(|error| Problem::internal(&error))?;
        if stored.removed.is_some() {
            return Ok(Change { after: None, gives: stored });
        }
        let removed = Some(app.engine.now());
        let gone = Client { removed, former: None, ended: Vec::new(), ..stored };
        Ok(Change { after: Some(Stored::Value(gone.to_bytes())), gives: gone })
    };
    let (client, waits) = changed(&app, &caller, (key, needed), decide).await?;
    Ok(waits.unwrap_or_else(|| json(StatusCode::OK, &shown(&client, app.engine.now()))))
}

/// `POST /v1/client_keys`: a new key for clients' tokens; the one before is published until its tokens have ended. 202 with the request
/// when somebody has to approve it.
pub(crate) async fn rotate(State(app): State<Arc<App>>, caller: Caller) -> Reply {
    let needed = caller.ask(Action::RotateKeys, &About::default())?;
    if needed > 0 {
        let asked = Asked::new(approving::new_key(&app.engine), Vec::new(), needed);
        return approving::asked(&app, &caller, asked).await;
    }
    let keys = off_thread(&app, |engine| Ok(engine.rotate_client_token_key()?)).await?;
    let keys = keys.public(app.engine.now()).iter().map(kid).collect();
    Ok(json(StatusCode::OK, &wire::ClientTokenKeys { keys }))
}
