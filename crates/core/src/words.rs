//! Amounts in words, as a paper receipt has them beside the figures: an amount that is written twice is harder to change.
//!
//! Chinese follows the People's Bank of China, Payment and Settlement Measures (1997), annex 1. Where it leaves a choice (a
//! zero before jiao, whole jiao with or without `整`), one form is written always, so that one amount has one text.

use crate::money::Money;

const DIGITS: [char; 10] = ['零', '壹', '贰', '叁', '肆', '伍', '陆', '柒', '捌', '玖'];
/// 10^8. What is above it is written before it by the same rules: 万亿, 亿亿.
const YI: u128 = 100_000_000;
/// 10^4.
const WAN: u128 = 10_000;

/// Assets whose unit is a 元 with 角 and 分, and what is written before the number.
const YUAN: [(&str, &str); 11] = [
    ("CNY", "人民币"),
    ("HKD", "港元"),
    ("MOP", "澳门元"),
    ("TWD", "新台币"),
    ("USD", "美元"),
    ("SGD", "新加坡元"),
    ("AUD", "澳大利亚元"),
    ("CAD", "加拿大元"),
    ("NZD", "新西兰元"),
    ("JPY", "日元"),
    ("KRW", "韩元"),
];
/// 角 and 分 are all the parts that a 元 has.
const YUAN_SCALE_MAX: u8 = 2;

/// The amount in formal Chinese numerals: `人民币壹佰贰拾叁元肆角伍分`.
///
/// An asset without 元, 角 and 分 is written with its code and a point: `BTC 壹点零伍`.
#[must_use]
pub fn formal_chinese(money: Money) -> String {
    let (whole, decimals) = split(money);
    let name = YUAN.iter().find(|(code, _)| *code == money.asset.code());
    match name {
        Some((_, name)) if money.asset.scale() <= YUAN_SCALE_MAX => {
            format!("{name}{}", yuan(whole, &decimals))
        }
        _ => format!("{} {}", money.asset.code(), with_point(whole, &decimals)),
    }
}

/// The amount in English, as on a cheque: `one hundred twenty-three and 45/100 USD`.
///
/// An asset with more than two decimals is written with a point: `one point zero five BTC`.
#[must_use]
pub fn english(money: Money) -> String {
    let (whole, decimals) = split(money);
    let code = money.asset.code();
    let number = english_whole(whole);
    if money.asset.scale() <= 2 {
        return match decimals.len() {
            0 => format!("{number} {code}"),
            n => format!("{number} and {}/1{} {code}", text_of(&decimals), "0".repeat(n)),
        };
    }
    let decimals = without_end_zeros(&decimals);
    let names: Vec<&str> =
        decimals.iter().map(|digit| ONES.get(usize::from(*digit)).copied().unwrap_or("")).collect();
    if names.is_empty() {
        return format!("{number} {code}");
    }
    format!("{number} point {} {code}", names.join(" "))
}

/// Whole units, and each decimal that the asset has.
fn split(money: Money) -> (u128, Vec<u8>) {
    let text = money.asset.format_units(money.amount);
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, ""));
    (whole.parse().unwrap_or(0), decimals.bytes().map(|byte| byte.saturating_sub(b'0')).collect())
}

fn text_of(digits: &[u8]) -> String {
    digits.iter().map(ToString::to_string).collect()
}

fn without_end_zeros(digits: &[u8]) -> &[u8] {
    let end = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last.saturating_add(1));
    digits.get(..end).unwrap_or(digits)
}

fn digit(value: u8) -> char {
    DIGITS.get(usize::from(value)).copied().unwrap_or('零')
}

fn yuan(whole: u128, decimals: &[u8]) -> String {
    let (jiao, fen) =
        (decimals.first().copied().unwrap_or(0), decimals.get(1).copied().unwrap_or(0));
    if (jiao, fen) == (0, 0) {
        return format!("{}元整", chinese_whole(whole));
    }
    let mut text = if whole == 0 { String::new() } else { format!("{}元", chinese_whole(whole)) };
    match (jiao, fen) {
        (0, fen) if whole == 0 => text.extend([digit(fen), '分']),
        // Annex 1, 二(四): jiao is zero and fen is not, so 零 stands after 元.
        (0, fen) => text.extend(['零', digit(fen), '分']),
        (jiao, 0) => text.extend([digit(jiao), '角', '整']),
        (jiao, fen) => text.extend([digit(jiao), '角', digit(fen), '分']),
    }
    text
}

