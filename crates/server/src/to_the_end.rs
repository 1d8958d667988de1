//! What is done to its end once it has begun.
//!
//! A request is dropped when its sender goes away or its time is over. Where the books and the memory of the server change one after
//! the other, it must not be dropped between the two.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::Arc;
use tpw_engines::Trail;

/// Does something with a request's trail, as a part of the request for as long as that is there, and beside everything else after that.
pub(crate) fn to_the_end<T: Send + 'static>(
    trail: Arc<Trail>,
    work: impl Future<Output = T> + Send + 'static,
) -> ToTheEnd<T> {
    ToTheEnd { stage: Stage::New(Box::pin(work)), trail }
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Stage<T> {
    New(Work<T>),
    Begun(Work<T>),
    Over,
}

/// See [`to_the_end`].
pub(crate) struct ToTheEnd<T: Send + 'static> {
    stage: Stage<T>,
    trail: Arc<Trail>,
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out: what panics is not begun any more, and not gone on with.
        let stage = core::mem::replace(&mut self.stage, Stage::Over);
        let (Stage::New(mut work) | Stage::Begun(mut work)) = stage else { return Poll::Pending };
        let answer = work.as_mut().poll(context);
        if answer.is_pending() {
            self.stage = Stage::Begun(work);
        }
        answer
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        let stage = core::mem::replace(&mut self.stage, Stage::Over);
        let Stage::Begun(work) = stage else { return };
        // Without a runtime the program is ending: it begins again with what the books say.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(Arc::clone(&self.trail).scope(work));
        }
    }
}

#[cfg(test)]
mod tests {
    //! Goal: what has begun ends, whoever waits for it. Method: wait for it not at all, for a while, and until it is done.

    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    /// Adds one, and another one after a while.
    fn two_steps(done: &Arc<AtomicU32>) -> ToTheEnd<u32> {
        let done = Arc::clone(done);
        to_the_end(Arc::default(), async move {
            done.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            done.fetch_add(1, Ordering::SeqCst)
        })
    }

    #[tokio::test]
    async fn what_has_begun_ends_and_what_has_not_does_not_begin() {
        let done = Arc::new(AtomicU32::new(0));
        let count = || done.load(Ordering::SeqCst);
        drop(two_steps(&done));
        tokio::time::sleep(Duration::from_millis(40)).await;
        assert_eq!(count(), 0);
        let late = tokio::time::timeout(Duration::from_millis(1), two_steps(&done)).await;
        assert!(late.is_err() && count() == 1);
        let waiting = async {
            while count() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap();
        assert_eq!((two_steps(&done).await, count()), (3, 4));
    }
}
