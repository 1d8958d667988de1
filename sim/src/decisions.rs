//! Decisions of the policies: blocks of them, among payments.

use tpw_core::{Asker, DecisionId, DecisionRecord, Instant, PersonId, Ruling};
use tpw_flow::{Command, Decided};
use tpw_proof::decisions::BLOCK_MAX;
use tpw_sim_disk::Chance;

/// A block of few decisions, or one that is too large.
pub(crate) fn command(now: Instant, chance: &mut Chance) -> Command {
    let count = if chance.one_in(16) {
        u64::try_from(BLOCK_MAX).unwrap_or(u64::MAX).saturating_add(1)
    } else {
        chance.below(5)
    };
    Command::Decisions((0..count).map(|_| decided(now, chance)).collect())
}

fn decided(now: Instant, chance: &mut Chance) -> Decided {
    let person = |chance: &mut Chance| {
        PersonId::from_bytes([u8::try_from(chance.below(4)).unwrap_or_default(); 16])
    };
    let record = DecisionRecord {
        id: DecisionId::new(now.unix_ms(), chance.bytes()),
        at: now,
        asker: Asker { person: Some(person(chance)), ..Asker::default() },
        action: if chance.one_in(2) { "read_account" } else { "freeze" }.to_owned(),
        resource: "accounts".to_owned(),
        owner: if chance.one_in(3) { None } else { Some(person(chance)) },
        ruling: if chance.one_in(4) { Ruling::Denied } else { Ruling::Allowed },
        policies: Vec::new(),
        version: None,
        facts: Vec::new(),
        obligations: Vec::new(),
        request: String::new(),
    };
    Decided { record, salt: chance.bytes() }
}
