//! One batch of changes, one transaction.
//!
//! The transaction's beginning, the fence and the small statements behind them leave together; each table that is copied
//! costs one round trip more, and the commit leaves with the last. If anything fails on the way, the server turns the commit
//! into a rollback, and the failure is what is reported.

use super::Store;
use super::batch::Batch;
use super::error::PostgresError;
use super::fence;
use super::link::Link;
use super::read::Reader;
use super::row::Id;
use super::session;
use super::sheet::{Array, Form};
use crate::books::{Books, Opener, StoreError};
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::{SinkExt as _, poll};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio_postgres::{CopyInSink, Statement};
use tpw_flow::Changes;

impl Books for Store {
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let batch = Batch::of(changes)?;
        self.using(|link, epoch| Ok(store(link, epoch, &batch)?))
    }

    /// Connects again if the connection was lost, and stores a mark.
    fn probe(&mut self) -> Result<(), StoreError> {
        self.resume()?;
        self.using(|link, epoch| {
            session::demand_settings(link)?;
            Ok(store(link, epoch, &Batch::default())?)
        })
    }

    /// Nothing is under way whose outcome is unknown, so that a connection that was lost is made again without a doubt: if nobody
    /// else has written, what the writer has in memory still is the present.
    fn watch(&mut self) -> Result<(), StoreError> {
        let reign = Arc::clone(&self.reign);
        let look = |link: &Link| -> Result<(), StoreError> {
            reign.demand(link)?;
            Ok(session::demand_settings(link)?)
        };
        match self.using(|link, _epoch| look(link)) {
            Err(StoreError::Postgres(PostgresError::Lost { .. })) => {
                self.resume()?;
                self.using(|link, _epoch| look(link))
            }
            other => other,
        }
    }

    fn set_meta(&mut self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let batch = Batch::of_meta(key, value);
        self.using(|link, epoch| Ok(store(link, epoch, &batch)?))
    }

    /// Nothing is to be done: the server keeps its own house.
    fn tidy(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn opener(&self) -> Opener {
        let (address, reign) = (Arc::clone(&self.address), Arc::clone(&self.reign));
        Arc::new(move || Ok(Box::new(Reader::of(&address, &reign)?)))
    }
}

const DOING: &str = "commit a batch";

fn of(error: tokio_postgres::Error) -> PostgresError {
    PostgresError::of(DOING, &error)
}

fn store(link: &Link, epoch: i64, batch: &Batch) -> Result<(), PostgresError> {
    let _earlier = link.warnings().take();
    link.wait(DOING, send(link, epoch, batch))?;
    // A commit whose wait for the standbys was broken off is reported as done, with a warning beside it.
    match link.warnings().take() {
        Some(warning) => Err(PostgresError::Alone(warning)),
        None => Ok(()),
    }
}

/// A request of a batch, prepared.
enum Request<'b> {
    Arrays(Statement, &'b [Array]),
    Copy(Statement, Bytes),
    Ids(Statement, &'b [Id]),
}

/// What a batch asks for, in its order: rows before those that name them, and what goes last of all.
async fn requests<'b>(link: &Link, batch: &'b Batch) -> Result<Vec<Request<'b>>, PostgresError> {
    let mut requests = Vec::new();
    for sheet in &batch.sheets {
        requests.push(match &sheet.form {
            Form::Copy(body) => {
                Request::Copy(link.prepared(DOING, &sheet.table.copy_sql()).await?, body.clone())
            }
            Form::Arrays(arrays) => {
                Request::Arrays(link.prepared(DOING, &sheet.table.insert_sql()).await?, arrays)
            }
        });
    }
    for sheet in &batch.removals {
        if let Form::Arrays(arrays) = &sheet.form {
            let statement = link.prepared(DOING, &sheet.table.remove_sql()).await?;
            requests.push(Request::Arrays(statement, arrays));
        }
    }
    for (sql, ids) in batch.deletions.iter().filter(|(_, ids)| !ids.is_empty()) {
        requests.push(Request::Ids(link.prepared(DOING, sql).await?, ids));
    }
    Ok(requests)
}

async fn send(link: &Link, epoch: i64, batch: &Batch) -> Result<(), PostgresError> {
    let client = link.client()?;
    let requests = requests(link, batch).await?;
    let claim = link.prepared(DOING, fence::CLAIM).await?;

    let mut pipeline = Pipeline::default();
    pipeline.begin(client.batch_execute("BEGIN")).await;
    let claimed = client.execute_raw(&claim, std::iter::once(epoch));
    pipeline.begin(claimed.map(|result| result.map(drop))).await;
    for request in &requests {
        match request {
            Request::Arrays(statement, arrays) => {
                let sent = client.execute_raw(statement, arrays.iter());
                pipeline.begin(sent.map(|result| result.map(drop))).await;
            }
            Request::Ids(statement, ids) => {
                let sent = client.execute_raw(statement, std::iter::once(*ids));
                pipeline.begin(sent.map(|result| result.map(drop))).await;
            }
            Request::Copy(statement, body) => {
                let mut opening = Box::pin(client.copy_in::<_, Bytes>(statement));
                let opened = poll!(opening.as_mut());
                pipeline.settle().await.map_err(of)?;
                let sink = match opened {
                    Poll::Ready(sink) => sink.map_err(of)?,
                    Poll::Pending => opening.await.map_err(of)?,
                };
                pipeline.begin(copy(sink, body.clone())).await;
            }
        }
    }
    pipeline.begin(client.batch_execute("COMMIT")).await;
    pipeline.settle().await.map_err(of)
}

async fn copy(sink: CopyInSink<Bytes>, body: Bytes) -> Result<(), tokio_postgres::Error> {
    let mut sink = Box::pin(sink);
    sink.send(body).await?;
    sink.as_mut().finish().await.map(drop)
}

type Done = Result<(), tokio_postgres::Error>;

/// Requests that were sent and not yet answered, in order.
#[derive(Default)]
struct Pipeline<'a>(Vec<Sent<'a>>);

enum Sent<'a> {
    Waiting(BoxFuture<'a, Done>),
    Done(Done),
}

impl<'a> Pipeline<'a> {
    /// Sends a request: the client library does that when its future is first polled.
    async fn begin(&mut self, request: impl Future<Output = Done> + Send + 'a) {
        let mut request: Pin<Box<dyn Future<Output = Done> + Send + 'a>> = Box::pin(request);
        self.0.push(match poll!(request.as_mut()) {
            Poll::Ready(done) => Sent::Done(done),
            Poll::Pending => Sent::Waiting(request),
        });
    }

    /// Waits for all answers; the first failure is the cause of those after it.
    async fn settle(&mut self) -> Done {
        let mut first = Ok(());
        for sent in self.0.drain(..) {
            let done = match sent {
                Sent::Done(done) => done,
                Sent::Waiting(request) => request.await,
            };
            if first.is_ok() {
                first = done;
            }
        }
        first
    }
}
