//! The clock's error as Roughtime servers (RFC 10049) know it: each states the time, signed for this very question, and enough of them
//! have to agree.
//!
//! Trust: nobody on the way, and no server alone. What fewer than the quorum say changes nothing, but for making the bound wider. The
//! answers form a chain (§8.4): each question depends on the answer before it, so that two answers that exclude each other prove to
//! everybody that one of these servers lies.

mod exchange;
mod list;
#[cfg(test)]
mod peer;
mod quorum;
mod report;

use super::Pace;
use super::offset::Offset;
use crate::clock::{ClockFault, Readings, micros};
use crate::entropy::OsEntropy;
use crate::files::{self, Access, Durability, FileError};
use exchange::{Statement, chained_nonce, judge, request};
use list::Server;
pub(super) use list::ServerList;
use quorum::agreed;
use report::Link;
use std::net::{ToSocketAddrs as _, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tpw_crypto::Entropy as _;

/// They state whole seconds, so that asking more often tells nothing new.
pub(super) const PACE: Pace = Pace {
    every: Duration::from_secs(900),
    again: Duration::from_secs(10),
    age_max: Duration::from_secs(3600),
    first: Duration::from_secs(5),
};
/// More than any way takes.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// No answer is longer than its request, which has 1024 bytes. One byte more shows which is.
const ANSWER_LEN_MAX: usize = 1025;
/// So many datagrams that do not hold are read; whoever can send them can also keep the answer away.
const DATAGRAMS_MAX: usize = 8;

/// The newest proof that somebody lies.
const REPORT: &str = "roughtime-report.json";

/// Asks all servers, again and again.
pub(super) struct Round {
    list: ServerList,
    evidence: PathBuf,
    /// How long one may take to answer.
    patience: Duration,
}

/// What one of them said.
struct Told<'l> {
    server: &'l Server,
    offset: Result<Offset, String>,
}

impl Round {
    /// Asks these servers, and puts proofs that somebody lies into this folder.
    pub(super) fn of(list: ServerList, evidence: &Path) -> Self {
        Self { list, evidence: evidence.to_owned(), patience: ANSWER_TIME_MAX }
    }

    /// What they agree on now.
    pub(super) fn offset(&mut self) -> Result<Offset, ClockFault> {
        let mut first = [0; 1];
        OsEntropy.fill(&mut first).map_err(|error| ClockFault::Unreadable(error.to_string()))?;
        // Each of them is sometimes the first: only what comes after an honest answer can be caught.
        let turn = usize::from(first[0]).checked_rem(self.list.servers.len()).unwrap_or_default();
        self.list.servers.rotate_left(turn);
        let start = Readings::take();
        let mut chain = Vec::new();
        let told = self.ask_all(&start, &mut chain);
        let agreed = self.agreed(&told);
        let answers = chain.len();
        let disagree = |one: &&Told<'_>| match (&one.offset, &agreed) {
            (Ok(offset), Ok(agreed)) => !offset.meets(*agreed),
            (Ok(_), Err(_)) => answers > 1,
            (Err(_), _) => false,
        };
        let liars: Vec<&Told<'_>> = told.iter().filter(disagree).collect();
        if !liars.is_empty() {
            // Whoever is wrong the same way again, before and behind the others, is caught.
            let _same_again = self.ask_all(&start, &mut chain);
            self.denounce(&liars, &chain);
        }
        agreed
    }

    fn agreed(&self, told: &[Told<'_>]) -> Result<Offset, ClockFault> {
        let offsets: Vec<Offset> = told.iter().filter_map(|one| one.offset.clone().ok()).collect();
        agreed(&offsets, self.list.quorum).ok_or_else(|| {
            let why = told.iter().map(|one| match &one.offset {
                Ok(offset) => format!("`{}` is {} ms away", one.server.name, middle_ms(*offset)),
                Err(why) => format!("`{}`: {why}", one.server.name),
            });
            ClockFault::NoQuorum(format!(
                "fewer than {} of {} Roughtime servers agree on the time ({})",
                self.list.quorum,
                told.len(),
                why.collect::<Vec<_>>().join("; ")
            ))
        })
    }

    /// Tells the operator who is not to be believed, and keeps what proves it.
    fn denounce(&self, liars: &[&Told<'_>], chain: &[Link]) {
        for one in liars {
            if let Ok(offset) = &one.offset {
                let (server, apart_ms) = (&one.server.name, middle_ms(*offset));
                tracing::warn!(
                    server,
                    apart_ms,
                    "a Roughtime server states another time than the others"
                );
            }
        }
        let Some(report) = report::of(chain) else { return };
        match self.keep(&report) {
            Ok(path) => {
                let path = path.display();
                tracing::warn!(%path, "answers that prove that a Roughtime server lies are kept");
            }
            Err(error) => {
                tracing::warn!(%error, "the proof that a Roughtime server lies is not kept");
            }
        }
    }

    fn keep(&self, report: &str) -> Result<PathBuf, FileError> {
        // The clock is asked before the folder is opened, which may be for the first time.
        files::create_private_folder(&self.evidence)?;
        let path = self.evidence.join(REPORT);
        files::write_atomic(&path, report.as_bytes(), Durability::Deferred, Access::Ordinary)?;
        Ok(path)
    }

    fn ask_all(&self, start: &Readings, chain: &mut Vec<Link>) -> Vec<Told<'_>> {
        let ask = |server| Told { server, offset: ask(server, start, self.patience, chain) };
        self.list.servers.iter().map(ask).collect()
    }
}

