//! Messages that take codes to people, in their language, each signed so that its reader can tell it from one of somebody else's.

use crate::text::{self, Language};
use tpw_access::factor::code::{Channel, Dispatch};
use tpw_access::written_in_groups;
use tpw_core::{Hash32, Instant, Letter, Name};
use tpw_crypto::Zeroizing;
use tpw_engines::outbox::{Message, OutboxError};
use tpw_proof::{ProofError, letter};

/// With what a message is signed.
pub(crate) struct Seal<'s> {
    pub(crate) operator: &'s Name,
    /// By which it is found among a person's messages.
    pub(crate) reference: [u8; 5],
    pub(crate) at: Instant,
    pub(crate) sign: &'s (dyn Fn(&Letter) -> Result<Vec<u8>, ProofError> + Sync),
}

/// A message to be sent, and the statement about it to be kept.
pub(crate) struct Sealed {
    pub(crate) message: Message,
    pub(crate) statement: Vec<u8>,
}

/// Writes a message and signs it: a mail has the statement with it, an SMS the reference under which it is found.
pub(crate) fn sealed(
    language: Language,
    dispatch: Dispatch,
    seal: &Seal<'_>,
) -> Result<Sealed, OutboxError> {
    let no_words = || OutboxError::Setup("there are no words for this message".to_owned());
    let channel = dispatch.address.channel();
    let recipient = Hash32::new(dispatch.address.record_id());
    let mut message = written(language, dispatch, seal.at).ok_or_else(no_words)?;
    let args = [
        ("reference", written_in_groups(&seal.reference)),
        ("operator", seal.operator.as_str().to_owned()),
    ];
    let part = |name| text::say(language, "message-signed", Some(name), &args);
    let added = match channel {
        Channel::Mail => format!("\n\n{}", part("mail").ok_or_else(no_words)?),
        Channel::Sms => format!(" {}", part("short").ok_or_else(no_words)?),
    };
    message.text.push_str(&added);
    let letter = Letter {
        reference: seal.reference,
        recipient,
        text: letter::text_hash(&message.text),
        created: seal.at,
        operator: seal.operator.clone(),
    };
    let signed = (seal.sign)(&letter);
    let statement = signed.map_err(|error| OutboxError::Later(error.to_string()))?;
    if channel == Channel::Mail {
        let line = letter::line(&statement);
        message.text.push_str(&format!("\n\n{line}\n"));
    }
    Ok(Sealed { message, statement })
}

/// A mail has a subject and a body, an SMS the short text alone. `None` for want of words, which the tests exclude.
fn written(language: Language, dispatch: Dispatch, at: Instant) -> Option<Message> {
    let code = dispatch.reveal();
    let Dispatch { address: to, message, mut args, .. } = dispatch;
    args.push(("code", code.to_string()));
    let part = |name| text::say(language, message, Some(name), &args);
    let (subject, text) = match to.channel() {
        Channel::Mail => (part("subject")?, part("body")?),
        Channel::Sms => (String::new(), part("short")?),
    };
    Some(Message { to, subject, text: Zeroizing::new(text), at })
}

#[cfg(test)]
mod tests {
    //! Goal: whoever gets a code reads what it is for. Method: every purpose, channel and language; a message in the folder.

    use super::*;
    use tpw_access::factor::code::{Contact, Purpose};
    use tpw_core::{Amount, Hash32, Money, PaymentId, Span};
    use tpw_crypto::FixedEntropy;

    fn payment() -> Purpose<'static> {
        let money = Money { amount: Amount::from_minor(123_456), asset: "USD/2".parse().unwrap() };
        let intent = Hash32::new([2; 32]);
        Purpose::Payment {
            payment: PaymentId::new(1, [1; 10]), intent, money, payee: "Bob & 李雷"
        }
    }

    #[test]
    fn every_code_has_a_message_that_says_what_it_is_for() {
        let entropy = &mut FixedEntropy::new(1);
        for language in Language::ALL {
            for address in ["a@mail.example", "+8613800138000"] {
                let mut now = Instant::MIN.plus(Span::from_secs(1));
                let mut contact = Contact::new(address.parse().unwrap(), now);
                for purpose in [Purpose::Address, Purpose::Session { challenge: b"1" }, payment()] {
                    let (sent, dispatch) = contact.send(purpose, now, entropy).unwrap();
                    let code = dispatch.reveal();
                    let message = written(language, dispatch, now).unwrap();
                    assert!(message.text.contains(code.as_str()) && message.text.contains("10"));
                    assert_eq!(message.subject.is_empty(), address.starts_with('+'));
                    let whole = format!("{}{}", message.subject, message.text.as_str());
                    assert!(!whole.contains('{') && !message.subject.contains(code.as_str()));
                    if purpose == payment() {
                        assert!(whole.contains("1234.56") && whole.contains("USD"), "{whole}");
                        assert!(whole.contains("Bob & 李雷"), "{whole}");
                    }
                    contact = sent.answer(&code.parse().unwrap(), purpose, now).after;
                    now = now.plus(Span::from_secs(60));
                }
            }
        }
    }

    #[test]
    fn a_mail_has_its_signature_with_it_and_an_sms_its_reference() {
        let (operator, now) =
            (Name::new("tpw.test").unwrap(), Instant::MIN.plus(Span::from_secs(1)));
        let sign = |letter: &Letter| Ok(letter.to_bytes());
        let seal = Seal { operator: &operator, reference: [255; 5], at: now, sign: &sign };
        for language in Language::ALL {
            for address in ["a@mail.example", "+8613800138000"] {
                let contact = Contact::new(address.parse().unwrap(), now);
                let entropy = &mut FixedEntropy::new(1);
                let (_sent, dispatch) = contact.send(Purpose::Address, now, entropy).unwrap();
                let Sealed { message, statement } = sealed(language, dispatch, &seal).unwrap();
                let letter = Letter::from_bytes(&statement).unwrap();
                let text = message.text.as_str();
                let signed = text.split_once(letter::MARK).map_or(text, |(signed, _)| signed);
                assert_eq!(letter.text, letter::text_hash(signed));
                assert_eq!(text.contains("ZZZZ-ZZZZ"), address.starts_with('+'), "{text}");
                // One SMS in the alphabet of Chinese has 70 characters, and three are few enough.
                assert!(address.contains('@') || text.chars().count() <= 201, "{text}");
            }
        }
    }
}
