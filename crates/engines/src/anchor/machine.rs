//! What to do next about an order: a pure function of the journal and of what the chain says.

use super::journal::{ATTEMPTS_MAX, Order};
use tpw_core::Hash32;

/// Where a transaction stands in the chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mined {
    pub(super) block: Hash32,
    pub(super) number: u64,
    /// Its index in the block.
    pub(super) transaction: u64,
    pub(super) outcome: Execution,
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Execution {
    Succeeded,
    Reverted,
}

/// What the chain says about an order.
///
/// INVARIANT: the fields were asked for in this order. What was final when the first two were answered is so still when
/// `mined` is, so that a block between two answers cannot make an order look lost or a block look final.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct View {
    /// The newest final block's number.
    pub(super) finalized: u64,
    /// How many transactions of the account are final.
    pub(super) nonce_final: u64,
    /// How many are in the newest block and before.
    pub(super) nonce_latest: u64,
    /// The newest block's number.
    pub(super) latest: u64,
    /// The attempt that the chain has taken.
    pub(super) mined: Option<Mined>,
}

/// What an order waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// To get into a block.
    Block,
    /// For its block, of this number, to become final.
    Final(u64),
    /// Another transaction of the account has its nonce, and that is not final.
    OtherTransaction,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Its block is final: take the proof.
    Collect(Mined),
    /// Its block is final, and the contract refused.
    Reverted,
    /// Another transaction has its nonce for ever: begin anew with another nonce.
    Lost,
    /// Nothing.
    Wait(Waiting),
    /// Send the newest attempt again: sending the same bytes twice costs nothing.
    Send,
    /// Pay more, with the same nonce.
    Raise,
}

/// Decides. An attempt that is in no block for `patience` blocks is made anew with a higher fee.
pub(super) fn next(order: &Order, view: &View, patience: u64) -> Next {
    if let Some(mined) = view.mined {
        return match mined.outcome {
            _ if mined.number > view.finalized => Next::Wait(Waiting::Final(mined.number)),
            Execution::Succeeded => Next::Collect(mined),
            Execution::Reverted => Next::Reverted,
        };
    }
    if view.nonce_final > order.nonce {
        return Next::Lost;
    }
    if view.nonce_latest > order.nonce {
        return Next::Wait(Waiting::OtherTransaction);
    }
    let since = order.attempts.last().map_or(0, |newest| newest.at_block);
    let overdue = view.latest.saturating_sub(since) >= patience;
    if overdue && order.attempts.len() < ATTEMPTS_MAX { Next::Raise } else { Next::Send }
}

#[cfg(test)]
mod tests {
    //! Goal: nothing is taken for final or for lost that is not, and no second nonce is used while the first may still count.
    //! Method: a table of views, and all small views under the rules that must hold.

    use super::super::journal::{Attempt, Purpose};
    use super::super::transaction::{Fees, Signed};
    use super::*;

    fn order(nonce: u64, at_block: u64) -> Order {
        let signed = Signed { raw: vec![2], hash: Hash32::ZERO };
        let attempt = Attempt { signed, fees: Fees { max_wei: 1, tip_wei: 1 }, at_block };
        Order { purpose: Purpose::Deploy, nonce, gas: 1, attempts: vec![attempt] }
    }

    fn mined(number: u64, outcome: Execution) -> Mined {
        Mined { block: Hash32::ZERO, number, transaction: 0, outcome }
    }

    const QUIET: View =
        View { finalized: 10, nonce_final: 5, nonce_latest: 5, latest: 74, mined: None };

    #[test]
    fn each_state_has_its_step() {
        let order = order(5, 70);
        let good = mined(10, Execution::Succeeded);
        for (view, wanted) in [
            (QUIET, Next::Send),
            (View { latest: 80, ..QUIET }, Next::Raise),
            (View { latest: 60, ..QUIET }, Next::Send),
            (View { nonce_latest: 6, ..QUIET }, Next::Wait(Waiting::OtherTransaction)),
            (View { nonce_latest: 6, nonce_final: 6, ..QUIET }, Next::Lost),
            (
                View { nonce_latest: 6, nonce_final: 6, mined: Some(good), ..QUIET },
                Next::Collect(good),
            ),
            (View { mined: Some(mined(10, Execution::Reverted)), ..QUIET }, Next::Reverted),
            (
                View { mined: Some(mined(11, Execution::Reverted)), ..QUIET },
                Next::Wait(Waiting::Final(11)),
            ),
            (
                View { mined: Some(mined(11, Execution::Succeeded)), ..QUIET },
                Next::Wait(Waiting::Final(11)),
            ),
        ] {
            assert_eq!(next(&order, &view, 10), wanted, "{view:?}");
        }
    }

    #[test]
    fn the_fee_is_not_raised_for_ever() {
        let mut order = order(5, 0);
        let attempt = order.attempts[0].clone();
        order.attempts = vec![attempt; ATTEMPTS_MAX];
        assert_eq!(next(&order, &QUIET, 10), Next::Send);
    }

    #[test]
    fn in_every_small_view_only_what_is_final_ends_an_order() {
        let (mut ended, order) = (0, order(1, 0));
        for bits in 0..3_u64.pow(4) * 4 {
            let digit = |place: u32| (bits / 4 / 3_u64.pow(place)) % 3;
            let outcome = if bits & 1 == 0 { Execution::Succeeded } else { Execution::Reverted };
            let mined = (bits & 2 == 2).then(|| mined(digit(3), outcome));
            let (finalized, nonce_final, nonce_latest) = (digit(0), digit(1), digit(2));
            let view = View { finalized, nonce_final, nonce_latest, latest: 2, mined };
            match next(&order, &view, 2) {
                Next::Collect(_) | Next::Reverted => {
                    assert!(mined.is_some_and(|mined| mined.number <= finalized), "{view:?}");
                    ended += 1;
                }
                Next::Lost => assert!(nonce_final > 1 && mined.is_none(), "{view:?}"),
                Next::Send | Next::Raise => {
                    assert!(mined.is_none() && nonce_final <= 1 && nonce_latest <= 1, "{view:?}");
                }
                Next::Wait(_) => assert!(mined.is_some() || nonce_latest > 1, "{view:?}"),
            }
        }
        assert!(ended > 0);
    }
}
