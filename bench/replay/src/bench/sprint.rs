//! The closed loop: so many payments under way, as fast as answers come.
//!
//! The load generator runs on the processors that it measures, so that whatever it does slows the server. The payments
//! are therefore signed and laid out as whole requests beforehand, as a fleet of devices would each do its own, and each
//! connection sends bytes and reads bytes: the statement as it is, the receipt as it is. Receipts are judged afterwards,
//! one of [`JUDGE_EVERY`].

use super::load::{Load, Loaded, One};
use crate::client::{ANSWER_LEN_MAX, Client, Stream};
use crate::error::ReplayError;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tpw_core::{Hash32, Receipt};
use tpw_proof::Trust;

/// Of so many receipts one is kept and judged.
const JUDGE_EVERY: usize = 256;
/// Where a buffer begins; it grows with the answers.
const BUFFER_LEN: usize = 16 << 10;

/// A request with what it makes of its payer's chain.
struct Ready {
    /// Whose, among those of the lane.
    payer: usize,
    sequence: u64,
    intent_hash: Hash32,
    request: Vec<u8>,
}

/// What one connection sends, in order.
struct Lane {
    payers: Vec<One>,
    ready: Vec<Ready>,
}

/// Payments that are signed and not sent.
pub struct Sprint {
    lanes: Vec<Lane>,
    client: Arc<Client>,
    meant: Meant,
}

/// Whether a payment that was answered has happened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// It has: the payer's chain goes on, and there is a receipt.
    Seriously,
    /// A peer has answered it, who keeps nothing.
    AsLoad,
}

impl std::fmt::Debug for Sprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sprint").field("connections", &self.lanes.len()).finish_non_exhaustive()
    }
}

/// What a lane comes back with.
struct Ran {
    payers: Vec<One>,
    loaded: Loaded,
    kept: Vec<Vec<u8>>,
}

/// What came of a sprint.
#[derive(Debug)]
pub struct Finished {
    /// The times.
    pub loaded: Loaded,
    /// Receipts to judge.
    kept: Vec<Vec<u8>>,
    payers: Vec<One>,
}

