//! The command line. Its help is in `i18n/`: `help-<command>` for commands, `arg-<name>` for arguments.

mod anchor;
mod audit;
mod exports;
mod factors;
mod governing;
mod log;
mod mail;
mod message;
mod policy;
mod receipt;
mod sharing;
mod stamps;
mod tsa;

pub(crate) use anchor::*;
pub(crate) use audit::*;
pub(crate) use exports::*;
pub(crate) use factors::*;
pub(crate) use governing::*;
pub(crate) use log::*;
pub(crate) use mail::*;
pub(crate) use message::*;
pub(crate) use policy::*;
pub(crate) use receipt::*;
pub(crate) use sharing::*;
pub(crate) use stamps::*;
pub(crate) use tsa::*;

use crate::say::Say;
use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use tpw_access::policy::Zone;
use tpw_engines::clock_error::ErrorSource;
use tpw_engines::pkcs11::KeyPlace;
use tpw_ledger::FreezeReason;
use tpw_server::Network;

#[derive(Parser)]
#[command(name = "tpw", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[arg(long, global = true, value_name = "LANG")]
    pub(crate) lang: Option<String>,
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[arg(long, global = true)]
    pub(crate) no_input: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Demo(Demo),
    Serve(Box<Serve>),
    #[command(subcommand)]
    Wallet(Wallet),
    Pay(PayBatch),
    #[command(subcommand)]
    Factor(FactorCommand),
    Login(Login),
    #[command(subcommand)]
    Message(MessageCommand),
    Grant(Box<GrantArgs>),
    #[command(subcommand)]
    Delegate(Delegate),
    Verify(Verify),
    #[command(subcommand)]
    Receipt(Receipt),
    #[command(subcommand)]
    Log(Log),
    #[command(subcommand)]
    Tsa(Tsa),
    #[command(subcommand)]
    Anchor(Anchor),
    #[command(subcommand)]
    Ots(Ots),
    Ops(Ops),
    #[command(subcommand)]
    Policy(Policy),
    Approve(Approve),
    #[command(subcommand)]
    Audit(Audit),
    Doctor(Doctor),
}

#[derive(Args)]
pub(crate) struct Demo {
    #[arg(long)]
    pub(crate) once: bool,
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Serve {
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    pub(crate) listen: SocketAddr,
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    #[arg(long, value_name = "ADDR")]
    pub(crate) mtls_listen: Option<SocketAddr>,
    #[arg(long, value_name = "URL", requires = "mtls_listen")]
    pub(crate) mtls_url: Option<String>,
    #[arg(long, value_name = "FILE", requires = "mtls_listen")]
    pub(crate) client_ca: Option<PathBuf>,
    #[arg(long = "client-crl", value_name = "FILE", requires = "client_ca")]
    pub(crate) client_crls: Vec<PathBuf>,
    #[arg(long, value_name = "NAME", default_value = "tpw.example")]
    pub(crate) audience: String,
    #[arg(long, value_name = "DIR")]
    pub(crate) passkey_anchors: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate_limit: Option<u32>,
    #[arg(long, value_name = "URL")]
    pub(crate) store: Option<String>,
    #[arg(long, value_name = "FILE")]
    pub(crate) witnesses: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "witnesses")]
    pub(crate) witness_ca: Option<PathBuf>,
    #[arg(id = "mirrors", long = "mirror", value_name = "NAME", requires = "witnesses")]
    pub(crate) mirrors: Vec<String>,
    #[arg(long, value_name = "ASSET:AMOUNT", requires = "witnesses")]
    pub(crate) witnessed_from: Vec<String>,
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(crate) keep_decisions: Option<u32>,
    #[arg(long, value_name = "ASSET:AMOUNT")]
    pub(crate) approvals_above: Vec<String>,
    #[arg(long, value_name = "COUNT", default_value_t = 2, requires = "approvals_above", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) approvals: u8,
    #[arg(long)]
    pub(crate) operator_alone: bool,
    #[arg(long)]
    pub(crate) builtin_policies: bool,
    #[arg(long = "place", id = "named_network", value_name = "NAME=NETWORK")]
    pub(crate) networks: Vec<Network>,
    #[arg(id = "operator_zone", long = "zone", value_name = "+HH:MM", allow_hyphen_values = true)]
    pub(crate) zone: Option<Zone>,
    #[arg(long, value_name = "URL")]
    pub(crate) shadow_policy: Option<String>,
    #[arg(long, value_name = "FILE", requires = "shadow_policy")]
    pub(crate) shadow_ca: Option<PathBuf>,
    #[arg(long, value_name = "chrony[:nts][:SOCKET]|roughtime:FILE|declared:MS")]
    pub(crate) tsa_clock: Vec<ErrorSource>,
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub(crate) tsa_accuracy: u64,
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tsa_rate: Option<u32>,
    #[arg(long)]
    pub(crate) tsa_no_certificate: bool,
    #[arg(long, value_name = "pkcs11:URI|file:PATH")]
    pub(crate) tsa_key: Option<KeyPlace>,
    #[command(flatten)]
    pub(crate) anchor: ServeAnchor,
    #[command(flatten)]
    pub(crate) stamps: Stamps,
    #[command(flatten)]
    pub(crate) mail: Mail,
}

