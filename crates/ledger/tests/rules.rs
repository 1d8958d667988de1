//! Goal: each rule of the ledger refuses what it must, names the party or field at fault, and leaves
//! everything as it was. Method: one small ledger, one operation per case; every refusal is compared
//! with a copy of the state before it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

mod support;

use support::{account, at, ledger, leg, minor, new_account, rebuild, refused, transfer, usd};
use tpw_core::{Amount, Money, Refusal};
use tpw_ledger::{
    Account, AccountKind, Balance, FreezeReason, Frozen, FundedAccount, HoldEnd, Ledger,
    LedgerError, Limit, Limits, NewAccount, Operation, Original, Reversal, TransferKind,
};

fn balance(ledger: &Ledger, n: u8) -> String {
    ledger.account(&account(n)).unwrap().balance().to_string()
}

fn available(ledger: &Ledger, n: u8) -> String {
    ledger.account(&account(n)).unwrap().available().to_string()
}

#[test]
fn a_transfer_moves_money_and_links_both_chains() {
    let mut l = ledger();
    let before = l.account(&account(1)).unwrap();
    let applied = l.apply(Operation::Transfer(&[leg(2, 1, 2, usd(300))]), at(2)).unwrap();
    let [posting] = applied.postings[..] else { panic!("one posting") };
    assert_eq!((posting.number, posting.transfer, posting.money), (2, transfer(2), usd(300)));
    let (payer, payee) = (l.account(&account(1)).unwrap(), l.account(&account(2)).unwrap());
    assert_eq!((posting.debit_chain, posting.credit_chain), (payer.chain, payee.chain));
    assert_ne!(payer.chain, before.chain);
    assert_eq!((payer.transfers, payer.last, payee.transfers, payee.last), (2, 2, 1, 2));
    assert_eq!(
        (balance(&l, 0), balance(&l, 1), balance(&l, 2)),
        ("-1000".into(), "700".into(), "300".into())
    );
    assert_eq!(l.next_number(), 3);
}

#[test]
fn each_fault_of_a_transfer_has_its_own_name() {
    let mut l = ledger();
    let cny = |n| Money { amount: minor(n), asset: support::asset("CNY/2") };
    let (u, c) = (support::asset("USD/2"), support::asset("CNY/2"));
    let cases = [
        (leg(9, 1, 1, usd(1)), LedgerError::SameAccount(account(1))),
        (leg(9, 77, 1, usd(1)), LedgerError::UnknownDebit(account(77))),
        (leg(9, 1, 77, usd(1)), LedgerError::UnknownCredit(account(77))),
        (leg(9, 1, 2, usd(0)), LedgerError::ZeroAmount),
        (leg(9, 4, 1, usd(1)), LedgerError::DebitAssetMismatch { holds: c, wanted: u }),
        (leg(9, 1, 4, usd(1)), LedgerError::CreditAssetMismatch { holds: c, wanted: u }),
        (leg(9, 1, 2, cny(1)), LedgerError::DebitAssetMismatch { holds: u, wanted: c }),
        (
            leg(9, 1, 2, usd(1001)),
            LedgerError::InsufficientFunds {
                available: Balance::between(minor(1000), minor(0)),
                needed: minor(1001),
            },
        ),
    ];
    for (request, expected) in cases {
        assert_eq!(refused(&mut l, Operation::Transfer(&[request]), at(2)), expected);
        let hold = Operation::Hold { request, expires: at(9) };
        assert_eq!(refused(&mut l, hold, at(2)), expected);
    }
    // The same scale under another code, and the same code under another scale, are other assets.
    let thousandths = Money { amount: minor(1), asset: support::asset("USD/3") };
    let error = refused(&mut l, Operation::Transfer(&[leg(9, 1, 2, thousandths)]), at(2));
    assert!(matches!(error, LedgerError::DebitAssetMismatch { .. }));
}

