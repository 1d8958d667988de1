//! A device: it stores what it signs before it sends, sends again until it knows, and goes on after a
//! rejection where its chain really stands.

use crate::keys::{AUDIENCE, Keys};
use crate::network::{Answer, Packet, Said};
use crate::{Checked, broken};
use std::collections::BTreeMap;
use tpw_core::{
    AccountId, Amount, Asset, DeviceId, Hash32, Instant, Intent, Money, Name, PaymentId, PersonId,
    Purpose, Span, StepUpProof, TreeHead,
};
use tpw_crypto::sha256;
use tpw_flow::{ChainHead, Status};
use tpw_proof::sign;
use tpw_sim_disk::Chance;

/// How long a device waits for an answer.
const PATIENCE: Span = Span::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// No final answer yet.
    Open,
    /// Asked for step-up.
    StepUp,
    /// Somebody else has to act.
    Held,
    Final,
}

pub(crate) struct Entry {
    pub(crate) intent: Intent,
    pub(crate) statement: Vec<u8>,
    hash: Hash32,
    pub(crate) state: State,
    again: Instant,
}

pub(crate) struct Client {
    pub(crate) number: usize,
    pub(crate) device: DeviceId,
    pub(crate) person: PersonId,
    pub(crate) accounts: Vec<(AccountId, Asset)>,
    /// How far its clock is ahead, in milliseconds.
    ahead_ms: u64,
    pub(crate) journal: Vec<Entry>,
    chains: BTreeMap<AccountId, ChainHead>,
    seen: TreeHead,
}

/// What to pay.
pub(crate) struct Wish {
    pub(crate) from: AccountId,
    pub(crate) to: AccountId,
    pub(crate) money: Money,
    pub(crate) life: Span,
}

impl Client {
    pub(crate) fn new(
        number: usize,
        device: DeviceId,
        person: PersonId,
        accounts: Vec<(AccountId, Asset)>,
        ahead_ms: u64,
    ) -> Self {
        let seen = TreeHead { size: 0, root: Hash32::ZERO };
        let (journal, chains) = (Vec::new(), BTreeMap::new());
        Self { number, device, person, accounts, ahead_ms, journal, chains, seen }
    }

    fn clock(&self, now: Instant) -> Instant {
        now.plus(Span::from_ms(self.ahead_ms))
    }

    /// Signs, writes into the journal, and only then gives what is to be sent.
    pub(crate) fn begin(
        &mut self,
        wish: &Wish,
        now: Instant,
        chance: &mut Chance,
        keys: &Keys,
    ) -> Checked<Packet> {
        let created = self.clock(now);
        let chain = self.chains.get(&wish.from).copied().unwrap_or(ChainHead::START);
        let intent = Intent {
            payment: PaymentId::new(created.unix_ms(), chance.bytes()),
            device: self.device,
            payer: wish.from,
            payee: wish.to,
            money: wish.money,
            fee_limit: Amount::ZERO,
            sequence: chain.sequence.saturating_add(1),
            previous: chain.hash,
            seen: self.seen,
            created,
            expires: created.plus(wish.life),
            audience: Name::new(AUDIENCE).map_err(broken)?,
            purpose: Purpose::new("virtual").map_err(broken)?,
        };
        let statement = sign(&intent, &keys.slots, &keys.device(self.number)?.0).map_err(broken)?;
        let hash = Hash32::new(sha256(&intent.to_bytes()));
        self.chains.insert(wish.from, ChainHead { sequence: intent.sequence, hash });
        let (again, state) = (now.plus(PATIENCE), State::Open);
        let packet = Packet::Pay { client: self.number, statement: statement.clone() };
        self.journal.push(Entry { intent, statement, hash, state, again });
        Ok(packet)
    }

    /// What has waited long enough for an answer, and proofs for what was asked back.
    pub(crate) fn resume(&mut self, now: Instant, keys: &Keys) -> Checked<Vec<Packet>> {
        let (number, device, created) = (self.number, self.device, self.clock(now));
        let mut packets = Vec::new();
        for entry in self.journal.iter_mut().filter(|entry| entry.again <= now) {
            match entry.state {
                State::Open => {
                    let statement = entry.statement.clone();
                    packets.push(Packet::Pay { client: number, statement });
                }
                State::StepUp => {
                    let proof = StepUpProof {
                        payment: entry.intent.payment,
                        device,
                        intent_hash: entry.hash,
                        created,
                        audience: entry.intent.audience.clone(),
                    };
                    let proof = sign(&proof, &keys.slots, &keys.device(number)?.0);
                    let (payment, proof) = (entry.intent.payment, proof.map_err(broken)?);
                    packets.push(Packet::StepUp { client: number, payment, proof });
                    // Ask for the state next time: the answer to the proof may be lost.
                    entry.state = State::Open;
                }
                State::Held | State::Final => continue,
            }
            entry.again = now.plus(PATIENCE);
        }
        Ok(packets)
    }

    /// Learns an answer.
    pub(crate) fn hear(&mut self, answer: &Answer) {
        if answer.head.size > self.seen.size {
            self.seen = answer.head;
        }
        let found = |entry: &&mut Entry| entry.intent.payment == answer.payment;
        let Some(entry) = self.journal.iter_mut().find(found) else { return };
        let own = Hash32::new(sha256(&entry.statement)) == answer.statement;
        match answer.said {
            Said::Status(_) if entry.state == State::Final => {}
            Said::Status(Status::StepUp) => entry.state = State::StepUp,
            Said::Status(Status::Held) => entry.state = State::Held,
            Said::Status(_) => entry.state = State::Final,
            Said::Rejected(code) if own && is_final(code) && entry.state != State::Final => {
                entry.state = State::Final;
                let (payer, sequence) = (entry.intent.payer, entry.intent.sequence);
                let before =
                    ChainHead { sequence: sequence.saturating_sub(1), hash: entry.intent.previous };
                self.rewind(payer, sequence, if code == "expired" { before } else { answer.chain });
            }
            // Not yet, or about another statement: the journal says when to ask again.
            Said::Rejected(_) => {}
        }
    }

    /// What was signed behind a rejected intent can never be taken: the chain goes on before it.
    fn rewind(&mut self, payer: AccountId, from: u64, chain: ChainHead) {
        for entry in &mut self.journal {
            if entry.intent.payer == payer
                && entry.intent.sequence > from
                && entry.state == State::Open
            {
                entry.state = State::Final;
            }
        }
        self.chains.insert(payer, chain);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.journal.iter().all(|entry| matches!(entry.state, State::Held | State::Final))
    }

    /// How many have no final answer.
    pub(crate) fn unsettled(&self) -> usize {
        self.journal
            .iter()
            .filter(|entry| matches!(entry.state, State::Open | State::StepUp))
            .count()
    }
}

/// Whether a statement that was rejected like this can never be taken later.
pub(crate) fn is_final(code: &str) -> bool {
    matches!(
        code,
        "expired" | "sequence_used" | "chain_mismatch" | "device_revoked" | "exists_with_different"
    )
}