/// Where the device's files are and how its passphrase comes.
#[derive(Args)]
pub(crate) struct Device {
    #[arg(long, value_name = "DIR")]
    pub(crate) wallet: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Wallet {
    Init {
        #[command(flatten)]
        device: Device,
        #[arg(long, value_enum, default_value = "ed25519")]
        algorithm: Algorithm,
        #[arg(long)]
        hybrid: bool,
    },
    Enrol {
        #[command(flatten)]
        device: Device,
        #[arg(long, value_name = "URL")]
        server: String,
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        #[arg(long, value_name = "FILE")]
        code_file: Option<PathBuf>,
    },
    Unlock {
        #[command(flatten)]
        device: Device,
        #[arg(long = "for", value_name = "TIME", default_value = "15m")]
        life: String,
    },
    Lock {
        #[command(flatten)]
        device: Device,
    },
    Accounts {
        #[command(flatten)]
        device: Device,
    },
    Pay {
        #[command(flatten)]
        device: Device,
        #[command(flatten)]
        order: PayOrder,
    },
    #[command(subcommand)]
    Payees(PayeesCommand),
    Receipts {
        #[command(flatten)]
        device: Device,
        #[arg(long)]
        fresh: bool,
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    Show {
        #[command(flatten)]
        device: Device,
    },
    #[command(hide = true)]
    Agent {
        #[command(flatten)]
        device: Device,
        #[arg(long = "for", value_name = "TIME", default_value = "15m")]
        life: String,
    },
}

/// The names that the owner of the device gave to payees.
#[derive(Subcommand)]
pub(crate) enum PayeesCommand {
    List {
        #[command(flatten)]
        device: Device,
    },
    Name {
        #[command(flatten)]
        device: Device,
        #[arg(value_name = "NAME")]
        called: String,
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(long)]
        yes_new_payee: bool,
    },
    Forget {
        #[command(flatten)]
        device: Device,
        #[arg(value_name = "NAME")]
        called: String,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Algorithm {
    Ed25519,
    P256,
}

#[derive(Args)]
pub(crate) struct PayOrder {
    #[arg(value_name = "FROM")]
    pub(crate) from: String,
    #[arg(value_name = "TO")]
    pub(crate) to: String,
    #[arg(value_name = "AMOUNT")]
    pub(crate) amount: String,
    #[arg(value_name = "ASSET")]
    pub(crate) asset: String,
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) note: String,
    #[arg(long, value_name = "NAME")]
    pub(crate) id: Option<String>,
    #[arg(long)]
    pub(crate) yes: bool,
    #[arg(long, value_name = "NAME")]
    pub(crate) payee_name: Option<String>,
    #[arg(long)]
    pub(crate) yes_new_payee: bool,
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args)]
pub(crate) struct PayBatch {
    #[command(flatten)]
    pub(crate) device: Device,
    #[arg(long, value_name = "FILE")]
    pub(crate) batch: PathBuf,
    #[arg(long)]
    pub(crate) yes_new_payee: bool,
}

#[derive(Args)]
pub(crate) struct Verify {
    #[arg(value_name = "FILE", required_unless_present = "receipts_in")]
    pub(crate) files: Vec<PathBuf>,
    #[arg(id = "receipts_in", long = "all", value_name = "DIR", conflicts_with = "files")]
    pub(crate) all: Option<PathBuf>,
    #[arg(long, value_name = "FILE")]
    pub(crate) trust: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    #[arg(long = "block-hash", value_name = "HASH")]
    pub(crate) block_hashes: Vec<String>,
    #[command(flatten)]
    pub(crate) known: KnownHeaders,
}

#[derive(Subcommand)]
pub(crate) enum Receipt {
    Renew(ReceiptRenew),
    Plan(ReceiptPlan),
    Upgrade(ReceiptUpgrade),
    Export {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[arg(long, value_enum, default_value = "files")]
        format: ExportFormat,
        #[arg(id = "export_out", long = "out", value_name = "DIR|FILE")]
        out: PathBuf,
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        #[arg(long, value_name = "DIR")]
        wallet: Option<PathBuf>,
    },
    Print(Print),
    Show {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        #[arg(long, value_name = "DIR")]
        wallet: Option<PathBuf>,
    },
}

#[derive(Args)]
pub(crate) struct Ops {
    #[command(flatten)]
    pub(crate) operator: Operator,
    #[command(subcommand)]
    pub(crate) command: OpsCommand,
}

/// What needs the word of several people, and one's own word.
#[derive(Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    pub(crate) voter: Voter,
    #[command(subcommand)]
    pub(crate) command: ApproveCommand,
}