#[test]
fn linked_legs_are_all_or_nothing() {
    let mut l = ledger();
    // A later leg spends what an earlier one brought.
    let legs = [leg(2, 1, 2, usd(1000)), leg(3, 2, 3, usd(990)), leg(4, 2, 1, usd(10))];
    assert_eq!(l.apply(Operation::Transfer(&legs), at(2)).unwrap().postings.len(), 3);
    assert_eq!(
        (balance(&l, 1), balance(&l, 2), balance(&l, 3)),
        ("10".into(), "0".into(), "990".into())
    );
    // The last leg fails: the first two, which touch the same accounts twice, are undone.
    let legs = [leg(5, 3, 1, usd(500)), leg(6, 1, 3, usd(100)), leg(7, 2, 1, usd(1))];
    let error = refused(&mut l, Operation::Transfer(&legs), at(3));
    assert!(matches!(error, LedgerError::InsufficientFunds { .. }));
    assert_eq!(refused(&mut l, Operation::Transfer(&[]), at(3)), LedgerError::LegCount(0));
    let many: Vec<_> = (0..17).map(|n| leg(100 + n, 0, 1, usd(1))).collect();
    assert_eq!(refused(&mut l, Operation::Transfer(&many), at(3)), LedgerError::LegCount(17));
    l.apply(Operation::Transfer(&many[..16]), at(3)).unwrap();
    let twins = [leg(8, 0, 1, usd(1)), leg(9, 0, 1, usd(1)), leg(8, 0, 2, usd(1))];
    let error = refused(&mut l, Operation::Transfer(&twins), at(3));
    assert_eq!(error, LedgerError::DuplicateTransfer(transfer(8)));
}

#[test]
fn a_hold_blocks_money_and_resolves_once() {
    let mut l = ledger();
    let hold = Operation::Hold { request: leg(2, 1, 2, usd(600)), expires: at(100) };
    l.apply(hold, at(2)).unwrap();
    assert_eq!(
        (balance(&l, 1), available(&l, 1), balance(&l, 2)),
        ("1000".into(), "400".into(), "0".into())
    );
    assert_eq!(refused(&mut l, hold, at(2)), LedgerError::HoldExists(transfer(2)));
    let error = refused(&mut l, Operation::Transfer(&[leg(3, 1, 2, usd(401))]), at(3));
    assert!(matches!(error, LedgerError::InsufficientFunds { .. }));
    // The payee cannot spend what is only promised.
    let error = refused(&mut l, Operation::Transfer(&[leg(3, 2, 1, usd(1))]), at(3));
    assert!(matches!(error, LedgerError::InsufficientFunds { .. }));

    let post = |amount| Operation::Post { hold: transfer(2), id: transfer(4), amount };
    assert_eq!(
        refused(&mut l, post(Some(minor(601))), at(3)),
        LedgerError::AmountAboveHold { held: minor(600) }
    );
    assert_eq!(refused(&mut l, post(Some(Amount::ZERO)), at(3)), LedgerError::ZeroAmount);
    assert_eq!(refused(&mut l, post(None), at(100)), LedgerError::HoldExpired(transfer(2)));
    let applied = l.apply(post(Some(minor(250))), at(99)).unwrap();
    assert_eq!(applied.postings[0].money, usd(250));
    assert_eq!(
        (balance(&l, 1), available(&l, 1), balance(&l, 2)),
        ("750".into(), "750".into(), "250".into())
    );
    let void = Operation::Void { hold: transfer(2), id: transfer(5) };
    for again in [post(None), void] {
        assert_eq!(refused(&mut l, again, at(99)), LedgerError::HoldNotOpen(transfer(2)));
    }
    let row = l.new_transfers().last().unwrap();
    assert_eq!((row.kind, row.pending), (TransferKind::Post, Some(2)));
}

#[test]
fn holds_expire_by_time_then_number_with_the_same_ids() {
    let mut l = ledger();
    for (id, expires) in [(2, 50), (3, 40), (4, 40), (5, 60)] {
        let request = leg(id, 1, 2, usd(10));
        l.apply(Operation::Hold { request, expires: at(expires) }, at(2)).unwrap();
    }
    let late = Operation::Hold { request: leg(6, 1, 2, usd(10)), expires: at(2) };
    assert_eq!(refused(&mut l, late, at(2)), LedgerError::ExpiryPast);
    l.take_changes();
    assert_eq!(l.next_expiry(), Some(at(40)));
    assert!(l.expire(at(39)).is_empty());
    let mut twin = l.clone();
    let done = l.expire(at(59));
    assert_eq!(done, twin.expire(at(59)));
    assert!(l == twin);
    let resolved: Vec<_> = l.new_transfers().iter().filter_map(|row| row.pending).collect();
    assert_eq!(resolved, [3, 4, 2]);
    assert_eq!((available(&l, 1), l.holds().count()), ("990".into(), 1));
    let changes = l.take_changes();
    assert!(changes.holds.iter().any(|change| matches!(
        change,
        tpw_ledger::HoldChange::Resolved { end: HoldEnd::Expired, number: 2, .. }
    )));
    assert!(l.expire(at(59)).is_empty() && l.take_changes().is_empty());
}

