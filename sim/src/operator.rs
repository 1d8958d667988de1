//! What an operator does: sensible things most of the time, and the wrong thing at the wrong time as well.

use crate::model::{Model, Standing};
use crate::{decisions, records};
use tpw_core::{AccountId, Amount, FactorMethod, Hash32, Instant, PaymentId, TransferId};
use tpw_flow::{Approved, Approver, Approvers, Command, Frozen};
use tpw_sim_disk::Chance;

/// Some command about something that exists.
pub(crate) fn command(
    model: &Model,
    accounts: &[AccountId],
    now: Instant,
    chance: &mut Chance,
) -> Option<Command> {
    let operator = Hash32::new([7; 32]);
    let waiting: &[Standing] = &[Standing::Held, Standing::StepUp];
    let payment = |chance: &mut Chance, wanted: &[Standing]| {
        let any = chance.one_in(8);
        let fits = |standing| any || wanted.contains(&standing);
        let found: Vec<PaymentId> =
            model.payments.iter().filter(|(_, p)| fits(p.standing)).map(|(id, _)| *id).collect();
        chance.pick(&found).copied()
    };
    Some(match chance.below(28) {
        0..=2 => Command::Release { payment: payment(chance, &[Standing::Held])?, operator },
        3..=4 => Command::Approved {
            writes: Vec::new(),
            then: Approved::Release {
                payment: payment(chance, &[Standing::Held])?,
                approvers: Approvers::new(vec![
                    Approver { key: operator, at: now },
                    Approver { key: Hash32::new([8; 32]), at: now },
                ])?,
            },
        },
        18 => Command::StepUpBy {
            payment: payment(chance, &[Standing::StepUp])?,
            evidence: Hash32::new(chance.bytes()),
            method: FactorMethod::Passkey,
        },
        5..=6 => Command::Reject { payment: payment(chance, waiting)? },
        7..=9 => Command::Recall { payment: payment(chance, &[Standing::Booked])?, operator },
        10..=11 => Command::RailConfirm { payment: payment(chance, &[Standing::Booked])? },
        12..=13 => Command::RailReturn { payment: payment(chance, &[Standing::Booked])? },
        14 => fund(accounts, now, chance)?,
        15 => fund_again(model, chance).or_else(|| fund(accounts, now, chance))?,
        16 => Command::Freeze { account: *chance.pick(accounts)?, frozen: Frozen::Yes },
        19 => records::command(model, chance),
        20 => decisions::command(now, chance),
        17 => Command::LogToken { serial: chance.bytes(), token: Hash32::new(chance.bytes()) },
        _ => Command::Freeze { account: *chance.pick(accounts)?, frozen: Frozen::No },
    })
}

fn fund(accounts: &[AccountId], now: Instant, chance: &mut Chance) -> Option<Command> {
    Some(Command::Fund {
        account: *chance.pick(accounts)?,
        amount: Amount::from_minor(chance.below(3_000_000).saturating_add(1).into()),
        transfer: TransferId::new(now.unix_ms(), chance.bytes()),
    })
}

/// Money that was brought in before, perhaps with another amount.
fn fund_again(model: &Model, chance: &mut Chance) -> Option<Command> {
    let known: Vec<_> = model.fundings.iter().collect();
    let (transfer, (account, amount)) = *chance.pick(&known)?;
    let more = u128::from(chance.one_in(3));
    let amount = Amount::from_minor(amount.minor().saturating_add(more));
    Some(Command::Fund { account: *account, amount, transfer: *transfer })
}
