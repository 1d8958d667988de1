#![doc = include_str!("../README.md")]

pub(crate) mod anchoring;
mod anchors;
mod app;
mod approving;
mod archiving;
mod audit;
mod authorities;
mod background;
mod body;
mod ceremonies;
mod cosigning;
mod edge;
mod error;
mod fault;
mod gate;
mod identity;
mod in_force;
mod letters;
mod limits;
mod links;
mod mirror;
mod mirroring;
mod mutual;
mod networks;
mod oauth;
mod openapi;
pub mod outbound;
mod pages;
mod places;
mod problem;
mod retention;
mod routes;
mod seen;
mod serve;
mod served;
mod shadow;
mod sms;
mod stamping;
mod telemetry;
mod text;
mod tls;
mod to_the_end;
mod tsp;
mod view;
pub mod wire;
mod witness;
mod witnessing;

pub use anchoring::{Anchoring, AnchoringTimes, ChainNode};
pub use archiving::{Archiving, ArchivingTimes};
pub use error::ServerError;
pub use fault::{QueryFault, ValueFault};
pub use in_force::restore_builtin_policies;
pub use limits::{BatchLimits, Limits, Rate};
pub use mirror::{mirror_router, serve_mirror};
pub use mirroring::{Mirroring, MirroringTimes, check_mirrors};
pub use mutual::MutualTls;
pub use networks::{Network, NetworkError};
pub use openapi::{VERSION, openapi_json};
pub use pages::verify_page;
pub use problem::{Code, Problem};
pub use retention::Retention;
pub use serve::{Bound, ServeOptions, serve};
pub use shadow::{Shadow, shadow_input};
pub use sms::{GatewayKey, SmsGateway};
pub use stamping::{Stamping, StampingTimes};
pub use telemetry::{Records, start_records};
pub use text::{Language, reason, refusal};
pub use tls::{DEVELOPMENT_NAME, Tls, development_certificate_path};
pub use witness::{serve_witness, witness_router};
pub use witnessing::{Witnessing, WitnessingTimes, has_witnesses};

use networks::Networks;
use std::sync::Arc;
use tpw_access::HttpUrl;
use tpw_access::factor::webauthn::TrustAnchors;
use tpw_engines::Engine;

fn build(
    engine: Arc<Engine>,
    front: serve::Front,
    limits: Limits,
    anchors: TrustAnchors,
    shadow: Option<Shadow>,
) -> Result<Arc<app::App>, ServerError> {
    let paths = routes::PATHS.iter().chain(pages::PATHS).chain(oauth::PATHS);
    let meter = telemetry::HttpMeter::new(paths.copied());
    let policy = in_force::load(&engine)?;
    if engine.is_operator_alone() {
        tracing::warn!("nobody else is asked to agree while this server runs");
    }
    Ok(Arc::new(app::App::new(engine, front, limits, meter, policy, shadow)?.with_anchors(anchors)))
}

/// The router without TLS and without a listener, for clients that call it as
/// `https://{authority}`.
///
/// # Errors
/// [`ServerError`] when the authority is none, or a key or the entropy source fails.
pub fn router(
    engine: Arc<Engine>,
    authority: &str,
    limits: Limits,
) -> Result<axum::Router, ServerError> {
    let origin = HttpUrl::parse(&format!("https://{authority}"))
        .map_err(|_| ServerError::PublicUrl(authority.to_owned()))?;
    let front = serve::Front {
        origins: vec![origin],
        mutual: None,
        served: None,
        networks: Networks::default(),
        zone: None,
    };
    Ok(serve::layered(build(engine, front, limits, TrustAnchors::none(), None)?))
}
