//! Goal: each rule matches exactly where its text says, and what is broken is never cleared.
//! Method: one small rule set per rule, tables of cases just below, at and above each edge; then
//! properties over random payments.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use proptest::prelude::*;
use tpw_core::{
    AccountId, Amount, DeviceId, Instant, Money, PaymentId, Reason, ReasonCode, Span, Verdict,
};
use tpw_screen::{Facts, Rules, Screen};

const NOW_MS: u64 = 1_763_806_500_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const BASE: &str = r#"
[thresholds]
step_up_at = 300
hold_at = 600
refuse_at = 900
[assets."USD/2"]
single_max = "1000000"
"#;

fn account(number: u8) -> AccountId {
    AccountId::from_bytes([number; 16])
}

/// Account 1 pays account 2; everything else is long known.
fn facts(at_ms: u64, minor: u128) -> Facts {
    let at = |ms| Instant::from_unix_ms(ms).unwrap();
    let long_ago = at(NOW_MS - 300 * DAY_MS);
    Facts {
        payment: PaymentId::from_bytes([9; 16]),
        payer: account(1),
        payee: account(2),
        money: Money { amount: Amount::from_minor(minor), asset: "USD/2".parse().unwrap() },
        device: DeviceId::from_bytes([8; 16]),
        device_enrolled: long_ago,
        payer_opened: long_ago,
        payee_opened: Some(long_ago),
        at: at(at_ms),
    }
}

fn back(facts: Facts) -> Facts {
    Facts { payer: facts.payee, payee: facts.payer, ..facts }
}

fn screen(more: &str) -> Screen {
    Screen::new(Rules::from_toml(&format!("{BASE}{more}")).unwrap())
}

fn default_screen() -> Screen {
    Screen::new(Rules::from_toml(Rules::default_toml()).unwrap())
}

fn money(facts: Facts, asset: &str, units: &str) -> Facts {
    let asset: tpw_core::Asset = asset.parse().unwrap();
    let amount = asset.parse_units(units).unwrap();
    Facts { money: Money { amount, asset }, ..facts }
}

/// Verdict and reasons as one line, for tables.
fn line(screen: &Screen, facts: &Facts) -> String {
    let decision = screen.decide(facts);
    assert_eq!(decision.rules, screen.rules().hash());
    let reasons = decision.reasons.iter().map(|r| format!(" {}={}", r.code, r.points));
    format!("{} {}{}", decision.verdict.code(), decision.score, reasons.collect::<String>())
}

fn check(screen: &Screen, cases: &[(Facts, &str)]) {
    for (facts, want) in cases {
        assert_eq!(line(screen, facts), *want, "{facts:?}");
    }
}

#[test]
fn an_ordinary_payment_is_clear() {
    check(&screen(""), &[(facts(NOW_MS, 1), "clear 0"), (facts(NOW_MS, 99_999_999), "clear 0")]);
}

#[test]
fn the_highest_amount_step_reached_counts() {
    let more = "amount = [{ from = \"20\", points = 400, verdict = \"hold\" }, \
                { from = \"10\", points = 5 }]";
    check(
        &screen(more),
        &[
            (facts(NOW_MS, 999), "clear 0"),
            (facts(NOW_MS, 1_000), "clear 5 amount_high=5"),
            (facts(NOW_MS, 1_999), "clear 5 amount_high=5"),
            (facts(NOW_MS, 2_000), "hold 400 amount_high=400"),
        ],
    );
}

#[test]
fn limits_are_the_largest_amounts_allowed() {
    let cases = [
        (facts(NOW_MS, 100_000_000), "clear 0"),
        (facts(NOW_MS, 100_000_001), "refuse 1000 asset_limit=1000"),
    ];
    check(&screen(""), &cases);

    let mut screen = screen("day_max = \"10\"");
    screen.observe(&facts(NOW_MS, 600));
    let edge_ms = NOW_MS + DAY_MS;
    let cases = [
        (facts(NOW_MS, 400), "clear 0"),
        (facts(NOW_MS, 401), "refuse 1000 account_limit=1000"),
        (facts(edge_ms - 1, 401), "refuse 1000 account_limit=1000"),
        (facts(edge_ms, 401), "clear 0"),
    ];
    check(&screen, &cases);
}

