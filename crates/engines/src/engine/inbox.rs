//! What the writer waits for: commands that callers leave, and what the committer says of a batch.
//!
//! Waking a thread costs about as much as deciding a payment. While a batch is being stored, deciding the next one early gains little
//! unless it is large; so the writer is then woken only when so many commands wait that it is worth it, or when the batch is stored.

use super::writer::{Stored, When, Work};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So many waiting commands are decided while a batch is being stored.
pub(super) const WORTH_WAKING: usize = 32;

/// The callers' side. Cheap to clone.
#[derive(Clone)]
pub(super) struct Inbox(Arc<Shared>);

/// The writer's side. Dropping it turns away who waits, and who comes.
pub(super) struct Reading(Inbox);

/// The committer's side. Dropping it tells the writer that nothing more will be said.
pub(super) struct Voice(Inbox);

/// Why work was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    /// As many wait as may.
    Full,
    /// The writer stops, or has ended.
    Ended,
}

/// What the writer finds when it wakes.
pub(super) struct Found {
    /// What was said of the batch under way.
    pub(super) said: Option<Stored>,
    /// Whether the end was asked for: nothing more comes than what waits.
    pub(super) stop: bool,
}

/// What wakes the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Until {
    /// Anything at all.
    Work,
    /// A word of the committer, or work that is worth it meanwhile.
    StoredOrMuchWork,
    /// A word of the committer: there is no room for more work.
    Stored,
    /// Work that does not wait for the log, or work that is worth it: what was decided may as well grow.
    UrgentOrMuchWork,
}

impl Until {
    const fn least(self) -> usize {
        match self {
            Self::Work => 1,
            Self::StoredOrMuchWork | Self::UrgentOrMuchWork => WORTH_WAKING,
            Self::Stored => usize::MAX,
        }
    }
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    waiting_max: usize,
}

struct State {
    waiting: VecDeque<Work>,
    /// In what waits.
    commands: usize,
    said: VecDeque<Stored>,
    stop: bool,
    ended: bool,
    committer_ended: bool,
    /// Somebody among those who wait does not wait for the log.
    urgent: bool,
    /// What wakes the writer, if it sleeps.
    sleeps: Option<Until>,
}

impl State {
    fn has_work_for(&self, until: Until) -> bool {
        let urgent = self.urgent && until == Until::UrgentOrMuchWork;
        !self.waiting.is_empty() && (urgent || self.commands >= until.least())
    }
}

impl Inbox {
    /// At most `waiting_max` callers wait.
    pub(super) fn new(waiting_max: usize) -> (Self, Reading, Voice) {
        let state = State {
            waiting: VecDeque::new(),
            commands: 0,
            said: VecDeque::new(),
            stop: false,
            ended: false,
            committer_ended: false,
            urgent: false,
            sleeps: None,
        };
        let shared = Shared { state: Mutex::new(state), changed: Condvar::new(), waiting_max };
        let inbox = Self(Arc::new(shared));
        (inbox.clone(), Reading(inbox.clone()), Voice(inbox))
    }

    /// Leaves work for the writer.
    pub(super) fn leave(&self, work: Work) -> Result<(), Refused> {
        let mut state = self.state();
        if state.stop || state.ended {
            return Err(Refused::Ended);
        }
        if state.waiting.len() >= self.0.waiting_max {
            return Err(Refused::Full);
        }
        state.commands = state.commands.saturating_add(work.weight());
        state.urgent |= work.when == When::Durable;
        state.waiting.push_back(work);
        let wakes = state.sleeps.is_some_and(|until| state.has_work_for(until));
        self.wake_if(wakes, state);
        Ok(())
    }

    /// Asks for the end: what waits is still done.
    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.stop = true;
        self.wake_if(true, state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go first, so that who is woken does not have to wait.
    fn wake_if(&self, wakes: bool, mut state: MutexGuard<'_, State>) {
        if wakes {
            // Once is enough: it finds all that has come until it looks.
            state.sleeps = None;
        }
        drop(state);
        if wakes {
            self.0.changed.notify_one();
        }
    }
}

impl Voice {
    /// Says what became of a batch.
    pub(super) fn say(&self, stored: Stored) {
        let mut state = self.0.state();
        state.said.push_back(stored);
        self.0.wake_if(true, state);
    }

