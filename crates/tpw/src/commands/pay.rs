//! Paying from a device: what one order and a whole file have in common, and `tpw pay --batch`.

use super::input::{self, Asking};
use super::proving::{self, Proved, Prover, Secret};
use super::wallet;
use super::{Context, Outcome};
use crate::args::{Device, PayBatch, PayOrder};
use crate::client::Client;
use crate::device::files::{DeviceFolder, JournalFile, read_named};
use crate::device::keys::Keys;
use crate::device::pay::{Outcome as Paid, Started, Teller};
use crate::exit::{Exit, Failure};
use crate::say::{Mood, Say};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _};
use std::time::Duration;
use tpw_core::{AccountId, Amount, Asset, Instant, Name, PaymentId, Purpose, TreeHead};
use tpw_engines::clock::Clock as _;
use tpw_engines::files::FolderLock;
use tpw_server::wire;
use tpw_wallet::batch::{self, Batch, LineError, Terms};
use tpw_wallet::check::{self, Known, Warning};
use tpw_wallet::journal::State;
use tpw_wallet::pay::{LIFE_DEFAULT, Order, Origin};
use tpw_wallet::payee::Payees;
use tpw_wallet::profile::Profile;

/// A device that is about to pay: nobody else works in its folder.
pub(super) struct Desk {
    pub(super) folder: DeviceFolder,
    pub(super) profile: Profile,
    pub(super) payees: Payees,
    pub(super) keys: Keys,
    _lock: FolderLock,
}

impl Desk {
    pub(super) fn open(context: &Context, device: &Device) -> Result<Self, Failure> {
        let folder = input::folder(device)?;
        // INVARIANT: what is written back later was read under the lock. A head that another command noted meanwhile would
        // be lost otherwise, and with it the device's memory of what the log was.
        let lock = folder.lock()?;
        let (profile, payees) = (folder.profile()?, folder.payees()?);
        let keys = input::keys(context, &folder, device)?;
        Ok(Self { folder, profile, payees, keys, _lock: lock })
    }

    pub(super) fn client(&self, context: &Context) -> Result<Client, Failure> {
        wallet::client(context, &self.profile.server, self.folder.ca()?.as_deref())
    }

    pub(super) fn now(&self, context: &Context) -> Instant {
        context.clock.now()
    }

    /// What the payer can spend, if the server says so: for a warning, so that no answer is no failure.
    pub(super) async fn available(&self, client: &Client, payer: AccountId) -> Option<Amount> {
        let answer = client.get(&self.keys, &format!("/v1/accounts/{payer}")).await.ok()?;
        answer.json::<wire::Account>().ok()?.available.parse().ok()
    }

    pub(super) fn teller<'a>(
        &'a self,
        context: &'a Context,
        client: &'a Client,
        journal: JournalFile,
    ) -> Teller<'a> {
        Teller {
            folder: &self.folder,
            profile: &self.profile,
            journal,
            keys: &self.keys,
            client,
            clock: context.clock.as_ref(),
            timing: None,
        }
    }

    /// Takes note of the log's head in a checked receipt: the next intent will name it.
    pub(super) fn observe(&self, outcome: &Paid) -> Result<(), Failure> {
        let (Paid::Booked(kept) | Paid::Compensated(kept)) = outcome else { return Ok(()) };
        let proved = kept.judgement.as_ref().and_then(|judgement| judgement.payment.as_ref());
        let Some(head) = proved.map(|proved| proved.head) else { return Ok(()) };
        self.keep_head(head)
    }

    fn keep_head(&self, head: TreeHead) -> Result<(), Failure> {
        let mut profile = self.profile.clone();
        profile.observe(head)?;
        self.folder.write_profile(&profile)
    }
}

/// The order on the command line.
pub(super) fn order(profile: &Profile, payees: &Payees, args: &PayOrder) -> Result<Order, Failure> {
    let asset: Asset = args
        .asset
        .parse()
        .map_err(|error| Failure::usage("asset").arg("text", &args.asset).because(error))?;
    let named =
        |text: &String| Name::new(text).map_err(|error| Failure::usage("order-id").because(error));
    let purpose =
        Purpose::new(&args.note).map_err(|error| Failure::usage("note").because(error))?;
    Ok(Order {
        payer: profile.find_account(&args.from)?.id,
        payee: wallet::payee(profile, payees, &args.to)?,
        money: wallet::money(&args.amount, asset)?,
        purpose,
        fee_limit: Amount::ZERO,
        life: LIFE_DEFAULT,
        origin: args.id.as_ref().map(named).transpose()?.map_or(Origin::Command, Origin::Named),
    })
}

/// Shows what will be signed, and what to look at before.
pub(super) fn tell_order(say: &Say, profile: &Profile, order: &Order, warnings: &[Warning]) {
    let from =
        profile.account(order.payer).map(|a| a.label.as_str().to_owned()).unwrap_or_default();
    let (payee, money) = (order.payee.to_string(), order.money.to_string());
    let args = [
        ("money", money.as_str()),
        ("from", from.as_str()),
        ("to", payee.as_str()),
        ("note", order.purpose.as_str()),
        ("operator", profile.audience().as_str()),
    ];
    say.tell("will-sign", &args);
    if !order.purpose.as_str().is_empty() {
        say.tell("will-sign-note", &args);
    }
    warnings.iter().for_each(|warning| tell_warning(say, Some(order.money.asset), warning));
}

