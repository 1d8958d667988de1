//! Counts and sums of one account's payments over the last minute, hour, day and 30 days.
//!
//! Payments are kept one by one, at most [`TILES_MAX`]. When there are more, those of the same cell of
//! time are merged; the older they are, the longer the cell: 2 seconds within the last minute (only
//! beyond [`HEAD_MAX`] payments), 2.5 minutes within the last hour, 1 hour within the last day, 30
//! hours within 30 days. A merged tile counts whole as long as its newest payment is in the window.
//!
//! So a window never counts too little. It is exact for an account with fewer than 128 payments in 30
//! days; beyond that its lower edge may reach back too far, by less than one cell, which is at most
//! 1/24 of the window. The minute stays exact for an account that never sends more than 32 in one; for
//! others it is less than 2 seconds too long.

use tpw_core::Instant;

use crate::rules::Window;

/// The bound of one account's state: 128 tiles of 32 bytes are 4 KiB.
const TILES_MAX: usize = 128;

/// Payments of the last minute that are never merged.
const HEAD_MAX: usize = 32;

/// The length of a cell in milliseconds by the shortest window that still holds its newest payment.
const fn cell_ms(window: Window) -> u64 {
    match window {
        Window::Minute => 2_000,
        Window::Hour => 150_000,
        Window::Day => 3_600_000,
        Window::Month => 108_000_000,
    }
}

/// Some payments: how many, how much, and when the newest was.
#[derive(Clone, Copy, Debug)]
struct Tile {
    sum_minor: u128,
    newest_ms: u64,
    count: u64,
}

/// How many payments and how much in all. Saturated values stay at the largest number.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Total {
    pub(crate) count: u64,
    pub(crate) sum_minor: u128,
}

impl Total {
    fn add(&mut self, tile: &Tile) {
        self.count = self.count.saturating_add(tile.count);
        self.sum_minor = self.sum_minor.saturating_add(tile.sum_minor);
    }
}

/// The totals of the four windows.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Totals {
    pub(crate) minute: Total,
    pub(crate) hour: Total,
    pub(crate) day: Total,
    pub(crate) month: Total,
}

impl Totals {
    pub(crate) const fn of(&self, window: Window) -> Total {
        match window {
            Window::Minute => self.minute,
            Window::Hour => self.hour,
            Window::Day => self.day,
            Window::Month => self.month,
        }
    }
}

/// INVARIANT: tiles are sorted by `newest_ms`, oldest first.
#[derive(Clone, Default, Debug)]
pub(crate) struct Windows {
    tiles: Vec<Tile>,
}

impl Windows {
    /// When the newest payment was.
    pub(crate) fn newest(&self) -> Option<Instant> {
        self.tiles.last().and_then(|tile| Instant::from_unix_ms(tile.newest_ms))
    }

    /// Counts a payment. One that comes late is counted at its own time.
    pub(crate) fn add(&mut self, at: Instant, amount_minor: u128) {
        if self.tiles.len() >= TILES_MAX {
            self.drop_expired();
        }
        if self.tiles.len() >= TILES_MAX {
            self.merge();
        }
        let tile = Tile { sum_minor: amount_minor, newest_ms: at.unix_ms(), count: 1 };
        let later = self.tiles.iter().rev().take_while(|t| t.newest_ms > tile.newest_ms).count();
        self.tiles.insert(self.tiles.len().saturating_sub(later), tile);
    }

    /// The totals of `(at - window, at]`. A time before the newest payment is taken as that
    /// payment's time, because merged payments cannot be parted again.
    pub(crate) fn totals(&self, at: Instant) -> Totals {
        let now_ms = self.newest().map_or(at, |newest| newest.max(at)).unix_ms();
        let (mut total, mut totals) = (Total::default(), Totals::default());
        let mut newest_first = self.tiles.iter().rev().peekable();
        for (window, slot) in [
            (Window::Minute, &mut totals.minute),
            (Window::Hour, &mut totals.hour),
            (Window::Day, &mut totals.day),
            (Window::Month, &mut totals.month),
        ] {
            let length_ms = window.span().as_ms();
            while let Some(tile) =
                newest_first.next_if(|t| now_ms.saturating_sub(t.newest_ms) < length_ms)
            {
                total.add(tile);
            }
            *slot = total;
        }
        totals
    }

