//! Goal: a rule set is read whole or not at all, its errors say what to do, and its hash stands for
//! its meaning. Method: the default text is changed in one place at a time; errors are compared
//! whole with a snapshot in this file.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::collections::BTreeSet;

use tpw_screen::Rules;

const SMALL: &str = r#"
thresholds = { step_up_at = 300, hold_at = 600, refuse_at = 900 }
assets."USD/2" = { single_max = "100" }
"#;

fn error(text: &str) -> String {
    Rules::from_toml(text).unwrap_err().to_string()
}

#[test]
fn the_default_rules_are_good() {
    let rules = Rules::from_toml(Rules::default_toml()).unwrap();
    assert!(rules.canonical().starts_with("tpw screen rules 1\nthresholds 300 600 900\n"));
    assert!(
        rules.canonical().contains("\nasset ETH/18 29999999999999999999 150000000000000000000\n")
    );
}

#[test]
fn the_canonical_form_is_fixed() {
    let text = format!(
        "{SMALL}{}",
        r#"
        block = ["acc_01h455vb4pex5vsknk084sn02q"]
        [[velocity]]
        window = "24h"
        asset = "USD/2"
        count_hold = 9
        sum_step_up = "12.5"
        points = 7
        [[limit]]
        account = "acc_01h455vb4pex5vsknk084sn02q"
        asset = "USD/2"
        day_max = "3"
        [new_device]
        within = "90s"
        points = 1
        [round_trip]
        within = "15m"
        tolerance_percent = 2
        points = 3
        verdict = "hold"
        [unusual_amount]
        factor = 4
        count_min = 5
        points = 6
        "#
    );
    // `block` would belong to the table before it, so it goes to the top.
    let block = "block = [\"acc_01h455vb4pex5vsknk084sn02q\"]";
    let text = format!("{block}\n{}", text.replace(block, ""));
    let want = "tpw screen rules 1\n\
        thresholds 300 600 900\n\
        asset USD/2 10000 -\n\
        limit acc_01h455vb4pex5vsknk084sn02q USD/2 - 300\n\
        velocity 24h USD/2 - 9 1250 - 7\n\
        new_device 90000 1 clear\n\
        round_trip 900000 2 3 hold\n\
        unusual 4 5 6 clear\n\
        block acc_01h455vb4pex5vsknk084sn02q\n";
    assert_eq!(Rules::from_toml(&text).unwrap().canonical(), want);
}

#[test]
fn comments_order_and_spacing_do_not_change_the_hash() {
    let one = format!(
        "{SMALL}\nvelocity = [{{ window = \"1m\", count_hold = 2, points = 1 }}, \
        {{ window = \"1h\", count_hold = 3, points = 1 }}]"
    );
    let other = r#"
        # a comment
        [assets]
        "USD/2".single_max = "100.00"
        [[velocity]]
        points = 1
        window = "1h"
        count_hold = 3
        [[velocity]]
        window = "1m"
        points = 1
        count_hold = 2
        [thresholds]
        refuse_at = 900
        hold_at = 600
        step_up_at = 300
        "#;
    let hash = |text| Rules::from_toml(text).unwrap().hash();
    assert_eq!(hash(&one), hash(other));
}

/// Each line of the default text that sets something, changed: every change gives its own hash.
#[test]
fn any_change_of_a_rule_changes_the_hash() {
    let text = Rules::default_toml();
    let lines: Vec<&str> = text.lines().collect();
    let mut hashes = BTreeSet::from([Rules::from_toml(text).unwrap().hash()]);
    let mut changes = 0;
    for (place, line) in lines.iter().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        for (from, to) in [
            ("points = 5", "points = 6"),
            ("points = 1", "points = 2"),
            ("points = 2", "points = 3"),
            ("points = 4", "points = 5"),
            ("points = 8", "points = 9"),
            ("verdict = \"hold\"", "verdict = \"refuse\""),
            ("verdict = \"step_up\"", "verdict = \"hold\""),
            ("from = \"", "from = \"1"),
            ("_max = \"", "_max = \"1"),
            ("sum_step_up = \"", "sum_step_up = \"1"),
            ("sum_hold = \"", "sum_hold = \"1"),
            ("count_step_up = ", "count_step_up = 1"),
            ("count_hold = ", "count_hold = 1"),
            ("window = \"24h\"", "window = \"30d\""),
            ("window = \"1m\"", "window = \"30d\""),
            ("asset = \"", "#asset = \""),
            ("within = \"24h\"", "within = \"23h\""),
            ("tolerance_percent = 5", "tolerance_percent = 6"),
            ("factor = 10", "factor = 11"),
            ("count_min = 5", "count_min = 6"),
            ("step_up_at = 3", "step_up_at = 4"),
            ("hold_at = 6", "hold_at = 7"),
            ("refuse_at = 9", "refuse_at = 8"),
            ("block = []", "block = [\"acc_01h455vb4pex5vsknk084sn02q\"]"),
        ] {
            if !line.contains(from) {
                continue;
            }
            let mut changed: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
            changed[place] = line.replace(from, to);
            let changed = changed.join("\n");
            // Sums need their asset: that change is an error, not another rule set.
            if to.starts_with("#asset") {
                assert!(error(&changed).starts_with("`velocity["), "{line}");
                continue;
            }
            let rules = Rules::from_toml(&changed).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert!(hashes.insert(rules.hash()), "`{line}` changed to `{to}` keeps a hash");
            changes += 1;
        }
    }
    assert!(changes > 50, "only {changes} changes were tried");
}

