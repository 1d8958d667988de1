//! The engine: a policy set, checked against its schema once, cut into one small set for each action.
//!
//! Cedar's time grows with the number of policies in a set. All but a few speak of other actions, which is known beforehand.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Schema,
};
use serde_json::Value;
use tpw_core::{Hash32, PersonId};

use crate::approval::VOTES_MAX;
use crate::assurance::Aal;

use super::decision::{Decision, Effect, Obligations};
use super::embedding::{self, Answer};
use super::error::PolicyError;
use super::files::PolicyFiles;
use super::request::{Amount, Asked, DeviceFacts, Fact, Facts, Request, asked};
use crate::role::{Action, Role};

/// The most policies in a set.
const POLICIES_MAX: usize = 1000;

/// A policy set that can be asked. It changes nothing and has no state.
pub struct PolicyEngine {
    authorizer: Authorizer,
    words: Words,
    version: Hash32,
    /// In the order of [`Action::ALL`]; `None` for an action that the set's schema does not know.
    slices: Vec<Option<Slice>>,
    policies: Vec<(Arc<str>, String)>,
}

impl core::fmt::Debug for PolicyEngine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PolicyEngine").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Names of the schema that every request uses.
pub(super) struct Words {
    person: EntityTypeName,
    /// In the order of [`Role::ALL`].
    roles: Vec<(Role, EntityUid)>,
    action: EntityTypeName,
}

impl Words {
    fn new() -> Result<Self, PolicyError> {
        let kind = |name| {
            EntityTypeName::from_str(name).map_err(|error| PolicyError::Schema(error.to_string()))
        };
        let role = kind("Role")?;
        let uid = |code| EntityUid::from_type_name_and_id(role.clone(), EntityId::new(code));
        let roles = Role::ALL.into_iter().map(|role| (role, uid(role.code()))).collect();
        Ok(Self { person: kind("Person")?, roles, action: kind("Action")? })
    }

    pub(super) fn person(&self, id: PersonId) -> EntityUid {
        EntityUid::from_type_name_and_id(self.person.clone(), EntityId::new(id.to_string()))
    }

    pub(super) fn role(&self, wanted: Role) -> EntityUid {
        let known = self.roles.iter().find(|(role, _)| *role == wanted);
        // Every role is in the list; a role that were not would be one that no policy names.
        let unknown = || EntityUid::from_type_name_and_id(self.person.clone(), EntityId::new(""));
        known.map_or_else(unknown, |(_, uid)| uid.clone())
    }

    fn action(&self, code: &str) -> EntityUid {
        EntityUid::from_type_name_and_id(self.action.clone(), EntityId::new(code))
    }
}

/// What concerns one action.
struct Slice {
    /// With the groups it belongs to.
    action: Entity,
    /// What the action is done to.
    kind: EntityTypeName,
    policies: PolicySet,
    notes: HashMap<PolicyId, Note>,
    /// What these policies look at.
    facts: BTreeSet<Fact>,
}

/// What a policy says beside its condition.
#[derive(Clone)]
struct Note {
    id: Arc<str>,
    obligations: Obligations,
}

impl PolicyEngine {
    /// Loads a set: parsed, checked against its schema in Cedar's strict mode without a warning, cut by action.
    ///
    /// # Errors
    /// [`PolicyError`] names the first thing that is wrong.
    pub fn load(files: &PolicyFiles) -> Result<Self, PolicyError> {
        let schema = schema(files.schema())?;
        let (set, notes) = policies(files)?;
        embedding::validate(&schema, &set)
            .map_err(|cause| PolicyError::Invalid(cause.to_string()))?;
        let words = Words::new()?;
        let actions = actions(&schema)?;
        let slices = Action::ALL.iter().map(|action| {
            let Some(entity) = actions.get(&words.action(action.code())) else { return Ok(None) };
            slice(&words, &schema, *action, entity, &set, &notes).map(Some)
        });
        let slices = slices.collect::<Result<_, PolicyError>>()?;
        let mut texts: Vec<_> =
            set.policies().map(|policy| (Arc::from(id_of(policy)), policy.to_string())).collect();
        texts.sort();
        let version = files.version();
        Ok(Self { authorizer: Authorizer::new(), words, version, slices, policies: texts })
    }

    /// Which set it is.
    #[must_use]
    pub const fn version(&self) -> Hash32 {
        self.version
    }

    /// Id and text of every policy, by id.
    #[must_use]
    pub fn policies(&self) -> &[(Arc<str>, String)] {
        &self.policies
    }