    /// Drops what no window holds any more.
    fn drop_expired(&mut self) {
        let now_ms = self.tiles.last().map_or(0, |tile| tile.newest_ms);
        let month_ms = Window::Month.span().as_ms();
        self.tiles.retain(|tile| now_ms.saturating_sub(tile.newest_ms) < month_ms);
    }

    /// Merges tiles of one cell. Of tiles within 30 days at most 32 + 25 + 25 + 25 remain: a window
    /// that does not begin on the grid touches one cell more than its length holds.
    fn merge(&mut self) {
        let now_ms = self.tiles.last().map_or(0, |tile| tile.newest_ms);
        let age_ms = |tile: &Tile| now_ms.saturating_sub(tile.newest_ms);
        let minute_ms = Window::Minute.span().as_ms();
        let head = self.tiles.iter().rev().take_while(|t| age_ms(t) < minute_ms).count();
        let cell_of = |tile: &Tile| {
            let window = Window::ALL.into_iter().find(|w| age_ms(tile) < w.span().as_ms())?;
            let whole = window == Window::Minute && head <= HEAD_MAX;
            let cell = tile.newest_ms.checked_div(cell_ms(window))?;
            (!whole).then_some((window, cell))
        };
        self.tiles.dedup_by(|later, earlier| {
            let same = cell_of(earlier).is_some_and(|cell| cell_of(later) == Some(cell));
            if same {
                earlier.newest_ms = later.newest_ms;
                earlier.count = earlier.count.saturating_add(later.count);
                earlier.sum_minor = earlier.sum_minor.saturating_add(later.sum_minor);
            }
            same
        });
    }
}

#[cfg(test)]
mod tests {
    //! Goal: windows count what happened. Method: a naive reference keeps every payment and scans
    //! all of them; random streams of every density, with ties and late payments, are counted by
    //! both. The edges of the windows are tested to the millisecond.

    use super::*;
    use proptest::prelude::*;

    const START_MS: u64 = 1_763_806_500_000;

    fn at(ms: u64) -> Instant {
        Instant::from_unix_ms(ms).unwrap()
    }

    /// Every payment in `(now - length, now]`.
    fn reference(payments: &[(u64, u128)], now_ms: u64, length_ms: u64) -> Total {
        let inside = |(ms, _): &&(u64, u128)| *ms <= now_ms && now_ms - ms < length_ms;
        let counted: Vec<_> = payments.iter().filter(inside).collect();
        let sum_minor = counted.iter().map(|(_, minor)| minor).sum();
        Total { count: counted.len() as u64, sum_minor }
    }

    fn fill(payments: &[(u64, u128)]) -> Windows {
        let mut windows = Windows::default();
        for (ms, minor) in payments {
            windows.add(at(*ms), *minor);
        }
        windows
    }

    #[test]
    fn windows_are_half_open_to_the_millisecond() {
        let windows = fill(&[(START_MS, 7)]);
        for window in Window::ALL {
            let length_ms = window.span().as_ms();
            for (after_ms, count) in
                [(0, 1), (length_ms - 1, 1), (length_ms, 0), (length_ms + 1, 0)]
            {
                let total = windows.totals(at(START_MS + after_ms)).of(window);
                assert_eq!(total.count, count, "{} after {after_ms} ms", window.name());
                assert_eq!(total.sum_minor, 7 * u128::from(count));
            }
        }
    }

    #[test]
    fn the_first_millisecond_of_time_is_counted() {
        let total = fill(&[(0, 5)]).totals(at(0));
        assert_eq!(total.of(Window::Minute), Total { count: 1, sum_minor: 5 });
    }

    #[test]
    fn a_late_payment_is_counted_at_its_own_time() {
        let windows = fill(&[(START_MS, 1), (START_MS - 50_000, 2), (START_MS - 70_000, 4)]);
        assert_eq!(windows.newest(), Some(at(START_MS)));
        for (after_ms, sum_minor) in [(0, 3), (9_999, 3), (10_000, 1), (59_999, 1), (60_000, 0)] {
            let minute = windows.totals(at(START_MS + after_ms)).minute;
            assert_eq!(minute.sum_minor, sum_minor, "after {after_ms} ms");
        }
    }