#[test]
fn an_account_may_have_limits_of_its_own() {
    let own = format!(
        "day_max = \"10\"\n[[limit]]\naccount = \"{}\"\nasset = \"USD/2\"\nsingle_max = \"3\"\n\
         day_max = \"5\"",
        account(1)
    );
    let mut screen = screen(&own);
    screen.observe(&facts(NOW_MS, 300));
    let cases = [
        (facts(NOW_MS, 200), "clear 0"),
        (facts(NOW_MS, 201), "refuse 1000 account_limit=1000"),
        (facts(NOW_MS + DAY_MS, 300), "clear 0"),
        (facts(NOW_MS + DAY_MS, 301), "refuse 1000 account_limit=1000"),
        (back(facts(NOW_MS, 1_000)), "clear 0"),
    ];
    check(&screen, &cases);
}

#[test]
fn counts_include_the_payment_at_hand_and_end_at_the_window() {
    for (window, code, length_ms) in [
        ("1m", "velocity_1m", 60_000),
        ("1h", "velocity_1h", HOUR_MS),
        ("24h", "velocity_24h", DAY_MS),
        ("30d", "velocity_30d", 30 * DAY_MS),
    ] {
        let rule = "count_step_up = 3\ncount_hold = 4\npoints = 10";
        let mut screen = screen(&format!("[[velocity]]\nwindow = \"{window}\"\n{rule}"));
        screen.observe(&facts(NOW_MS, 1));
        check(&screen, &[(facts(NOW_MS, 1), "clear 0")]);
        screen.observe(&facts(NOW_MS, 1));
        let third = format!("step_up 10 {code}=10");
        check(&screen, &[(facts(NOW_MS, 1), &third)]);
        screen.observe(&facts(NOW_MS + 1, 1));
        let fourth = format!("hold 10 {code}=10");
        let edge_ms = NOW_MS + length_ms;
        check(
            &screen,
            &[
                (facts(edge_ms - 1, 1), &fourth),
                (facts(edge_ms, 1), "clear 0"),
                (back(facts(NOW_MS + 1, 1)), "clear 0"),
                (money(facts(NOW_MS + 1, 1), "USD/2", "0.01"), &fourth),
            ],
        );
    }
}

#[test]
fn sums_include_the_payment_at_hand() {
    let rule = "[[velocity]]\nwindow = \"1h\"\nasset = \"USD/2\"\nsum_step_up = \"10\"\n\
                sum_hold = \"20\"\npoints = 20";
    let mut screen = screen(rule);
    screen.observe(&facts(NOW_MS, 600));
    let cases = [
        (facts(NOW_MS, 399), "clear 0"),
        (facts(NOW_MS, 400), "step_up 20 velocity_1h=20"),
        (facts(NOW_MS, 1_399), "step_up 20 velocity_1h=20"),
        (facts(NOW_MS, 1_400), "hold 20 velocity_1h=20"),
        (facts(NOW_MS + HOUR_MS, 999), "clear 0"),
    ];
    check(&screen, &cases);
}

#[test]
fn two_rules_of_one_window_are_one_reason() {
    let rule = "[[velocity]]\nwindow = \"1h\"\ncount_step_up = 1\npoints = 700\n";
    check(&screen(&rule.repeat(2)), &[(facts(NOW_MS, 1), "refuse 1000 velocity_1h=1000")]);
}

