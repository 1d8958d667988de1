//! SMS through a gateway of the operator's choice: one HTTPS request for each message, signed as Standard Webhooks want it.
//!
//! The gateway's address is the operator's own word and never a client's. Redirects are not followed: a gateway that moves says nothing of where.
//! What is sent again has the same id, so that a gateway that remembers ids sends one SMS.

use crate::outbound::{Outbound, OutboundAnswer, OutboundError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use core::fmt;
use core::time::Duration;
use serde_json::json;
use tokio::sync::Semaphore;
use tpw_access::HttpUrl;
use tpw_access::factor::code::Channel;
use tpw_crypto::{Algorithm, CryptoError, Entropy, Signer as _, SlotName, SoftwareSlots};
use tpw_crypto::{Zeroizing, sha256_parts};
use tpw_engines::outbox::{Message, Outbox, OutboxError, Sending};

/// The most messages on their way at once.
const AT_ONCE: usize = 8;
/// How often a message is handed on before it is given up, how long each time, and how long between.
const ATTEMPTS: u32 = 3;
const TIME_MAX: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_secs(1);
/// The most that is read of an answer, in bytes.
const ANSWER_LEN_MAX: usize = 64 * 1024;
const SLOT: &str = "sms";

/// The key with which messages are signed: its gateway knows them by it.
pub struct GatewayKey {
    slots: SoftwareSlots,
    slot: SlotName,
}

impl GatewayKey {
    /// A new key.
    ///
    /// # Errors
    /// [`CryptoError::Entropy`] when the source fails.
    pub fn new(entropy: &mut dyn Entropy) -> Result<Self, CryptoError> {
        let (mut slots, slot) = (SoftwareSlots::new(), SlotName::new(SLOT)?);
        slots.generate(slot.clone(), Algorithm::Ed25519, entropy)?;
        Ok(Self { slots, slot })
    }

    /// The key as its file has it.
    ///
    /// # Errors
    /// [`CryptoError`] for other bytes.
    pub fn from_secret_bytes(bytes: &[u8]) -> Result<Self, CryptoError> {
        let (slots, slot) = (SoftwareSlots::from_secret_bytes(bytes)?, SlotName::new(SLOT)?);
        slots.public_key(&slot)?;
        Ok(Self { slots, slot })
    }

    /// What its file has.
    #[must_use]
    pub fn to_secret_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.slots.to_secret_bytes()
    }

    /// The public key for the gateway, in the form of Standard Webhooks.
    ///
    /// # Errors
    /// [`CryptoError`] when there is none.
    pub fn public_text(&self) -> Result<String, CryptoError> {
        let key = self.slots.public_key(&self.slot)?;
        Ok(format!("whpk_{}", STANDARD.encode(key.as_bytes())))
    }

    fn sign(&self, message: &[u8]) -> Result<String, CryptoError> {
        let signature = self.slots.sign(&self.slot, message)?;
        Ok(format!("v1a,{}", STANDARD.encode(signature)))
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayKey(hidden)")
    }
}

/// Hands SMS to a gateway.
#[derive(Debug)]
pub struct SmsGateway {
    url: String,
    key: GatewayKey,
    outbound: Outbound,
    places: Semaphore,
}

impl SmsGateway {
    /// Prepares to send to `url`, over TLS alone, trusting the certificates in `roots` or those of the system; the gateway is asked with the
    /// first message.
    ///
    /// # Errors
    /// [`OutboxError::Setup`] for an address or certificates that cannot work.
    pub fn new(url: &str, key: GatewayKey, roots: Option<&[u8]>) -> Result<Self, OutboxError> {
        let setup = |what: &str| OutboxError::Setup(what.to_owned());
        let is_plain = url.starts_with("https://") && !url.contains(['@', '#', ' ']);
        if !is_plain || HttpUrl::parse(url).is_err() {
            let wanted =
                "the gateway's address is none such as https://sms.example/send, without a user";
            return Err(setup(wanted));
        }
        let outbound = Outbound::new(roots, TIME_MAX).map_err(|error| setup(&error.to_string()))?;
        Ok(Self { url: url.to_owned(), key, outbound, places: Semaphore::new(AT_ONCE) })
    }

    async fn hand_in(&self, message: &Message) -> Result<(), OutboxError> {
        if message.to.channel() != Channel::Sms {
            return Err(OutboxError::Channel(message.to.channel()));
        }
        let busy = || OutboxError::Later("too many messages are on their way".to_owned());
        let _place = self.places.try_acquire().map_err(|_full| busy())?;
        let letter = self.letter(message)?;
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            match meaning(self.post(&letter).await) {
                Err(OutboxError::Later(why)) if attempt < ATTEMPTS => {
                    tracing::info!(%why, attempt, "an SMS is handed to its gateway once more");
                }
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        Err(OutboxError::Later("the gateway did not take it".to_owned()))
    }

    async fn post(&self, letter: &Letter) -> Result<OutboundAnswer, OutboundError> {
        let headers = [
            ("webhook-id", letter.id.as_str()),
            ("webhook-timestamp", letter.timestamp.as_str()),
            ("webhook-signature", letter.signature.as_str()),
        ];
        self.outbound.post_signed(&self.url, &headers, &letter.body, ANSWER_LEN_MAX).await
    }

    /// The request: what is signed is `id.timestamp.body`.
    fn letter(&self, message: &Message) -> Result<Letter, OutboxError> {
        let (to, text) = (message.to.as_str(), message.text.as_str());
        let body = json!({
            "type": "sms.send",
            "timestamp": message.at.to_string(),
            "data": { "to": to, "text": text },
        });
        let body = Zeroizing::new(body.to_string());
        let at = message.at.unix_ms();
        let parts: [&[u8]; 4] =
            [b"tpw/sms-id/v1\0", &at.to_be_bytes(), to.as_bytes(), text.as_bytes()];
        let hash = sha256_parts(&parts);
        let id: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let (id, timestamp) = (format!("msg_{id}"), (at / 1000).to_string());
        let signed = Zeroizing::new(format!("{id}.{timestamp}.{}", body.as_str()));
        let signature = self.key.sign(signed.as_bytes());
        let signature = signature.map_err(|error| OutboxError::Later(error.to_string()))?;
        Ok(Letter { id, timestamp, signature, body })
    }
}

struct Letter {
    id: String,
    timestamp: String,
    signature: String,
    body: Zeroizing<String>,
}

impl Outbox for SmsGateway {
    fn takes(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        Box::pin(self.hand_in(message))
    }
}

/// What came of a request. The gateway's own words may repeat number and code: they are told to nobody.
fn meaning(answer: Result<OutboundAnswer, OutboundError>) -> Result<(), OutboxError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(OutboundError::Tls(_)) => {
            let why = "the gateway's certificate is not to be trusted";
            return Err(OutboxError::Setup(why.to_owned()));
        }
        // It was taken, whatever else was said.
        Err(OutboundError::AnswerTooLong) => return Ok(()),
        Err(other) => return Err(OutboxError::Later(other.to_string())),
    };
    let status = answer.status;
    match status {
        200..=299 => Ok(()),
        408 | 429 | 500..=599 => Err(OutboxError::Later(format!("the gateway said {status}"))),
        300..=399 | 401 | 403 | 404 | 405 => {
            Err(OutboxError::Setup(format!("the gateway does not take messages here ({status})")))
        }
        _ => Err(OutboxError::Refused(format!("the gateway said {status}"))),
    }
}