    /// Actions of this program that the set's schema does not know. They are denied.
    #[must_use]
    pub fn unknown_actions(&self) -> Vec<Action> {
        let all = Action::ALL.iter().zip(&self.slices);
        all.filter(|(_, slice)| slice.is_none()).map(|(action, _)| *action).collect()
    }

    /// Whether the policies about an action look at a fact: one that they do not look at need not be found out. An action that the
    /// set does not know is denied whatever is known.
    #[must_use]
    pub fn looks_at(&self, action: Action, fact: Fact) -> bool {
        self.slice(action).is_some_and(|slice| slice.facts.contains(&fact))
    }

    fn slice(&self, action: Action) -> Option<&Slice> {
        let place = Action::ALL.iter().position(|known| *known == action)?;
        self.slices.get(place)?.as_ref()
    }

    /// Whether a request is allowed. What no policy permits is denied; a policy that forbids, or cannot be evaluated, denies.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Decision {
        let Some(slice) = self.slice(request.action) else {
            return self.denied(format!("the schema has no action `{}`", request.action.code()));
        };
        match asked(&self.words, request, &slice.action, &slice.kind, None) {
            Ok(asked) => self.answer(slice, &asked),
            Err(cause) => self.denied(cause),
        }
    }

    fn answer(&self, slice: &Slice, asked: &Asked) -> Decision {
        let Answer { allowed, reasons: ids, errors } =
            embedding::answer(&self.authorizer, &asked.request, &slice.policies, &asked.entities);
        let notes = || ids.iter().filter_map(|id| slice.notes.get(id));
        let mut reasons: Vec<Arc<str>> = notes().map(|note| Arc::clone(&note.id)).collect();
        reasons.sort_unstable();
        let (effect, obligations) = if allowed {
            let all = notes().map(|note| note.obligations);
            (Effect::Allow, all.fold(Obligations::default(), Obligations::and))
        } else {
            (Effect::Deny, Obligations::default())
        };
        Decision { effect, reasons, errors, obligations, policy_version: self.version }
    }

    fn denied(&self, cause: String) -> Decision {
        Decision {
            effect: Effect::Deny,
            reasons: Vec::new(),
            errors: vec![cause],
            obligations: Obligations::default(),
            policy_version: self.version,
        }
    }
}

fn schema(text: &str) -> Result<Schema, PolicyError> {
    let refused = |cause: String| PolicyError::Schema(cause);
    let (schema, warnings) =
        Schema::from_cedarschema_str(text).map_err(|error| refused(error.to_string()))?;
    match warnings.map(|warning| warning.to_string()).next() {
        Some(warning) => Err(refused(warning)),
        None => Ok(schema),
    }
}

fn id_of(policy: &cedar_policy::Policy) -> &str {
    let id: &str = policy.id().as_ref();
    id
}

/// The policies of all files under their own ids.
fn policies(files: &PolicyFiles) -> Result<(PolicySet, HashMap<PolicyId, Note>), PolicyError> {
    let mut set = PolicySet::new();
    let mut notes = HashMap::new();
    let mut bytes = 0_usize;
    for (file, text) in files.policies() {
        let parsed = PolicySet::from_str(text).map_err(|error| PolicyError::Syntax {
            file: file.to_owned(),
            cause: error.to_string(),
        })?;
        if parsed.num_of_templates() > 0 {
            return Err(PolicyError::Template { file: file.to_owned() });
        }
        bytes = bytes.saturating_add(text.len());
        for policy in parsed.policies() {
            let id = policy.annotation("id").filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| PolicyError::NoId { file: file.to_owned() })?;
            let name = PolicyId::new(id);
            let note = Note { id: Arc::from(id), obligations: obligations(id, policy)? };
            notes.insert(name.clone(), note);
            let renamed = policy.new_id(name);
            set.add(renamed).map_err(|_| PolicyError::SameId(id.to_owned()))?;
        }
    }
    if notes.len() > POLICIES_MAX {
        return Err(PolicyError::TooLarge { bytes, most: POLICIES_MAX });
    }
    Ok((set, notes))
}

/// What the annotations of a policy oblige to.
fn obligations(id: &str, policy: &cedar_policy::Policy) -> Result<Obligations, PolicyError> {
    let mut found = Obligations::default();
    for (name, value) in policy.annotations() {
        let bad = || PolicyError::AnnotationValue {
            policy: id.to_owned(),
            annotation: name.to_owned(),
            value: value.to_owned(),
        };
        let number = || value.parse::<u32>().ok().filter(|n| *n > 0).ok_or_else(bad);
        match name {
            "id" => continue,
            "acr" => found.acr = Some(Aal::from_code(value).ok_or_else(bad)?),
            "max_age" => found.max_age_s = Some(number()?),
            "approvals" => {
                let most = u32::try_from(VOTES_MAX).unwrap_or(u32::MAX);
                found.approvals = Some(number()?).filter(|count| *count <= most).ok_or_else(bad)?;
            }
            _ => {
                return Err(PolicyError::Annotation {
                    policy: id.to_owned(),
                    annotation: name.to_owned(),
                });
            }
        }
        // Nothing has to be seen to before something is not done.
        if policy.effect() == cedar_policy::Effect::Forbid {
            return Err(bad());
        }
    }
    Ok(found)
}

