//! The roles of people.

use super::{Reply, json, off_thread};
use crate::app::App;
use crate::approving::{self, Asked};
use crate::body;
use crate::fault::ValueFault;
use crate::gate::{About, Caller};
use crate::problem::{Code, Problem};
use crate::wire::{PersonRoles, SetRoles, Text};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use std::sync::Arc;
use tpw_access::approval::{Operation, OperationKind};
use tpw_access::roles::RolesChange;
use tpw_access::{Action, GivenRoles, RecordWrite, Role, Roles};
use tpw_core::PersonId;
use tpw_engines::{Engine, PayError};
use tpw_flow::Rejection;

/// How often a change that others were quicker with is tried.
const TRIES: usize = 8;

fn view(person: PersonId, roles: Roles) -> PersonRoles {
    let roles = roles.iter().map(|role| role.code().to_owned()).collect();
    PersonRoles { person: Text(person), roles }
}

fn known(app: &App, id: &str) -> Result<PersonId, Problem> {
    let person: PersonId = body::id(id)?;
    app.engine.person(&person).map(|_| person).ok_or_else(|| Problem::new(Code::UnknownPerson))
}

/// `GET /v1/people/{id}/roles`: for who may read the person.
pub(super) async fn read(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Reply {
    let person: PersonId = body::id(&id)?;
    caller.may_know(Action::ReadPerson, Some(person), Code::UnknownPerson)?;
    let person = known(&app, &id)?;
    Ok(json(StatusCode::OK, &view(person, app.engine.roles_of(person))))
}

/// `PUT /v1/people/{id}/roles`: 200 when done, 202 with the request when somebody has to approve it.
pub(super) async fn set(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    caller.could(Action::ManageRoles)?;
    let person = known(&app, &id)?;
    let wanted: SetRoles = body::json(&headers, body, app.small_body()).await?;
    let after = roles_of(&wanted)?;
    for _ in 0..TRIES {
        let (asker, role) = (caller.session.person(), caller.session.role());
        let read = move |engine: &Engine| change(engine, (asker, role), person, after);
        let (serves, operation) = off_thread(&app, read).await?;
        let about = About { owner: Some(person), serves: [serves, None], ..About::default() };
        let needed = caller.ask(Action::ManageRoles, &about)?;
        if needed > 0 {
            let asked = Asked::new(operation, serves.into_iter().collect(), needed);
            return approving::asked(&app, &caller, asked).await;
        }
        let changes = operation.changes().map_err(|error| Problem::internal(&error))?;
        match app.engine.write_records(changes).await {
            Ok(()) => return Ok(json(StatusCode::OK, &view(person, after))),
            Err(PayError::Rejected(Rejection::RecordChanged)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::new(Code::Busy))
}

fn roles_of(wanted: &SetRoles) -> Result<Roles, Problem> {
    let one = |code: &String| Role::from_code(code).filter(|role| *role != Role::Holder);
    let roles: Option<Vec<Role>> = wanted.roles.iter().map(one).collect();
    let roles = roles.ok_or_else(|| Problem::bad_value("/roles", ValueFault::Code))?;
    Ok(Roles::of(&roles))
}

/// The change as an operation, and whom it serves. It holds only while the asker's own roles stay as they are: of two operators
/// who take each other's role at the same moment one is left.
fn change(
    engine: &Engine,
    (asker, role): (PersonId, Role),
    person: PersonId,
    after: Roles,
) -> Result<(Option<PersonId>, Operation), Problem> {
    let stored = |of| engine.record(&Roles::key(of)).map_err(|error| Problem::internal(&error));
    let (theirs, before) = (stored(asker)?, stored(person)?);
    // Whoever lost the role since the request came in does not give it any more.
    if engine.roles_in(asker, theirs.as_deref()).strongest() != role {
        return Err(Problem::role_changed());
    }
    let wanted = RolesChange {
        by: asker,
        person,
        before: engine.roles_in(person, before.as_deref()),
        after,
        operators: engine.count_with(Role::Operator),
    };
    wanted.judge()?;
    let given = GivenRoles { roles: after, by: asker };
    let changes = [
        RecordWrite { key: Roles::key(person), before, after: Some(given.to_bytes()) },
        RecordWrite { key: Roles::key(asker), before: theirs.clone(), after: theirs },
    ];
    let operation = Operation::of_records(OperationKind::Roles, *person.as_bytes(), &changes);
    Ok((wanted.serves(), operation))
}
