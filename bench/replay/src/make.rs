//! Transfer lists made up: the same numbers give the same files, on every machine.

use crate::error::ReplayError;
use std::fmt::Write as _;
use std::path::Path;
use tpw_engines::files;

/// A 64-bit generator after Steele, Lea and Flood (2014), `SplitMix64`: for made-up data, never for keys.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; zero for a bound of zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll().checked_rem(bound).unwrap_or(0)
    }

    /// A fraction in (0, 1].
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub fn fraction(&mut self) -> f64 {
        ((self.roll() >> 11) as f64 + 1.0) / 9_007_199_254_740_992.0
    }
}

/// Both files as text: nodes, then transfers.
///
/// A tenth of the accounts take part in most transfers, some transfers are larger than what the payer has, some go
/// from an account to itself, and some bring money straight back.
#[must_use]
pub fn lists(accounts: u32, transfers: u32, seed: u64) -> (String, String) {
    let mut dice = Dice::new(seed);
    let mut nodes = String::from("nodeid,isFraud,init_balance,fraudStep\n");
    for account in 0..accounts {
        let minor = dice.below(50_000);
        // Writing to a string cannot fail.
        let _ok = writeln!(nodes, "{account},0,{}.{:02},-1", minor / 100, minor % 100);
    }
    let mut rows = String::from("sourceNodeId,targetNodeId,value,time\n");
    let hot = u64::from(accounts / 10).max(1);
    let mut last = (0, 0);
    for step in 0..transfers {
        let mut pick =
            || if dice.below(3) == 0 { dice.below(u64::from(accounts)) } else { dice.below(hot) };
        let (from, mut to) = (pick(), pick());
        if from == to && dice.below(20) != 0 {
            to = to.saturating_add(1).checked_rem(u64::from(accounts)).unwrap_or(0);
        }
        let (from, to) = if dice.below(25) == 0 { (last.1, last.0) } else { (from, to) };
        last = (from, to);
        let bound = if dice.below(10) == 0 { 60_000 } else { 6_000 };
        let minor = dice.below(bound).saturating_add(1);
        let _ok = writeln!(rows, "{from},{to},{}.{:02},{}", minor / 100, minor % 100, step / 50);
    }
    (nodes, rows)
}

/// Writes `nodes.csv` and `transactions.csv` into `folder`.
///
/// # Errors
/// [`ReplayError::Option`] for too few accounts; [`ReplayError::Io`].
pub fn make(accounts: u32, transfers: u32, seed: u64, folder: &Path) -> Result<(), ReplayError> {
    if accounts < 2 {
        let why = "a transfer needs two accounts".to_owned();
        return Err(ReplayError::Option { option: "--accounts", why });
    }
    files::create_folder(folder)?;
    let (nodes, rows) = lists(accounts, transfers, seed);
    for (name, text) in [("nodes.csv", nodes), ("transactions.csv", rows)] {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(ReplayError::io("write", &path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The published first outputs for seed 1234567.
        let mut dice = Dice::new(1_234_567);
        assert_eq!(dice.roll(), 6_457_827_717_110_365_317);
        assert_eq!(dice.roll(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn the_same_seed_makes_the_same_lists_with_every_kind_of_transfer() {
        let (nodes, rows) = lists(300, 2_000, 7);
        assert_eq!((&nodes, &rows), (&lists(300, 2_000, 7).0, &lists(300, 2_000, 7).1));
        assert_ne!(rows, lists(300, 2_000, 8).1);
        assert_eq!((nodes.lines().count(), rows.lines().count()), (301, 2_001));
        let own = rows.lines().skip(1).filter(|row| {
            let mut cells = row.split(',');
            cells.next() == cells.next()
        });
        assert!((1..100).contains(&own.count()));
    }
}
