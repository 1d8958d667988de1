//! Goal: the whole benchmark runs, checks its own answers, and gives every figure. Method: hardly any of everything, with the
//! real program `tpw`.

use bench_evidence::{Size, measure};

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_round_gives_every_figure() {
    let work = tempfile::tempdir().unwrap();
    let tpw = replay::server::find_tpw().unwrap();
    let report = measure(Size::tiny(), work.path(), &tpw).await.unwrap();
    let json = serde_json::to_value(&report).unwrap();
    for (name, value) in json["medians"].as_object().unwrap() {
        assert!(value.as_f64().is_some_and(|value| value > 0.0), "{name} is {value}");
    }
    assert_eq!(json["targets"].as_array().unwrap().len(), report.targets.len());
}