/// How far the clock is behind, by the middle of what was said.
fn middle_ms(offset: Offset) -> i64 {
    let middle_us = offset.least_us.saturating_add(offset.most_us) / 2;
    i64::try_from(middle_us / 1000).unwrap_or(i64::MAX)
}

/// Asks one of them.
fn ask(
    server: &Server,
    start: &Readings,
    patience: Duration,
    chain: &mut Vec<Link>,
) -> Result<Offset, String> {
    let mut random = [0; 32];
    OsEntropy.fill(&mut random).map_err(|error| error.to_string())?;
    let (nonce, blind) = match chain.last() {
        None => (random, None),
        Some(last) => (chained_nonce(&last.answer, &random), Some(random)),
    };
    let request = request(server, nonce)?;
    let socket = connected(&server.address)?;
    let sent = Readings::take();
    socket.send(&request).map_err(|error| format!("it cannot be asked: {error}"))?;
    let judge = |answer: &[u8]| judge(answer, &request, &nonce, &server.key);
    let (answer, statement) = receive(&socket, &sent, patience, judge)?;
    let passed = Readings::take();
    let offset = offset(statement, start, &sent, &passed);
    chain.push(Link { blind, request, answer, key: server.key.clone(), statement });
    Ok(offset)
}

fn connected(address: &str) -> Result<UdpSocket, String> {
    let unknown = |why: &dyn core::fmt::Display| format!("its address is not known: {why}");
    let mut places = address.to_socket_addrs().map_err(|error| unknown(&error))?;
    let place = places.next().ok_or_else(|| unknown(&"it has none"))?;
    let here = if place.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(here).and_then(|socket| {
        // From nobody else are datagrams taken then.
        socket.connect(place)?;
        Ok(socket)
    });
    socket.map_err(|error| format!("it cannot be asked: {error}"))
}

fn receive(
    socket: &UdpSocket,
    sent: &Readings,
    patience: Duration,
    judge: impl Fn(&[u8]) -> Result<Statement, String>,
) -> Result<(Vec<u8>, Statement), String> {
    let mut wrong = "no answer".to_owned();
    for _ in 0..DATAGRAMS_MAX {
        let left = patience.saturating_sub(Readings::take().passed_since(sent));
        if left.is_zero() {
            break;
        }
        let mut buffer = [0; ANSWER_LEN_MAX];
        let received = socket.set_read_timeout(Some(left)).and_then(|()| socket.recv(&mut buffer));
        // Too late, or nobody is there.
        let Ok(length) = received else { break };
        let answer = buffer.get(..length).unwrap_or_default();
        match judge(answer) {
            Ok(statement) => return Ok((answer.to_vec(), statement)),
            Err(why) => wrong = why,
        }
    }
    Err(wrong)
}

