//! `tpw ops client`: the clients of the authorization server.

use super::{ASKED, Counter, Outcome, approve, body};
use crate::args::{ClientAuthArgs, ClientOps};
use crate::commands::sharing::time;
use crate::device::files::read_named;
use crate::exit::Failure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tpw_access::oauth::ClientId;
use tpw_server::wire::{
    ApiClient, ClientCredentials, ClientList, ClientTokenKeys, NewClient, Text,
};

/// A client's keys or a certificate, as a file.
const FILE_LEN_MAX: u64 = 64 * 1024;

fn client_id(text: &str) -> Result<ClientId, Failure> {
    text.parse().map_err(|error| Failure::usage("id").arg("text", text).because(format!("{error}")))
}

fn jwks(path: &Path) -> Result<Value, Failure> {
    let bytes = read_named(path, FILE_LEN_MAX)?;
    let wrong = |error| Failure::usage("jwks").arg("path", path.display()).because(error);
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// Of each file the first certificate: what follows it in a chain is others'.
fn certificates(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let read = |path: &PathBuf| {
        let pem = read_named(path, FILE_LEN_MAX)?;
        let der = CertificateDer::from_pem_slice(&pem).map_err(|error| {
            Failure::usage("certificate").arg("path", path.display()).because(error)
        })?;
        Ok(STANDARD.encode(&der))
    };
    paths.iter().map(read).collect()
}

/// What a client proves itself with, as it was named.
fn credentials(auth: &ClientAuthArgs) -> Result<ClientCredentials, Failure> {
    Ok(ClientCredentials {
        jwks: auth.jwks.as_deref().map(jwks).transpose()?,
        certificates: certificates(&auth.certificates)?,
        tls_client_auth_san_dns: auth.san_dns.clone(),
        tls_client_auth_san_uri: auth.san_uri.clone(),
        tls_client_auth_san_ip: auth.san_ip.clone(),
        tls_client_auth_san_email: auth.san_email.clone(),
        tls_client_auth_subject_dn: auth.subject_dn.clone(),
        former_until: None,
    })
}

impl Counter<'_> {
    pub(super) async fn clients(&self, command: &ClientOps) -> Outcome {
        match command {
            ClientOps::Add { client, name, auth, scopes, grants, redirects } => {
                let by = credentials(auth)?;
                let new = NewClient {
                    id: client_id(client)?.to_string(),
                    name: name.clone(),
                    redirect_uris: redirects.clone(),
                    scopes: scopes.clone(),
                    grants: grants.clone(),
                    jwks: by.jwks,
                    certificates: by.certificates,
                    tls_client_auth_san_dns: by.tls_client_auth_san_dns,
                    tls_client_auth_san_uri: by.tls_client_auth_san_uri,
                    tls_client_auth_san_ip: by.tls_client_auth_san_ip,
                    tls_client_auth_san_email: by.tls_client_auth_san_email,
                    tls_client_auth_subject_dn: by.tls_client_auth_subject_dn,
                };
                // The operator chose the id: the same once more changes nothing.
                let new = body(&new)?;
                let path = "/v1/clients";
                let answer = self.client.post_once(&self.keys, path, &new, client).await?;
                if answer.status == ASKED {
                    return approve::tell_asked(self.say, &answer.json()?);
                }
                let added: ApiClient = answer.json()?;
                self.tell_clients(&added, std::slice::from_ref(&added))
            }
            ClientOps::List => {
                let take = |page: ClientList| (page.items, page.next_after);
                let items: Vec<ApiClient> = self.pages("/v1/clients", None, take).await?;
                self.tell_clients(&json!({ "items": body(&items)? }), &items)
            }
            ClientOps::Credentials { client, auth, former_until } => {
                self.change_credentials(client, auth, former_until.as_deref()).await
            }
            ClientOps::Remove { client } => {
                let path = format!("/v1/clients/{}", client_id(client)?);
                let answer = self.client.delete(&self.keys, &path).await?;
                if answer.status == ASKED {
                    return approve::tell_asked(self.say, &answer.json()?);
                }
                let removed: ApiClient = answer.json()?;
                self.tell(&removed, || {
                    self.say.data(&self.say.with("client-removed", &[("client", client)]));
                })
            }
            ClientOps::RotateKey => {
                let answer = self.client.post(&self.keys, "/v1/client_keys", &json!({})).await?;
                if answer.status == ASKED {
                    return approve::tell_asked(self.say, &answer.json()?);
                }
                let keys: ClientTokenKeys = answer.json()?;
                self.tell(&keys, || keys.keys.iter().for_each(|key| self.say.data(key)))
            }
        }
    }

    async fn change_credentials(
        &self,
        client: &str,
        auth: &ClientAuthArgs,
        former_until: Option<&str>,
    ) -> Outcome {
        let former_until = former_until.map(time).transpose()?.map(Text);
        let by = ClientCredentials { former_until, ..credentials(auth)? };
        let path = format!("/v1/clients/{}/credentials", client_id(client)?);
        let answer = self.client.put(&self.keys, &path, &body(&by)?).await?;
        if answer.status == ASKED {
            return approve::tell_asked(self.say, &answer.json()?);
        }
        let changed: ApiClient = answer.json()?;
        self.tell(&changed, || {
            let args = [("client", client)];
            self.say.data(&self.say.with("client-credentials-changed", &args));
            match &changed.former {
                Some(former) => {
                    let until = former.until.0.to_string();
                    self.say.tell("client-credentials-former", &[("time", &until)]);
                }
                None => self.say.tell("client-credentials-ended", &[]),
            }
        })
    }

    fn tell_clients(&self, value: &impl serde::Serialize, clients: &[ApiClient]) -> Outcome {
        self.tell(value, || {
            let rows: Vec<Vec<String>> = clients.iter().map(|client| self.row(client)).collect();
            let head =
                ["head-client", "head-client-name", "head-scopes", "head-grants", "head-outcome"];
            self.tell_rows(&head, &rows, "clients-none");
        })
    }

    fn row(&self, client: &ApiClient) -> Vec<String> {
        let state = if client.removed.is_some() { "word-removed" } else { "word-active" };
        vec![
            client.id.clone(),
            client.name.clone(),
            client.scopes.join(" "),
            client.grants.join(" "),
            self.say.text(state),
        ]
    }
}
