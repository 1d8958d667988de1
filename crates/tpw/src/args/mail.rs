//! How codes come to people.

use clap::Args;
use std::path::PathBuf;

/// The address stays text here: what a parser of arguments says of a wrong one repeats it, and some put a password into it.
#[derive(Args)]
pub(crate) struct Mail {
    #[arg(long, value_name = "URL", requires = "mail_from", conflicts_with = "mail_folder")]
    pub(crate) mail_smtp: Option<String>,
    #[arg(long, value_name = "ADDRESS", requires = "mail_smtp")]
    pub(crate) mail_from: Option<String>,
    #[arg(long, value_name = "FILE", requires = "mail_smtp")]
    pub(crate) mail_password_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "mail_smtp")]
    pub(crate) mail_ca: Option<PathBuf>,
    #[arg(long, value_name = "DIR")]
    pub(crate) mail_folder: Option<PathBuf>,
    #[arg(long, value_name = "URL", requires = "sms_key")]
    pub(crate) sms_url: Option<String>,
    #[arg(long, value_name = "FILE", requires = "sms_url")]
    pub(crate) sms_key: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "sms_url")]
    pub(crate) sms_ca: Option<PathBuf>,
    #[arg(long, conflicts_with = "sms_url")]
    pub(crate) no_sms: bool,
}