/// Every action and group of the schema, with all the groups above it.
fn actions(schema: &Schema) -> Result<HashMap<EntityUid, Entity>, PolicyError> {
    let all = schema.action_entities().map_err(|error| PolicyError::Schema(error.to_string()))?;
    let above = |uid: &EntityUid| -> HashSet<EntityUid> {
        all.ancestors(uid).into_iter().flatten().cloned().collect()
    };
    let closed = |uid: EntityUid| {
        let above = above(&uid);
        (uid.clone(), Entity::new_no_attrs(uid, above))
    };
    Ok(all.iter().map(|entity| closed(entity.uid())).collect())
}

fn slice(
    words: &Words,
    schema: &Schema,
    action: Action,
    entity: &Entity,
    set: &PolicySet,
    notes: &HashMap<PolicyId, Note>,
) -> Result<Slice, PolicyError> {
    let bad = |cause: String| PolicyError::Request { action: action.code(), cause };
    let uid = entity.uid();
    let mut kinds = schema.resources_for_action(&uid).into_iter().flatten();
    let (Some(kind), None) = (kinds.next().cloned(), kinds.next()) else {
        return Err(bad("an action is done to exactly one kind of thing".to_owned()));
    };
    fits(words, schema, action, entity, &kind).map_err(bad)?;
    let groups: HashSet<EntityUid> = entity.clone().into_inner().2;
    let mut slice = Slice {
        action: entity.clone(),
        kind,
        policies: PolicySet::new(),
        notes: HashMap::new(),
        facts: BTreeSet::new(),
    };
    for policy in set.policies() {
        let concerned = embedding::concerns(policy, &uid, &groups);
        if let (true, Some(note)) = (concerned, notes.get(policy.id())) {
            slice.notes.insert(policy.id().clone(), note.clone());
            let form = policy.to_json().map_err(|error| bad(error.to_string()))?;
            note_facts(&form, &mut slice.facts);
            let same = |_| PolicyError::SameId(note.id.to_string());
            slice.policies.add(policy.clone()).map_err(same)?;
        }
    }
    Ok(slice)
}

/// Notes the facts that a policy, in Cedar's JSON form, looks at. Where it takes the context as a whole it may look at all of them.
fn note_facts(form: &Value, facts: &mut BTreeSet<Fact>) {
    match form {
        Value::Array(parts) => parts.iter().for_each(|part| note_facts(part, facts)),
        Value::Object(members) => {
            if members.get("Var").and_then(Value::as_str) == Some("context") {
                facts.extend(Fact::ALL.iter().copied());
            }
            for part in members.values() {
                match member_of_context(part) {
                    Some(name) => facts.extend(Fact::from_code(name)),
                    None => note_facts(part, facts),
                }
            }
        }
        _ => {}
    }
}

/// The member of the context that `{"left": {"Var": "context"}, "attr": …}` names: the operand of `.` and of `has`.
fn member_of_context(operand: &Value) -> Option<&str> {
    if operand.get("left")?.get("Var")?.as_str()? == "context" {
        operand.get("attr")?.as_str()
    } else {
        None
    }
}

/// Whether our requests are what the schema describes: the barest, and one of which everything is known. Later ones are not
/// checked again, which would take longer than deciding.
fn fits(
    words: &Words,
    schema: &Schema,
    action: Action,
    entity: &Entity,
    kind: &EntityTypeName,
) -> Result<(), String> {
    let person = PersonId::from_bytes([1; 16]);
    let bare = Request::new(person, &Role::ALL, action, None);
    let full = Request::new(person, &Role::ALL, action, Some(person)).initiated_by(person);
    let full = full.with(Facts {
        amount: Some(Amount { asset: String::new(), milli: 0 }),
        risk: Some(0),
        device: Some(DeviceFacts { age_s: 0, attested: true }),
        peers: Some(0),
        place: Some(String::new()),
    });
    asked(words, &bare, entity, kind, Some(schema))?;
    asked(words, &full, entity, kind, Some(schema)).map(|_| ())
}
