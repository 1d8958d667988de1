//! The pace of checkpoints, back-pressure, and the end.

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::log_store::{Answer, Batch, LeafSender, Sequencer, WORTH_A_CHECKPOINT};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant as Monotonic};

const SOON: Duration = Duration::from_secs(60);

fn start(store: LogStore, interval_ms: u64, queue_max: usize) -> Sequencer {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(instant(1_000)));
    Sequencer::start(store, clock, Duration::from_millis(interval_ms), queue_max).unwrap()
}

fn batch(first_index: u64, count: u64) -> (Batch, Receiver<Answer>) {
    let (answered, answer) = channel();
    let leaves = leaves(first_index, first_index + count);
    let answer_with = move |said| answered.send(said).unwrap();
    (Batch { first_index, leaves, answer: Box::new(answer_with) }, answer)
}

fn send(sender: &LeafSender, first_index: u64, count: u64) -> Receiver<Answer> {
    let (batch, answer) = batch(first_index, count);
    sender.send(batch);
    answer
}

#[test]
fn bursts_share_checkpoints_and_each_waiter_is_covered() {
    let world = World::of(2);
    let sequencer = start(world.open(), 50, 1_000);
    let begun = Monotonic::now();
    let answers: Vec<_> = (0..400_u64)
        .map(|number| (2 + number * 3, send(&sequencer.sender(), 2 + number * 3, 3)))
        .collect();
    let mut roots = std::collections::BTreeSet::new();
    for (first, answer) in answers {
        let head = answer.recv_timeout(SOON).unwrap().unwrap();
        assert!(head.is_first_over(first) && head.is_first_over(first + 2), "{first}");
        roots.insert(head.head.size);
    }
    let took_ms = begun.elapsed().as_millis() as usize;
    let stopped = sequencer.stop().unwrap();
    assert_eq!(stopped.leaves, 1_200);
    assert_eq!(stopped.checkpoints, roots.len() as u64);
    // At most one begins in each interval or for so many leaves, and the first begins at once.
    let most = 2 + took_ms / 50 + 1_200 / WORTH_A_CHECKPOINT;
    assert!(roots.len() <= most, "{} in {took_ms} ms", roots.len());
    world.ledger.grow(1_202);
    world.assert_sound();
}

#[test]
fn an_idle_sequencer_begins_at_once() {
    let world = World::of(2);
    // An interval that would be noticed.
    let sequencer = start(world.open(), 3_600_000, 10);
    let answer = send(&sequencer.sender(), 2, 1);
    answer.recv_timeout(SOON).unwrap().unwrap();
    // The next one has to wait for the interval, but stopping does not.
    let late = send(&sequencer.sender(), 3, 1);
    assert!(late.recv_timeout(Duration::from_millis(200)).is_err());
    assert_eq!(sequencer.stop().unwrap().checkpoints, 2);
    assert_eq!(late.recv().unwrap().unwrap().head.size, 4);
}

#[test]
fn so_many_leaves_do_not_wait_for_the_interval() {
    let worth = WORTH_A_CHECKPOINT as u64;
    let world = World::of(2);
    // An interval that would be noticed.
    let sequencer = start(world.open(), 3_600_000, 10);
    let sender = sequencer.sender();
    send(&sender, 2, 1).recv_timeout(SOON).unwrap().unwrap();
    let few = send(&sender, 3, worth - 1);
    let enough = send(&sender, 2 + worth, 1);
    for answer in [few, enough] {
        assert_eq!(answer.recv_timeout(SOON).unwrap().unwrap().head.size, 3 + worth);
    }
    assert!(sender.earliest() > Monotonic::now(), "whoever has fewer may as well wait");
    assert_eq!(sequencer.stop().unwrap().checkpoints, 2);
}

#[test]
fn the_files_follow_the_last_checkpoint_without_another() {
    let world = World::of(2);
    let sequencer = start(world.open(), 0, 10);
    let begun = Monotonic::now();
    for first in 2..5 {
        let answer = send(&sequencer.sender(), first, 1);
        let size = answer.recv_timeout(SOON).unwrap().unwrap().head.size;
        while published(&world).is_none_or(|head| head.size < size) {
            assert!(begun.elapsed() < SOON, "the files stay behind at {size}");
            std::thread::yield_now();
        }
    }
    assert_eq!(sequencer.stop().unwrap().checkpoints, 3);
}

