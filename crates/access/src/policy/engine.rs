//! The engine: a policy set, checked against its schema once, cut into small sets for each action and the roles of who asks.
//!
//! Cedar's time grows with the number of policies in a set. All but a few speak of other actions or other roles, which is known
//! beforehand.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Schema,
};
use serde_json::Value;
use tpw_core::{Hash32, PersonId};

use crate::approval::VOTES_MAX;
use crate::assurance::Aal;

use super::decision::{Decision, Effect, Obligations};
use super::embedding::{self, Answer};
use super::error::PolicyError;
use super::files::{PolicyFiles, SCHEMA};
use super::nesting;
use super::request::{Amount, Asked, DeviceFacts, Fact, Facts, Request, TimeFacts, asked};
use crate::role::{Action, Role};

/// The most policies in a set.
pub(super) const POLICIES_MAX: usize = 1000;

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
    role: EntityTypeName,
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
        Ok(Self { person: kind("Person")?, role, roles, action: kind("Action")? })
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
    action: EntityUid,
    /// The groups it belongs to, where a policy's condition may ask for them. That a policy is about this action is known.
    groups: Option<Entity>,
    /// What the action is done to.
    kind: EntityTypeName,
    policies: ByRoles,
    notes: HashMap<PolicyId, Note>,
    /// What these policies look at.
    facts: BTreeSet<Fact>,
}

/// The policies about one action, once for each set of roles that makes a difference to which of them can apply.
struct ByRoles {
    /// Roles that these policies are for. Whether somebody has any other one makes no difference.
    named: Vec<Role>,
    /// For each subset of `named`: its number has the bit of each member.
    sets: Vec<PolicySet>,
}

impl ByRoles {
    fn new(words: &Words, policies: &[Policy]) -> Result<Self, PolicyError> {
        let is_for = |policy: &Policy| embedding::is_for(policy, &words.role);
        let named: Vec<(Role, EntityUid)> = Role::ALL
            .into_iter()
            .map(|role| (role, words.role(role)))
            .filter(|(_, uid)| policies.iter().any(|policy| is_for(policy).as_ref() == Some(uid)))
            .collect();
        let subsets = 0..1_usize << named.len();
        let sets = subsets.map(|subset| {
            let has = |uid: &EntityUid| {
                named.iter().enumerate().any(|(bit, (_, own))| own == uid && subset >> bit & 1 == 1)
            };
            let can_apply = |policy: &&Policy| is_for(policy).is_none_or(|uid| has(&uid));
            let mut set = PolicySet::new();
            for policy in policies.iter().filter(can_apply) {
                let same = |_| PolicyError::SameId(id_of(policy).to_owned());
                set.add(policy.clone()).map_err(same)?;
            }
            Ok(set)
        });
        let sets = sets.collect::<Result<_, PolicyError>>()?;
        Ok(Self { named: named.into_iter().map(|(role, _)| role).collect(), sets })
    }

    /// Those that can apply to somebody with these roles.
    fn of(&self, roles: &[Role]) -> Option<&PolicySet> {
        let bits = self.named.iter().enumerate().filter(|(_, role)| roles.contains(role));
        self.sets.get(bits.fold(0_usize, |subset, (bit, _)| subset | 1 << bit))
    }
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
        for (name, text) in files.policies().chain([(SCHEMA, files.schema())]) {
            nesting::check(name, text)?;
        }
        // Whoever loads may have little stack left.
        stacker::grow(nesting::STACK_LEN, || Self::load_nested(files))
    }

    /// Loads what is not nested too deeply.
    fn load_nested(files: &PolicyFiles) -> Result<Self, PolicyError> {
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
        match asked(&self.words, request, (&slice.action, slice.groups.as_ref()), &slice.kind, None)
        {
            Ok(asked) => self.answer(slice, request.roles, &asked),
            Err(cause) => self.denied(cause),
        }
    }

    fn answer(&self, slice: &Slice, roles: &[Role], asked: &Asked) -> Decision {
        // There is a set for every subset of the roles.
        let Some(policies) = slice.policies.of(roles) else {
            return self.denied("the policies for these roles are missing".to_owned());
        };
        let Answer { allowed, reasons: ids, errors } =
            embedding::answer(&self.authorizer, &asked.request, policies, &asked.entities);
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

fn id_of(policy: &Policy) -> &str {
    let id: &str = policy.id().as_ref();
    id
}

/// The policies of all files under their own ids.
fn policies(files: &PolicyFiles) -> Result<(PolicySet, HashMap<PolicyId, Note>), PolicyError> {
    let mut set = PolicySet::new();
    let mut notes = HashMap::new();
    for (file, text) in files.policies() {
        let parsed = PolicySet::from_str(text).map_err(|error| PolicyError::Syntax {
            file: file.to_owned(),
            cause: error.to_string(),
        })?;
        if parsed.num_of_templates() > 0 {
            return Err(PolicyError::Template { file: file.to_owned() });
        }
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
        return Err(PolicyError::TooManyPolicies { policies: notes.len(), most: POLICIES_MAX });
    }
    Ok((set, notes))
}

/// What the annotations of a policy oblige to.
fn obligations(id: &str, policy: &Policy) -> Result<Obligations, PolicyError> {
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
    let mut concerned: Vec<Policy> = set
        .policies()
        .filter(|policy| embedding::concerns(policy, &uid, &groups))
        .cloned()
        .collect();
    let forms = concerned.iter().map(Policy::to_json).collect::<Result<Vec<_>, _>>();
    let forms = forms.map_err(|error| bad(error.to_string()))?;
    let mut facts = BTreeSet::new();
    forms.iter().for_each(|form| note_facts(form, &mut facts));
    let asks_for_groups = forms.iter().any(looks_at_action);
    if !asks_for_groups {
        let all = concerned.iter().zip(forms).map(|(policy, form)| about_any_action(policy, form));
        concerned = all.collect::<Result<_, _>>().map_err(bad)?;
    }
    let note = |policy: &Policy| Some((policy.id().clone(), notes.get(policy.id())?.clone()));
    Ok(Slice {
        action: uid,
        groups: asks_for_groups.then(|| entity.clone()),
        kind,
        policies: ByRoles::new(words, &concerned)?,
        notes: concerned.iter().filter_map(note).collect(),
        facts,
    })
}

/// Whether the condition of a policy, in Cedar's JSON form, looks at the action, as its head may without this.
fn looks_at_action(form: &Value) -> bool {
    match form {
        Value::Array(parts) => parts.iter().any(looks_at_action),
        Value::Object(members) => {
            members.get("Var").and_then(Value::as_str) == Some("action")
                || members.values().any(looks_at_action)
        }
        _ => false,
    }
}

/// The same policy without the action in its head: for a set in which each policy is about the one action that is asked for. So the
/// action's groups need not be told with each request, which takes Cedar as long as deciding.
fn about_any_action(policy: &Policy, mut form: Value) -> Result<Policy, String> {
    let head = form.get_mut("action").ok_or("a policy has no action in its head")?;
    *head = serde_json::json!({ "op": "All" });
    Policy::from_json(Some(policy.id().clone()), form).map_err(|error| error.to_string())
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
        device: Some(DeviceFacts { age_s: 0, attested: true, payments: 0, disowned: false }),
        peers: Some(0),
        place: Some(String::new()),
        time: Some(TimeFacts { unix_s: 0, weekday: 1, minute: 0 }),
    });
    let action = (&entity.uid(), None);
    asked(words, &bare, action, kind, Some(schema))?;
    asked(words, &full, action, kind, Some(schema)).map(|_| ())
}