#[test]
fn frozen_accounts_neither_give_nor_receive_but_holds_are_released() {
    let mut l = ledger();
    let open = |id, expires| Operation::Hold { request: leg(id, 1, 2, usd(10)), expires };
    for (id, expires) in [(2, at(50)), (3, at(60)), (4, at(60))] {
        l.apply(open(id, expires), at(2)).unwrap();
    }
    let freeze = |n, why| Operation::Freeze { account: account(n), why };
    let unfreeze = |n, why| Operation::Unfreeze { account: account(n), why };
    let (order, holder) = (FreezeReason::Order, FreezeReason::Holder);
    l.apply(freeze(1, order), at(3)).unwrap();
    l.apply(freeze(1, holder), at(3)).unwrap();
    assert_eq!(refused(&mut l, freeze(1, order), at(3)), LedgerError::AlreadyFrozen);
    l.apply(unfreeze(1, holder), at(3)).unwrap();
    assert_eq!(refused(&mut l, unfreeze(1, holder), at(3)), LedgerError::NotFrozen);
    assert_eq!(refused(&mut l, freeze(77, order), at(3)), LedgerError::UnknownAccount(account(77)));

    // The order still stands: lifting one reason does not lift another.
    let transfers = [
        (leg(5, 1, 2, usd(1)), LedgerError::PayerFrozen),
        (leg(5, 0, 1, usd(1)), LedgerError::PayeeFrozen),
    ];
    for (request, expected) in transfers {
        assert_eq!(refused(&mut l, Operation::Transfer(&[request]), at(4)), expected);
    }
    let post = Operation::Post { hold: transfer(2), id: transfer(6), amount: None };
    assert_eq!(refused(&mut l, post, at(4)), LedgerError::PayerFrozen);
    l.apply(Operation::Void { hold: transfer(3), id: transfer(7) }, at(4)).unwrap();
    assert_eq!(l.expire(at(50)).len(), 1);
    l.apply(unfreeze(1, order), at(51)).unwrap();
    l.apply(Operation::Post { hold: transfer(4), id: transfer(8), amount: None }, at(51)).unwrap();
    assert_eq!((balance(&l, 1), available(&l, 1)), ("990".into(), "990".into()));
}

#[test]
fn limits_bind_where_money_is_promised() {
    let mut l = ledger();
    let set = |n, limits| Operation::SetLimits { account: account(n), limits };
    l.apply(set(1, Limits::NONE.with_debit_max_per_transfer(Some(minor(100)))), at(2)).unwrap();
    l.apply(set(2, Limits::NONE.with_balance_max(Some(minor(150)))), at(2)).unwrap();
    let exceeded = |limit, max| LedgerError::LimitExceeded { limit, max: minor(max) };
    let pay = |id, amount| [leg(id, 1, 2, usd(amount))];
    let error = refused(&mut l, Operation::Transfer(&pay(2, 101)), at(3));
    assert_eq!(error, exceeded(Limit::DebitPerTransfer, 100));
    assert_eq!(error.refusal(), Some(Refusal::AccountLimit));
    let hold = Operation::Hold { request: pay(2, 100)[0], expires: at(90) };
    l.apply(hold, at(3)).unwrap();
    // The promised 100 count against the payee's limit.
    let error = refused(&mut l, Operation::Transfer(&pay(3, 51)), at(3));
    assert_eq!(error, exceeded(Limit::Balance, 150));
    l.apply(Operation::Transfer(&pay(3, 50)), at(3)).unwrap();
    // A limit lowered later does not undo the promise.
    l.apply(set(2, Limits::NONE.with_balance_max(Some(Amount::ZERO))), at(4)).unwrap();
    l.apply(Operation::Post { hold: transfer(2), id: transfer(4), amount: None }, at(4)).unwrap();
    assert_eq!(balance(&l, 2), "150");
    let unlimited = Limits::NONE.with_balance_max(None);
    assert_eq!((unlimited, unlimited.balance_max()), (Limits::NONE, None));
    assert_eq!(
        refused(&mut l, set(77, Limits::NONE), at(4)),
        LedgerError::UnknownAccount(account(77))
    );
}

