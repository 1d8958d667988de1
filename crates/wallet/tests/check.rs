//! Goal: the owner is warned of what stands out, and of nothing else.
//! Method: a history of payments, then one order for each warning and its nearest harmless neighbour.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

mod support;

use support::{account, at, name, order, profile, vault};
use tpw_core::{AccountId, Amount};
use tpw_crypto::{Algorithm, FixedEntropy};
use tpw_wallet::check::{Known, Warning, check};
use tpw_wallet::journal::{Event, Journal};
use tpw_wallet::pay::{self, Order, Origin};
use tpw_wallet::payee::{Payee, Payees};

/// A journal with payments from account 1 to account 4, all booked.
fn history(amounts: &[u128]) -> Journal {
    let (mut journal, mut entropy) = (Journal::new(), FixedEntropy::new(4));
    for cents in amounts {
        let order = order(1, 4, *cents);
        let intent = pay::prepare(&order, &profile(), &journal, &mut entropy, at(0)).unwrap();
        let payment = intent.payment;
        let statement = pay::sign(&intent, &vault(Algorithm::Ed25519)).unwrap();
        journal.record(order.prepared(intent, statement)).unwrap();
        journal.record(Event::Sent { payment, at: at(0) }).unwrap();
        let outcome = name("booked");
        journal.record(Event::Done { payment, outcome, receipt: None }).unwrap();
    }
    journal
}

fn warned(order: &Order, journal: &Journal, balance: Option<u128>, seconds: u64) -> Vec<Warning> {
    let (profile, payees) = (profile(), Payees::default());
    let known = Known { profile: &profile, journal, payees: &payees };
    check(order, balance.map(Amount::from_minor), known, at(seconds))
}

#[test]
fn a_new_payee_stands_out_and_own_accounts_do_not() {
    let journal = history(&[100]);
    assert_eq!(warned(&order(1, 5, 100), &journal, None, 1), [Warning::PayeeNew]);
    assert_eq!(warned(&order(1, 4, 101), &journal, None, 1), []);
    assert_eq!(warned(&order(1, 2, 100), &journal, None, 1), []);
}

#[test]
fn the_balance_must_cover_amount_and_fee() {
    let journal = history(&[100]);
    let fee = Order { fee_limit: Amount::from_minor(3), ..order(1, 4, 200) };
    let low = Warning::Balance { available: Amount::from_minor(202) };
    assert_eq!(warned(&fee, &journal, Some(202), 1), [low]);
    assert_eq!(warned(&fee, &journal, Some(203), 1), []);
    assert_eq!(warned(&fee, &journal, None, 1), []);
    let beyond = Order { fee_limit: Amount::MAX, ..order(1, 4, 1) };
    assert_eq!(warned(&beyond, &journal, Some(u128::MAX), 1).len(), 1);
}

#[test]
fn an_amount_far_above_the_usual_stands_out() {
    let few = history(&[100, 110, 120, 130]);
    assert_eq!(warned(&order(1, 4, 100_000), &few, None, 1), []);
    let journal = history(&[100, 110, 120, 130, 90_000]);
    let usual = Warning::AmountUnusual { usual: Amount::from_minor(120) };
    assert_eq!(warned(&order(1, 4, 601), &journal, None, 1), [usual]);
    assert_eq!(warned(&order(1, 4, 600), &journal, None, 1), []);
}

#[test]
fn the_same_again_within_a_day_stands_out() {
    let journal = history(&[100]);
    let again = Warning::Repeated { at: at(0) };
    assert_eq!(warned(&order(1, 4, 100), &journal, None, 24 * 3600), [again]);
    assert_eq!(warned(&order(1, 4, 100), &journal, None, 24 * 3600 + 1), []);
    let named = Order { origin: Origin::Named(name("invoice 8")), ..order(1, 4, 100) };
    assert_eq!(warned(&named, &journal, None, 1), []);
}

/// The known payee, account 4, with the characters at some places of its text replaced.
fn like_known(places: &[usize]) -> AccountId {
    let mut text = account(4).to_string().into_bytes();
    for place in places {
        let byte = text.get_mut(*place).unwrap();
        *byte = if *byte == b'7' { b'3' } else { b'7' };
    }
    String::from_utf8(text).unwrap().parse().unwrap()
}

#[test]
fn a_named_payee_is_known() {
    let (profile, mut payees) = (profile(), Payees::default());
    payees.name(Payee { name: name("Acme"), account: account(5) }).unwrap();
    let known = Known { profile: &profile, journal: &history(&[100]), payees: &payees };
    assert_eq!(check(&order(1, 5, 100), None, known, at(1)), []);
}

#[test]
fn an_id_almost_like_a_known_one_stands_out() {
    let journal = history(&[100]);
    let to = |payee| Order { payee, ..order(1, 4, 100) };
    let like = Warning::PayeeLooksLike { known: account(4) };
    for payee in [like_known(&[20]), like_known(&[6, 28])] {
        assert_eq!(warned(&to(payee), &journal, None, 1), [like, Warning::PayeeNew], "{payee}");
    }
    let planted = like_known(&[12, 13, 14, 15, 16, 17, 18]);
    let ends = Warning::PayeeEndsAlike { known: account(4) };
    assert_eq!(warned(&to(planted), &journal, None, 1), [ends, Warning::PayeeNew]);
    assert!(like.is_of_payee() && ends.is_of_payee() && !Warning::PayeeNew.is_of_payee());
    let far = like_known(&[12, 13, 29]);
    assert_eq!(warned(&to(far), &journal, None, 1), [Warning::PayeeNew]);
}