fn with_point(whole: u128, decimals: &[u8]) -> String {
    let decimals = without_end_zeros(decimals);
    if decimals.is_empty() {
        return format!("{}整", chinese_whole(whole));
    }
    let after: String = decimals.iter().map(|value| digit(*value)).collect();
    format!("{}点{after}", chinese_whole(whole))
}

/// A whole number. 零 stands where digits are left out between others, once however many there are (annex 1, 二(一) to (三)).
fn chinese_whole(value: u128) -> String {
    match value {
        0 => "零".to_owned(),
        1..WAN => four_digits(value),
        WAN..YI => joined(value / WAN, '万', value % WAN, WAN),
        _ => joined(value / YI, '亿', value % YI, YI),
    }
}

/// `high` units and the `low` rest, which fills the unit's digits unless a zero stands first.
fn joined(high: u128, unit: char, low: u128, unit_size: u128) -> String {
    let mut text = format!("{}{unit}", chinese_whole(high));
    if low == 0 {
        return text;
    }
    if low < unit_size / 10 {
        text.push('零');
    }
    text.push_str(&chinese_whole(low));
    text
}

/// 1 to 9999. Ten is 壹拾 and not 拾: nothing can be written before it (annex 1, 一).
fn four_digits(value: u128) -> String {
    let mut text = String::new();
    let mut gap = false;
    for (size, unit) in [(1000, Some('仟')), (100, Some('佰')), (10, Some('拾')), (1, None)] {
        let here = u8::try_from(value.checked_div(size).unwrap_or(0) % 10).unwrap_or(0);
        if here == 0 {
            gap = true;
            continue;
        }
        if gap && !text.is_empty() {
            text.push('零');
        }
        gap = false;
        text.push(digit(here));
        text.extend(unit);
    }
    text
}

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
/// Names of the powers of a thousand; 2^128 is 340 undecillion.
const THOUSANDS: [&str; 13] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
    "undecillion",
];

fn english_whole(value: u128) -> String {
    if value == 0 {
        return "zero".to_owned();
    }
    let mut parts = Vec::new();
    let mut rest = value;
    for name in THOUSANDS {
        let group = usize::try_from(rest % 1000).unwrap_or(0);
        rest /= 1000;
        if group > 0 {
            parts.push(format!("{} {name}", english_group(group)).trim_end().to_owned());
        }
    }
    parts.reverse();
    parts.join(" ")
}

