//! What several servers agree on, of which some may lie.
//!
//! Each says in which interval the clock's offset lies. If at least as many tell the truth as have to agree, the offset lies where so
//! many intervals overlap; there may be several such places, so that everything between the first and the last of them counts.

use super::super::offset::Offset;

/// The least interval that has all points in it where `quorum` of the intervals overlap; nothing if there is no such point.
pub(super) fn agreed(intervals: &[Offset], quorum: usize) -> Option<Offset> {
    let covered = |point: i128| {
        let holds = |one: &&Offset| one.least_us <= point && point <= one.most_us;
        intervals.iter().filter(holds).count() >= quorum
    };
    // Where so many overlap, the place begins with the beginning of one and ends with the end of one.
    let least = intervals.iter().map(|one| one.least_us).filter(|point| covered(*point)).min()?;
    let most = intervals.iter().map(|one| one.most_us).filter(|point| covered(*point)).max()?;
    Some(Offset { least_us: least, most_us: most })
}

#[cfg(test)]
mod tests {
    //! Goal: no minority moves the bound inwards, whatever it says. Method: cases by hand, and intervals by chance with the truth in at
    //! least a quorum of them.

    use super::*;
    use proptest::prelude::*;

    const fn of(least_us: i128, most_us: i128) -> Offset {
        Offset { least_us, most_us }
    }

    #[test]
    fn the_majority_decides_and_says_no_more_than_it_knows() {
        let hour = 3_600_000_000;
        assert_eq!(agreed(&[of(-5, 5), of(-3, 9), of(hour, hour + 9)], 2), Some(of(-3, 5)));
        assert_eq!(agreed(&[of(-5, 5), of(hour, hour + 9)], 2), None);
        assert_eq!(agreed(&[of(-5, 5)], 1), Some(of(-5, 5)));
        assert_eq!(agreed(&[], 1), None);
        assert_eq!(agreed(&[of(0, 5), of(5, 9)], 2), Some(of(5, 5)), "they touch");
        // A wide one agrees with everybody, and two places are as good as each other.
        assert_eq!(agreed(&[of(0, 10), of(0, 1), of(9, 10)], 2), Some(of(0, 10)));
    }

    proptest! {
        #[test]
        fn the_truth_is_never_outside(
            truth in -1_000_i128..1_000,
            honest in prop::collection::vec((0_i128..500, 0_i128..500), 1..9),
            liars in prop::collection::vec((-5_000_i128..5_000, 0_i128..5_000), 0..8),
        ) {
            let quorum = honest.len();
            let mut told: Vec<Offset> =
                honest.iter().map(|(below, above)| of(truth - below, truth + above)).collect();
            told.extend(liars.iter().map(|(least, width)| of(*least, least + width)));
            let found = agreed(&told, quorum).unwrap();
            prop_assert!(found.least_us <= truth && truth <= found.most_us);
            prop_assert!(u128::from(found.error_us()) >= truth.unsigned_abs());
        }
    }
}
