//! Sends a whole list, or goes on with one, or sends a finished one once more.

use crate::actor::Actor;
use crate::balances;
use crate::client::{Call, Client, Proof, Reply};
use crate::error::ReplayError;
use crate::input::{Input, Transfer};
use crate::latency::Latency;
use crate::order::Order;
use crate::pay::{self, Setting, Told};
use crate::people::{self, Entered};
use crate::say::{Progress, per_second};
use crate::state::{Answer, Append, State, Statement};
use crate::usage::{Usage, usage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tpw_core::{Hash32, Name, TreeHead};
use tpw_engines::files::{self, Access, Durability};

/// How often the newest tree head is asked for.
const HEAD_EVERY: Duration = Duration::from_secs(1);

/// How a list is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// The most payments under way.
    pub connections: usize,
    /// After how many statements the file is synced.
    pub sync_every: usize,
    /// The server's process, for its usage.
    pub server_pid: Option<u32>,
}

/// What sending came to.
#[derive(Clone, Serialize, Debug)]
pub struct Summary {
    /// Accounts of the list.
    pub accounts: usize,
    /// People entered by this run.
    pub accounts_created: usize,
    /// Devices enrolled by this run.
    pub devices_enrolled: usize,
    /// Seconds for entering and enrolling.
    pub enrolment_s: f64,
    /// Transfers of the list.
    pub transfers: usize,
    /// Transfers that cannot be payments.
    pub not_sendable: usize,
    /// All answers so far, by status and code.
    pub outcomes: BTreeMap<String, usize>,
    /// Payments that needed a fresh signature.
    pub stepped_up: usize,
    /// Payments that an operator released.
    pub released: usize,
    /// Payments sent by this run.
    pub sent: usize,
    /// Seconds for sending them.
    pub wall_s: f64,
    /// Payments per second.
    pub payments_per_s: f64,
    /// From sending to the first answer.
    pub latency: Latency,
    /// Leaves in the log at the end.
    pub tree_size: u64,
    /// What the server has used so far.
    pub server: Option<Usage>,
    /// What this process has used so far.
    pub client: Option<Usage>,
    /// Sending a finished list once more.
    pub repeated: Option<Repeated>,
}

/// What sending everything once more came to.
#[derive(Clone, Serialize, Debug)]
pub struct Repeated {
    /// Statements answered with the same outcome, marked as repeated.
    pub same: usize,
    /// Statements answered otherwise.
    pub different: usize,
    /// The first of them.
    pub differences: Vec<String>,
    /// Leaves in the log before and after.
    pub tree_size: (u64, u64),
    /// Accounts whose balance is another than before.
    pub balances_changed: usize,
    /// Seconds.
    pub wall_s: f64,
    /// Statements per second.
    pub per_s: f64,
}

impl Repeated {
    /// Whether nothing changed.
    #[must_use]
    pub const fn changed_nothing(&self) -> bool {
        self.different == 0 && self.balances_changed == 0 && self.tree_size.0 == self.tree_size.1
    }
}

/// A server, the list and its folder.
#[derive(Debug)]
pub struct Run {
    /// The server.
    pub client: Arc<Client>,
    /// The operator.
    pub operator: Arc<Actor>,
    /// The list.
    pub input: Input,
    /// The folder.
    pub state: State,
    /// How.
    pub options: Options,
}

#[derive(Deserialize)]
struct Checkpoint {
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    size: u64,
    root: String,
}

#[derive(Deserialize)]
struct TrustFile {
    operator: String,
}

fn lost(error: &tokio::task::JoinError) -> ReplayError {
    ReplayError::Check(format!("a task ended early: {error}"))
}

/// The newest head of the log; the empty log's if there is no checkpoint yet.
///
/// # Errors
/// [`ReplayError`].
pub async fn newest_head(client: &Client) -> Result<TreeHead, ReplayError> {
    let request = "GET /v1/checkpoint";
    let reply: Reply = client.send(&Call::get("/v1/checkpoint", Proof::None)).await?;
    if reply.status == 404 {
        return Ok(TreeHead { size: 0, root: tpw_proof::tree::empty_root() });
    }
    let read: Checkpoint = reply.success(request)?;
    let root: Hash32 = read.head.root.parse().map_err(|_| reply.unexpected(request))?;
    Ok(TreeHead { size: read.head.size, root })
}

