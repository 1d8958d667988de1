//! What a person lets others read, and the clients that ask for it.

use super::Device;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Approves or refuses a client's request.
#[derive(Args)]
pub(crate) struct GrantArgs {
    #[command(flatten)]
    pub(crate) device: Device,
    #[arg(value_name = "CODE")]
    pub(crate) user_code: String,
    #[arg(long = "account", value_name = "ACCOUNT", conflicts_with = "refuse")]
    pub(crate) shared: Vec<String>,
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "refuse")]
    pub(crate) scopes: Vec<String>,
    #[arg(long, value_name = "TIME", conflicts_with = "refuse")]
    pub(crate) until: Option<String>,
    #[arg(long)]
    pub(crate) refuse: bool,
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Subcommand)]
pub(crate) enum Delegate {
    Add {
        #[command(flatten)]
        device: Device,
        #[arg(value_name = "CLIENT|PERSON")]
        grantee: String,
        #[arg(long = "account", value_name = "ACCOUNT")]
        shared: Vec<String>,
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        #[arg(long, value_name = "TIME")]
        until: String,
    },
    List {
        #[command(flatten)]
        device: Device,
    },
    Remove {
        #[command(flatten)]
        device: Device,
        #[arg(value_name = "DELEGATION")]
        delegation: String,
    },
}

/// How a client proves who it is: in one way.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ClientAuthArgs {
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
    #[arg(long = "certificate", value_name = "FILE")]
    pub(crate) certificates: Vec<PathBuf>,
    #[arg(long, value_name = "HOST")]
    pub(crate) san_dns: Option<String>,
    #[arg(long, value_name = "URI")]
    pub(crate) san_uri: Option<String>,
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) san_ip: Option<String>,
    #[arg(long, value_name = "MAILBOX")]
    pub(crate) san_email: Option<String>,
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject_dn: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum ClientOps {
    Add {
        #[arg(value_name = "CLIENT")]
        client: String,
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        auth: ClientAuthArgs,
        #[arg(long = "scope", value_name = "SCOPE", required = true)]
        scopes: Vec<String>,
        #[arg(long = "grant", value_name = "GRANT", required = true)]
        grants: Vec<String>,
        #[arg(long = "redirect", value_name = "URL")]
        redirects: Vec<String>,
    },
    List,
    Credentials {
        #[arg(value_name = "CLIENT")]
        client: String,
        #[command(flatten)]
        auth: ClientAuthArgs,
        #[arg(long, value_name = "TIME")]
        former_until: Option<String>,
    },
    Remove {
        #[arg(value_name = "CLIENT")]
        client: String,
    },
    RotateKey,
}