/// With whose key: that of a wallet, or an operator's.
#[derive(Args)]
pub(crate) struct Voter {
    #[command(flatten)]
    pub(crate) operator: Operator,
    #[arg(long, value_name = "DIR", global = true, conflicts_with_all = ["data", "key", "server", "ca"])]
    pub(crate) wallet: Option<PathBuf>,
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl Voter {
    /// Whether it is an operator's key.
    pub(crate) const fn is_operator(&self) -> bool {
        self.operator.data.is_some() || self.operator.key.is_some()
    }
}

#[derive(Subcommand)]
pub(crate) enum ApproveCommand {
    List {
        #[arg(long = "all", id = "approvals_all")]
        all: bool,
    },
    Show {
        #[arg(value_name = "APPROVAL")]
        approval: String,
    },
    Yes {
        #[arg(value_name = "APPROVAL")]
        approval: String,
        #[arg(long)]
        yes: bool,
    },
    No {
        #[arg(value_name = "APPROVAL")]
        approval: String,
        #[arg(long)]
        yes: bool,
    },
}

/// Which operator, and where.
#[derive(Args)]
pub(crate) struct Operator {
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data: Option<PathBuf>,
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) key: Option<PathBuf>,
    #[arg(long, value_name = "URL", global = true)]
    pub(crate) server: Option<String>,
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum OpsCommand {
    #[command(subcommand)]
    Person(Person),
    #[command(subcommand)]
    Account(Account),
    #[command(subcommand)]
    Holds(Holds),
    #[command(subcommand)]
    Rail(Rail),
    #[command(subcommand)]
    Payment(PaymentOps),
    #[command(subcommand)]
    Device(DeviceOps),
    #[command(subcommand)]
    Client(ClientOps),
    #[command(subcommand)]
    Factor(OpsFactor),
    Login(OpsLogin),
    Roles {
        #[arg(value_name = "PERSON")]
        person: String,
        #[arg(id = "given_roles", long = "set", value_name = "ROLE,…", value_delimiter = ',', num_args = 0..)]
        set: Option<Vec<String>>,
    },
    Alarms {
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    Reconcile(Reconcile),
    Transfers {
        #[arg(value_name = "FILE")]
        orders: PathBuf,
    },
    Changes {
        #[arg(long = "since", value_name = "CURSOR")]
        since: Option<String>,
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    Crossings {
        #[arg(long = "after", value_name = "AFTER", default_value_t = 0)]
        crossing: u64,
    },
    Balance {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    Close {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    Limits(LimitArgs),
    Watch(WatchArgs),
    #[command(subcommand)]
    Set(AccountSets),
}

/// A partner's statement and how to read it.
#[derive(Args)]
pub(crate) struct Reconcile {
    #[arg(value_name = "FILE")]
    pub(crate) statement: PathBuf,
    #[arg(long = "account", value_name = "ACCOUNT")]
    pub(crate) ours: String,
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) partner_account: Option<String>,
    #[arg(long = "from", value_name = "DAY", requires = "last_day")]
    pub(crate) first_day: Option<String>,
    #[arg(long = "to", value_name = "DAY", requires = "first_day")]
    pub(crate) last_day: Option<String>,
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u8).range(0..=31))]
    pub(crate) window: Option<u8>,
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    pub(crate) zone: Option<String>,
    #[arg(long, value_enum)]
    pub(crate) sides: Option<Sides>,
    #[arg(long)]
    pub(crate) all: bool,
}

/// How a partner counts.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Sides {
    Same,
    Mirrored,
}