/// 1 to 999.
fn english_group(value: usize) -> String {
    let name = |names: &[&'static str], place: usize| names.get(place).copied().unwrap_or("");
    let (hundreds, below) = (value / 100, value % 100);
    let small = match below {
        0 => String::new(),
        1..20 => name(&ONES, below).to_owned(),
        _ if below % 10 == 0 => name(&TENS, below / 10).to_owned(),
        _ => format!("{}-{}", name(&TENS, below / 10), name(&ONES, below % 10)),
    };
    match hundreds {
        0 => small,
        _ => format!("{} hundred {small}", name(&ONES, hundreds)).trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    //! Goal: each amount has one text in words, by the rules of paper receipts, and no two amounts of an asset share one.
    //! Method: a table that was written by hand from the rules and their examples; then a reader of its own, which knows only
    //! what each character is worth, must get every amount back.

    use super::*;
    use crate::money::{Amount, Asset};
    use proptest::prelude::*;

    fn money(units: &str, asset: &str) -> Money {
        let asset: Asset = asset.parse().unwrap();
        Money { amount: asset.parse_units(units).unwrap(), asset }
    }

    #[test]
    fn formal_chinese_by_the_rules() {
        for (units, asset, text) in [
            // The examples of the annex.
            ("1409.50", "CNY/2", "人民币壹仟肆佰零玖元伍角整"),
            ("6007.14", "CNY/2", "人民币陆仟零柒元壹角肆分"),
            ("1680.32", "CNY/2", "人民币壹仟陆佰捌拾元叁角贰分"),
            ("107000.53", "CNY/2", "人民币壹拾万柒仟元伍角叁分"),
            ("16409.02", "CNY/2", "人民币壹万陆仟肆佰零玖元零贰分"),
            ("325.04", "CNY/2", "人民币叁佰贰拾伍元零肆分"),
            // Nothing, and parts of a unit.
            ("0", "CNY/2", "人民币零元整"),
            ("0.01", "CNY/2", "人民币壹分"),
            ("0.10", "CNY/2", "人民币壹角整"),
            ("0.35", "CNY/2", "人民币叁角伍分"),
            // Ends in 元, 角 or 分.
            ("123", "CNY/2", "人民币壹佰贰拾叁元整"),
            ("123.40", "CNY/2", "人民币壹佰贰拾叁元肆角整"),
            ("123.45", "CNY/2", "人民币壹佰贰拾叁元肆角伍分"),
            ("1.05", "CNY/2", "人民币壹元零伍分"),
            ("10.05", "CNY/2", "人民币壹拾元零伍分"),
            // Zeros inside four digits, at their end, and several of them.
            ("10", "CNY/2", "人民币壹拾元整"),
            ("11", "CNY/2", "人民币壹拾壹元整"),
            ("100", "CNY/2", "人民币壹佰元整"),
            ("101", "CNY/2", "人民币壹佰零壹元整"),
            ("110", "CNY/2", "人民币壹佰壹拾元整"),
            ("1001", "CNY/2", "人民币壹仟零壹元整"),
            ("1010", "CNY/2", "人民币壹仟零壹拾元整"),
            ("1100", "CNY/2", "人民币壹仟壹佰元整"),
            // Over 万.
            ("10000", "CNY/2", "人民币壹万元整"),
            ("10001", "CNY/2", "人民币壹万零壹元整"),
            ("10010", "CNY/2", "人民币壹万零壹拾元整"),
            ("10100", "CNY/2", "人民币壹万零壹佰元整"),
            ("11000", "CNY/2", "人民币壹万壹仟元整"),
            ("100000", "CNY/2", "人民币壹拾万元整"),
            ("1000000", "CNY/2", "人民币壹佰万元整"),
            ("1010101", "CNY/2", "人民币壹佰零壹万零壹佰零壹元整"),
            ("10000000", "CNY/2", "人民币壹仟万元整"),
            ("10020300.40", "CNY/2", "人民币壹仟零贰万零叁佰元肆角整"),
            // Over 亿, with groups left out.
            ("100000000", "CNY/2", "人民币壹亿元整"),
            ("100000001", "CNY/2", "人民币壹亿零壹元整"),
            ("100010000", "CNY/2", "人民币壹亿零壹万元整"),
            ("110000000", "CNY/2", "人民币壹亿壹仟万元整"),
            ("1050000000", "CNY/2", "人民币壹拾亿伍仟万元整"),
            ("100001000.01", "CNY/2", "人民币壹亿零壹仟元零壹分"),
            ("123456789.12", "CNY/2", "人民币壹亿贰仟叁佰肆拾伍万陆仟柒佰捌拾玖元壹角贰分"),
            ("1000000000000", "CNY/2", "人民币壹万亿元整"),
            ("1000000000001", "CNY/2", "人民币壹万亿零壹元整"),
            ("1000100000000", "CNY/2", "人民币壹万零壹亿元整"),
            ("10000000000000000", "CNY/2", "人民币壹亿亿元整"),
            // Fewer or no parts of a unit.
            ("12", "CNY/0", "人民币壹拾贰元整"),
            ("12.3", "CNY/1", "人民币壹拾贰元叁角整"),
            ("12345", "JPY/0", "日元壹万贰仟叁佰肆拾伍元整"),
            ("0", "JPY/0", "日元零元整"),
            // Other currencies and assets.
            ("123.45", "USD/2", "美元壹佰贰拾叁元肆角伍分"),
            ("0.05", "HKD/2", "港元伍分"),
            ("123.45", "EUR/2", "EUR 壹佰贰拾叁点肆伍"),
            ("123", "EUR/2", "EUR 壹佰贰拾叁整"),
            ("1.05", "BTC/8", "BTC 壹点零伍"),
            ("0.00000001", "BTC/8", "BTC 零点零零零零零零零壹"),
            ("0", "ETH/18", "ETH 零整"),
            ("1.234", "CNY/3", "CNY 壹点贰叁肆"),
        ] {
            assert_eq!(formal_chinese(money(units, asset)), text, "{units} {asset}");
        }
    }

    #[test]
    fn english_as_on_a_cheque() {
        for (units, asset, text) in [
            ("0", "USD/2", "zero and 00/100 USD"),
            ("0.05", "USD/2", "zero and 05/100 USD"),
            ("123.45", "USD/2", "one hundred twenty-three and 45/100 USD"),
            ("1000", "JPY/0", "one thousand JPY"),
            ("12.3", "TND/1", "twelve and 3/10 TND"),
            ("1000001", "EUR/2", "one million one and 00/100 EUR"),
            ("19", "USD/0", "nineteen USD"),
            ("20", "USD/0", "twenty USD"),
            ("90100", "USD/0", "ninety thousand one hundred USD"),
            ("1.05", "BTC/8", "one point zero five BTC"),
            ("2", "BTC/8", "two BTC"),
        ] {
            assert_eq!(english(money(units, asset)), text, "{units} {asset}");
        }
        let most = Money { amount: Amount::MAX, asset: "JPY/0".parse().unwrap() };
        assert!(english(most).starts_with("three hundred forty undecillion two hundred"));
    }

    /// What a whole number's characters are worth, read from the right: the last 亿, then the last 万, then four digits.
    fn read_whole(text: &str) -> u128 {
        for (unit, size) in [('亿', YI), ('万', WAN)] {
            if let Some((high, low)) = text.rsplit_once(unit) {
                return read_whole(high) * size + read_whole(low);
            }
        }
        let mut sum = 0;
        let mut digit = 0;
        for c in text.chars() {
            let size = match c {
                '仟' => 1000,
                '佰' => 100,
                '拾' => 10,
                _ => {
                    digit = DIGITS.iter().position(|d| *d == c).unwrap() as u128;
                    continue;
                }
            };
            sum += digit * size;
            digit = 0;
        }
        sum + digit
    }

    fn read(text: &str, asset: Asset) -> u128 {
        let digit = |c: char| DIGITS.iter().position(|d| *d == c).unwrap().to_string();
        let text = text.strip_suffix('整').unwrap_or(text);
        let scale = usize::from(asset.scale());
        let (whole, decimals) = if let Some(rest) = text.strip_prefix(&format!("{} ", asset.code()))
        {
            let (whole, decimals) = rest.split_once('点').unwrap_or((rest, ""));
            (read_whole(whole), decimals.chars().map(digit).collect::<String>())
        } else {
            let name = YUAN.iter().find(|(code, _)| *code == asset.code()).unwrap().1;
            let rest = text.strip_prefix(name).unwrap();
            let (whole, parts) = rest.split_once('元').unwrap_or(("零", rest));
            let part = |unit: char| {
                let before = parts.split_once(unit).and_then(|(before, _)| before.chars().last());
                before.map_or("0".to_owned(), digit)
            };
            (read_whole(whole), format!("{}{}", part('角'), part('分')))
        };
        let digits = format!("{decimals:0<scale$}");
        format!("{whole}{}", &digits[..scale]).parse().unwrap()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            minor in prop_oneof![any::<u128>(), 0..1_000_000_u128, any::<u64>().prop_map(u128::from)],
            zeros in 0_u32..20,
            asset in prop_oneof![
                Just("CNY/2"), Just("USD/2"), Just("JPY/0"), Just("CNY/1"), Just("EUR/2"), Just("ETH/18"), Just("CNY/3"),
            ],
        ) {
            let asset: Asset = asset.parse().unwrap();
            // Numbers with many zeros are where mistakes are.
            let minor = minor / 10_u128.pow(zeros) * 10_u128.pow(zeros);
            let text = formal_chinese(Money { amount: Amount::from_minor(minor), asset });
            prop_assert_eq!(read(&text, asset), minor, "{}", text);
            prop_assert!(!text.contains("零零") || text.contains('点'), "{}", text);
            prop_assert!(!text.contains("零万") && !text.contains("零亿") && !text.contains("拾零元"), "{}", text);
        }
    }
}
