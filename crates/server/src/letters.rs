//! Messages that take codes to people, in their language.

use crate::text::{self, Language};
use tpw_access::factor::code::{Channel, Dispatch};
use tpw_core::Instant;
use tpw_crypto::Zeroizing;
use tpw_engines::outbox::{Message, Outbox, OutboxError};

/// Sends a code. Its record is written before: a message that is lost costs its reader another try, not the other way round.
///
/// # Errors
/// [`OutboxError`] as the sender says it: for the operator, not for who waits.
pub async fn send_code(
    outbox: &dyn Outbox,
    language: Language,
    dispatch: Dispatch,
    now: Instant,
) -> Result<(), OutboxError> {
    let message = written(language, dispatch, now)
        .ok_or_else(|| OutboxError::Setup("there are no words for this message".to_owned()))?;
    outbox.send(&message).await
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
    use tpw_engines::outbox::FolderOutbox;

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

    #[tokio::test(flavor = "multi_thread")]
    async fn a_code_comes_to_its_address() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = FolderOutbox::new(folder.path()).unwrap();
        let now = Instant::MIN.plus(Span::from_secs(1));
        let contact = Contact::new("a@mail.example".parse().unwrap(), now);
        let entropy = &mut FixedEntropy::new(1);
        let (_sent, dispatch) = contact.send(Purpose::Address, now, entropy).unwrap();
        let code = dispatch.reveal();
        send_code(&outbox, Language::Chinese, dispatch, now).await.unwrap();
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.starts_with("To: a@mail.example") && text.contains(code.as_str()), "{text}");
    }
}
