//! How many signed payments per second one engine books and proves, without HTTP.
//!
//! `cargo run --release -p tpw-engines --example throughput [PAYERS, at least 2] [PAYMENTS] [IN FLIGHT]`

#![expect(clippy::print_stderr, reason = "a measuring program speaks on standard error")]

use std::sync::Arc;
use std::time::Instant as Stopwatch;
use tpw_core::{
    AccountId, Amount, DeviceId, Hash32, Instant, Intent, Money, Name, PaymentId, PersonId,
    Purpose, Span, TransferId, TreeHead,
};
use tpw_crypto::{Algorithm, Entropy, SlotName, SoftwareSlots};
use tpw_engines::clock::{Clock, SystemClock};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::{Config, Engine};
use tpw_flow::{Answer, Command, NewAccountOrder, NewPerson};
use tpw_ledger::{AccountKind, Limits};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

struct Payer {
    device: DeviceId,
    account: AccountId,
    slots: SoftwareSlots,
}

fn random<const N: usize>() -> Fallible<[u8; N]> {
    let mut bytes = [0; N];
    OsEntropy.fill(&mut bytes)?;
    Ok(bytes)
}

async fn enrol(engine: &Engine, now: Instant) -> Fallible<Payer> {
    let ms = now.unix_ms();
    let (person, account) = (PersonId::new(ms, random()?), AccountId::new(ms, random()?));
    let code = Hash32::new(random()?);
    let order = NewAccountOrder {
        id: account,
        asset: "USD/2".parse()?,
        kind: AccountKind::Custodial,
        label: Name::new("main")?,
        opening: Amount::from_minor(10_000_000),
        transfer: TransferId::new(ms, random()?),
        limits: Limits::NONE,
    };
    let expires = now.plus(Span::from_secs(3600));
    let name = Name::new("payer")?;
    let new = NewPerson { id: person, name, accounts: vec![order], code: Some((code, expires)) };
    engine.command(Command::AddPerson(new)).await?;
    let mut slots = SoftwareSlots::new();
    let key = slots.generate(SlotName::new("d")?, Algorithm::Ed25519, &mut OsEntropy)?;
    let device = DeviceId::new(ms, random()?);
    match engine.command(Command::Enrol { code, device, key, post_quantum: None }).await? {
        Answer::Device(device) => Ok(Payer { device: device.id, account, slots }),
        other => Err(format!("{other:?}").into()),
    }
}

fn statements(
    payers: &[Payer],
    count: usize,
    audience: &Name,
    now: Instant,
) -> Fallible<Vec<Vec<u8>>> {
    let mut heads = vec![(0_u64, Hash32::ZERO); payers.len()];
    let mut out = Vec::with_capacity(count);
    for (place, _) in (0..count).enumerate() {
        let i = place % payers.len();
        let (payer, head) = (payers.get(i).ok_or("payer")?, heads.get_mut(i).ok_or("head")?);
        let payee = payers.get((i + 1) % payers.len()).ok_or("payee")?;
        let intent = Intent {
            payment: PaymentId::new(now.unix_ms(), random()?),
            device: payer.device,
            payer: payer.account,
            payee: payee.account,
            money: Money { amount: Amount::from_minor(100), asset: "USD/2".parse()? },
            fee_limit: Amount::ZERO,
            sequence: head.0 + 1,
            previous: head.1,
            seen: TreeHead { size: 0, root: Hash32::ZERO },
            created: now,
            expires: now.plus(Span::from_secs(3600)),
            audience: audience.clone(),
            purpose: Purpose::default(),
        };
        *head = (intent.sequence, tpw_proof::statement::payload_hash(&intent));
        out.push(tpw_proof::sign(&intent, &payer.slots, &SlotName::new("d")?)?);
    }
    Ok(out)
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (payers, count, in_flight) = (next(256)?, next(20_000)?, next(256)?);
    let folder = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let engine = Engine::open(folder.path(), Config::new(Name::new("bench")?), Arc::clone(&clock))?;
    let now = clock.now();
    let mut people = Vec::new();
    for _ in 0..payers {
        people.push(enrol(&engine, now).await?);
    }
    let statements = statements(&people, count, engine.audience(), clock.now())?;
    let begun = Stopwatch::now();
    let mut lanes = tokio::task::JoinSet::new();
    // Lane l takes the payers l, l + lanes, ...: each payer's intents stay in order.
    let lane_count = in_flight.min(payers);
    let statements = Arc::new(statements);
    for lane in 0..lane_count {
        let (engine, statements) = (Arc::clone(&engine), Arc::clone(&statements));
        lanes.spawn(async move {
            let mut took = Vec::new();
            let mine =
                statements.iter().enumerate().filter(|(i, _)| (i % payers) % lane_count == lane);
            for (_, statement) in mine {
                let begun = Stopwatch::now();
                let paid = engine.pay(statement).await.map_err(|error| error.to_string())?;
                if paid.receipt.is_none() {
                    return Err(format!("no receipt: {:?}", paid.payment.status()));
                }
                took.push(begun.elapsed());
            }
            Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(lane) = lanes.join_next().await {
        took.extend(lane??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    took.sort();
    let at = |share: f64| {
        took.get(((took.len() - 1) as f64 * share) as usize).copied().unwrap_or_default()
    };
    let metrics = engine.metrics();
    eprintln!(
        "{} payments in {seconds:.2} s = {:.0}/s; p50 {:?} p99 {:?} max {:?}; {} commits, tree {}",
        took.len(),
        took.len() as f64 / seconds,
        at(0.5),
        at(0.99),
        at(1.0),
        metrics.batches,
        metrics.tree_size
    );
    Ok(())
}
