//! Goal: the checkers can fail. Method: plant one defect after the other and demand that it is reported.

use tpw_sim::{Defect, Keys, Setup, SimError, run};

#[cfg(test)]
fn found(keys: &Keys, defect: Defect) -> Option<SimError> {
    let (store, moments) = (defect.store(), 1_000);
    let setup =
        |seed| Setup { steps: 400, store, moments, defect: Some(defect), ..Setup::of(seed) };
    (0..6).find_map(|seed| run(keys, setup(seed)).err())
}

#[test]
fn every_planted_defect_is_reported() {
    let keys = Keys::new().unwrap();
    for defect in Defect::ALL {
        let error = found(&keys, defect).unwrap_or_else(|| panic!("{defect:?} was not found"));
        let words = words_of(defect);
        let fits = words.iter().any(|word| error.what.contains(word));
        assert!(fits, "{defect:?} was found as `{}`", error.what);
        println!("{defect:?}: {}", error.what);
    }
}

/// How the checkers may put it; which one speaks first depends on the seed.
#[cfg(test)]
const fn words_of(defect: Defect) -> &'static [&'static str] {
    match defect {
        Defect::StoreDropsTransfer => &["contradicts itself", "transfer", "ledger differs"],
        Defect::StoreDropsChains => &["chain", "registry differs"],
        Defect::StoreKeepsHolds => &["hold", "ledger differs"],
        Defect::StoreCreditsTwice => &["contradicts itself", "ledger differs"],
        Defect::StoreLies => &[
            "comes at",
            "out of order",
            "differs",
            "missing",
            "contradicts itself",
            "desk says",
            "the chain of",
        ],
        Defect::StoreDropsDigests => {
            &["different` where the model says", "the model says `ordered"]
        }
        Defect::StoreDropsVelocities => &["ledger differs", "desk says"],
        Defect::StoreForgetsPayments => &["not stored", "desk says"],
        Defect::AnswersBeforeCommit => &["was told"],
        Defect::LogForks => &["append-only"],
        Defect::LogDropsLeaf => &["receipt", "not published", "never got a final answer"],
        Defect::WrongSalt => &["receipt"],
        Defect::DiskLies | Defect::CommitsUnsynced | Defect::BatchInTwo => {
            &["mixture", "after a crash", "damaged", "malformed"]
        }
        Defect::BitsBelieved => &["is believed: the registry"],
        Defect::NeverAnswers => &["never got a final answer"],
    }
}

#[test]
fn a_failure_says_how_to_repeat_it() {
    let keys = Keys::new().unwrap();
    let error = found(&keys, Defect::WrongSalt).unwrap();
    let command = format!("cargo run --release -p tpw-sim -- --seed {} --steps 400", error.seed);
    assert!(error.to_string().contains(&command), "{error}");
    assert!(error.step > 0);
}