#[test]
fn a_full_queue_pushes_back() {
    let world = World::of(2);
    let sequencer = start(world.open(), 0, 1);
    let sender = sequencer.sender();
    // The answer runs on the sequencer's thread: it holds it until told.
    let (entered, is_in) = channel();
    let (go_on, told) = channel::<()>();
    sender.send(Batch {
        first_index: 2,
        leaves: leaves(2, 3),
        answer: Box::new(move |_said| {
            entered.send(()).unwrap();
            let _gone = told.recv();
        }),
    });
    is_in.recv_timeout(SOON).unwrap();
    let queued = send(&sender, 3, 1);
    let (handed, is_handed) = channel();
    let third = std::thread::spawn(move || {
        let answer = send(&sender, 4, 1);
        handed.send(()).unwrap();
        answer.recv_timeout(SOON).unwrap().unwrap().head.size
    });
    assert!(is_handed.recv_timeout(Duration::from_millis(300)).is_err(), "it has to wait");
    go_on.send(()).unwrap();
    assert!(queued.recv_timeout(SOON).unwrap().unwrap().head.size >= 4);
    assert_eq!(third.join().unwrap(), 5);
    assert!(sequencer.sender().healthy());
}

#[test]
fn a_panic_on_the_sequencers_thread_is_told() {
    let world = World::of(2);
    let sequencer = start(world.open(), 0, 10);
    let sender = sequencer.sender();
    assert!(sender.healthy());
    sender.send(Batch {
        first_index: 2,
        leaves: leaves(2, 3),
        answer: Box::new(|_said| panic!("whoever waits")),
    });
    let (_sender, pause) = channel::<()>();
    let begun = Monotonic::now();
    while sender.healthy() {
        assert!(begun.elapsed() < SOON, "it counts as healthy");
        let _elapsed = pause.recv_timeout(Duration::from_millis(5));
    }
    assert!(sequencer.stop().is_err());
}

#[test]
fn after_a_failure_everyone_is_told_and_nothing_is_appended() {
    let world = World::of(2);
    let sequencer = start(world.open(), 0, 10);
    let sender = sequencer.sender();
    let error = send(&sender, 5, 1).recv_timeout(SOON).unwrap().unwrap_err();
    assert!(matches!(*error, LogError::OutOfOrder { expected: 2, given: 5 }));
    assert!(!sequencer.sender().healthy());
    for first in [2, 5] {
        let error = send(&sender, first, 1).recv_timeout(SOON).unwrap().unwrap_err();
        assert!(matches!(*error, LogError::Poisoned));
    }
    assert_eq!(sequencer.view().newest().unwrap().head.size, 2);
    sequencer.stop().unwrap();
    let error = send(&sender, 2, 1).recv_timeout(SOON).unwrap().unwrap_err();
    assert!(matches!(*error, LogError::Stopped));
    world.assert_sound();
}

#[test]
fn batches_of_no_size_are_refused_and_harm_nobody() {
    let world = World::of(2);
    let sequencer = start(world.open(), 0, 10);
    let error = send(&sequencer.sender(), 2, 0).recv_timeout(SOON).unwrap().unwrap_err();
    assert!(matches!(*error, LogError::BatchSize { given: 0, .. }));
    let error = send(&sequencer.sender(), 2, 65_537).recv_timeout(SOON).unwrap().unwrap_err();
    assert!(matches!(*error, LogError::BatchSize { .. }));
    assert!(sequencer.sender().healthy());
    // Two that do not fit one checkpoint go into two.
    let (one, two) = (send(&sequencer.sender(), 2, 65_000), send(&sequencer.sender(), 65_002, 600));
    one.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(two.recv_timeout(SOON).unwrap().unwrap().head.size, 65_602);
}

#[test]
fn readers_go_on_while_the_log_grows() {
    let world = World::of(2);
    let sequencer = start(world.open(), 0, 100);
    let view = sequencer.view();
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reading = std::thread::spawn({
        let done = Arc::clone(&done);
        move || {
            let mut read = 0_u64;
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let head = view.newest().unwrap().head;
                let index = read % head.size;
                let path = view.inclusion(index, head.size).unwrap();
                let hash = leaf(index).leaf_hash();
                tpw_proof::tree::verify_inclusion(&hash, index, head.size, &path, &head.root)
                    .unwrap();
                read += 1;
            }
            read
        }
    });
    for number in 0..100 {
        send(&sequencer.sender(), 2 + number * 11, 11).recv_timeout(SOON).unwrap().unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Release);
    assert!(reading.join().unwrap() > 0);
}
