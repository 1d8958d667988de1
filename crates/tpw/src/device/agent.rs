//! The agent: a process that holds the opened vault for a while and signs over a socket that only its owner can reach.
//!
//! One JSON line in, one JSON line out. It signs intents and request proofs of its device, which it reads and writes
//! itself: it never signs bytes that somebody chose. It never signs a step-up, and it never gives a key away.

use super::keys::Keys;
use crate::exit::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tpw_access::dpop::DpopRequest;
use tpw_access::url::HttpUrl;
use tpw_core::{DeviceId, Instant, Intent};
use tpw_wallet::vault::Vault;

/// The longest line: an access token is the largest thing in one.
const LINE_LEN_MAX: u64 = 16 * 1024;
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
enum Ask {
    /// Which device is it?
    Identity,
    /// Sign this intent.
    Intent { payload: String },
    /// Prove this request.
    Proof { method: String, url: String, access_token: Option<String>, now_ms: u64 },
    /// Forget the keys and end.
    Lock,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Reply {
    Device(String),
    Signed(String),
    Proof(String),
    Locked,
    Refused(String),
}

/// A connection to the agent, one question at a time.
#[derive(Clone, Debug)]
pub struct AgentLink {
    socket: std::path::PathBuf,
    device: DeviceId,
}

impl AgentLink {
    /// Finds the agent at `socket`; `None` when none answers.
    #[must_use]
    pub fn find(socket: &Path) -> Option<Self> {
        match ask(socket, &Ask::Identity) {
            Ok(Reply::Device(text)) => {
                Some(Self { socket: socket.to_owned(), device: text.parse().ok()? })
            }
            _ => None,
        }
    }

    /// The device whose keys it holds.
    #[must_use]
    pub const fn device(&self) -> DeviceId {
        self.device
    }

    /// Has an intent signed.
    ///
    /// # Errors
    /// [`Failure`] when the agent does not answer or refuses.
    pub fn sign_intent(&self, intent: &Intent) -> Result<Vec<u8>, Failure> {
        let payload = STANDARD.encode(intent.to_bytes());
        match self.ask(&Ask::Intent { payload })? {
            Reply::Signed(text) => STANDARD.decode(text).map_err(|error| odd(&error.to_string())),
            _ => Err(odd("another answer")),
        }
    }

    /// Has a request proved.
    ///
    /// # Errors
    /// [`Failure`] when the agent does not answer or refuses.
    pub fn prove(&self, request: &DpopRequest<'_>) -> Result<String, Failure> {
        let ask = Ask::Proof {
            method: request.method.to_owned(),
            url: request.url.to_string(),
            access_token: request.access_token.map(str::to_owned),
            now_ms: request.now.unix_ms(),
        };
        match self.ask(&ask)? {
            Reply::Proof(text) => Ok(text),
            _ => Err(odd("another answer")),
        }
    }

    /// Ends the agent.
    ///
    /// # Errors
    /// [`Failure`] when it does not answer.
    pub fn lock(&self) -> Result<(), Failure> {
        self.ask(&Ask::Lock).map(drop)
    }

    fn ask(&self, question: &Ask) -> Result<Reply, Failure> {
        match ask(&self.socket, question) {
            Ok(Reply::Refused(why)) => Err(odd(&why)),
            Ok(reply) => Ok(reply),
            Err(error) => Err(odd(&error.to_string())),
        }
    }
}

fn odd(why: &str) -> Failure {
    Failure::failed("agent").because(why)
}

fn ask(socket: &Path, question: &Ask) -> std::io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
    stream.set_write_timeout(Some(ANSWER_TIME_MAX))?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_LEN_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Answers at `socket` with the keys of `vault` until `life` has passed, a signal comes or somebody locks it.
///
/// # Errors
/// [`Failure`] when the socket cannot be made.
pub async fn serve(socket: &Path, vault: Vault, life: Duration) -> Result<(), Failure> {
    let device = vault.device().ok_or(tpw_wallet::WalletError::NotEnrolled)?;
    // One that a crash left behind; a living agent was looked for before.
    let _absent = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket).map_err(|error| odd(&error.to_string()))?;
    // The folder is 0700, so that nobody gets in between; the mode says it again.
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))
        .map_err(|error| odd(&error.to_string()))?;
    let (keys, locked) = (Arc::new(Keys::Vault(Box::new(vault))), Arc::new(Notify::new()));
    let end = tokio::time::sleep(life);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            () = locked.notified() => break,
            _ = tokio::signal::ctrl_c() => break,
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let (keys, locked) = (Arc::clone(&keys), Arc::clone(&locked));
                tokio::spawn(tokio::time::timeout(ANSWER_TIME_MAX, async move {
                    answer(stream, device, &keys, &locked).await
                }));
            }
        }
    }
    let _gone = std::fs::remove_file(socket);
    Ok(())
}

async fn answer(
    mut stream: tokio::net::UnixStream,
    device: DeviceId,
    keys: &Keys,
    locked: &Notify,
) -> std::io::Result<()> {
    let (read, mut write) = stream.split();
    let mut line = String::new();
    tokio::io::BufReader::new(read.take(LINE_LEN_MAX)).read_line(&mut line).await?;
    let reply = match serde_json::from_str(&line) {
        Ok(ask) => reply(ask, device, keys),
        Err(error) => Reply::Refused(error.to_string()),
    };
    let mut bytes = serde_json::to_vec(&reply)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await?;
    write.shutdown().await?;
    if matches!(reply, Reply::Locked) {
        locked.notify_one();
    }
    Ok(())
}

fn reply(ask: Ask, device: DeviceId, keys: &Keys) -> Reply {
    let refused = |failure: Failure| Reply::Refused(failure.cause.unwrap_or(failure.key));
    match ask {
        Ask::Identity => Reply::Device(device.to_string()),
        Ask::Lock => Reply::Locked,
        Ask::Intent { payload } => {
            let intent = STANDARD.decode(payload).ok().and_then(|b| Intent::from_bytes(&b).ok());
            let Some(intent) = intent else { return Reply::Refused("no intent".to_owned()) };
            match keys.sign_intent(&intent) {
                Ok(statement) => Reply::Signed(STANDARD.encode(statement)),
                Err(failure) => refused(failure),
            }
        }
        Ask::Proof { method, url, access_token, now_ms } => {
            let (Ok(url), Some(now)) = (HttpUrl::parse(&url), Instant::from_unix_ms(now_ms)) else {
                return Reply::Refused("no request".to_owned());
            };
            let access_token = access_token.as_deref();
            let request = DpopRequest { method: &method, url: &url, access_token, now };
            match keys.prove(&request) {
                Ok(proof) => Reply::Proof(proof),
                Err(failure) => refused(failure),
            }
        }
    }
}