#[test]
fn a_reversal_moves_the_full_amount_back_or_nothing() {
    let mut l = ledger();
    let legs = [leg(2, 1, 2, usd(300)), leg(3, 1, 3, usd(5))];
    let postings = l.apply(Operation::Transfer(&legs), at(2)).unwrap().postings;
    let reversal =
        |n: usize, id| Reversal { of: Original::of_posting(&postings[n]), id: transfer(id) };
    let both = [reversal(1, 4), reversal(0, 5)];
    l.apply(Operation::Transfer(&[leg(6, 2, 3, usd(1))]), at(3)).unwrap();
    // The payee has spent a part: the fee, reversed first, is taken back too.
    let error = refused(&mut l, Operation::Reverse(&both), at(4));
    assert!(matches!(error, LedgerError::InsufficientFunds { .. }));
    l.apply(Operation::Transfer(&[leg(7, 3, 2, usd(1))]), at(5)).unwrap();
    // A limit on what the payee may send does not stop money from going back.
    let limits = Limits::NONE.with_debit_max_per_transfer(Some(minor(1)));
    l.apply(Operation::SetLimits { account: account(2), limits }, at(5)).unwrap();
    l.apply(Operation::Reverse(&both), at(6)).unwrap();
    assert_eq!(
        (balance(&l, 1), balance(&l, 2), balance(&l, 3)),
        ("1000".into(), "0".into(), "0".into())
    );
    let row = *l.new_transfers().last().unwrap();
    assert_eq!((row.kind, row.pending, row.debit), (TransferKind::Reverse, Some(2), account(2)));
    assert_eq!(Original::of_row(&row), None);
    let mut future = reversal(0, 8);
    for number in [0, l.next_number(), u64::MAX] {
        future.of.number = number;
        let error = refused(&mut l, Operation::Reverse(&[future]), at(7));
        assert_eq!(error, LedgerError::UnknownOriginal(number));
    }
}

#[test]
fn only_issuance_goes_below_zero() {
    let mut l = Ledger::new();
    for (n, kind) in (0_u8..).zip(AccountKind::ALL) {
        l.apply(Operation::Open(new_account(n, "USD/2", *kind)), at(0)).unwrap();
    }
    for (n, kind) in (0_u8..).zip(AccountKind::ALL) {
        let request = [leg(u64::from(n) + 1, n, 1 - u8::from(n == 1), usd(1))];
        if *kind == AccountKind::Issuance {
            l.apply(Operation::Transfer(&request), at(1)).unwrap();
        } else {
            let error = refused(&mut l, Operation::Transfer(&request), at(1));
            assert!(matches!(error, LedgerError::InsufficientFunds { .. }), "{kind}");
        }
    }
    let again = Operation::Open(new_account(0, "CNY/2", AccountKind::Issuance));
    assert_eq!(refused(&mut l, again, at(2)), LedgerError::AccountExists(account(0)));
}

#[test]
fn sums_never_pass_128_bits() {
    let mut l = ledger(); // 1000 are in circulation
    let rest = u128::MAX - 1000;
    let error = refused(&mut l, Operation::Transfer(&[leg(2, 0, 2, usd(rest + 1))]), at(2));
    assert_eq!(error, LedgerError::Overflow);
    // A hold counts towards the bound, so that posting it cannot overflow.
    let hold = Operation::Hold { request: leg(2, 0, 2, usd(rest)), expires: at(9) };
    l.apply(hold, at(2)).unwrap();
    // Both accounts of this leg have room, but the asset's turnover has not.
    let error = refused(&mut l, Operation::Transfer(&[leg(3, 1, 3, usd(1))]), at(2));
    assert_eq!(error, LedgerError::Overflow);
    l.apply(Operation::Post { hold: transfer(2), id: transfer(4), amount: None }, at(3)).unwrap();
    assert_eq!(balance(&l, 0), format!("-{}", u128::MAX));
    assert_eq!(l.totals().unwrap()[1].debits_posted, Amount::MAX);

    // The numbers of transfers end too. The row that used the last one is made up.
    let mut row = l.take_changes().transfers[0];
    let mut accounts: Vec<Account> = l.accounts().collect();
    accounts.iter_mut().filter(|a| a.last != 0).for_each(|a| a.last = u64::MAX - 1);
    let mut restoring = Ledger::restoring(accounts.into_iter()).unwrap();
    for number in restoring.replay_from()..u64::MAX {
        row.number = number;
        restoring.replay(&row).unwrap();
    }
    let mut full = restoring.finish([].into_iter(), u64::MAX - 1).unwrap();
    let error = refused(&mut full, Operation::Transfer(&[leg(3, 1, 3, usd(1))]), at(4));
    assert_eq!(error, LedgerError::Overflow);
    let empty = Ledger::restoring([].into_iter()).unwrap();
    assert!(empty.finish([].into_iter(), u64::MAX).is_err());
}