    /// Says something unasked, unless the writer has something to hear first.
    pub(super) fn say_if_silent(&self, stored: Stored) {
        let mut state = self.0.state();
        if state.said.is_empty() {
            state.said.push_back(stored);
            self.0.wake_if(true, state);
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.committer_ended = true;
        // A batch under way is answered by nobody now: the writer may not wait for it.
        state.said.push_back(Err("the committer has ended".to_owned()));
        self.0.wake_if(true, state);
    }
}

impl Reading {
    /// Waits for something to do, at most so long.
    pub(super) fn wait(&self, until: Until, most: Duration) -> Found {
        let due = Instant::now().checked_add(most);
        let mut state = self.0.state();
        loop {
            let said = state.said.pop_front();
            let left = due.map_or(most, |due| due.saturating_duration_since(Instant::now()));
            if said.is_some() || state.has_work_for(until) || state.stop || left.is_zero() {
                state.sleeps = None;
                return Found { said, stop: state.stop };
            }
            state.sleeps = Some(until);
            let waited = self.0.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What waits longest, if anything does.
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.0.state();
        let work = state.waiting.pop_front()?;
        state.commands = state.commands.saturating_sub(work.weight());
        state.urgent &= !state.waiting.is_empty();
        Some(work)
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.state().waiting.is_empty()
    }

    /// Waits for a word of the committer; `None` when it has ended.
    pub(super) fn hear(&self) -> Option<Stored> {
        let mut state = self.0.state();
        loop {
            if let Some(said) = state.said.pop_front() {
                return Some(said);
            }
            if state.committer_ended {
                return None;
            }
            state.sleeps = Some(Until::Stored);
            state = self.0.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Forgets what was said so far.
    pub(super) fn forget_said(&self) {
        self.0.state().said.clear();
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state();
            state.ended = true;
            core::mem::take(&mut state.waiting)
        };
        // Whoever waited learns from the lost reply that the writer has ended.
        drop(waiting);
    }
}

#[cfg(test)]
mod tests {
    //! Goal: nothing that is left is lost, nobody is left without an answer, and the writer sleeps no longer than it may. Method: both
    //! sides on their own threads, without a timed wait of our own: a wake-up that is lost lets a test run into the bound of its wait.

    use super::super::writer::When;
    use super::*;
    use tokio::sync::oneshot;
    use tokio::sync::oneshot::error::TryRecvError;
    use tpw_flow::Command;

    const LONG: Duration = Duration::from_secs(60);
    type Answer = oneshot::Receiver<Result<super::super::writer::Done, super::super::PayError>>;

    fn work_for(commands: usize, when: When) -> (Work, Answer) {
        let (reply, answer) = oneshot::channel();
        let commands = (0..commands).map(|_| Command::Tick).collect();
        (Work { commands, when, queued: Instant::now(), reply }, answer)
    }

    fn work(commands: usize) -> (Work, Answer) {
        work_for(commands, When::Proven)
    }

    fn left(inbox: &Inbox, commands: usize) -> Answer {
        let (work, answer) = work(commands);
        assert_eq!(inbox.leave(work), Ok(()));
        answer
    }

    /// How long the writer waits while somebody does something.
    fn waits(reading: &Reading, until: Until, does: impl FnOnce() + Send) -> (Found, Duration) {
        let began = Instant::now();
        let found = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| reading.wait(until, LONG));
            while reading.0.state().sleeps.is_none() && !waiting.is_finished() {
                std::thread::yield_now();
            }
            does();
            waiting.join().unwrap()
        });
        (found, began.elapsed())
    }

    #[test]
    fn work_is_found_in_its_order() {
        let (inbox, reading, _voice) = Inbox::new(8);
        let answers: Vec<_> = (1..=3).map(|commands| left(&inbox, commands)).collect();
        assert!(!reading.wait(Until::Work, LONG).stop);
        let found: Vec<usize> =
            std::iter::from_fn(|| reading.next()).map(|w| w.commands.len()).collect();
        assert_eq!(found, [1, 2, 3]);
        assert!(reading.is_empty());
        drop(answers);
    }

