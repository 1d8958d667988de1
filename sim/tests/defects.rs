//! Goal: the checkers can fail. Method: plant one defect after the other and demand that it is reported.

use tpw_sim::{Defect, Keys, Setup, SimError, run};

#[cfg(test)]
fn found(keys: &Keys, defect: Defect) -> Option<SimError> {
    let setup = |seed| Setup { seed, steps: 400, defect: Some(defect), keep_trace: false };
    (0..6).find_map(|seed| run(keys, setup(seed)).err())
}

#[test]
fn every_planted_defect_is_reported() {
    let keys = Keys::new().unwrap();
    for (defect, word) in [
        (Defect::StoreDropsTransfer, "transfer"),
        (Defect::StoreDropsChains, "chain"),
        (Defect::StoreKeepsHolds, "hold"),
        (Defect::StoreCreditsTwice, "sum"),
        (Defect::StoreLies, ""),
        (Defect::StoreForgetsPayments, ""),
        (Defect::AnswersBeforeCommit, "was told"),
        (Defect::LogForks, "append-only"),
        (Defect::LogDropsLeaf, ""),
        (Defect::WrongSalt, "receipt"),
        (Defect::NeverAnswers, "never got a final answer"),
    ] {
        let error = found(&keys, defect).unwrap_or_else(|| panic!("{defect:?} was not found"));
        assert!(error.what.contains(word), "{defect:?} was found as `{}`", error.what);
    }
    assert_eq!(Defect::ALL.len(), 11);
}

#[test]
fn a_failure_says_how_to_repeat_it() {
    let keys = Keys::new().unwrap();
    let error = found(&keys, Defect::WrongSalt).unwrap();
    let command = format!("cargo run --release -p tpw-sim -- --seed {} --steps 400", error.seed);
    assert!(error.to_string().contains(&command), "{error}");
    assert!(error.step > 0);
}
