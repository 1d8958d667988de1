//! Messages to people: codes by mail, and for development into a folder.
//!
//! A sender takes one message at a time and says whether it was handed on. It keeps nothing, tries nothing twice, and holds only so many
//! at once: whoever asks has a person waiting, who asks again. What was sent is in no record and no log, and neither is where to.

use core::fmt;
use core::pin::Pin;
use std::sync::Arc;

use tpw_access::factor::code::{Address, Channel};
use tpw_core::Instant;
use tpw_crypto::Zeroizing;

mod folder;
mod smtp;

pub use folder::FolderOutbox;
pub use smtp::{SmtpAddress, SmtpOutbox, SmtpSettings};

/// One message.
pub struct Message {
    /// Where to.
    pub to: Address,
    /// What it is about; empty for an SMS.
    pub subject: String,
    /// The text. It may hold a code.
    pub text: Zeroizing<String>,
    /// When it was written.
    pub at: Instant,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("to", &self.to).finish_non_exhaustive()
    }
}

/// Why a message was not handed on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// The sender is set up wrongly: only the operator can help.
    #[error("messages cannot be sent: {0}")]
    Setup(String),
    /// Nothing here sends by this channel.
    #[error("nothing here sends messages by {0}: set up a sender for it")]
    Channel(Channel),
    /// The address takes no messages. It will not later either.
    #[error("the address takes no messages: {0}")]
    Refused(String),
    /// It may work later.
    #[error("the message could not be sent: {0}; it may work later")]
    Later(String),
}

/// What is to come of a message.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), OutboxError>> + Send + 'a>>;

/// Something that sends messages.
pub trait Outbox: Send + Sync + fmt::Debug {
    /// Whether it sends by this channel.
    fn takes(&self, channel: Channel) -> bool;

    /// Hands a message on. Within a bounded time it is handed on or not; [`OutboxError::Later`] may be both.
    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a>;
}

/// A sender for each channel.
#[derive(Debug)]
pub struct ByChannel {
    /// For mail.
    pub mail: Option<Arc<dyn Outbox>>,
    /// For SMS.
    pub sms: Option<Arc<dyn Outbox>>,
}

impl ByChannel {
    fn of(&self, channel: Channel) -> Option<&Arc<dyn Outbox>> {
        let sender = match channel {
            Channel::Mail => &self.mail,
            Channel::Sms => &self.sms,
        };
        sender.as_ref().filter(|sender| sender.takes(channel))
    }
}

impl Outbox for ByChannel {
    fn takes(&self, channel: Channel) -> bool {
        self.of(channel).is_some()
    }

    fn send<'a>(&'a self, message: &'a Message) -> Sending<'a> {
        let channel = message.to.channel();
        match self.of(channel) {
            Some(sender) => sender.send(message),
            None => Box::pin(async move { Err(OutboxError::Channel(channel)) }),
        }
    }
}