/// Reads whom to trust, keeps it in the folder if asked, and says what payments must carry.
///
/// # Errors
/// [`ReplayError`].
pub async fn setting(client: &Client, state: Option<&State>) -> Result<Setting, ReplayError> {
    let request = "GET /v1/trust";
    let reply = client.send(&Call::get("/v1/trust", Proof::None)).await?;
    let trust: TrustFile = reply.success(request)?;
    let audience = Name::new(&trust.operator).map_err(|_| reply.unexpected(request))?;
    if let Some(state) = state {
        let path = state.file("trust.json");
        files::write_atomic(&path, &reply.body, Durability::Synced, Access::Ordinary)?;
    }
    Ok(Setting { audience, seen: newest_head(client).await? })
}

/// The trust file of the server.
///
/// # Errors
/// [`ReplayError`] when there is none.
pub async fn trust(client: &Client) -> Result<tpw_proof::Trust, ReplayError> {
    let reply = client.send(&Call::get("/v1/trust", Proof::None)).await?;
    let text = String::from_utf8_lossy(&reply.body);
    Ok(tpw_proof::Trust::from_json(&text)?)
}

/// The newest head, refreshed beside the work until the guard is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<TreeHead>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Begins with `seen`.
    #[must_use]
    pub fn new(client: &Arc<Client>, seen: TreeHead) -> Self {
        let shared = Arc::new(Mutex::new(seen));
        let (client, newest) = (Arc::clone(client), Arc::clone(&shared));
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(HEAD_EVERY).await;
                // An older head is as good: a failed refresh changes nothing.
                if let Ok(head) = newest_head(&client).await {
                    *newest.lock().unwrap_or_else(PoisonError::into_inner) = head;
                }
            }
        });
        Self { seen: shared, task }
    }

    /// The newest head.
    #[must_use]
    pub fn seen(&self) -> TreeHead {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Run {
    /// Enters all accounts, then sends what has no answer yet; if everything has one, sends everything once more.
    ///
    /// # Errors
    /// [`ReplayError`]; what was answered until then is kept.
    pub async fn run(&self) -> Result<Summary, ReplayError> {
        let Self { client, operator, input, state, options } = self;
        let devices = people::devices(state)?;
        let mut append = state.append()?;
        let began = Instant::now();
        let entered = people::enter(
            client,
            operator,
            state,
            input,
            &devices,
            &mut append,
            options.connections,
        );
        let entered = entered.await?;
        let enrolment_s = began.elapsed().as_secs_f64();
        let setting = setting(client, Some(state)).await?;
        let (statements, answers) = (state.statements()?, state.answers()?);
        let finished =
            input.transfers.iter().all(|transfer| answers.contains_key(&transfer.number));
        let mut sending = Sending {
            run: self,
            devices: &devices,
            append,
            statements: HashMap::new(),
            chains: HashMap::new(),
            answers,
            times: Vec::new(),
            wall: Duration::ZERO,
        };
        let repeated = if finished && !input.transfers.is_empty() {
            Some(sending.repeat(statements).await?)
        } else {
            sending.take_up(statements);
            sending.send_all(&setting).await?;
            None
        };
        sending.append.finish()?;
        state.write_outcomes(input, &sending.answers)?;
        self.summary(entered, enrolment_s, sending, repeated).await
    }

    async fn summary(
        &self,
        entered: Entered,
        enrolment_s: f64,
        sending: Sending<'_>,
        repeated: Option<Repeated>,
    ) -> Result<Summary, ReplayError> {
        let mut outcomes = BTreeMap::new();
        for answer in sending.answers.values() {
            let key = match &answer.code {
                Some(code) => format!("{}/{code}", answer.status),
                None => answer.status.clone(),
            };
            let count: &mut usize = outcomes.entry(key).or_default();
            *count = count.saturating_add(1);
        }
        let count = |of: fn(&Answer) -> bool| sending.answers.values().filter(|a| of(a)).count();
        let (sent, wall_s) = (sending.times.len(), sending.wall.as_secs_f64());
        Ok(Summary {
            accounts: self.input.nodes.len(),
            accounts_created: entered.created,
            devices_enrolled: entered.enrolled,
            enrolment_s,
            transfers: self.input.transfers.len().saturating_add(self.input.not_sendable.len()),
            not_sendable: self.input.not_sendable.len(),
            outcomes,
            stepped_up: count(|answer| answer.stepped_up),
            released: count(|answer| answer.released),
            sent,
            wall_s,
            payments_per_s: per_second(sent, wall_s),
            latency: Latency::of(sending.times),
            tree_size: newest_head(&self.client).await?.size,
            server: self.options.server_pid.and_then(|pid| usage(Some(pid))),
            client: usage(None),
            repeated,
        })
    }

    fn name(&self, place: u32) -> &str {
        let node = usize::try_from(place).ok().and_then(|place| self.input.nodes.get(place));
        node.map_or("", |node| &node.name)
    }
}

/// A list being sent. Only this one writes the files.
struct Sending<'r> {
    run: &'r Run,
    devices: &'r [Arc<Actor>],
    append: Append,
    /// Statements without an answer, from a run that was interrupted.
    statements: HashMap<u32, Statement>,
    /// Per payer: the last intent that counted.
    chains: HashMap<u32, (u64, Hash32)>,
    answers: BTreeMap<u32, Answer>,
    times: Vec<Duration>,
    wall: Duration,
}

