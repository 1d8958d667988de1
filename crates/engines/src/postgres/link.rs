//! One connection to the server, used from plain threads.
//!
//! The connection is driven while somebody waits for an answer, by a runtime of its own on the waiting thread: no
//! other thread has to be woken for a round trip. Every wait has an end.

use super::address::Address;
use super::error::PostgresError;
use super::tls::Tls;
use futures_util::{StreamExt as _, pin_mut};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::error::Severity;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls, Row, Statement};

/// The longest wait for one host to take a connection, greetings included.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// How long a farewell may take.
const FAREWELL_MAX: Duration = Duration::from_millis(200);

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// What the server said beside its answers.
#[derive(Default)]
pub(super) struct Warnings(Mutex<Option<String>>);

impl Warnings {
    fn hear(&self, said: &tokio_postgres::error::DbError) {
        let harmless = matches!(
            said.parsed_severity(),
            Some(Severity::Notice | Severity::Info | Severity::Debug | Severity::Log)
        );
        if harmless {
            tracing::debug!(message = said.message(), "the database server says");
        } else {
            tracing::warn!(message = said.message(), "the database server warns");
            let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(said.message().to_owned());
        }
    }

    /// The last warning since this was asked before.
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// An open connection.
pub(super) struct Link {
    runtime: Option<Runtime>,
    client: Option<Client>,
    driver: Option<JoinHandle<()>>,
    warnings: Arc<Warnings>,
    statements: Mutex<HashMap<String, Statement>>,
    wait_max: Duration,
    broken: AtomicBool,
}

fn lost(doing: &'static str, why: &dyn core::fmt::Display) -> PostgresError {
    PostgresError::Lost { doing, why: why.to_string() }
}

impl Link {
    /// Connects to the host that takes writes. No later wait on this connection is longer than `wait_max`.
    pub(super) fn open(
        address: &Address,
        name: &str,
        wait_max: Duration,
    ) -> Result<Self, PostgresError> {
        let tls = address.tls().map(Tls::new).transpose()?;
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| lost("start", &error))?;
        let warnings = Arc::new(Warnings::default());
        let mut said = Vec::new();
        for (place, mut config) in address.attempts()? {
            config.application_name(name);
            let attempt = connect(&config, tls.clone(), Arc::clone(&warnings));
            let attempt = async { tokio::time::timeout(GREETING_MAX, attempt).await };
            match on(&runtime, attempt) {
                Ok(Ok((client, driver))) => {
                    address.answered(place);
                    return Ok(Self {
                        runtime: Some(runtime),
                        client: Some(client),
                        driver: Some(driver),
                        warnings,
                        statements: Mutex::default(),
                        wait_max,
                        broken: AtomicBool::new(false),
                    });
                }
                Ok(Err(error)) => said.push(PostgresError::of("connect", &error).to_string()),
                Err(_) => said.push("no answer".to_owned()),
            }
        }
        Err(PostgresError::Unreachable { at: address.to_string(), why: said.join("; ") })
    }

    /// Whether the connection can still be used.
    pub(super) fn is_sound(&self) -> bool {
        !self.broken.load(Ordering::Relaxed) && self.client.as_ref().is_some_and(|c| !c.is_closed())
    }

    pub(super) fn warnings(&self) -> &Warnings {
        &self.warnings
    }

    pub(super) fn client(&self) -> Result<&Client, PostgresError> {
        self.client.as_ref().ok_or_else(|| lost("speak", &"the connection is closed"))
    }

    /// Waits for an answer. After an error of the connection, or when it takes too long, the link is of no more use.
    pub(super) fn wait<T: Send>(
        &self,
        doing: &'static str,
        answer: impl Future<Output = Result<T, PostgresError>> + Send,
    ) -> Result<T, PostgresError> {
        let Some(runtime) = &self.runtime else { return Err(lost(doing, &"it is closed")) };
        let limited = async { tokio::time::timeout(self.wait_max, answer).await };
        let answer = on(runtime, limited).unwrap_or_else(|_| {
            let seconds = self.wait_max.as_secs();
            Err(lost(doing, &format!("no answer within {seconds} seconds")))
        });
        if matches!(answer, Err(PostgresError::Lost { .. })) {
            self.broken.store(true, Ordering::Relaxed);
        }
        answer
    }