/// Shows a warning; those about amounts want the asset.
fn tell_warning(say: &Say, asset: Option<Asset>, warning: &Warning) {
    let units = |amount: Amount| {
        asset.map_or_else(|| amount.to_string(), |asset| asset.format_units(amount))
    };
    let detail = match warning {
        Warning::Balance { available } => units(*available),
        Warning::PayeeLooksLike { known } | Warning::PayeeEndsAlike { known } => known.to_string(),
        Warning::AmountUnusual { usual } => units(*usual),
        Warning::Repeated { at } => at.to_string(),
        Warning::PayeeNew => String::new(),
    };
    let text = say.with(&format!("warning-{}", warning.code()), &[("detail", &detail)]);
    say.word(&say.paint(Mood::Warn, &text));
}

/// Tells the id before anything is sent.
pub(super) fn tell_started(say: &Say, started: Started) {
    let id = started.payment().to_string();
    let key = match started {
        Started::New(_) => "payment-stored",
        Started::Resumed(_) => "payment-resumed",
        Started::Finished(_) => "payment-finished",
    };
    say.tell(key, &[("id", &id)]);
}

/// Sends what was begun; a payment that was carried out before is only looked up, by sending the same bytes.
pub(super) async fn finish(teller: &mut Teller<'_>, started: Started) -> Result<Paid, Failure> {
    teller.send(started.payment()).await
}

/// Lets a payment that waits for its payer go on, if somebody is there to be asked: with the passphrase, which signs once more, or with
/// another factor of theirs.
pub(super) async fn step_up(
    context: &Context,
    device: &Device,
    (desk, client): (&Desk, &Client),
    teller: &mut Teller<'_>,
    waiting: Paid,
) -> Result<Paid, Failure> {
    let Paid::StepUp(Some(payment)) = &waiting else { return Ok(waiting) };
    let entry = teller.journal.journal().entry(payment.id.0)?;
    let (id, intent_hash) = (entry.payment(), entry.intent_hash());
    let secret = Secret { context, file: None };
    let prover = Prover { secret, client, keys: &desk.keys };
    let purpose = proving::Purpose::Payment { id, intent_hash };
    match proving::for_payment(&prover, device, purpose).await? {
        None => Ok(waiting),
        Some(Proved::Passphrase) => {
            context.say.tell("step-up-now", &[]);
            let vault = input::vault(context, &desk.folder, device, Asking::Again)?;
            teller.step_up(id, &vault).await
        }
        Some(Proved::By(done)) => match done.payment {
            Some(payment) => teller.resting(id, payment),
            None => Ok(waiting),
        },
    }
}

/// What a line of a batch came to.
struct Row {
    line: u64,
    payment: Option<PaymentId>,
    outcome: String,
    code: Option<String>,
    receipt: Option<String>,
    /// How a command for this line alone would end.
    exit: Exit,
}

/// How many lines came to what.
#[derive(Default)]
struct Tally {
    booked: u64,
    refused: u64,
    waiting: u64,
    later: u64,
    wrong: u64,
}

impl Tally {
    fn count(&mut self, exit: Exit) {
        let counter = match exit {
            Exit::Done => &mut self.booked,
            Exit::StepUp | Exit::Held => &mut self.waiting,
            Exit::Later => &mut self.later,
            Exit::Refused | Exit::NotVerified => &mut self.refused,
            Exit::Failed | Exit::Usage => &mut self.wrong,
        };
        *counter = counter.saturating_add(1);
    }

    /// Lines that were not taken come first: the same file given again goes on with them, whatever became of the others.
    const fn exit(&self) -> Exit {
        match self {
            Self { later: 1.., .. } => Exit::Later,
            Self { wrong: 1.., .. } => Exit::Failed,
            Self { refused: 1.., .. } => Exit::Refused,
            Self { waiting: 1.., .. } => Exit::Held,
            _ => Exit::Done,
        }
    }

    fn tell(&self, say: &Say) {
        let counts = [self.booked, self.refused, self.waiting, self.later, self.wrong];
        let texts = counts.map(|count| count.to_string());
        let names = ["booked", "refused", "waiting", "later", "wrong"];
        let args: Vec<(&str, &str)> =
            names.into_iter().zip(texts.iter().map(String::as_str)).collect();
        say.tell("batch-done", &args);
    }
}

