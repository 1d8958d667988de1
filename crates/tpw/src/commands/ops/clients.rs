//! `tpw ops client`: the clients of the authorization server.

use super::{ASKED, Counter, Outcome, approve, body};
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