    #[test]
    fn sums_saturate_and_stay_there() {
        let total = fill(&[(START_MS, u128::MAX), (START_MS, 1)]).totals(at(START_MS));
        assert_eq!(total.minute, Total { count: 2, sum_minor: u128::MAX });
    }

    #[test]
    fn expired_payments_cost_fresh_ones_no_precision() {
        let mut payments: Vec<_> = (0..120).map(|n| (START_MS + n, 1)).collect();
        let later_ms = START_MS + 40 * 86_400_000;
        payments.extend((0..100).map(|n| (later_ms + n * 70_000, 1)));
        let (windows, now_ms) = (fill(&payments), later_ms + 99 * 70_000);
        for window in Window::ALL {
            let want = reference(&payments, now_ms, window.span().as_ms());
            assert_eq!(windows.totals(at(now_ms)).of(window), want, "{}", window.name());
        }
    }

    /// Steps between payments: from bursts within a millisecond to days apart, some going back.
    fn streams(longest: usize) -> impl Strategy<Value = Vec<(u64, u128)>> {
        let step = prop_oneof![
            4 => -200_i64..2_000,
            1 => -90_000_i64..0,
            3 => 0_i64..60_000,
            2 => 0_i64..3_600_000,
            1 => 0_i64..86_400_000,
        ];
        proptest::collection::vec((step, 1_u128..1_000_000), 1..longest).prop_map(|steps| {
            let mut now_ms = START_MS;
            let walk = |(step, minor): (i64, u128)| {
                now_ms = now_ms.saturating_add_signed(step);
                (now_ms, minor)
            };
            steps.into_iter().map(walk).collect()
        })
    }

    proptest! {
        #[test]
        fn few_payments_are_counted_exactly(payments in streams(128), later_ms in 0_u64..90_000) {
            let now_ms = payments.iter().map(|(ms, _)| *ms).max().unwrap() + later_ms;
            let totals = fill(&payments).totals(at(now_ms));
            for window in Window::ALL {
                let want = reference(&payments, now_ms, window.span().as_ms());
                prop_assert_eq!(totals.of(window), want, "{}", window.name());
            }
        }

        #[test]
        fn many_payments_are_counted_within_the_stated_error(
            payments in streams(2_000),
            later_ms in 0_u64..90_000,
        ) {
            let now_ms = payments.iter().map(|(ms, _)| *ms).max().unwrap() + later_ms;
            let windows = fill(&payments);
            prop_assert!(windows.tiles.len() <= TILES_MAX);
            prop_assert!(windows.tiles.capacity() <= TILES_MAX);
            let totals = windows.totals(at(now_ms));
            for window in Window::ALL {
                let (length_ms, got) = (window.span().as_ms(), totals.of(window));
                let least = reference(&payments, now_ms, length_ms);
                let most = reference(&payments, now_ms, length_ms + cell_ms(window));
                prop_assert!(got.count >= least.count && got.count <= most.count);
                prop_assert!(got.sum_minor >= least.sum_minor && got.sum_minor <= most.sum_minor);
                prop_assert!(cell_ms(window) * 24 <= length_ms);
            }
        }

        #[test]
        fn the_minute_is_exact_up_to_32_payments_in_it(
            bursts in proptest::collection::vec((57_500_u64..60_500, 0_u64..150), 12..60),
        ) {
            let mut now_ms = START_MS;
            let mut windows = Windows::default();
            let mut payments = Vec::new();
            // Bursts of 16 payments, so far apart that a minute touches no third one.
            let steps = bursts.iter().flat_map(|(gap, step)| [[*gap].as_slice(), &[*step; 15]].concat());
            for step in steps {
                now_ms += step;
                windows.add(at(now_ms), 3);
                payments.push((now_ms, 3));
                let recent = &payments[payments.len().saturating_sub(64)..];
                let want = reference(recent, now_ms, 60_000);
                prop_assert_eq!(windows.totals(at(now_ms)).minute, want);
            }
        }
    }
}
