//! `tpw wallet`: the device.

use super::input::{self, Asking};
use super::pay::{self, Desk};
use super::{Context, Outcome, evidence, payees, proving, show};
use crate::args::{Algorithm as Chosen, Device, PayOrder, Wallet};
use crate::client::{Client, ClientError};
use crate::device::agent::{self, AgentLink};
use crate::device::files::{DeviceFolder, ReceiptKind, read_named};
use crate::device::keys::Keys;
use crate::exit::{Exit, Failure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tpw_access::EnrolmentCode;
use tpw_core::{AccountId, Amount, DeviceId, Money, Name, PersonId, TreeHead};
use tpw_crypto::{Algorithm, Entropy};
use tpw_engines::entropy::OsEntropy;
use tpw_engines::files::{self as disk, Access, Durability};
use tpw_server::wire;
use tpw_wallet::WalletError;
use tpw_wallet::check::{Known, Warning};
use tpw_wallet::journal::State;
use tpw_wallet::payee::Payees;
use tpw_wallet::profile::{Account, Custody, Profile};
use tpw_wallet::vault::Vault;

const AGENT_LIFE_MAX_S: u64 = 24 * 3600;

pub(super) async fn run(context: &Context, command: Wallet) -> Outcome {
    match command {
        Wallet::Init { device, algorithm, hybrid } => {
            let made = if hybrid { Vault::create_hybrid } else { Vault::create };
            init(context, &device, algorithm, made)
        }
        Wallet::Enrol { device, server, ca, code_file } => {
            enrol(context, &device, &server, ca.as_deref(), code_file.as_deref()).await
        }
        Wallet::Unlock { device, life } => unlock(context, &device, &life).await,
        Wallet::Lock { device } => lock(context, &device),
        Wallet::Accounts { device } => accounts(context, &device).await,
        Wallet::Pay { device, order } => pay_one(context, &device, &order).await,
        Wallet::Payees(command) => payees::run(context, &command),
        Wallet::Receipts { device, fresh, out } => {
            if fresh {
                refresh(context, &device).await?;
            }
            receipts(context, &device, out.as_deref())
        }
        Wallet::Show { device } => overview(context, &device),
        Wallet::Agent { device, life } => serve_agent(context, &device, &life).await,
    }
}

/// Makes the keys of a vault.
type Create = fn(Algorithm, &mut dyn Entropy) -> Result<Vault, WalletError>;

fn init(context: &Context, device: &Device, chosen: Chosen, create: Create) -> Outcome {
    let (say, folder) = (&context.say, input::folder(device)?);
    folder.create()?;
    let _lock = folder.lock()?;
    let shown = folder.path().display().to_string();
    if folder.has_vault() {
        return Err(Failure::failed("wallet-exists").arg("path", shown));
    }
    let passphrase = input::passphrase(context, device, Asking::New)?;
    let algorithm = match chosen {
        Chosen::Ed25519 => Algorithm::Ed25519,
        Chosen::P256 => Algorithm::P256,
    };
    let vault = create(algorithm, &mut OsEntropy)?;
    let second = vault.post_quantum_slot().map(|_slot| Algorithm::MlDsa44.name());
    let algorithms = [algorithm.name()].into_iter().chain(second).collect::<Vec<_>>().join(" + ");
    folder.write_vault(&vault, &passphrase, &mut OsEntropy)?;
    let thumbprint = URL_SAFE_NO_PAD.encode(vault.public_key()?.jwk_thumbprint());
    if say.is_json() {
        say.json(&json!({
            "wallet": shown, "algorithm": algorithms, "key_thumbprint": thumbprint,
        }));
    } else {
        say.data(&say.with("wallet-made", &[("path", &shown)]));
        say.data(&say.with("wallet-key", &[("algorithm", &algorithms), ("key", &thumbprint)]));
        say.tell("wallet-made-next", &[]);
    }
    Ok(Exit::Done)
}

async fn enrol(
    context: &Context,
    device: &Device,
    server: &str,
    ca: Option<&Path>,
    code_file: Option<&Path>,
) -> Outcome {
    let folder = input::folder(device)?;
    let _lock = folder.lock()?;
    let passphrase = input::passphrase(context, device, Asking::Open)?;
    let mut vault = folder.open_vault(&passphrase)?;
    let ca = ca.map(|path| read_named(path, 4 << 20)).transpose()?;
    let client = client(context, server, ca.as_deref())?;
    let text = match code_file {
        Some(path) => input::secret_file(context, path)?,
        None => input::typed(context, "ask-code")?,
    };
    let code: EnrolmentCode =
        text.parse().map_err(|error| Failure::usage("code").because(error))?;
    let keys = Keys::Vault(Box::new(vault));
    let enrolled = match client.enrol(&keys, &code).await {
        Ok(enrolled) => enrolled,
        // The last attempt may have been cut off after the server took the key.
        Err(ClientError::Problem(problem))
            if matches!(problem.code.as_str(), "key_in_use" | "code_invalid") =>
        {
            match recover(&client, &keys).await {
                Ok(enrolled) => enrolled,
                Err(_not_enrolled) => return Err(ClientError::Problem(problem).into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    let profile = profile_of(client.origin(), &enrolled)?;
    let Keys::Vault(opened) = keys else { return Err(Failure::failed("agent")) };
    vault = *opened;
    vault.enrol(enrolled.device.0, enrolled.person.0)?;
    if let Some(ca) = &ca {
        folder.write_ca(ca)?;
    }
    folder.write_vault(&vault, &passphrase, &mut OsEntropy)?;
    folder.write_profile(&profile)?;
    tell_enrolled(context, &profile, enrolled.device.0, enrolled.person.0);
    Ok(Exit::Done)
}

fn tell_enrolled(context: &Context, profile: &Profile, device: DeviceId, person: PersonId) {
    let (say, device, person) = (&context.say, device.to_string(), person.to_string());
    if say.is_json() {
        let accounts = profile.accounts().iter().map(|account| {
            json!({
                "id": account.id.to_string(), "asset": account.asset.to_string(),
                "label": account.label.as_str(), "custody": account.custody.code(),
            })
        });
        say.json(&json!({
            "device": device, "person": person, "audience": profile.audience().as_str(),
            "accounts": accounts.collect::<Vec<_>>(),
        }));
        return;
    }
    say.data(&say.with(
        "wallet-enrolled",
        &[("device", &device), ("person", &person), ("operator", profile.audience().as_str())],
    ));
    for account in profile.accounts() {
        say.data(&format!("  {}  {}  {}", account.label.as_str(), account.asset, account.id));
    }
}

/// What the server knows of a key that it enrolled before.
async fn recover(client: &Client, keys: &Keys) -> Result<wire::Enrolled, Failure> {
    let token = client.token(keys).await?;
    let odd = || Failure::failed("server-answer");
    // The claims are only read for our own ids; the server checks the token itself.
    let payload = token.split('.').nth(1).ok_or_else(odd)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_odd| odd())?;
    let claims: Value = serde_json::from_slice(&bytes).map_err(|_odd| odd())?;
    let claim = |name: &str| claims.get(name).and_then(Value::as_str).ok_or_else(odd);
    let device: DeviceId = claim("device")?.parse().map_err(|_odd| odd())?;
    let person: PersonId = claim("sub")?.parse().map_err(|_odd| odd())?;
    let accounts: wire::AccountList = client.get(keys, "/v1/accounts").await?.json()?;
    let trust: Value = client.get_public("/v1/trust").await?.json()?;
    let checkpoint: wire::Checkpoint = client.get_public("/v1/checkpoint").await?.json()?;
    Ok(wire::Enrolled {
        device: wire::Text(device),
        person: wire::Text(person),
        accounts: accounts.items,
        audience: String::new(),
        trust,
        head: checkpoint.head,
    })
}

pub(super) fn profile_of(server: &str, enrolled: &wire::Enrolled) -> Result<Profile, Failure> {
    let mut profile = Profile::new(server, &enrolled.trust.to_string())?;
    profile.device = Some(enrolled.device.0);
    profile.person = Some(enrolled.person.0);
    for account in &enrolled.accounts {
        put_account(&mut profile, account)?;
    }
    profile.observe(TreeHead { size: enrolled.head.size, root: enrolled.head.root.0 })?;
    Ok(profile)
}

/// Enters an account; a label that another account has gets the end of the id, so that both can be named.
fn put_account(profile: &mut Profile, account: &wire::Account) -> Result<(), Failure> {
    let custody = match account.kind {
        wire::AccountKind::SelfCustodial => Custody::SelfCustodial,
        _ => Custody::Custodial,
    };
    let id = account.id.0;
    let end: String =
        id.to_string().chars().rev().take(6).collect::<Vec<_>>().into_iter().rev().collect();
    for label in [account.label.clone(), format!("{} {end}", account.label), end.clone()] {
        let Ok(label) = Name::new(&label) else { continue };
        let entry = Account { id, asset: account.asset.0, custody, label };
        if profile.put_account(entry).is_ok() {
            return Ok(());
        }
    }
    Err(Failure::failed("server-answer").because(format!("account `{id}` has no usable label")))
}

pub(super) fn client(
    context: &Context,
    server: &str,
    ca: Option<&[u8]>,
) -> Result<Client, Failure> {
    let clock = std::sync::Arc::clone(&context.clock);
    let client = Client::new(server, ca, context.say.lang().tag(), clock)?;
    Ok(proving::asking(context, client))
}

async fn unlock(context: &Context, device: &Device, life: &str) -> Outcome {
    let (say, folder) = (&context.say, input::folder(device)?);
    let seconds = seconds_of(life, AGENT_LIFE_MAX_S)?;
    if AgentLink::find(&folder.socket()).is_some() {
        return Err(Failure::failed("unlocked-already"));
    }
    // Opened here first, so that a wrong passphrase is told here.
    let passphrase_file = device.passphrase_file.clone();
    let text = match &passphrase_file {
        Some(path) => input::secret_file(context, path)?,
        None => input::typed(context, "ask-passphrase")?,
    };
    folder.open_vault(&tpw_wallet::vault::Passphrase::new(&text)?)?;
    folder.profile()?;
    let failed = |error: std::io::Error| Failure::failed("agent").because(error);
    let mut command = Command::new(std::env::current_exe().map_err(failed)?);
    command
        .args(["wallet", "agent", "--passphrase-file", "-", "--for", life, "--wallet"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    {
        // Out of the terminal's group: Ctrl-C there is not meant for the agent.
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut pipe) = child.stdin.take() {
        use std::io::Write as _;
        pipe.write_all(text.as_bytes()).and_then(|()| pipe.write_all(b"\n")).map_err(failed)?;
    }
    for _wait in 0..100_u8 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if AgentLink::find(&folder.socket()).is_some() {
            say.tell("wallet-unlocked", &[("time", &seconds.to_string())]);
            return Ok(Exit::Done);
        }
        if let Ok(Some(status)) = child.try_wait() {
            return Err(Failure::failed("agent").because(status));
        }
    }
    Err(Failure::failed("agent"))
}

async fn serve_agent(context: &Context, device: &Device, life: &str) -> Outcome {
    let folder = input::folder(device)?;
    let vault = input::vault(context, &folder, device, Asking::Open)?;
    agent::serve(&folder.socket(), vault, Duration::from_secs(seconds_of(life, AGENT_LIFE_MAX_S)?))
        .await?;
    Ok(Exit::Done)
}

fn lock(context: &Context, device: &Device) -> Outcome {
    let folder = input::folder(device)?;
    match AgentLink::find(&folder.socket()) {
        Some(agent) => {
            agent.lock()?;
            context.say.tell("wallet-locked", &[]);
        }
        None => context.say.tell("wallet-locked-already", &[]),
    }
    Ok(Exit::Done)
}

/// `90s`, `15m` or `8h`, at most a day.
pub(super) fn seconds_of(text: &str, most: u64) -> Result<u64, Failure> {
    let longest = match most % 3600 {
        0 => format!("{}h", most / 3600),
        _ => format!("{most}s"),
    };
    let wrong = || Failure::usage("time").arg("text", text).arg("most", &longest);
    let unit = text.chars().last().ok_or_else(wrong)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_odd| wrong())?;
    let seconds = number.checked_mul(factor).ok_or_else(wrong)?;
    if (1..=most).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

async fn accounts(context: &Context, device: &Device) -> Outcome {
    let (say, folder) = (&context.say, input::folder(device)?);
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = client(context, &profile.server, folder.ca()?.as_deref())?;
    let list: wire::AccountList = client.get(&keys, "/v1/accounts").await?.json()?;
    let is_new = |account: &wire::Account| profile.account(account.id.0).is_err();
    let profile = match list.items.iter().any(is_new) {
        true => keep_accounts(&folder, &list.items)?,
        false => profile,
    };
    if say.is_json() {
        let items = serde_json::to_value(&list.items).unwrap_or_default();
        say.json(&json!({ "accounts": items }));
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = list
        .items
        .iter()
        .map(|account| {
            let label = profile.account(account.id.0).map(|own| own.label.as_str().to_owned());
            vec![
                label.unwrap_or_else(|_unknown| account.label.clone()),
                units(account, &account.available),
                units(account, &account.pending.0.to_string()),
                account.asset.0.to_string(),
                say.text(&format!("held-by-{}", account.keys_held_by)),
                account.id.0.to_string(),
            ]
        })
        .collect();
    let head =
        ["head-label", "head-available", "head-pending", "head-asset", "head-keys", "head-account"];
    say.table(&head, &rows);
    Ok(Exit::Done)
}

/// Enters accounts into the profile as it is now: another command may have changed it while the server was asked.
fn keep_accounts(folder: &DeviceFolder, accounts: &[wire::Account]) -> Result<Profile, Failure> {
    let _lock = folder.lock()?;
    let mut profile = folder.profile()?;
    for account in accounts {
        if profile.account(account.id.0).is_err() {
            put_account(&mut profile, account)?;
        }
    }
    folder.write_profile(&profile)?;
    Ok(profile)
}

/// Minor units, possibly negative, as whole units.
pub(super) fn units(account: &wire::Account, minor: &str) -> String {
    let (sign, digits) = minor.strip_prefix('-').map_or(("", minor), |rest| ("-", rest));
    match digits.parse::<Amount>() {
        Ok(amount) => format!("{sign}{}", account.asset.0.format_units(amount)),
        Err(_odd) => minor.to_owned(),
    }
}

async fn pay_one(context: &Context, device: &Device, args: &PayOrder) -> Outcome {
    let say = &context.say;
    let desk = Desk::open(context, device)?;
    let order = pay::order(&desk.profile, &desk.payees, args)?;
    let client = desk.client(context)?;
    let available = desk.available(&client, order.payer).await;
    let journal = desk.folder.journal()?;
    let now = desk.now(context);
    let known = Known { profile: &desk.profile, journal: journal.journal(), payees: &desk.payees };
    let warnings = tpw_wallet::check::check(&order, available, known, now);
    pay::tell_order(say, &desk.profile, &order, &warnings);
    let name = payees::named(&desk.payees, args)?;
    let doubts = payees::doubts(say, &desk.payees, name.as_ref(), order.payee);
    if args.dry_run {
        let intent = tpw_wallet::pay::prepare(
            &order,
            &desk.profile,
            journal.journal(),
            &mut OsEntropy,
            now,
        )?;
        let hex: String = intent.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        say.data(&hex);
        return Ok(Exit::Done);
    }
    let doubtful = doubts || warnings.iter().any(Warning::is_of_payee);
    if doubtful && !args.yes_new_payee {
        input::confirm_payee(context, &order.payee.to_string())?;
    }
    if !args.yes {
        input::confirm(context, "ask-confirm")?;
    }
    if let Some(name) = name {
        payees::keep(&desk, name, order.payee)?;
    }
    let mut teller = desk.teller(context, &client, journal);
    let started = teller.begin(&order)?;
    let id = started.payment().to_string();
    pay::tell_started(say, started);
    let mut outcome = pay::finish(&mut teller, started).await?;
    if let crate::device::pay::Outcome::StepUp(_) = outcome {
        outcome = pay::step_up(context, device, (&desk, &client), &mut teller, outcome).await?;
    }
    desk.observe(&outcome)?;
    if say.is_json() {
        say.json(&show::outcome_json(&id, &outcome));
    } else {
        show::outcome_lines(say, &id, &outcome).iter().for_each(|line| say.data(line));
    }
    Ok(outcome.exit())
}

/// Asks for the receipts once more: by now witnesses may have cosigned. What comes is checked as the first one was, and
/// takes its place only then.
async fn refresh(context: &Context, device: &Device) -> Result<(), Failure> {
    let folder = input::folder(device)?;
    let profile = folder.profile()?;
    let keys = input::keys(context, &folder, device)?;
    let client = client(context, &profile.server, folder.ca()?.as_deref())?;
    let _lock = folder.lock()?;
    let (journal, trust) = (folder.journal()?, profile.trust()?);
    for entry in journal.journal().entries() {
        let State::Done { outcome, receipt: Some(_) } = entry.state() else { continue };
        let id = entry.payment();
        let undone = (outcome.as_str() == "compensated").then_some(ReceiptKind::Compensation);
        for kind in [Some(ReceiptKind::Payment), undone].into_iter().flatten() {
            let asked = match kind {
                ReceiptKind::Payment => "payment",
                ReceiptKind::Compensation => "compensation",
            };
            let path = format!("/v1/payments/{id}/receipt?kind={asked}");
            let bytes = client.get(&keys, &path).await?.body;
            let bytes = tpw_proof::file_with_known_stamps(bytes.to_vec(), &trust);
            let judgement = tpw_wallet::receipt::check(entry, &bytes, &trust)?;
            if let Some((layer, reason)) = judgement.first_failure() {
                let failure = Failure::new(Exit::NotVerified, "receipt-bad");
                return Err(failure.arg("layer", layer.code()).because(reason));
            }
            let own = folder.receipt(&kind.file_name(id)).ok();
            let kept = own.and_then(|own| evidence::with_own_layers(&own, &bytes, &trust));
            folder.write_receipt(id, kind, kept.as_deref().unwrap_or(&bytes))?;
        }
    }
    Ok(())
}

fn receipts(context: &Context, device: &Device, out: Option<&Path>) -> Outcome {
    let (say, folder) = (&context.say, input::folder(device)?);
    let profile = folder.profile()?;
    let journal = {
        let _lock = folder.lock()?;
        folder.journal()?
    };
    let mut rows = Vec::new();
    let mut items = Vec::new();
    for entry in journal.journal().entries() {
        let State::Done { outcome, receipt: Some(name) } = entry.state() else { continue };
        let intent = entry.intent();
        let path = folder.receipt_path(name.as_str());
        rows.push(vec![
            entry.payment().to_string(),
            outcome.as_str().to_owned(),
            intent.money.to_string(),
            intent.payee.to_string(),
            intent.created.to_string(),
        ]);
        items.push(json!({
            "payment": entry.payment().to_string(), "outcome": outcome.as_str(),
            "amount": intent.money.amount.to_string(), "asset": intent.money.asset.to_string(),
            "payee": intent.payee.to_string(), "created": intent.created.to_string(),
            "file": path.display().to_string(),
        }));
        if let Some(out) = out {
            export(&folder, name.as_str(), out)?;
        }
    }
    if let Some(out) = out {
        let trust = profile.trust_json();
        let path = out.join("trust.json");
        disk::create_folder(out)?;
        disk::write_atomic(&path, trust.as_bytes(), Durability::Deferred, Access::Ordinary)?;
        say.tell("exported", &[("folder", &out.display().to_string())]);
    }
    if say.is_json() {
        say.json(&json!({ "receipts": items }));
    } else if rows.is_empty() {
        say.tell("no-receipts", &[]);
    } else {
        let head = ["head-payment", "head-outcome", "head-amount", "head-to", "head-created"];
        say.table(&head, &rows);
    }
    Ok(Exit::Done)
}

/// Copies a receipt and, where there is one, that of its undoing.
fn export(folder: &DeviceFolder, name: &str, out: &Path) -> Result<(), Failure> {
    disk::create_folder(out)?;
    let undone = name.replace(".tpr", "-undone.tpr");
    for name in [name, &undone] {
        if name == undone && !folder.receipt_path(name).exists() {
            continue;
        }
        let bytes = folder.receipt(name)?;
        disk::write_atomic(&out.join(name), &bytes, Durability::Deferred, Access::Ordinary)?;
    }
    Ok(())
}

fn overview(context: &Context, device: &Device) -> Outcome {
    let (say, folder) = (&context.say, input::folder(device)?);
    let profile = folder.profile()?;
    let unlocked = AgentLink::find(&folder.socket()).is_some();
    let journal = {
        let _lock = folder.lock()?;
        folder.journal()?
    };
    let open: Vec<String> = journal.journal().open().map(|e| e.payment().to_string()).collect();
    let total = journal.journal().entries().len();
    let text = |id: Option<String>| id.unwrap_or_default();
    let (person, device_id) = (
        text(profile.person.map(|id| id.to_string())),
        text(profile.device.map(|id| id.to_string())),
    );
    if say.is_json() {
        say.json(&json!({
            "wallet": folder.path().display().to_string(), "server": profile.server,
            "audience": profile.audience().as_str(), "person": person, "device": device_id,
            "unlocked": unlocked, "payments": total, "open": open,
            "seen": { "size": profile.seen.size.to_string(), "root": profile.seen.root.to_string() },
        }));
        return Ok(Exit::Done);
    }
    let state = say.text(if unlocked { "word-unlocked" } else { "word-locked" });
    let rows = [
        ("field-wallet", folder.path().display().to_string()),
        ("field-state", state),
        ("field-server", profile.server.clone()),
        ("field-operator", profile.audience().as_str().to_owned()),
        ("field-person", person),
        ("field-device", device_id),
        ("field-payments", total.to_string()),
        ("field-open", open.len().to_string()),
        ("field-seen", format!("{} {}", profile.seen.size, profile.seen.root)),
    ];
    rows.iter().for_each(|(key, value)| say.data(&format!("{}: {value}", say.text(key))));
    open.iter().for_each(|id| say.data(&format!("  {id}")));
    Ok(Exit::Done)
}

/// A payee as the profile may know it: by label or by id.
pub(super) fn payee(profile: &Profile, payees: &Payees, text: &str) -> Result<AccountId, Failure> {
    if let Ok(account) = profile.find_account(text) {
        return Ok(account.id);
    }
    if let Some(account) = payees.find(text) {
        return Ok(account);
    }
    text.parse().map_err(|error| Failure::usage("payee").arg("text", text).because(error))
}

/// An amount in whole units.
pub(super) fn money(text: &str, asset: tpw_core::Asset) -> Result<Money, Failure> {
    let amount = asset
        .parse_units(text)
        .map_err(|error| Failure::usage("amount").arg("text", text).because(error))?;
    Ok(Money { amount, asset })
}