type Paid = Result<(usize, Arc<Statement>, Told), ReplayError>;

impl Sending<'_> {
    /// Rebuilds the chains from what was sent and answered.
    fn take_up(&mut self, statements: Vec<Statement>) {
        let payers: HashMap<u32, u32> =
            self.run.input.transfers.iter().map(|t| (t.number, t.edge.payer)).collect();
        for statement in statements {
            let Some(payer) = payers.get(&statement.number) else { continue };
            match self.answers.get(&statement.number) {
                Some(answer) if answer.consumed => {
                    self.chains.insert(*payer, (statement.sequence, statement.intent_hash));
                }
                Some(_) => {}
                None => {
                    self.statements.insert(statement.number, statement);
                }
            }
        }
    }

    async fn send_all(&mut self, setting: &Setting) -> Result<(), ReplayError> {
        let run = self.run;
        let edges = run.input.edges();
        let mut order = Order::new(&edges);
        let watch = Watch::new(&run.client, setting.seen);
        let mut progress = Progress::new("payments", run.input.transfers.len());
        let mut open: JoinSet<Paid> = JoinSet::new();
        let began = Instant::now();
        loop {
            let mut ready = Vec::new();
            while open.len().saturating_add(ready.len()) < run.options.connections.max(1) {
                let Some(index) = order.take() else { break };
                let Some(transfer) = run.input.transfers.get(index) else { break };
                if self.answers.contains_key(&transfer.number) {
                    order.done(index);
                    progress.add(1);
                    continue;
                }
                let now = Setting { audience: setting.audience.clone(), seen: watch.seen() };
                ready.push((index, transfer, self.statement(transfer, &now)?));
            }
            self.append.before_sending(run.options.sync_every)?;
            for (index, transfer, statement) in ready {
                self.spawn(&mut open, index, transfer, statement, &setting.audience);
            }
            let Some(joined) = open.join_next().await else { break };
            let mut next = Some(joined);
            while let Some(joined) = next {
                let (index, statement, told) = joined.map_err(|error| lost(&error))??;
                self.note(index, &statement, told)?;
                order.done(index);
                progress.add(1);
                next = open.try_join_next();
            }
        }
        self.wall = began.elapsed();
        progress.end();
        Ok(())
    }

    /// The statement of a transfer: the one of an interrupted run, or a new one, in the file before it is used.
    fn statement(
        &mut self,
        transfer: &Transfer,
        setting: &Setting,
    ) -> Result<Statement, ReplayError> {
        if let Some(kept) = self.statements.remove(&transfer.number) {
            return Ok(kept);
        }
        let run = self.run;
        let head = self.chains.get(&transfer.edge.payer).copied();
        let names = (run.name(transfer.edge.payer), run.name(transfer.edge.payee));
        let statement = pay::sign_transfer(
            &run.state,
            transfer,
            names,
            self.device(transfer.edge.payer)?,
            head.unwrap_or((0, Hash32::ZERO)),
            setting,
            run.input.asset,
        )?;
        self.append.statement(&statement)?;
        Ok(statement)
    }

    fn device(&self, place: u32) -> Result<&Arc<Actor>, ReplayError> {
        let device = usize::try_from(place).ok().and_then(|place| self.devices.get(place));
        device.ok_or_else(|| ReplayError::Check("an account has no device".to_owned()))
    }

    fn spawn(
        &self,
        open: &mut JoinSet<Paid>,
        index: usize,
        transfer: &Transfer,
        statement: Statement,
        audience: &Name,
    ) {
        let run = self.run;
        let payer = transfer.edge.payer;
        let (client, operator) = (Arc::clone(&run.client), Arc::clone(&run.operator));
        let (device, audience) = (run.state.device(run.name(payer)), audience.clone());
        let actor = self.device(payer).map(Arc::clone);
        open.spawn(async move {
            let actor = actor?;
            let payer = (device, actor.as_ref());
            let told =
                pay::send_and_settle(&client, &statement, payer, &operator, &audience).await?;
            Ok((index, Arc::new(statement), told))
        });
    }

    fn note(&mut self, index: usize, statement: &Statement, told: Told) -> Result<(), ReplayError> {
        let payer = self.run.input.transfers.get(index).map(|transfer| transfer.edge.payer);
        if let Some(payer) = payer
            && told.answer.consumed
        {
            self.chains.insert(payer, (statement.sequence, statement.intent_hash));
        }
        self.times.push(told.took);
        let answer = self.append.answer(told.answer, told.receipt.as_deref())?;
        self.answers.insert(answer.number, answer);
        Ok(())
    }

    /// Sends every statement again, byte for byte.
    async fn repeat(&mut self, statements: Vec<Statement>) -> Result<Repeated, ReplayError> {
        let Run { client, operator, state, options, .. } = self.run;
        let before = balances::read(client, operator, state, options.connections).await?;
        let size_before = newest_head(client).await?.size;
        let mut progress = Progress::new("statements again", statements.len());
        let began = Instant::now();
        let (mut same, mut differences) = (0_usize, Vec::new());
        let mut different = 0_usize;
        let mut next = statements.into_iter();
        let mut open: JoinSet<Result<Told, ReplayError>> = JoinSet::new();
        loop {
            while open.len() < options.connections.max(1) {
                let Some(statement) = next.next() else { break };
                let client = Arc::clone(client);
                open.spawn(async move { pay::send(&client, &statement).await });
            }
            let Some(joined) = open.join_next().await else { break };
            let told = joined.map_err(|error| lost(&error))??;
            match self.answers.get(&told.answer.number).map(|first| difference(first, &told)) {
                Some(None) => same = same.saturating_add(1),
                why => {
                    different = different.saturating_add(1);
                    if differences.len() < 20 {
                        let why = why.flatten().unwrap_or_else(|| "it had no answer".to_owned());
                        differences.push(format!("transfer {}: {why}", told.answer.number));
                    }
                }
            }
            progress.add(1);
        }
        let wall_s = began.elapsed().as_secs_f64();
        progress.end();
        let size_after = newest_head(client).await?.size;
        let after = balances::read(client, operator, state, options.connections).await?;
        Ok(Repeated {
            same,
            different,
            differences,
            tree_size: (size_before, size_after),
            balances_changed: before.iter().zip(&after).filter(|(b, a)| b != a).count(),
            wall_s,
            per_s: per_second(same.saturating_add(different), wall_s),
        })
    }
}

/// How a second answer differs from the first.
fn difference(first: &Answer, again: &Told) -> Option<String> {
    let now = &again.answer;
    if !first.consumed {
        // It was not taken then; its number has been used by another since.
        return now.consumed.then(|| "it was rejected and is taken now".to_owned());
    }
    if !again.replayed {
        return Some("it is not marked as repeated".to_owned());
    }
    if (&first.status, &first.code, first.leaf_index) != (&now.status, &now.code, now.leaf_index) {
        return Some(format!("{first:?} became {now:?}"));
    }
    (first.receipt.is_some() != again.receipt.is_some())
        .then(|| "the receipt is there in one answer alone".to_owned())
}