    /// Statements without parameters, of which no answer is wanted.
    pub(super) fn script(&self, doing: &'static str, sql: &str) -> Result<(), PostgresError> {
        let client = self.client()?;
        self.wait(doing, async {
            client.batch_execute(sql).await.map_err(|error| PostgresError::of(doing, &error))
        })
    }

    /// Ends a transaction. A commit whose wait for the standbys was broken off is reported as done, with a warning beside it.
    pub(super) fn commit(&self, doing: &'static str) -> Result<(), PostgresError> {
        let _earlier = self.warnings.take();
        self.script(doing, "COMMIT")?;
        match self.warnings.take() {
            Some(warning) => Err(PostgresError::Alone(warning)),
            None => Ok(()),
        }
    }

    /// The statement, prepared once for the life of the connection.
    pub(super) async fn prepared(
        &self,
        doing: &'static str,
        sql: &str,
    ) -> Result<Statement, PostgresError> {
        let known =
            self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let prepared = self.client()?.prepare(sql).await;
        let prepared = prepared.map_err(|error| PostgresError::of(doing, &error))?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// All rows that a query answers; for few.
    pub(super) fn rows(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, PostgresError> {
        self.wait(doing, async {
            let statement = self.prepared(doing, sql).await?;
            let rows = self.client()?.query(&statement, parameters).await;
            rows.map_err(|error| PostgresError::of(doing, &error))
        })
    }

    /// Hands over the rows of a query one by one, however many there are.
    pub(super) fn each_row(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut each: impl FnMut(&Row) -> bool,
    ) -> Result<(), PostgresError> {
        let of = |error: tokio_postgres::Error| PostgresError::of(doing, &error);
        let stream = self.wait(doing, async {
            let statement = self.prepared(doing, sql).await?;
            self.client()?.query_raw(&statement, parameters.iter().copied()).await.map_err(of)
        })?;
        let mut stream = Box::pin(stream);
        // In portions: the limit is for a silent server, not for the whole of a long answer.
        loop {
            let portion = self.wait(doing, async {
                let mut portion = Vec::with_capacity(PORTION);
                while portion.len() < PORTION {
                    match stream.next().await {
                        Some(row) => portion.push(row.map_err(of)?),
                        None => return Ok((portion, End::Reached)),
                    }
                }
                Ok((portion, End::Ahead))
            });
            let (portion, end) = portion?;
            if !portion.iter().all(&mut each) || matches!(end, End::Reached) {
                return Ok(());
            }
        }
    }
}

/// Rows that are fetched before they are handed over.
const PORTION: usize = 4_096;

enum End {
    Reached,
    Ahead,
}

impl Drop for Link {
    fn drop(&mut self) {
        drop(self.client.take());
        let Some(runtime) = self.runtime.take() else { return };
        if let (Some(driver), true) = (self.driver.take(), Handle::try_current().is_err()) {
            // The farewell frees the lock at once; without it the server finds out when the socket closes.
            let farewell = async { tokio::time::timeout(FAREWELL_MAX, driver).await };
            let _late = runtime.block_on(farewell);
        }
        runtime.shutdown_background();
    }
}

/// Runs a future to its end on this thread, or, on a thread that drives other tasks and may not wait, on another.
fn on<T: Send>(runtime: &Runtime, future: impl Future<Output = T> + Send) -> T {
    if Handle::try_current().is_err() {
        return runtime.block_on(future);
    }
    std::thread::scope(|scope| {
        let done = scope.spawn(|| runtime.block_on(future)).join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

async fn connect(
    config: &Config,
    tls: Option<Tls>,
    warnings: Arc<Warnings>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    match tls {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await?;
            Ok((client, tokio::spawn(drive(connection, warnings))))
        }
        None => {
            let (client, connection) = config.connect(NoTls).await?;
            Ok((client, tokio::spawn(drive(connection, warnings))))
        }
    }
}

/// Carries messages until the connection ends; whoever waits for an answer hears of the end from there.
async fn drive<S, T>(connection: Connection<S, T>, warnings: Arc<Warnings>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    pin_mut!(connection);
    loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notice(said))) => warnings.hear(&said),
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "a connection to the database server has ended");
                return;
            }
            None => return,
        }
    }
}
