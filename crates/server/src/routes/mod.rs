//! The routes, one file per noun.

mod accounts;
mod approvals;
mod challenges;
mod changes;
mod contacts;
mod decisions;
mod devices;
mod evidence;
mod factor_evidence;
mod factors;
mod guards;
mod health;
mod messages;
mod ops;
mod orders;
mod passkey_ceremony;
mod passkeys;
mod payments;
mod people;
mod policies;
mod prompts;
mod reconcile;
mod roles;
mod tokens;

use crate::app::App;
use crate::body::BodyLimit;
use crate::oauth::{clients, delegations, grants};
use crate::problem::{Code, Problem};
use axum::Router;
use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post, put};
use serde::Serialize;
use std::sync::Arc;
use tpw_engines::Engine;

macro_rules! routes {
    ($($path:literal => $methods:expr;)*) => {
        /// Every path of the router, as it is written there: for counting, and for the check of the OpenAPI document.
        pub(crate) const PATHS: &[&str] = &[$($path),*];

        /// All routes.
        pub(crate) fn all() -> Router<Arc<App>> {
            Router::new()
                $(.route($path, $methods))*
                .merge(crate::pages::all())
                .merge(crate::oauth::all())
                .fallback(async || Problem::new(Code::NotFound))
                .method_not_allowed_fallback(async || Problem::new(Code::MethodNotAllowed))
        }
    };
}

// A path of the form `…/{id}:verb` is one segment: the handler of `POST …/{id}` takes it apart.
routes! {
    "/v1/people" => post(people::add);
    "/v1/people:batch" => post(people::add_batch);
    "/v1/people/{id}" => get(people::read);
    "/v1/people/{id}/codes" => post(people::issue_code);
    "/v1/people/{id}/roles" => get(roles::read).put(roles::set);
    "/v1/people/{id}/accesses" => get(decisions::accesses);
    "/v1/decisions" => get(decisions::list);
    "/v1/decisions/{id}" => get(decisions::read);
    "/v1/devices" => post(devices::enrol);
    "/v1/devices/{id}" => delete(devices::revoke);
    "/v1/tokens" => post(devices::token);
    "/v1/factors" => get(factors::list);
    "/v1/factors/password:start" => post(factors::start_password);
    "/v1/factors/password:finish" => post(factors::finish_password);
    "/v1/factors/totp:start" => post(factors::start_totp);
    "/v1/factors/totp:confirm" => post(factors::confirm_totp);
    "/v1/factors/recovery:issue" => post(factors::issue_recovery);
    "/v1/factors/{method}" => delete(factors::remove);
    "/v1/factors/contacts" => get(contacts::list).post(contacts::add);
    "/v1/factors/contacts/{id}" => post(contacts::confirm).delete(contacts::remove);
    "/v1/messages" => get(messages::list);
    "/v1/prompts" => get(prompts::list);
    "/v1/prompts:answer" => post(prompts::answer);
    "/v1/challenges" => post(challenges::begin);
    "/v1/challenges/{id}" => post(challenges::answer);
    "/v1/factors/passkeys" => get(passkeys::list);
    "/v1/factors/passkeys:link" => post(passkeys::link);
    "/v1/factors/passkeys:start" => post(passkey_ceremony::start);
    "/v1/factors/passkeys:finish" => post(passkey_ceremony::finish);
    "/v1/factors/passkeys/{id}" => delete(passkeys::remove);
    "/v1/accounts" => get(accounts::list).post(accounts::open);
    "/v1/accounts/{id}" => get(accounts::read).post(accounts::act);
    "/v1/accounts/{id}/statement" => get(accounts::statement);
    "/v1/accounts/{id}/chain" => get(accounts::chain);
    "/v1/accounts/{id}/balance" => get(guards::balance);
    "/v1/accounts/{id}/guards" => get(guards::read);
    "/v1/accounts/{id}/limits" => put(guards::limits);
    "/v1/accounts/{id}/velocities" => put(guards::velocities);
    "/v1/accounts/{id}/watch" => put(guards::watch).delete(guards::unwatch);
    "/v1/account_sets/{id}" => get(guards::read_set).put(guards::open_set);
    "/v1/account_sets/{id}/members" => get(guards::members);
    "/v1/account_sets/{id}/members/{member}" => put(guards::join).delete(guards::leave);
    "/v1/payments:batch" => post(orders::payments);
    "/v1/transfers:batch" => post(orders::transfers);
    "/v1/changes" => get(changes::list);
    "/v1/crossings" => get(changes::crossings);
    "/v1/reconciliations" => post(reconcile::run);
    "/v1/payments" => post(payments::pay);
    "/v1/payments/{id}" => get(payments::read).post(payments::act);
    "/v1/payments/{id}/receipt" => get(payments::receipt);
    "/v1/payments/{id}/factor" => get(factor_evidence::read);
    "/v1/approvals" => get(approvals::list);
    "/v1/approvals/{id}" => get(approvals::read).post(approvals::act);
    "/v1/policies" => get(policies::read);
    "/v1/policies:activate" => post(policies::activate);
    "/v1/policies:rollback" => post(policies::roll_back);
    "/v1/policies/{version}" => get(policies::read_set);
    "/v1/holds" => get(ops::holds);
    "/v1/rail" => get(ops::rail);
    "/v1/alarms" => get(ops::alarms);
    "/v1/checkpoint" => get(evidence::checkpoint);
    "/v1/trust" => get(evidence::trust);
    "/v1/openapi.json" => get(evidence::openapi);
    "/v1/log/{*path}" => get(evidence::log_file);
    "/v1/clients" => get(clients::list).post(clients::add);
    "/v1/clients/{id}" => delete(clients::remove);
    "/v1/clients/{id}/credentials" => put(clients::change_credentials);
    "/v1/client_keys" => post(clients::rotate);
    "/v1/delegations" => get(delegations::list).post(delegations::add);
    "/v1/delegations/{id}" => delete(delegations::remove);
    "/v1/grants/{code}" => get(grants::read).post(grants::act);
    "/tsa" => post(evidence::stamp);
    "/tsa/tokens/{id}" => get(tokens::proof);
    "/problems/{code}" => get(health::problem);
    "/livez" => get(health::live);
    "/readyz" => get(health::ready);
    "/metrics" => get(health::metrics);
}

pub(crate) use people::random;

/// What a handler answers.
pub(crate) type Reply = Result<Response<Body>, Problem>;

impl App {
    pub(crate) const fn small_body(&self) -> BodyLimit {
        BodyLimit { bytes: self.limits.body_bytes, time: self.limits.body_time }
    }
}

/// A JSON answer.
pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(bytes) => typed(status, "application/json", bytes),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// An answer of some media type.
pub(crate) fn typed(
    status: StatusCode,
    media_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// `POST …/{id}:verb` with a verb that we do not have: the path without a verb takes only `GET`.
pub(crate) fn no_such_action() -> Response<Body> {
    let mut response = Problem::new(Code::MethodNotAllowed).into_response();
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}

/// Reads from the books, away from the threads that carry requests.
pub(crate) async fn off_thread<T: Send + 'static>(
    app: &Arc<App>,
    read: impl FnOnce(&Engine) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let engine = Arc::clone(&app.engine);
    let joined = tokio::task::spawn_blocking(move || read(&engine)).await;
    joined.map_err(|error| Problem::internal(&error))?
}