#[test]
fn a_payee_is_new_until_paid_and_again_after_30_days() {
    let mut screen = screen("new_payee = { from = \"10\", points = 7, verdict = \"step_up\" }");
    let new = "step_up 7 payee_new=7";
    check(&screen, &[(facts(NOW_MS, 999), "clear 0"), (facts(NOW_MS, 1_000), new)]);
    screen.observe(&facts(NOW_MS, 1));
    let other = Facts { payee: account(3), ..facts(NOW_MS, 1_000) };
    let edge_ms = NOW_MS + 30 * DAY_MS;
    let cases = [
        (facts(NOW_MS, 1_000), "clear 0"),
        (other, new),
        (back(facts(NOW_MS, 1_000)), new),
        (facts(edge_ms - 1, 1_000), "clear 0"),
        (facts(edge_ms, 1_000), new),
    ];
    check(&screen, &cases);
}

#[test]
fn the_512_payees_paid_last_are_known() {
    let mut screen = screen("new_payee = { from = \"10\", points = 7 }");
    let to = |n: u16| {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&n.swap_bytes().to_le_bytes());
        Facts { payee: AccountId::from_bytes(id), ..facts(NOW_MS + u64::from(n), 1_000) }
    };
    for n in 1..=513 {
        screen.observe(&to(n));
    }
    let later = |n| Facts { at: Instant::from_unix_ms(NOW_MS + 1_000).unwrap(), ..to(n) };
    let cases = [(later(1), "clear 7 payee_new=7"), (later(2), "clear 0"), (later(513), "clear 0")];
    check(&screen, &cases);
}

#[test]
fn a_device_is_new_for_a_while() {
    let screen = screen("[new_device]\nwithin = \"1h\"\npoints = 300");
    let enrolled = |before_ms: u64| Facts {
        device_enrolled: Instant::from_unix_ms(NOW_MS - before_ms).unwrap(),
        ..facts(NOW_MS, 1)
    };
    let new = "step_up 300 device_new=300";
    let cases = [(enrolled(0), new), (enrolled(HOUR_MS - 1), new), (enrolled(HOUR_MS), "clear 0")];
    check(&screen, &cases);
}

#[test]
fn a_round_trip_is_a_similar_amount_back_in_time() {
    let mut screen = screen("[round_trip]\nwithin = \"1h\"\ntolerance_percent = 5\npoints = 600\n");
    screen.observe(&facts(NOW_MS, 10_000));
    let trip = "hold 600 round_trip=600";
    let edge_ms = NOW_MS + HOUR_MS;
    let stranger = Facts { payee: account(3), ..back(facts(NOW_MS, 10_000)) };
    // 5 % of what goes back: 9524 gives 476, 10526 gives 526.
    let cases = [
        (back(facts(NOW_MS, 10_000)), trip),
        (back(facts(NOW_MS, 9_523)), "clear 0"),
        (back(facts(NOW_MS, 9_524)), trip),
        (back(facts(NOW_MS, 10_526)), trip),
        (back(facts(NOW_MS, 10_527)), "clear 0"),
        (back(facts(edge_ms - 1, 10_000)), trip),
        (back(facts(edge_ms, 10_000)), "clear 0"),
        (facts(NOW_MS, 10_000), "clear 0"),
        (stranger, "clear 0"),
    ];
    check(&screen, &cases);
}

#[test]
fn small_payments_in_between_hide_no_round_trip() {
    let mut screen = screen("[round_trip]\nwithin = \"1h\"\ntolerance_percent = 0\npoints = 1\n");
    screen.observe(&facts(NOW_MS, 10_000));
    for n in 0..127 {
        screen.observe(&Facts { payer: account(3 + n), ..facts(NOW_MS, 1) });
    }
    check(&screen, &[(back(facts(NOW_MS, 10_000)), "clear 1 round_trip=1")]);
    // The stated bound: the 128 newest incoming payments.
    screen.observe(&Facts { payer: account(200), ..facts(NOW_MS, 1) });
    check(&screen, &[(back(facts(NOW_MS, 10_000)), "clear 0")]);
}