#[test]
fn changes_name_each_account_once_with_its_newest_values() {
    let mut l = ledger();
    l.take_changes();
    let legs = [leg(2, 1, 2, usd(1)), leg(3, 1, 3, usd(1)), leg(4, 2, 1, usd(1))];
    l.apply(Operation::Transfer(&legs), at(2)).unwrap();
    let changes = l.take_changes();
    let ids: Vec<_> = changes.accounts.iter().map(|row| row.id).collect();
    assert_eq!(ids, [account(1), account(2), account(3)]);
    assert!(changes.accounts.iter().all(|row| l.account(&row.id) == Some(*row)));
    assert_eq!(changes.transfers.iter().map(|row| row.number).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(l.take_changes().is_empty());
    refused(&mut l, Operation::Transfer(&[leg(5, 1, 2, usd(1)), leg(6, 3, 2, usd(9))]), at(3));
    assert!(l.take_changes().is_empty());
}

/// The numbers of posted and pending sums and the chain of a row are what a store could lose.
#[test]
fn rows_that_contradict_each_other_are_refused() {
    let mut l = ledger();
    let hold = Operation::Hold { request: leg(2, 1, 2, usd(10)), expires: at(9) };
    l.apply(hold, at(2)).unwrap();
    let accounts: Vec<Account> = l.accounts().collect();
    let holds: Vec<_> = l.holds().copied().collect();
    let rows = l.take_changes().transfers;
    let build = |accounts: &[Account], holds: &[_], last| rebuild(accounts, &rows[..last], holds);
    assert!(build(&accounts, &holds, 2).is_ok());
    assert!(build(&accounts, &holds, 1).is_err(), "a newest number below the newest in use");
    assert!(build(&accounts, &[], 2).is_err(), "a lost hold");
    assert!(build(&accounts, &[holds[0], holds[0]], 2).is_err(), "a hold twice");
    assert!(build(&accounts[1..], &holds, 2).is_err(), "a lost account");
    let twice: Vec<_> = accounts.iter().chain(&accounts[4..]).copied().collect();
    assert!(build(&twice, &holds, 2).is_err(), "an account twice");
    let edits: [fn(&mut Account); 7] = [
        |row| row.credits_posted = minor(1001),
        |row| row.debits_pending = minor(11),
        |row| row.debits_posted = minor(2000),
        |row| row.credits_posted = Amount::MAX,
        |row| row.last = 3,
        |row| row.transfers = 0,
        |row| row.chain = tpw_core::Hash32::ZERO,
    ];
    for (n, edit) in edits.iter().enumerate() {
        let mut edited = accounts.clone();
        edit(&mut edited[1]);
        assert!(build(&edited, &holds, 2).is_err(), "edit {n}");
    }
    let mut hold = holds[0];
    hold.credit = account(4);
    assert!(build(&accounts, &[hold], 2).is_err(), "a hold of another asset than its account");
}

#[test]
fn an_account_is_small_and_codes_are_stable() {
    assert!(size_of::<Account>() <= 224, "{}", size_of::<Account>());
    let kinds: Vec<_> = AccountKind::ALL.iter().map(|k| (k.number(), k.code())).collect();
    assert_eq!(
        kinds,
        [
            (1, "custodial"),
            (2, "self_custodial"),
            (3, "external"),
            (4, "issuance"),
            (5, "operating")
        ]
    );
    for kind in AccountKind::ALL {
        assert_eq!(AccountKind::from_number(kind.number()), Some(*kind));
        assert_eq!(AccountKind::from_code(kind.code()), Some(*kind));
    }
    assert_eq!((AccountKind::from_number(0), AccountKind::from_code("")), (None, None));
    assert_eq!(AccountKind::SelfCustodial.keys_held_by(), "holder");
    for bits in 0..=u8::MAX {
        let frozen = Frozen::from_bits(bits);
        assert_eq!(frozen.is_some(), bits < 64);
        assert!(frozen.is_none_or(|f| f.bits() == bits && f.reasons().all(|r| f.has(r))));
    }
}

#[test]
fn balances_are_ordered_and_keep_their_sign() {
    let b = |credits, debits| Balance::between(minor(credits), minor(debits));
    assert!(b(0, 2) < b(0, 1) && b(0, 1) < Balance::ZERO && Balance::ZERO < b(1, 0));
    assert_eq!(b(7, 7), Balance::ZERO);
    assert_eq!(b(0, 5).credited(minor(5)), Some(Balance::ZERO));
    assert_eq!(b(3, 0).debited(minor(5)), Some(b(0, 2)));
    assert_eq!(b(u128::MAX, 0).credited(minor(1)), None);
    assert_eq!(b(0, u128::MAX).debited(minor(1)), None);
    assert_eq!(b(0, 12).to_string(), "-12");
}

/// Accounts and the money that they open with are one operation; what was put in is taken out again to the last trace.
#[test]
fn accounts_open_with_their_money_or_not_at_all() {
    let funded = |n: u8, money: u128| FundedAccount {
        account: NewAccount {
            limits: Limits::NONE.with_balance_max(Some(minor(500))),
            ..new_account(n, "USD/2", AccountKind::Custodial)
        },
        funding: Some(leg(100 + u64::from(n), 0, n, usd(money))),
    };
    let empty = FundedAccount { funding: None, ..funded(30, 1) };
    let other = FundedAccount { account: new_account(31, "EUR/2", AccountKind::Issuance), ..empty };
    let mut l = ledger();
    let most = minor(500);
    let full = LedgerError::LimitExceeded { limit: Limit::Balance, max: most };
    let same = FundedAccount { funding: funded(20, 1).funding, ..funded(21, 1) };
    let cases: [(&[FundedAccount], LedgerError); 6] = [
        (&[other, empty, funded(20, 500), funded(21, 501)], full),
        (
            &[funded(20, 1), FundedAccount { funding: None, ..funded(20, 1) }],
            LedgerError::AccountExists(account(20)),
        ),
        (&[funded(20, 1), funded(1, 1)], LedgerError::AccountExists(account(1))),
        (&[funded(20, 1), same], LedgerError::DuplicateTransfer(transfer(120))),
        (&[funded(20, 1), funded(21, 0)], LedgerError::ZeroAmount),
        (&[empty; Ledger::OPENINGS_MAX + 1], LedgerError::OpeningCount(Ledger::OPENINGS_MAX + 1)),
    ];
    for (accounts, error) in cases {
        assert_eq!(refused(&mut l, Operation::OpenFunded(accounts), at(2)), error);
        assert!(l.account(&account(20)).is_none() && l.account(&account(31)).is_none());
    }
    let (before, accounts) = (l.next_number(), [other, funded(20, 500), empty, funded(21, 400)]);
    let applied = l.apply(Operation::OpenFunded(&accounts), at(2)).unwrap();
    assert_eq!(applied.postings.len(), 2);
    assert_eq!(
        (balance(&l, 20), balance(&l, 21), l.next_number()),
        ("500".into(), "400".into(), before + 2)
    );
    let found: Vec<_> = l.accounts().skip(5).map(|a| a.id).collect();
    assert_eq!(found, [31, 20, 30, 21].map(account), "in the order in which they were given");
    // A closed account brings nothing in.
    let mut closed = Ledger::new();
    closed.apply(Operation::Open(new_account(0, "USD/2", AccountKind::Issuance)), at(0)).unwrap();
    closed.apply(Operation::Close { account: account(0) }, at(0)).unwrap();
    let opening = [funded(20, 1)];
    let error = refused(&mut closed, Operation::OpenFunded(&opening), at(2));
    assert_eq!(error, LedgerError::PayerClosed);
}