/// Limits of an account; without one, they are shown.
#[derive(Args)]
pub(crate) struct LimitArgs {
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: String,
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) debit_max: Option<String>,
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) balance_max: Option<String>,
    #[arg(long = "velocity", value_name = "TIME:AMOUNT[:COUNT]")]
    pub(crate) velocities: Vec<String>,
    #[arg(long, conflicts_with_all = ["debit_max", "balance_max", "velocities"])]
    pub(crate) lift: bool,
}

/// A watch of an account; without one, it is shown. What only says how to watch needs a threshold.
#[derive(Args)]
#[command(group(ArgGroup::new("threshold").args(["below", "above"]).multiple(true)))]
pub(crate) struct WatchArgs {
    #[arg(value_name = "ACCOUNT")]
    pub(crate) account: String,
    #[arg(long, value_enum, default_value = "hot", requires = "threshold")]
    pub(crate) tier: WatchTier,
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) below: Option<String>,
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) above: Option<String>,
    #[arg(long, requires = "threshold")]
    pub(crate) freeze: bool,
    #[arg(long, conflicts_with_all = ["below", "above", "freeze", "tier"])]
    pub(crate) stop: bool,
}

/// How a watched wallet is kept.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum WatchTier {
    Hot,
    Cold,
}

#[derive(Subcommand)]
pub(crate) enum AccountSets {
    Make {
        #[arg(value_name = "ASSET")]
        asset: String,
        #[arg(long = "set", value_name = "SET")]
        set: Option<String>,
    },
    Show {
        #[arg(value_name = "SET")]
        set: String,
    },
    Join {
        #[arg(value_name = "SET")]
        set: String,
        #[arg(value_name = "MEMBER")]
        member: String,
    },
    Leave {
        #[arg(value_name = "SET")]
        set: String,
        #[arg(value_name = "MEMBER")]
        member: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Person {
    Add {
        #[arg(value_name = "NAME", required_unless_present = "batch")]
        name: Option<String>,
        #[arg(long = "account", value_name = "ASSET[:OPENING][:self][:label=NAME]")]
        accounts: Vec<String>,
        #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "accounts"])]
        batch: Option<PathBuf>,
        #[arg(long = "person", value_name = "PERSON")]
        seed: Option<String>,
    },
    Code {
        #[arg(value_name = "PERSON")]
        person: String,
    },
    Show {
        #[arg(value_name = "PERSON")]
        person: String,
    },
}

fn freeze_reasons() -> PossibleValuesParser {
    PossibleValuesParser::new(FreezeReason::ALL.iter().map(|reason| reason.code()))
}

#[derive(Subcommand)]
pub(crate) enum Account {
    Show {
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
    Fund {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(value_name = "AMOUNT")]
        amount: String,
        #[arg(long, value_name = "TRANSFER")]
        transfer: Option<String>,
    },
    Freeze {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(long, default_value = FreezeReason::Operator.code(), value_parser = freeze_reasons())]
        reason: String,
    },
    Unfreeze {
        #[arg(value_name = "ACCOUNT")]
        account: String,
        #[arg(long, default_value = FreezeReason::Operator.code(), value_parser = freeze_reasons())]
        reason: String,
    },
    OpenExternal {
        #[arg(value_name = "ASSET")]
        asset: String,
        #[arg(value_name = "LABEL")]
        label: String,
        #[arg(long = "account", value_name = "ACCOUNT")]
        opened: Option<String>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Holds {
    List,
    Release {
        #[arg(value_name = "PAYMENT")]
        payment: String,
    },
    Reject {
        #[arg(value_name = "PAYMENT")]
        payment: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum Rail {
    List,
    Confirm {
        #[arg(value_name = "PAYMENT")]
        payment: String,
    },
    Return {
        #[arg(value_name = "PAYMENT")]
        payment: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum PaymentOps {
    Show {
        #[arg(value_name = "PAYMENT")]
        payment: String,
    },
    Recall {
        #[arg(value_name = "PAYMENT")]
        payment: String,
    },
}

#[derive(Subcommand)]
pub(crate) enum DeviceOps {
    Revoke {
        #[arg(value_name = "DEVICE")]
        device: String,
    },
}

#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) device: Device,
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
}

/// Gives every command and argument its help in the language of `say`.
pub(crate) fn with_help(command: clap::Command, say: &Say) -> clap::Command {
    localise(command, say, "help-tpw")
}

fn localise(mut command: clap::Command, say: &Say, key: &str) -> clap::Command {
    if let Some(about) = say.find(key, &[]) {
        command = command.about(about);
    }
    let ids: Vec<String> =
        command.get_arguments().map(|arg| arg.get_id().as_str().to_owned()).collect();
    for id in ids {
        if let Some(help) = say.find(&arg_key(&id), &[]) {
            command = command.mut_arg(id, |arg| arg.help(help));
        }
    }
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let sub_key = format!("{key}-{name}");
        command = command.mut_subcommand(&name, |sub| localise(sub, say, &sub_key));
    }
    command
}

fn arg_key(id: &str) -> String {
    format!("arg-{}", id.replace('_', "-"))
}

#[cfg(test)]
mod tests {
    //! Goal: nothing on the command line lacks help in a language. Method: walk all commands and look up every key.

    use super::*;
    use crate::say::{Form, Lang};
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound_and_everything_has_help_in_every_language() {
        Cli::command().debug_assert();
        for lang in Lang::ALL {
            let say = Say::new(lang, Form::Text);
            let mut missing = Vec::new();
            walk(&Cli::command(), "help-tpw", &say, &mut missing);
            assert!(missing.is_empty(), "{lang:?}: {missing:#?}");
        }
    }

    fn walk(command: &clap::Command, key: &str, say: &Say, missing: &mut Vec<String>) {
        if say.find(key, &[]).is_none() && !command.is_hide_set() {
            missing.push(key.to_owned());
        }
        for arg in command.get_arguments() {
            let key = arg_key(arg.get_id().as_str());
            if say.find(&key, &[]).is_none() {
                missing.push(key);
            }
        }
        for sub in command.get_subcommands() {
            walk(sub, &format!("{key}-{}", sub.get_name()), say, missing);
        }
    }
}