#[test]
fn an_unusual_amount_is_a_multiple_of_the_mean() {
    let mut screen = screen("[unusual_amount]\nfactor = 3\ncount_min = 2\npoints = 1");
    screen.observe(&facts(NOW_MS, 100));
    check(&screen, &[(facts(NOW_MS, 10_000), "clear 0")]);
    screen.observe(&facts(NOW_MS, 101));
    // The mean is 100.5, three times that 301.5.
    let cases = [
        (facts(NOW_MS, 301), "clear 0"),
        (facts(NOW_MS, 302), "clear 1 amount_unusual=1"),
        (facts(NOW_MS + 30 * DAY_MS, 302), "clear 0"),
    ];
    check(&screen, &cases);
}

#[test]
fn blocked_accounts_neither_pay_nor_are_paid() {
    let listed = format!("block = [\"{}\"]\n{BASE}", account(2));
    let mut screen = Screen::new(Rules::from_toml(&listed).unwrap());
    let other = Facts { payee: account(3), ..facts(NOW_MS, 1) };
    let refused = "refuse 1000 block_list=1000";
    let cases =
        [(facts(NOW_MS, 1), refused), (back(facts(NOW_MS, 1)), refused), (other, "clear 0")];
    check(&screen, &cases);
    screen.block(account(3));
    check(&screen, &[(other, refused)]);
    screen.unblock(account(3));
    screen.unblock(account(2));
    check(&screen, &[(other, "clear 0"), (facts(NOW_MS, 1), refused)]);
    screen.set_rules(Rules::from_toml(BASE).unwrap());
    check(&screen, &[(facts(NOW_MS, 1), "clear 0")]);
}

#[test]
fn what_is_broken_is_refused() {
    let good = facts(NOW_MS, 1);
    let after = |ms| Instant::from_unix_ms(NOW_MS + ms).unwrap();
    let broken = "refuse 1000 input_broken=1000";
    let cases = [
        (Facts { device_enrolled: after(300_000), ..good }, "clear 0"),
        (Facts { device_enrolled: after(300_001), ..good }, broken),
        (Facts { payer_opened: after(0), ..good }, "clear 0"),
        (Facts { payer_opened: after(1), ..good }, broken),
        (Facts { payee_opened: Some(after(300_000)), ..good }, "clear 0"),
        (Facts { payee_opened: Some(after(300_001)), ..good }, broken),
        (Facts { payee_opened: None, ..good }, broken),
        (Facts { payee: good.payer, ..good }, broken),
        (facts(NOW_MS, 0), broken),
        (money(good, "EUR/2", "1"), broken),
        (money(good, "USD/3", "1"), broken),
    ];
    check(&screen(""), &cases);
}

#[test]
fn a_payment_far_before_the_payers_newest_is_refused() {
    let mut screen = screen("");
    screen.observe(&facts(NOW_MS, 1));
    let cases = [
        (facts(NOW_MS - 300_000, 1), "clear 0"),
        (facts(NOW_MS - 300_001, 1), "refuse 1000 input_broken=1000"),
    ];
    check(&screen, &cases);
}

#[test]
fn sums_beyond_128_bits_are_refused() {
    let broken = "refuse 1000 input_broken=1000";
    let mut high = screen("");
    high.observe(&facts(NOW_MS, u128::MAX - 5));
    check(&high, &[(facts(NOW_MS, 5), "clear 0"), (facts(NOW_MS, 6), broken)]);
    high.observe(&facts(NOW_MS, 100));
    check(&high, &[(facts(NOW_MS, 1), broken), (facts(NOW_MS + DAY_MS, 1), "clear 0")]);
    let mut mean = screen("[unusual_amount]\nfactor = 3\ncount_min = 1\npoints = 1");
    mean.observe(&facts(NOW_MS, u128::MAX / 2));
    check(&mean, &[(facts(NOW_MS + DAY_MS, 1), broken)]);
}

#[test]
fn thresholds_are_reached_at_their_value() {
    let with = |points: u16| screen(&format!("[new_device]\nwithin = \"30d\"\npoints = {points}"));
    let fresh = Facts { device_enrolled: facts(NOW_MS, 1).at, ..facts(NOW_MS, 1) };
    for (points, verdict) in [
        (299, Verdict::Clear),
        (300, Verdict::StepUp),
        (599, Verdict::StepUp),
        (600, Verdict::Hold),
        (899, Verdict::Hold),
        (900, Verdict::Refuse),
        (1000, Verdict::Refuse),
    ] {
        assert_eq!(with(points).decide(&fresh).verdict, verdict, "{points}");
    }
}

