//! What accounts may do and which belong together: each change and each look, what is told of it, and what must be refused.

use super::support::*;
use tpw_core::TransferId;
use tpw_flow::{Adjustment, Changes, Command, EventKind, EventRow};
use tpw_ledger::{Tier, Watch, WatchAction};

fn watch(below: Option<u128>, above: Option<u128>, action: WatchAction) -> Watch {
    Watch { tier: Tier::Hot, below: below.map(cents), above: above.map(cents), action }
}

fn fund(n: u8, to: u8, amount: u128) -> Command {
    let transfer = TransferId::new(at(0).unix_ms(), [n; 10]);
    Command::Fund { account: account(to), amount: cents(amount), transfer }
}

/// The order of events is part of the books, and the same commands give the same books.
#[test]
fn events_do_not_depend_on_what_is_stored_together() {
    let commands = || {
        let watch = Some(watch(None, Some(10), WatchAction::Alert));
        [
            Command::Adjust(Adjustment::SetWatch { account: account(BOB), watch }),
            fund(1, BOB, 11),
            fund(2, BOB, 1),
            Command::Freeze { account: account(ALICE), frozen: tpw_flow::Frozen::Yes },
            fund(3, BOB, 1),
        ]
    };
    let (mut apart, mut together) = (Bench::new(), Bench::new());
    let events = |changes: Changes| changes.events;
    let one_by_one: Vec<EventRow> =
        commands().into_iter().flat_map(|command| events(apart.apply(command).1)).collect();
    for command in commands() {
        together.desk.apply(command, together.now, &together.books).unwrap().unwrap();
    }
    assert_eq!(events(together.desk.take_changes()), one_by_one);
    let kinds: Vec<_> = one_by_one.iter().map(|event| event.kind).collect();
    let (changed, crossed) = (EventKind::AccountChanged, EventKind::AccountCrossed);
    assert_eq!(kinds, [changed, crossed, changed]);
}
