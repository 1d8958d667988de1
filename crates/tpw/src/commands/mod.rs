//! The commands, one file for each noun.

mod anchor;
mod approve;
mod audit;
mod contact;
mod demo;
mod doctor;
mod evidence;
mod factor_evidence;
mod factors;
mod input;
mod log;
mod message;
mod ops;
mod ots;
mod outbox;
mod pay;
mod payees;
mod policy;
mod proving;
mod push;
mod receipt;
mod serve;
mod sharing;
mod show;
mod stamping;
mod tsa;
mod verify;
mod wallet;

use crate::args::{self, Cli, Command};
use crate::exit::{Exit, Failure};
use crate::say::{Form, Lang, Say};
use clap::{CommandFactory as _, FromArgMatches as _};
use std::process::ExitCode;
use std::sync::Arc;
use tpw_engines::clock::SystemClock;

/// What every command works with.
pub(crate) struct Context {
    pub(crate) say: Say,
    pub(crate) clock: Arc<SystemClock>,
    /// Whether a question may be asked.
    pub(crate) input: Input,
}

/// Whether a question may be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// On the terminal.
    Terminal,
    /// Never: fail instead.
    None,
}

pub(crate) type Outcome = Result<Exit, Failure>;

/// Reads the command line and runs what it says.
pub(crate) fn run() -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let lang = Lang::choose(lang_flag().as_deref(), env);
    let command = args::with_help(Cli::command(), &Say::new(lang, Form::Text));
    let parsed = command.try_get_matches().and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to stdout.
            let _closed = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let form = if cli.json { Form::Json } else { Form::Text };
    let input = if cli.no_input { Input::None } else { Input::Terminal };
    let context = Context { say: Say::new(lang, form), clock: Arc::new(SystemClock::new()), input };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(&context, cli.command)),
        Err(error) => Err(Failure::failed("start").because(error)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            context.say.failure(&failure);
            failure.exit.into()
        }
    }
}

/// Help is in the person's language too, so that the flag is needed before the command line is read.
fn lang_flag() -> Option<String> {
    let mut args = std::env::args();
    while let Some(arg) = args.next() {
        if arg == "--lang" {
            return args.next();
        }
        if let Some(value) = arg.strip_prefix("--lang=") {
            return Some(value.to_owned());
        }
    }
    None
}

async fn dispatch(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Demo(args) => Box::pin(demo::run(context, &args)).await,
        Command::Serve(args) => serve::run(context, &args).await,
        Command::Wallet(command) => Box::pin(wallet::run(context, command)).await,
        Command::Pay(args) => Box::pin(pay::batch(context, &args)).await,
        Command::Factor(command) => Box::pin(factors::run(context, &command)).await,
        Command::Login(args) => Box::pin(factors::login(context, &args)).await,
        Command::Message(command) => Box::pin(message::run(context, &command)).await,
        Command::Grant(args) => Box::pin(sharing::grant(context, &args)).await,
        Command::Delegate(command) => Box::pin(sharing::delegate(context, &command)).await,
        Command::Verify(args) => verify::run(context, &args),
        Command::Receipt(command) => receipt::run(context, &command).await,
        Command::Log(command) => Box::pin(log::run(context, &command)).await,
        Command::Tsa(command) => tsa::run(context, &command),
        Command::Anchor(command) => Box::pin(anchor::run(context, &command)).await,
        Command::Ots(command) => Box::pin(ots::run(context, &command)).await,
        Command::Ops(args) => Box::pin(ops::run(context, &args)).await,
        Command::Policy(command) => Box::pin(policy::run(context, &command)).await,
        Command::Approve(args) => Box::pin(approve::run(context, &args)).await,
        Command::Audit(command) => Box::pin(audit::run(context, &command)).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
    }
}