impl Load {
    /// Signs `count` payments, to be sent over `connections`.
    ///
    /// # Errors
    /// [`ReplayError`] when a key does not sign.
    pub fn prepare(&self, connections: usize, count: usize) -> Result<Sprint, ReplayError> {
        let each = count.div_ceil(connections.max(1));
        let mut lanes: Vec<Lane> =
            (0..connections).map(|_| Lane { payers: Vec::new(), ready: Vec::new() }).collect();
        for (place, one) in self.payers.take_all().into_iter().enumerate() {
            let lane = place.checked_rem(connections).and_then(|lane| lanes.get_mut(lane));
            let Some(lane) = lane else { break };
            lane.payers.push(one);
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = lanes.len().div_ceil(cores).max(1);
        std::thread::scope(|scope| {
            let signing: Vec<_> = lanes
                .chunks_mut(share)
                .map(|lanes| scope.spawn(|| self.fill(lanes, each)))
                .collect();
            let ended = || ReplayError::Check("a thread ended early".to_owned());
            signing.into_iter().try_for_each(|one| one.join().map_err(|_panic| ended())?)
        })?;
        Ok(Sprint { lanes, client: Arc::clone(&self.client), meant: Meant::Seriously })
    }

    /// Signs in the order in which it will be sent, the first of each lane before the second of any: ids begin with the time at which
    /// they were made, and from devices that sign when they send they come in about that order.
    fn fill(&self, lanes: &mut [Lane], each: usize) -> Result<(), ReplayError> {
        let mut heads: Vec<Vec<(u64, Hash32)>> =
            lanes.iter().map(|lane| lane.payers.iter().map(|one| one.head).collect()).collect();
        for number in 0..each {
            for (Lane { payers, ready }, heads) in lanes.iter_mut().zip(&mut heads) {
                let Some(payer) = number.checked_rem(payers.len()) else { continue };
                let (Some(one), Some(head)) = (payers.get(payer), heads.get_mut(payer)) else {
                    continue;
                };
                let statement = self.statement_after(one, *head, self.payers.payee_for(one))?;
                *head = (statement.sequence, statement.intent_hash);
                ready.push(Ready {
                    payer,
                    sequence: statement.sequence,
                    intent_hash: statement.intent_hash,
                    request: laid_out(self.client.host(), &statement),
                });
            }
        }
        Ok(())
    }

    /// Takes the payers back and judges the receipts that were kept.
    ///
    /// # Errors
    /// [`ReplayError::Check`] for a receipt that does not hold.
    pub fn finish(&self, finished: Finished, trust: &Trust) -> Result<Loaded, ReplayError> {
        finished.payers.into_iter().for_each(|one| self.payers.give(one));
        for receipt in &finished.kept {
            let judgement = tpw_proof::judge(receipt, trust);
            if !judgement.is_valid() {
                let why = format!("a receipt does not hold: {:?}", judgement.first_failure());
                return Err(ReplayError::Check(why));
            }
        }
        Ok(finished.loaded)
    }
}

/// The whole request.
fn laid_out(host: &str, statement: &crate::state::Statement) -> Vec<u8> {
    let mut request = format!(
        "POST /v1/payments HTTP/1.1\r\nhost: {host}\r\naccept: {}\r\ncontent-type: application/cose\r\n\
         idempotency-key: {}\r\ncontent-length: {}\r\n\r\n",
        Receipt::MEDIA_TYPE,
        statement.payment,
        statement.bytes.len()
    )
    .into_bytes();
    request.extend_from_slice(&statement.bytes);
    request
}

impl Sprint {
    /// The same load for a peer that answers as our server does and keeps nothing.
    #[must_use]
    pub fn towards(self, peer: Arc<Client>) -> Self {
        Self { client: peer, meant: Meant::AsLoad, ..self }
    }

    /// Sends what is ready, one payment at a time on each connection, for at most `time`.
    ///
    /// # Errors
    /// [`ReplayError`] when a connection fails or an answer is none.
    pub async fn run(self, time: Duration) -> Result<Finished, ReplayError> {
        let ended = |error: String| ReplayError::Check(format!("a task ended early: {error}"));
        // One thread of its own: no wake-ups from one to another.
        let work = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| ended(error.to_string()))?;
            runtime.block_on(self.run_here(time))
        });
        work.await.map_err(|error| ended(error.to_string()))?
    }

    async fn run_here(self, time: Duration) -> Result<Finished, ReplayError> {
        let mut running = tokio::task::JoinSet::new();
        let mut streams = Vec::with_capacity(self.lanes.len());
        for _ in &self.lanes {
            streams.push(self.client.open().await.map_err(ReplayError::Unreachable)?);
        }
        let began = Instant::now();
        for (lane, stream) in self.lanes.into_iter().zip(streams) {
            running.spawn(run_lane(lane, stream, began, time, self.meant));
        }
        let mut all = Finished { loaded: Loaded::default(), kept: Vec::new(), payers: Vec::new() };
        while let Some(ran) = running.join_next().await {
            let ran = ran.map_err(|error| ReplayError::Check(error.to_string()))??;
            all.loaded.times.extend(ran.loaded.times);
            all.loaded.other = all.loaded.other.saturating_add(ran.loaded.other);
            all.loaded.told_otherwise = all.loaded.told_otherwise.or(ran.loaded.told_otherwise);
            all.loaded.receipt_len = all.loaded.receipt_len.max(ran.loaded.receipt_len);
            all.kept.extend(ran.kept);
            all.payers.extend(ran.payers);
        }
        all.loaded.wall = began.elapsed();
        Ok(all)
    }
}