/// What the statement says of the clock as it would stand if nobody had set or slewed it since `start`: it was made between `sent` and
/// `received`.
fn offset(statement: Statement, start: &Readings, sent: &Readings, received: &Readings) -> Offset {
    let clock_us = |at: &Readings| {
        i128::from(start.wall_us).saturating_add(micros(at.passed_since(start)).into())
    };
    let (earliest_s, latest_s) = statement.bounds_s();
    let us = |seconds: i128| seconds.saturating_mul(1_000_000);
    Offset {
        least_us: us(earliest_s).saturating_sub(clock_us(received)),
        most_us: us(latest_s).saturating_sub(clock_us(sent)),
    }
}

#[cfg(test)]
mod tests {
    //! Goal: the bound holds whatever a minority says, and without a majority there is none. Method: servers of the tests behind UDP on
    //! the loopback interface, that state other times, answer late, wrongly or never.

    use super::exchange::Statement;
    use super::peer::Peer;
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// What a server does with each request.
    #[derive(Clone, Copy)]
    enum Habit {
        /// States a time so many seconds from the clock's.
        Off(i64),
        /// Gives the answer to somebody else's question.
        Replays,
        /// Gives half an answer.
        Cuts,
        /// Gives nothing.
        Sleeps,
    }

    /// Servers that run until this is dropped.
    struct Town(Arc<AtomicBool>, Vec<std::thread::JoinHandle<()>>);

