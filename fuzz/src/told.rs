//! Readers of what the policies decided, of messages to people, and of answers at another device.

use tpw_core::{
    Asker, DecisionId, DecisionRecord, DeviceId, Letter, Money, PersonId, PromptAnswer,
    PromptReply, PromptSubject, Ruling, Unlocked,
};
use tpw_proof::decisions::{BlockProof, decision_hash};
use tpw_proof::{letter, sign};

use crate::world::{OPERATOR, at, hash, slot, world};

/// A decision that is read keeps its bounds and is written as it was.
pub fn decision_record(data: &[u8]) {
    if let Ok(record) = DecisionRecord::from_bytes(data) {
        assert!(record.fits());
        assert_eq!(record.to_bytes(), data);
    }
}

fn decided() -> DecisionRecord {
    DecisionRecord {
        id: DecisionId::from_bytes([1; 16]),
        at: at(0),
        asker: Asker {
            person: Some(PersonId::from_bytes([2; 16])),
            device: Some(DeviceId::from_bytes([3; 16])),
            client: String::new(),
            roles: vec!["operator".to_owned()],
        },
        action: "read_account".to_owned(),
        resource: "accounts".to_owned(),
        owner: Some(PersonId::from_bytes([4; 16])),
        ruling: Ruling::Allowed,
        policies: vec!["operator.serve".to_owned()],
        version: Some(hash(b"policies")),
        facts: vec![("aal".to_owned(), "aal2".to_owned())],
        obligations: vec![("aal".to_owned(), 2)],
        request: "request".to_owned(),
    }
}

pub fn decision_record_seeds() -> Vec<Vec<u8>> {
    vec![decided().to_bytes()]
}

const SALT: [u8; 32] = [7; 32];

fn block() -> [tpw_core::Hash32; 3] {
    [hash(b"before"), decision_hash(&SALT, &decided().to_bytes()), hash(b"after")]
}

/// Nothing but the decision that was made opens its block.
pub fn block_proof(data: &[u8]) {
    let Ok(proof) = BlockProof::from_bytes(data) else { return };
    assert_eq!(proof.to_bytes(), data);
    let good = BlockProof::of(SALT, decided().to_bytes(), 1, &block()).unwrap();
    if let Ok(leaf) = proof.leaf()
        && leaf == good.leaf().unwrap()
    {
        assert_eq!(proof, good);
    }
}

pub fn block_proof_seeds() -> Vec<Vec<u8>> {
    let proof = BlockProof::of(SALT, decided().to_bytes(), 1, &block()).unwrap();
    vec![proof.to_bytes()]
}

pub fn prompt_answer(data: &[u8]) {
    if let Ok(answer) = PromptAnswer::from_bytes(data) {
        assert_eq!(answer.to_bytes(), data);
        let digits = answer.number.bytes().all(|byte| byte.is_ascii_digit());
        assert!(digits && (answer.reply == PromptReply::Approve) == (answer.number.len() == 6));
    }
}

pub fn prompt_answer_seeds() -> Vec<Vec<u8>> {
    let intent = &world().intent;
    let money: Money = intent.money;
    let subject = PromptSubject::Payment {
        payment: intent.payment,
        intent_hash: hash(&intent.to_bytes()),
        money,
        payee: intent.payee,
    };
    let answer = PromptAnswer {
        challenge: [5; 16],
        device: DeviceId::from_bytes([6; 16]),
        reply: PromptReply::Approve,
        number: "123456".to_owned(),
        subject,
        unlocked: Unlocked::Passphrase,
        created: at(0),
        audience: intent.audience.clone(),
    };
    let session = PromptAnswer { subject: PromptSubject::Session, ..answer.clone() };
    vec![answer.to_bytes(), session.to_bytes()]
}

const TEXT: &str = "Your code is 123456.\n\nExample Pay\n";

/// What is taken for the operator's message has the text that the operator signed.
pub fn letter_message(data: &[u8]) {
    let Ok(message) = std::str::from_utf8(data) else { return };
    if let Ok(letter) = letter::verify(message, &world().trust) {
        assert_eq!(letter.value().text, letter::text_hash(TEXT));
    }
    if let Ok(letter) = Letter::from_bytes(data) {
        assert_eq!(letter.to_bytes(), data);
    }
}

pub fn letter_message_seeds() -> Vec<Vec<u8>> {
    let letter = Letter {
        reference: [1; 5],
        recipient: hash(b"ann@example.com"),
        text: letter::text_hash(TEXT),
        created: at(0),
        operator: tpw_core::Name::new(OPERATOR).unwrap(),
    };
    let statement = sign(&letter, &world().slots, &slot("log-cose")).unwrap();
    let message = format!("{TEXT}{}\n", letter::line(&statement));
    let mail = format!("Subject: a code\nFrom: pay@example.com\n\n{message}");
    vec![message.into_bytes(), mail.into_bytes(), letter.to_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_examples_are_good() {
        assert!(DecisionRecord::from_bytes(&decision_record_seeds()[0]).is_ok());
        assert!(BlockProof::from_bytes(&block_proof_seeds()[0]).unwrap().leaf().is_ok());
        assert!(prompt_answer_seeds().iter().all(|seed| PromptAnswer::from_bytes(seed).is_ok()));
        for message in &letter_message_seeds()[..2] {
            let message = std::str::from_utf8(message).unwrap();
            letter::verify(message, &world().trust).unwrap();
        }
    }
}
