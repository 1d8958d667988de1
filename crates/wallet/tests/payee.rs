//! Goal: a name that is made to look like a known one is found out, and honest names are left alone.
//! Method: a table: the known name, the name that is paid, the doubt. Cases that UTS #39 decides are from its confusables and script
//! data; Chinese ones are pairs that differ by a stroke.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

use tpw_core::{AccountId, Name};
use tpw_wallet::payee::{NameDoubt, Payee, Payees};

fn account(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

fn book(name: &str) -> Payees {
    let mut payees = Payees::default();
    payees.name(Payee { name: Name::new(name).unwrap(), account: account(1) }).unwrap();
    payees
}

/// The codes of the doubts, with a comma between them.
fn doubts(known: &str, paid: &str, to: AccountId) -> String {
    let found = book(known).doubts(&Name::new(paid).unwrap(), to);
    found.iter().map(NameDoubt::code).collect::<Vec<_>>().join(",")
}

/// Known name, name paid under another account, doubts.
const TABLE: &[(&str, &str, &str)] = &[
    // Letters of other scripts with the same picture.
    ("PayPal", "P\u{430}yPal", "name_mixed_scripts,name_looks_like"),
    ("apple", "\u{430}\u{440}\u{440}l\u{435}", "name_mixed_scripts,name_looks_like"),
    ("scope", "\u{455}\u{441}\u{43e}\u{440}\u{435}", "name_looks_like"),
    ("Ooredoo", "\u{39f}oredoo", "name_mixed_scripts,name_looks_like"),
    ("Bank", "\u{412}ank", "name_mixed_scripts,name_looks_like"),
    // Letters and digits with nearly the same picture.
    ("PayPal", "PayPaI", "name_looks_like"),
    ("PayPal", "PayPa1", "name_looks_like"),
    ("Google", "G00gle", "name_looks_like"),
    ("modern bank", "rnodern bank", "name_looks_like"),
    ("Alipay", "\u{ff21}\u{ff4c}\u{ff49}\u{ff50}\u{ff41}\u{ff59}", "name_looks_like"),
    // Case, spaces and punctuation.
    ("Acme Ltd", "ACME LTD", "name_looks_like"),
    ("Acme Ltd", "Acme  Ltd.", "name_looks_like"),
    ("Acme Ltd", "Acme-Ltd", "name_looks_like"),
    // What nobody sees.
    ("Acme Ltd", "Ac\u{200b}me Ltd", "name_hidden,name_looks_like"),
    ("Acme Ltd", "Acme\u{2060} Ltd", "name_hidden,name_looks_like"),
    ("Acme Ltd", "\u{202e}dtL emcA", "name_hidden"),
    ("Acme Ltd", "Acme Ltd\u{feff}", "name_hidden,name_looks_like"),
    ("Acme Ltd", "Ac\u{ad}me Ltd", "name_hidden,name_looks_like"),
    ("Acme Ltd", "Other\u{2066}Name", "name_hidden"),
    ("中国银行", "中国\u{200d}银行", "name_hidden,name_looks_like"),
    ("Acme Ltd", "Acme\u{3164}Ltd", "name_hidden,name_looks_like"),
    // One slip.
    ("Acme Limited", "Acme Limted", "name_near"),
    ("Acme Limited", "Acme Limitted", "name_near"),
    ("Acme Limited", "Acme Limitad", "name_near"),
    ("Acme Limited", "Acme Limietd", "name_near"),
    ("Acme Limited", "cAme Limited", "name_near"),
    ("上海浦东发展银行", "上海浦东发展行", "name_near"),
    ("北京大学基金会", "北京大学医金会", "name_near"),
    ("北京大学基金会", "北京大学基会金", "name_near"),
    // 形近字.
    ("中国银行", "中囯银行", "name_looks_like"),
    ("中国工商银行", "中国工啇银行", "name_looks_like"),
    ("土木工程公司", "士木工程公司", "name_looks_like"),
    ("未来科技", "末来科技", "name_looks_like"),
    ("大众汽车", "太众汽车", "name_looks_like"),
    ("李白", "季白", "name_looks_like"),
    ("陈己", "陈已", "name_looks_like"),
    ("王今", "玉令", "name_looks_like"),
    ("天津港", "夭津港", "name_looks_like"),
    ("日立电梯", "曰立电梯", "name_looks_like"),
    ("人民医院", "入民医院", "name_looks_like"),
    ("安徽建工", "安微建工", "name_looks_like"),
    ("泰康人寿", "秦康人寿", "name_looks_like"),
    ("\u{571f}地局", "\u{2f1f}地局", "name_looks_like"),
    ("口岸公司", "囗岸公司", "name_looks_like"),
    // The name itself.
    ("Acme Ltd", "Acme Ltd", "name_moved"),
    ("张三", "张三", "name_moved"),
    // Honest names.
    ("Acme Ltd", "Zenith Corp", ""),
    ("张三", "张四", ""),
    ("王伟", "王芳", ""),
    ("李小明", "李小红", ""),
    ("Bob", "Rob", ""),
    ("Acme Ltd", "Acme Holdings", ""),
    ("支付宝", "Alipay支付宝", ""),
    ("Acme", "NTTドコモ", ""),
    ("Acme", "Газпром Gazprom", ""),
    ("Acme", "삼성SDI", ""),
    ("Acme", "Café 24", ""),
    ("中国银行", "中国农业银行", ""),
    ("Acme Limited", "Acme Litimed", ""),
    // A word of two scripts is doubtful also beside nobody.
    ("Acme", "Gаzprom", "name_mixed_scripts"),
    ("Acme", "αlpha", "name_mixed_scripts"),
];

#[test]
fn the_table() {
    let wrong: Vec<_> = TABLE
        .iter()
        .filter_map(|(known, paid, wanted)| {
            let found = doubts(known, paid, account(2));
            (found != *wanted).then(|| format!("{known} / {paid}: {found}, not {wanted}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(TABLE.len() >= 40);
}

#[test]
fn the_same_account_is_the_same_payee_whatever_it_is_called() {
    assert_eq!(doubts("Acme Ltd", "Acme Ltd", account(1)), "");
    assert_eq!(doubts("Acme Ltd", "ACME LTD", account(1)), "");
    assert_eq!(doubts("Acme Ltd", "Acme\u{200b} Ltd", account(1)), "name_hidden");
}

#[test]
fn a_name_stands_for_one_account_and_comes_back_from_its_file() {
    let mut payees = book("Acme Ltd");
    payees.name(Payee { name: Name::new("Acme Ltd").unwrap(), account: account(3) }).unwrap();
    payees.name(Payee { name: Name::new("张三").unwrap(), account: account(4) }).unwrap();
    assert_eq!(payees.find("Acme Ltd"), Some(account(3)));
    assert_eq!(payees.all().len(), 2);
    assert_eq!(Payees::from_json(&payees.to_json()).unwrap(), payees);
    assert!(payees.forget("张三") && !payees.forget("张三"));
    for bad in ["", "{}", r#"{"version":2,"payees":[]}"#, r#"{"version":1,"payees":[{"name":""}]}"#]
    {
        assert!(Payees::from_json(bad).is_err(), "{bad}");
    }
}

#[test]
fn names_are_bounded() {
    let mut payees = Payees::default();
    for n in 0..1_000 {
        let name = Name::new(&format!("payee {n}")).unwrap();
        payees.name(Payee { name, account: account(1) }).unwrap();
    }
    let more = Payee { name: Name::new("one more").unwrap(), account: account(1) };
    assert!(payees.name(more).is_err());
    let again = Payee { name: Name::new("payee 7").unwrap(), account: account(2) };
    assert!(payees.name(again).is_ok());
}
