//! What is known of the clock: true time less what it says lies in an interval.

/// An interval of the clock's offset, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Offset {
    pub(super) least_us: i128,
    pub(super) most_us: i128,
}

impl Offset {
    /// No more than so far off, either way.
    pub(super) fn within(error_us: u64) -> Self {
        let most_us = i128::from(error_us);
        Self { least_us: most_us.saturating_neg(), most_us }
    }

    /// How far the clock may be off, either way.
    pub(super) fn error_us(self) -> u64 {
        let error = self.least_us.unsigned_abs().max(self.most_us.unsigned_abs());
        u64::try_from(error).unwrap_or(u64::MAX)
    }

    /// The same when so much may have been added since, either way.
    pub(super) fn widened(self, by_us: u64) -> Self {
        let by_us = i128::from(by_us);
        let (least_us, most_us) = (self.least_us, self.most_us);
        Self { least_us: least_us.saturating_sub(by_us), most_us: most_us.saturating_add(by_us) }
    }

    /// Whether both can be true.
    pub(super) const fn meets(self, other: Self) -> bool {
        self.least_us <= other.most_us && other.least_us <= self.most_us
    }
}

#[cfg(test)]
mod tests {
    //! Goal: an interval says no less than it means. Method: by hand, at the edges too.

    use super::*;

    const fn of(least_us: i128, most_us: i128) -> Offset {
        Offset { least_us, most_us }
    }

    #[test]
    fn the_farther_end_is_the_error() {
        assert_eq!(of(-9, 5).error_us(), 9);
        assert_eq!(of(4, 5).error_us(), 5);
        assert_eq!(of(i128::MIN, 0).error_us(), u64::MAX);
        assert_eq!(Offset::within(7), of(-7, 7));
        assert_eq!(of(-9, 5).widened(2), of(-11, 7));
        assert_eq!(of(i128::MIN, i128::MAX).widened(u64::MAX), of(i128::MIN, i128::MAX));
        assert!(of(0, 5).meets(of(5, 9)) && !of(0, 4).meets(of(5, 9)));
    }
}