    #[test]
    fn a_full_inbox_and_an_ended_writer_are_told_apart() {
        let (inbox, reading, _voice) = Inbox::new(2);
        let mut waiting = [left(&inbox, 1), left(&inbox, 1)];
        assert_eq!(inbox.leave(work(1).0), Err(Refused::Full));
        drop(reading);
        assert_eq!(inbox.leave(work(1).0), Err(Refused::Ended));
        for answer in &mut waiting {
            assert!(matches!(answer.try_recv(), Err(TryRecvError::Closed)), "it waits for ever");
        }
    }

    #[test]
    fn after_the_end_was_asked_for_what_waits_is_still_found() {
        let (inbox, reading, _voice) = Inbox::new(8);
        let _answer = left(&inbox, 1);
        inbox.stop();
        assert_eq!(inbox.leave(work(1).0), Err(Refused::Ended));
        assert!(reading.wait(Until::Stored, LONG).stop);
        assert!(reading.next().is_some());
    }

    #[test]
    fn each_reason_wakes_a_writer_that_sleeps() {
        let (inbox, reading, voice) = Inbox::new(WORTH_WAKING * 2);
        let mut answers = Vec::new();
        let (_, slept) = waits(&reading, Until::Work, || answers.push(left(&inbox, 1)));
        assert!(slept < LONG);
        while reading.next().is_some() {}
        let many = || answers.extend((0..WORTH_WAKING).map(|_| left(&inbox, 1)));
        let (found, slept) = waits(&reading, Until::StoredOrMuchWork, many);
        assert!(slept < LONG && found.said.is_none());
        let (found, slept) = waits(&reading, Until::Stored, || voice.say(Ok(())));
        assert!(slept < LONG);
        assert_eq!(found.said, Some(Ok(())));
        let (found, slept) = waits(&reading, Until::Stored, || inbox.stop());
        assert!(slept < LONG && found.stop);
    }

    #[test]
    fn who_does_not_wait_for_the_log_is_not_kept_waiting_by_it() {
        let (inbox, reading, voice) = Inbox::new(8);
        let mut answers = Vec::new();
        let (_, slept) = waits(&reading, Until::UrgentOrMuchWork, || {
            answers.push(left(&inbox, 1));
            assert!(reading.0.state().sleeps.is_some(), "it was woken");
            let (work, answer) = work_for(1, When::Durable);
            assert_eq!(inbox.leave(work), Ok(()));
            answers.push(answer);
        });
        assert!(slept < LONG);
        while reading.next().is_some() {}
        // Nobody of that kind waits any more.
        let (found, _) = waits(&reading, Until::UrgentOrMuchWork, || {
            answers.push(left(&inbox, 1));
            assert!(reading.0.state().sleeps.is_some(), "it was woken");
            voice.say(Ok(()));
        });
        assert_eq!(found.said, Some(Ok(())));
    }

    #[test]
    fn little_work_does_not_wake_a_writer_whose_batch_is_being_stored() {
        let (inbox, reading, voice) = Inbox::new(8);
        let mut answer = None;
        let (found, _) = waits(&reading, Until::StoredOrMuchWork, || {
            answer = Some(left(&inbox, WORTH_WAKING - 1));
            assert!(reading.0.state().sleeps.is_some(), "it was woken");
            voice.say(Err("a full disk".to_owned()));
        });
        assert_eq!(found.said, Some(Err("a full disk".to_owned())));
        assert!(!reading.is_empty());
    }

    #[test]
    fn what_is_said_is_heard_once_and_in_its_order() {
        let (_inbox, reading, voice) = Inbox::new(8);
        voice.say(Ok(()));
        voice.say_if_silent(Err("not heard".to_owned()));
        voice.say(Err("a".to_owned()));
        assert_eq!((reading.hear(), reading.hear()), (Some(Ok(())), Some(Err("a".to_owned()))));
        voice.say_if_silent(Err("b".to_owned()));
        reading.forget_said();
        drop(voice);
        let found = reading.wait(Until::Stored, LONG);
        assert!(matches!(found.said, Some(Err(_))), "the writer waits for one that has ended");
        assert_eq!(reading.hear(), None);
    }
}