pub(super) async fn batch(context: &Context, args: &PayBatch) -> Outcome {
    let say = &context.say;
    let file = read_named(&args.batch, u64::try_from(batch::FILE_LEN_MAX).unwrap_or(u64::MAX))?;
    let desk = Desk::open(context, &args.device)?;
    let terms = Terms { fee_limit: Amount::ZERO, life: LIFE_DEFAULT };
    let parsed = batch::parse(&file, &desk.profile, terms)?;
    let client = desk.client(context)?;
    let journal = desk.folder.journal()?;
    confirm_payees(context, &desk, &journal, &parsed, args.yes_new_payee)?;
    let mut teller = desk.teller(context, &client, journal);
    let bar = progress(say, parsed.lines.len());
    let (mut tally, mut head) = (Tally::default(), None);
    if !say.is_json() {
        say.data("line,payment,outcome,code,receipt");
    }
    for line in &parsed.lines {
        let row = match line {
            Ok(order) => match pay_line(&mut teller, order, &mut head).await {
                Ok(row) => row,
                Err(failure) => {
                    bar.abandon();
                    return Err(failure);
                }
            },
            Err(error) => wrong_row(error),
        };
        tally.count(row.exit);
        bar.suspend(|| tell_row(say, &row));
        bar.inc(1);
    }
    bar.finish_and_clear();
    if let Some(head) = head {
        desk.keep_head(head)?;
    }
    tally.tell(say);
    Ok(tally.exit())
}

/// Before anything of a file is signed, each payee in it that could be taken for another is shown, and confirmed by itself.
fn confirm_payees(
    context: &Context,
    desk: &Desk,
    journal: &JournalFile,
    parsed: &Batch,
    confirmed: bool,
) -> Result<(), Failure> {
    let known = Known { profile: &desk.profile, journal: journal.journal(), payees: &desk.payees };
    let orders = parsed.lines.iter().filter_map(|line| line.as_ref().ok());
    let doubtful = check::doubtful_payees(orders, known);
    for (payee, warning) in &doubtful {
        context.say.tell("batch-payee-doubtful", &[("payee", &payee.to_string())]);
        tell_warning(&context.say, None, warning);
    }
    if confirmed {
        return Ok(());
    }
    doubtful.iter().try_for_each(|(payee, _)| input::confirm_payee(context, &payee.to_string()))
}

fn progress(say: &Say, lines: usize) -> ProgressBar {
    let shown = io::stderr().is_terminal();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(lines).ok(), target);
    let form = "{prefix} {wide_bar} {pos}/{len} {per_sec} {eta}";
    bar.set_style(
        ProgressStyle::with_template(form).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(say.text("batch-paying"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Pays one line. A line with a final answer is not sent again: the journal has it.
async fn pay_line(
    teller: &mut Teller<'_>,
    order: &Order,
    head: &mut Option<TreeHead>,
) -> Result<Row, Failure> {
    let line = match &order.origin {
        Origin::Line(at) => at.line,
        Origin::Command | Origin::Named(_) => 0,
    };
    let started = teller.begin(order)?;
    let id = started.payment();
    if let Started::Finished(_) = started
        && let Some(row) = known_row(teller.journal.journal().entry(id)?.state(), line, id)
    {
        return Ok(row);
    }
    let outcome = teller.send(id).await?;
    let mut row = Row {
        line,
        payment: Some(id),
        outcome: outcome.code().to_owned(),
        code: None,
        receipt: None,
        exit: outcome.exit(),
    };
    match outcome {
        Paid::Booked(kept) | Paid::Compensated(kept) => {
            row.receipt.clone_from(&kept.receipt);
            let proved = kept.judgement.and_then(|judgement| judgement.payment);
            let newer = |new: &TreeHead| head.is_none_or(|old: TreeHead| new.size > old.size);
            if let Some(new) = proved.map(|proved| proved.head).filter(newer) {
                *head = Some(new);
            }
        }
        Paid::Refused { code, .. } => row.code = Some(code),
        Paid::Rejected { problem, .. } => row.code = Some(problem.code),
        Paid::StepUp(_) | Paid::Held(_) => {}
    }
    Ok(row)
}

fn known_row(state: &State, line: u64, payment: PaymentId) -> Option<Row> {
    let (outcome, code, receipt) = match state {
        State::Done { outcome, receipt } => {
            (outcome.as_str(), None, receipt.as_ref().map(|name| name.as_str().to_owned()))
        }
        State::Refused { code } => ("refused", Some(code.as_str().to_owned()), None),
        State::Prepared | State::Sent | State::Abandoned { .. } => return None,
    };
    let exit = if outcome == "booked" { Exit::Done } else { Exit::Refused };
    Some(Row { line, payment: Some(payment), outcome: outcome.to_owned(), code, receipt, exit })
}

fn wrong_row(error: &LineError) -> Row {
    Row {
        line: error.line,
        payment: None,
        outcome: "wrong".to_owned(),
        code: Some(format!("{}:{}", error.column, error.fault.code())),
        receipt: None,
        exit: Exit::Failed,
    }
}

fn tell_row(say: &Say, row: &Row) {
    let id = row.payment.map(|id| id.to_string());
    if say.is_json() {
        let value: Value = json!({
            "line": row.line, "payment": id, "outcome": row.outcome, "code": row.code,
            "receipt": row.receipt,
        });
        say.json(&value);
        return;
    }
    // No field holds a comma or a quote: ids, codes and file names of ours.
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (id, code, receipt) = (text(&id), text(&row.code), text(&row.receipt));
    say.data(&format!("{},{id},{},{code},{receipt}", row.line, row.outcome));
}
