//! Work that goes on beside the requests. One that ends in a panic is told of: in the records, in the metrics and in `/readyz?verbose`.

use std::sync::Arc;
use tpw_engines::Beside;

/// Does some work, and notes if it ends in a panic. One that ends by itself, or that nobody wants any more, has done what it should.
pub(crate) async fn watched(
    beside: Arc<Beside>,
    name: &'static str,
    work: impl Future<Output = ()>,
) {
    let _watch = Watch { beside, name };
    work.await;
}

struct Watch {
    beside: Arc<Beside>,
    name: &'static str,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(work = self.name, "it ended in a panic; restart the server");
            self.beside.ended(self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_ends_in_a_panic_is_noted_and_what_is_ended_is_not() {
        let beside: Arc<Beside> = Arc::default();
        let watch = |name, work| tokio::spawn(watched(Arc::clone(&beside), name, work));
        let work = |panics: bool, waits: bool| async move {
            tokio::task::yield_now().await;
            assert!(!panics, "as it should");
            if waits {
                core::future::pending::<()>().await;
            }
        };
        assert!(watch("fails", work(true, false)).await.unwrap_err().is_panic());
        watch("done", work(false, false)).await.unwrap();
        let waiting = watch("waits", work(false, true));
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(beside.all_ended(), ["fails"]);
    }
}