    impl Drop for Town {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
            for one in self.1.drain(..) {
                one.join().unwrap();
            }
        }
    }

    fn now_s() -> u64 {
        Readings::take().wall_us / 1_000_000
    }

    fn town(habits: &[Habit], quorum: usize) -> (Town, ServerList) {
        let mut town = Town(Arc::default(), Vec::new());
        let mut servers = Vec::new();
        for (seed, habit) in (1..).zip(habits.iter().copied()) {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            let peer = Peer::new(seed);
            let name = format!("server {seed}");
            let address = socket.local_addr().unwrap().to_string();
            servers.push(Server { name, ..peer.server(&address) });
            let ended = Arc::clone(&town.0);
            town.1.push(std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    serve(&socket, &peer, habit);
                }
            }));
        }
        (town, ServerList { servers, quorum })
    }

    fn serve(socket: &UdpSocket, peer: &Peer, habit: Habit) {
        let mut request = [0; 2048];
        let Ok((length, from)) = socket.recv_from(&mut request) else { return };
        let request = &request[..length];
        // In a request with VER, SRV, NONC, TYPE and ZZZZ: behind 12 + 40 bytes of frame and head, a version and SRV.
        let nonce: [u8; 32] = request[88..120].try_into().unwrap();
        let off = match habit {
            Habit::Off(off) => off,
            _ => 0,
        };
        let midpoint_s = now_s().checked_add_signed(off).unwrap();
        let spoil = |answer: &mut peer::Answer| {
            answer.midpoint_s = midpoint_s;
            answer.valid_s = (midpoint_s - 9, midpoint_s + 9);
            if matches!(habit, Habit::Replays) {
                answer.nonce = [3; 32];
            }
        };
        let answer = peer.answer(request, &nonce, spoil);
        let sent = match habit {
            Habit::Sleeps => return,
            Habit::Cuts => &answer[..answer.len() / 2],
            Habit::Off(_) | Habit::Replays => &answer,
        };
        socket.send_to(sent, from).unwrap();
    }

    fn asked(habits: &[Habit], quorum: usize) -> (Result<u64, ClockFault>, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        let (_town, list) = town(habits, quorum);
        let patience = Duration::from_millis(700);
        let told = Round { patience, ..Round::of(list, folder.path()) }.offset();
        (told.map(Offset::error_us), std::fs::read_to_string(folder.path().join(REPORT)).ok())
    }

    #[test]
    fn servers_that_agree_give_a_bound_of_their_radius() {
        let (error, report) = asked(&[Habit::Off(0); 3], 3);
        // A radius of 3 s, the second that is cut, and the way.
        assert!((3_000_000..=5_000_000).contains(&error.unwrap()));
        assert_eq!(report, None);
        // All of them 10 s ahead: then the clock is wrong, and the bound says by how much.
        let (error, _) = asked(&[Habit::Off(10); 3], 2);
        assert!((12_000_000..=15_000_000).contains(&error.unwrap()));
    }

    #[test]
    fn a_minority_that_lies_is_outvoted_and_convicted() {
        for lie in [3_600, -3_600, 20] {
            let (error, report) = asked(&[Habit::Off(0), Habit::Off(lie), Habit::Off(0)], 2);
            assert!((3_000_000..=5_000_000).contains(&error.unwrap()), "{lie}");
            let report: serde_json::Value = serde_json::from_str(&report.unwrap()).unwrap();
            demand_chain(&report);
        }
    }

    /// What anybody can check: each question is made of the answer before it, and two answers exclude each other.
    fn demand_chain(report: &serde_json::Value) {
        use base64::Engine as _;
        let bytes = |value: &serde_json::Value| {
            base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
        };
        let mut before: Option<Vec<u8>> = None;
        let mut stated: Vec<Statement> = Vec::new();
        for entry in report["responses"].as_array().unwrap() {
            let (request, answer) = (bytes(&entry["request"]), bytes(&entry["response"]));
            let nonce: [u8; 32] = request[88..120].try_into().unwrap();
            match &before {
                None => assert!(entry.get("rand").is_none()),
                Some(before) => {
                    let random = bytes(&entry["rand"]).try_into().unwrap();
                    assert_eq!(nonce, chained_nonce(before, &random));
                }
            }
            let key = bytes(&entry["publicKey"]);
            let key = tpw_crypto::PublicKey::from_bytes(tpw_crypto::Algorithm::Ed25519, &key);
            stated.push(judge(&answer, &request, &nonce, &key.unwrap()).unwrap());
            before = Some(answer);
        }
        let last = stated.pop().unwrap().bounds_s();
        assert!(stated.iter().any(|one| one.bounds_s().0 > last.1));
    }

    #[test]
    fn without_a_quorum_nothing_is_known_and_it_is_said_why() {
        for (habit, why) in [
            (Habit::Off(3_600), "ms away"),
            (Habit::Replays, "another request"),
            (Habit::Cuts, "not as long as it says"),
            (Habit::Sleeps, "no answer"),
        ] {
            let (error, _) = asked(&[Habit::Off(0), habit, habit], 3);
            let Err(ClockFault::NoQuorum(said)) = error else { panic!("{error:?}") };
            assert!(said.starts_with("fewer than 3 of 3 Roughtime servers agree"), "{said}");
            assert!(said.contains(why), "{said}");
        }
        // One that is honest is enough beside one that says nothing, if that is what was asked for.
        let (error, _) = asked(&[Habit::Off(0), Habit::Cuts, Habit::Off(0)], 2);
        assert!((3_000_000..=5_000_000).contains(&error.unwrap()));
    }

    #[test]
    fn an_address_without_a_server_is_no_answer() {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for address in [port.to_string(), "127.0.0.1".to_owned()] {
            let list = ServerList { servers: vec![Peer::new(1).server(&address)], quorum: 1 };
            let error = Round::of(list, Path::new("/nowhere")).offset();
            assert!(matches!(error, Err(ClockFault::NoQuorum(_))), "{address}: {error:?}");
        }
    }
}