async fn run_lane(
    lane: Lane,
    mut stream: Stream,
    began: Instant,
    time: Duration,
    meant: Meant,
) -> Result<Ran, ReplayError> {
    let Lane { mut payers, ready } = lane;
    let (mut loaded, mut kept) = (Loaded::default(), Vec::new());
    let mut buffer = Vec::with_capacity(BUFFER_LEN);
    for (number, one) in ready.into_iter().enumerate() {
        if began.elapsed() >= time {
            break;
        }
        let sent = Instant::now();
        let answer = exchange(&mut stream, &one.request, &mut buffer).await?;
        let body = buffer.get(answer.body_at..).unwrap_or_default();
        if answer.status != 201 || !answer.receipt {
            let told = String::from_utf8_lossy(body);
            loaded.add(Err(format!(
                "{} {}",
                answer.status,
                told.chars().take(300).collect::<String>()
            )));
            continue;
        }
        loaded.add(Ok(sent.elapsed()));
        loaded.receipt_len = body.len();
        if meant == Meant::AsLoad {
            continue;
        }
        if let Some(payer) = payers.get_mut(one.payer) {
            payer.head = (one.sequence, one.intent_hash);
        }
        if number.is_multiple_of(JUDGE_EVERY) {
            kept.push(body.to_vec());
        }
    }
    Ok(Ran { payers, loaded, kept })
}

/// What is read of an answer.
struct Heading {
    status: u16,
    /// Whether the body is a receipt.
    receipt: bool,
    body_at: usize,
    end: usize,
}

/// Reads the head of an answer; `None` while it is not there in full.
fn heading(bytes: &[u8]) -> Option<Result<Heading, ReplayError>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let odd = || ReplayError::Unreachable("the head of an answer is no HTTP/1.1".to_owned());
    let head = bytes.get(..end).and_then(|head| core::str::from_utf8(head).ok());
    let read = head.and_then(|head| {
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let field = |name: &str| {
            head.split("\r\n")
                .filter_map(|line| line.split_once(": "))
                .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
        };
        let length: usize = field("content-length")?.parse().ok()?;
        let body_at = end.checked_add(4)?;
        let end = body_at.checked_add(length).filter(|end| *end <= ANSWER_LEN_MAX)?;
        let receipt = field("content-type") == Some(Receipt::MEDIA_TYPE);
        Some(Heading { status, receipt, body_at, end })
    });
    Some(read.ok_or_else(odd))
}

/// Sends a request and reads its answer into `buffer`.
async fn exchange(
    stream: &mut Stream,
    request: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<Heading, ReplayError> {
    let broken = |error: std::io::Error| ReplayError::Unreachable(error.to_string());
    stream.write_all(request).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    buffer.clear();
    let mut head = None;
    loop {
        if stream.read_buf(buffer).await.map_err(broken)? == 0 {
            return Err(ReplayError::Unreachable("the server closed a connection".to_owned()));
        }
        if head.is_none() {
            head = heading(buffer).transpose()?;
        }
        match head {
            Some(found) if buffer.len() == found.end => return Ok(found),
            Some(found) if buffer.len() > found.end => {
                return Err(ReplayError::Unreachable("more than one answer".to_owned()));
            }
            other => head = other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Type: application/vnd.tpw.receipt+cbor\r\n\
                       content-length: 3\r\n\r\nabc";
        for cut in 0..answer.len() - 3 {
            assert!(heading(&answer[..cut]).is_none(), "{cut}");
        }
        let head = heading(answer).unwrap().unwrap();
        assert_eq!((head.status, head.receipt), (201, true));
        assert_eq!((head.body_at, head.end), (answer.len() - 3, answer.len()));
        for bad in [
            "HTTP/1.0 201 Created\r\ncontent-length: 3\r\n\r\n",
            "HTTP/1.1 201 Created\r\n\r\n",
            "HTTP/1.1 201 Created\r\ncontent-length: -3\r\n\r\n",
            "HTTP/1.1 201 Created\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 201 Created\r\ncontent-length: 999999999999\r\n\r\n",
            "HTTP/1.1 2\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(heading(bad.as_bytes()).unwrap().is_err(), "{bad:?}");
        }
    }
}