#[test]
fn reasons_are_sorted_by_points_then_code() {
    let more = "amount = [{ from = \"1\", points = 20 }]\n\
        new_payee = { from = \"1\", points = 30 }\n\
        [new_device]\nwithin = \"30d\"\npoints = 20\n\
        [[velocity]]\nwindow = \"1m\"\ncount_step_up = 1\npoints = 20";
    let fresh = Facts { device_enrolled: facts(NOW_MS, 1).at, ..facts(NOW_MS, 100) };
    let want = "step_up 90 payee_new=30 amount_high=20 velocity_1m=20 device_new=20";
    check(&screen(more), &[(fresh, want)]);
}

#[test]
fn the_default_rules_ask_more_of_larger_amounts() {
    let mut screen = default_screen();
    let at = facts(NOW_MS, 1);
    let verdict = |screen: &Screen, asset, units| screen.decide(&money(at, asset, units)).verdict;
    for (asset, steps) in [
        ("USD/2", ["999.99", "1000", "9999.99", "10000", "99999.99", "100000"]),
        ("CNY/2", ["6999.99", "7000", "69999.99", "70000", "699999.99", "700000"]),
        ("BTC/8", ["0.00999999", "0.01", "0.09999999", "0.1", "0.99999999", "1"]),
        ("ETH/18", ["0.299999999999999999", "0.3", "2.99", "3", "29.999999999999999999", "30"]),
    ] {
        let got = steps.map(|units| verdict(&screen, asset, units));
        let want = {
            use Verdict::{Clear, Hold, Refuse, StepUp};
            [Clear, StepUp, StepUp, Hold, Hold, Refuse]
        };
        assert_eq!(got, want, "{asset}");
    }
    screen.observe(&facts(NOW_MS, 1));
    assert_eq!(verdict(&screen, "USD/2", "9999.99"), Verdict::Clear);
}

/// A newly enrolled population pays each other small amounts within minutes, back and forth.
#[test]
fn the_default_rules_let_many_small_payments_through() {
    let mut screen = default_screen();
    for n in 0..1_500_u32 {
        let at_ms = NOW_MS + u64::from(n) * 20;
        let minor = 1_000 + u128::from(n * 7_919 % 58_000);
        let enrolled = Instant::from_unix_ms(NOW_MS).unwrap();
        let one = Facts {
            device_enrolled: enrolled,
            payer_opened: enrolled,
            payee_opened: Some(enrolled),
            payee: account(u8::try_from(n % 40).unwrap() + 2),
            ..facts(at_ms, minor)
        };
        for one in [one, back(one)] {
            let decision = screen.decide(&one);
            // The first payer's sum reaches the mark of the day at some point; until then all clear.
            let sum = Reason { code: ReasonCode::Velocity24h, points: 150 };
            assert!(decision.verdict == Verdict::Clear || decision.reasons.contains(&sum));
            assert!(n > 200 || decision.verdict == Verdict::Clear, "{n}: {decision:?}");
            screen.observe(&one);
        }
    }
}

#[test]
fn idle_accounts_are_forgotten_and_no_decision_changes() {
    let mut screen = default_screen();
    screen.observe(&facts(NOW_MS, 1));
    assert_eq!(screen.accounts(), 2);
    let edge = Instant::from_unix_ms(NOW_MS).unwrap().plus(Span::from_ms(30 * DAY_MS));
    screen.forget_idle(Instant::from_unix_ms(edge.unix_ms() - 1).unwrap());
    assert_eq!(screen.accounts(), 2);
    let probe = facts(edge.unix_ms(), 200_000);
    let before = screen.decide(&probe);
    screen.forget_idle(edge);
    assert_eq!((screen.accounts(), screen.decide(&probe)), (0, before));
}

