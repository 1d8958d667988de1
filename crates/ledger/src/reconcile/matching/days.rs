//! Clusters of lines whose days lie within the window of each other.

use super::{Free, Theirs};
use crate::reconcile::Day;

/// Divides lines into clusters: two lines of different sides that lie within the window are in the same one, so a cluster
/// of one line on each side is a pair that nothing else can be confused with.
pub(super) fn clusters(free: Free<'_>, window: u32) -> Vec<Free<'_>> {
    let mut done = Vec::new();
    let Free { mut ours, theirs } = free;
    ours.sort_by_key(|ours| (ours.day, ours.order));
    let (dated, undated) = dated(theirs);
    done.extend(undated.into_iter().map(alone));
    let mut waiting = dated.into_iter().peekable();
    let mut open = Free::default();
    // The newest of the partner's days in the open cluster.
    let mut newest: Option<Day> = None;
    for line in ours {
        while let Some((_, early)) =
            waiting.next_if(|(day, _)| day.before_by_more_than(line.day, window))
        {
            done.push(alone(early));
        }
        if newest.is_none_or(|day| day.before_by_more_than(line.day, window)) {
            done.push(core::mem::take(&mut open));
            newest = None;
        }
        open.ours.push(line);
        while let Some((day, near)) =
            waiting.next_if(|(day, _)| !line.day.before_by_more_than(*day, window))
        {
            open.theirs.push(near);
            newest = Some(day);
        }
    }
    done.push(open);
    done.extend(waiting.map(|(_, late)| alone(late)));
    done.retain(|cluster| !cluster.ours.is_empty() || !cluster.theirs.is_empty());
    done
}

fn alone(line: Theirs<'_>) -> Free<'_> {
    Free { ours: Vec::new(), theirs: vec![line] }
}

/// The lines that have a day, by day, and those that have none.
fn dated(theirs: Vec<Theirs<'_>>) -> (Vec<(Day, Theirs<'_>)>, Vec<Theirs<'_>>) {
    let (mut dated, mut undated) = (Vec::new(), Vec::new());
    for line in theirs {
        match line.line.day() {
            Some(day) => dated.push((day, line)),
            None => undated.push(line),
        }
    }
    dated.sort_by_key(|(day, line)| (*day, line.order));
    (dated, undated)
}
