//! `tpw ops client`: the clients of the authorization server.

use super::{Counter, Outcome, body};
use crate::args::ClientOps;
use crate::device::files::read_named;
use crate::exit::Failure;
use serde_json::json;
use tpw_access::oauth::ClientId;
use tpw_server::wire::{ApiClient, ClientList, ClientTokenKeys, NewClient};

/// A client's keys, as a file.
const JWKS_LEN_MAX: u64 = 64 * 1024;

fn client_id(text: &str) -> Result<ClientId, Failure> {
    text.parse().map_err(|error| Failure::usage("id").arg("text", text).because(format!("{error}")))
}

impl Counter<'_> {
    pub(super) async fn clients(&self, command: &ClientOps) -> Outcome {
        match command {
            ClientOps::Add { client, name, jwks, scopes, grants, redirects } => {
                let bytes = read_named(jwks, JWKS_LEN_MAX)?;
                let jwks = serde_json::from_slice(&bytes).map_err(|error| {
                    Failure::usage("jwks").arg("path", jwks.display()).because(error)
                })?;
                let new = NewClient {
                    id: client_id(client)?.to_string(),
                    name: name.clone(),
                    redirect_uris: redirects.clone(),
                    scopes: scopes.clone(),
                    grants: grants.clone(),
                    jwks,
                };
                // The operator chose the id: the same once more changes nothing.
                let added: ApiClient = self.post_once("/v1/clients", &body(&new)?, client).await?;
                self.tell_clients(&added, std::slice::from_ref(&added))
            }
            ClientOps::List => {
                let take = |page: ClientList| (page.items, page.next_after);
                let items: Vec<ApiClient> = self.pages("/v1/clients", None, take).await?;
                self.tell_clients(&json!({ "items": body(&items)? }), &items)
            }
            ClientOps::Remove { client } => {
                let path = format!("/v1/clients/{}", client_id(client)?);
                let removed: ApiClient = self.client.delete(&self.keys, &path).await?.json()?;
                self.tell(&removed, || {
                    self.say.data(&self.say.with("client-removed", &[("client", client)]));
                })
            }
            ClientOps::RotateKey => {
                let keys: ClientTokenKeys = self.post("/v1/client_keys", &json!({})).await?;
                self.tell(&keys, || keys.keys.iter().for_each(|key| self.say.data(key)))
            }
        }
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
