//! Prints how long a decision and an observation take, for quiet and for very active accounts.
//!
//! Run with `cargo run --release -p tpw-screen --example speed`.
#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::time::Instant as Clock;

use tpw_core::{AccountId, Amount, DeviceId, Instant, Money, PaymentId};
use tpw_screen::{Facts, Rules, Screen};

const START_MS: u64 = 1_763_806_500_000;

fn account(number: u64) -> AccountId {
    AccountId::from_bytes(u128::from(number).to_be_bytes())
}

fn facts(number: u64, accounts: u64, step_ms: u64) -> Option<Facts> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let opened = Instant::from_unix_ms(START_MS)?;
    Some(Facts {
        payment: PaymentId::from_bytes([1; 16]),
        payer: account(number.checked_rem(accounts)?),
        payee: account(mixed.checked_rem(1_000)?.saturating_add(accounts)),
        money: Money {
            amount: Amount::from_minor(u128::from(mixed & 0xffff).saturating_add(1)),
            asset: "USD/2".parse().ok()?,
        },
        device: DeviceId::from_bytes([2; 16]),
        device_enrolled: opened,
        payer_opened: opened,
        payee_opened: Some(opened),
        at: Instant::from_unix_ms(START_MS.saturating_add(number.saturating_mul(step_ms)))?,
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (what, payments, accounts, step_ms) in [
        ("20,000 quiet accounts", 400_000, 20_000, 2),
        ("10 very active accounts", 400_000, 10, 5_000),
    ] {
        let mut screen = Screen::new(Rules::from_toml(Rules::default_toml())?);
        let all: Vec<_> = (0..payments).filter_map(|n| facts(n, accounts, step_ms)).collect();
        let (mut deciding_ns, mut observing_ns, mut score) = (0_u128, 0_u128, 0_u64);
        for one in &all {
            let start = Clock::now();
            let decision = screen.decide(one);
            let middle = Clock::now();
            screen.observe(one);
            observing_ns = observing_ns.saturating_add(middle.elapsed().as_nanos());
            deciding_ns =
                deciding_ns.saturating_add(middle.saturating_duration_since(start).as_nanos());
            score = score.saturating_add(u64::from(decision.score));
        }
        let count = u128::try_from(all.len())?.max(1);
        println!(
            "{what}: decide {} ns, observe {} ns, mean score {}",
            deciding_ns / count,
            observing_ns / count,
            u128::from(score) / count
        );
    }
    Ok(())
}