#[test]
fn removing_a_table_changes_the_hash() {
    let text = Rules::default_toml();
    let whole = Rules::from_toml(text).unwrap().hash();
    for table in ["[new_device]", "[round_trip]", "[unusual_amount]", "[assets.\"ETH/18\"]"] {
        let (before, after) = text.split_once(table).unwrap();
        let rest = after.find("\n\n").map_or("", |end| &after[end..]);
        assert_ne!(Rules::from_toml(&format!("{before}{rest}")).unwrap().hash(), whole, "{table}");
    }
}

fn check_errors(cases: &[(String, &str)]) {
    for (text, want) in cases {
        // Dotted keys cannot add to an inline table; the cases that do so get it as a header.
        let text = text.replace(
            "assets.\"USD/2\" = { single_max = \"100\" }\nassets",
            "assets.\"USD/2\".single_max = \"100\"\nassets",
        );
        assert_eq!(error(&text), *want, "{text}");
    }
}

#[test]
fn errors_name_the_key_and_what_to_write() {
    let with = |more: &str| format!("{SMALL}{more}");
    let cases = [
        (
            String::new(),
            "`thresholds` is missing: write a table with `step_up_at`, `hold_at`, `refuse_at`",
        ),
        (
            "thresholds = { step_up_at = 1, hold_at = 2, refuse_at = 3 }".to_owned(),
            "`assets` is missing: write a table for each asset, such as [assets.\"USD/2\"]",
        ),
        (
            with("blok = []"),
            "`blok` is no known key: remove it or use one of `thresholds`, `assets`, `limit`, \
             `velocity`, `new_device`, `round_trip`, `unusual_amount`, `block`",
        ),
        (
            with("assets.\"USD/2\".singel_max = \"1\""),
            "`assets.\"USD/2\".singel_max` is no known key: remove it or use one of `single_max`, \
             `day_max`, `amount`, `new_payee`",
        ),
        (
            SMALL.replace("USD/2", "usd"),
            "`assets.usd` is no asset: write a code and a scale such as \"USD/2\" or \"ETH/18\"",
        ),
        (
            SMALL.replace("\"100\"", "100"),
            "`assets.\"USD/2\".single_max` is `100`: write an amount above zero in USD as text \
             with at most 2 decimals, such as \"1000\"",
        ),
        (
            SMALL.replace("\"100\"", "\"0.001\""),
            "`assets.\"USD/2\".single_max` is `0.001`: write an amount above zero in USD as text \
             with at most 2 decimals, such as \"1000\"",
        ),
        (
            SMALL.replace("hold_at = 600", "hold_at = 299"),
            "`thresholds.hold_at` is `299`: write a whole number from 300 to 1000",
        ),
    ];
    check_errors(&cases);
}

#[test]
fn errors_of_single_rules_name_the_key_and_what_to_write() {
    let with = |more: &str| format!("{SMALL}{more}");
    let cases = [
        (
            with("new_device = { within = \"31d\", points = 1 }"),
            "`new_device.within` is `31d`: write a time of at most 30 days such as \"90s\", \
             \"15m\", \"24h\" or \"7d\"",
        ),
        (
            with("new_device = { within = \"1h\", points = 1001 }"),
            "`new_device.points` is `1001`: write a whole number from 0 to 1000",
        ),
        (
            with("new_device = { within = \"1h\", points = 1, verdict = \"clear\" }"),
            "`new_device.verdict` is `clear`: write \"step_up\", \"hold\" or \"refuse\", or leave \
             it out",
        ),
        (
            with("velocity = [{ window = \"2h\", points = 1 }]"),
            "`velocity[0].window` is `2h`: write \"1m\", \"1h\", \"24h\" or \"30d\"",
        ),
        (
            with("velocity = [{ window = \"1h\", points = 1 }]"),
            "`velocity[0].count_step_up` is missing: write at least one of `count_step_up`, \
             `count_hold`, `sum_step_up`, `sum_hold`",
        ),
        (
            with("velocity = [{ window = \"1h\", sum_hold = \"1\", points = 1 }]"),
            "`velocity[0].asset` is missing: write the asset that `sum_hold` is in, such as \
             \"USD/2\"",
        ),
        (with("velocity = 5"), "`velocity` is `5`: write tables headed [[velocity]]"),
        (
            with("block = [\"pay_01h455vb4pex5vsknk084sn02q\"]"),
            "`block[0]` is `pay_01h455vb4pex5vsknk084sn02q`: write an account id (acc_...)",
        ),
        (
            with(
                "assets.\"USD/2\".amount = [{ from = \"1\", points = 1 }, { from = \"1\", points = 2 }]",
            ),
            "`assets.\"USD/2\".amount` is a list in which two steps have the same `from`: write \
             each `from` once",
        ),
        (
            with("limit = [{ account = \"acc_01h455vb4pex5vsknk084sn02q\", asset = \"USD/2\" }]"),
            "`limit[0].single_max` is missing: write `single_max` or `day_max` or both",
        ),
    ];
    check_errors(&cases);
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    assert!(error("block = []\nthresholds = {").starts_with("the rules are no TOML: line 2: "));
    assert!(error(&format!("{SMALL}{SMALL}")).contains("line 5: duplicate key"));
}

/// Spans with signs, spaces, no digits, no unit, zero, or beyond 64 bits.
#[test]
fn odd_times_are_refused() {
    for odd in ["", "h", "5", "-1h", "+1h", "1 h", "0h", "1.5h", "18446744073709551615d", "1天"] {
        let text = format!("{SMALL}new_device = {{ within = \"{odd}\", points = 1 }}");
        assert!(error(&text).starts_with("`new_device.within` is "), "{odd}");
    }
}