prop_compose! {
    fn any_facts()(
        payer in 1_u8..5,
        payee in 1_u8..6,
        minor in prop_oneof![0_u128..2_000, 90_000_u128..1_100_000, 9_000_000_u128..11_000_000],
        step_ms in prop_oneof![0_u64..100, 0..HOUR_MS, 0..5 * DAY_MS],
        age_ms in prop_oneof![0..HOUR_MS, 0..40 * DAY_MS],
    ) -> (Facts, u64) {
        let device_enrolled = Instant::from_unix_ms(NOW_MS - age_ms).unwrap();
        let parties = (account(payer), account(payee));
        let base = facts(NOW_MS, minor);
        (Facts { payer: parties.0, payee: parties.1, device_enrolled, ..base }, step_ms)
    }
}

fn in_order(stream: Vec<(Facts, u64)>) -> Vec<Facts> {
    let mut now_ms = NOW_MS;
    let place = |(facts, step_ms)| {
        now_ms += step_ms;
        Facts { at: Instant::from_unix_ms(now_ms).unwrap(), ..facts }
    };
    stream.into_iter().map(place).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn decisions_change_nothing_and_replay_gives_the_same_state(
        stream in proptest::collection::vec(any_facts(), 1..120),
    ) {
        let (mut asked, mut silent) = (default_screen(), default_screen());
        let stream = in_order(stream);
        for facts in &stream {
            let first = asked.decide(facts);
            prop_assert_eq!(&asked.decide(facts), &first);
            prop_assert_eq!(&silent.decide(facts), &first);
            asked.observe(facts);
            let _ = asked.decide(&back(*facts));
            silent.observe(facts);
        }
        // What is rebuilt from the last 30 days decides alike.
        let last = stream.last().unwrap();
        let mut rebuilt = default_screen();
        let fresh = |f: &&Facts| last.at.since(f.at).as_ms() < 30 * DAY_MS;
        stream.iter().filter(fresh).for_each(|facts| rebuilt.observe(facts));
        prop_assert_eq!(rebuilt.decide(last), asked.decide(last));
    }

    #[test]
    fn decisions_are_well_formed(stream in proptest::collection::vec(any_facts(), 1..120)) {
        let mut screen = default_screen();
        for facts in in_order(stream) {
            let decision = screen.decide(&facts);
            prop_assert!(decision.score <= 1000 && decision.reasons.len() <= 16);
            let sum: u32 = decision.reasons.iter().map(|r| u32::from(r.points)).sum();
            prop_assert_eq!(u32::from(decision.score), sum.min(1000));
            let order = |r: &Reason| (core::cmp::Reverse(r.points), r.code.number());
            prop_assert!(decision.reasons.is_sorted_by_key(order));
            let broken = facts.money.amount.is_zero() || facts.payer == facts.payee;
            prop_assert!(!broken || decision.verdict == Verdict::Refuse);
            prop_assert!(decision.verdict == Verdict::Clear || !decision.reasons.is_empty());
            if !broken {
                screen.observe(&facts);
            }
        }
    }

    #[test]
    fn more_points_never_lower_the_verdict(
        stream in proptest::collection::vec(any_facts(), 1..60),
        place in 0_usize..20,
        more in 1_u16..900,
    ) {
        let text = Rules::default_toml();
        let spots: Vec<_> = text.match_indices("points = ").map(|(start, _)| start + 9).collect();
        let start = spots[place % spots.len()];
        let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
        let points: u16 = text[start..start + digits].parse().unwrap();
        let raised = (points + more).min(1000);
        let raised = format!("{}{raised}{}", &text[..start], &text[start + digits..]);
        let mut low = default_screen();
        let mut high = Screen::new(Rules::from_toml(&raised).unwrap());
        for facts in in_order(stream) {
            let (before, after) = (low.decide(&facts), high.decide(&facts));
            prop_assert!(after.verdict >= before.verdict && after.score >= before.score);
            low.observe(&facts);
            high.observe(&facts);
        }
    }
}
