//! The time-stamp authority: in process, and over TLS as strangers ask it.

use crate::error::BenchError;
use crate::keys::Keys;
use crate::processor::per_core_s;
use hyper::Method;
use hyper::body::Bytes;
use replay::client::{Call, Client, Proof};
use replay::latency::Latency;
use replay::server::Server;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tpw_core::Instant as Time;
use tpw_crypto::Entropy as _;
use tpw_engines::entropy::OsEntropy;
use tpw_proof::timestamp::{self, ClockState};

/// Tokens per second that a core makes: request read, serial drawn, signed, and the token verified before it leaves.
pub(crate) fn in_process(keys: &Keys, now: Time, count: u64) -> Result<f64, BenchError> {
    let request = Keys::request()?;
    let (authority, signer) = (&keys.config.authority, keys.config.signer.as_ref());
    per_core_s(count, || {
        for epoch in 1..=count {
            let mut random = [0; 11];
            OsEntropy.fill(&mut random)?;
            let serial = timestamp::serial(epoch, random);
            let clock = ClockState::Good { error_ms: 1 };
            let answer = authority.answer(signer, &request, now, clock, serial);
            if !is_granted(&answer) {
                return Err(BenchError::check("the authority refuses"));
            }
        }
        Ok(())
    })
}

/// Whether it is long enough to hold a token: a refusal has a hundred bytes at most.
fn is_granted(answer: &[u8]) -> bool {
    answer.len() > 500
}

/// A server under load.
pub(crate) struct OverHttp {
    /// Answers per second.
    pub(crate) per_s: f64,
    /// Of each.
    pub(crate) latency: Latency,
}

/// Tokens per second of a server with the load generator on the same cores, over connections that are kept.
pub(crate) async fn over_http(
    tpw: &Path,
    data: &Path,
    connections: usize,
    time: Duration,
) -> Result<OverHttp, BenchError> {
    let server = Server::start(tpw, data, None)?;
    let client = Arc::new(Client::new(&server.url, &server.ca)?);
    let body = Bytes::from(Keys::request()?);
    let began = Instant::now();
    let asking: Vec<_> = (0..connections)
        .map(|_| tokio::spawn(ask(Arc::clone(&client), body.clone(), began, time)))
        .collect();
    let mut times = Vec::new();
    for one in asking {
        times.extend(one.await.map_err(BenchError::check)??);
    }
    let per_s = replay::say::per_second(times.len(), began.elapsed().as_secs_f64());
    server.stop()?;
    Ok(OverHttp { per_s, latency: Latency::of(times) })
}

async fn ask(
    client: Arc<Client>,
    body: Bytes,
    began: Instant,
    time: Duration,
) -> Result<Vec<Duration>, BenchError> {
    let call = Call {
        method: Method::POST,
        path: "/tsa".to_owned(),
        body: Some(body),
        media_type: "application/timestamp-query",
        key: None,
        proof: Proof::None,
    };
    let mut times = Vec::new();
    while began.elapsed() < time {
        let sent = Instant::now();
        let reply = client.send(&call).await?;
        if reply.status != 200 || !is_granted(&reply.body) {
            return Err(reply.unexpected("POST /tsa").into());
        }
        times.push(sent.elapsed());
    }
    Ok(times)
}
