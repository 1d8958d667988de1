//! Goal: Cedar as this product calls it decides as Cedar's authors say: strict validation refuses what they say is not valid, the
//! small set of an action gives the same answer as the whole set, and what cannot be evaluated denies.
//! Method: cases of cedar-policy/cedar-integration-tests (`spec/vectors/cedar`): all that were written by hand and a sample of
//! what their fuzzer found; `cargo xtask cedar-corpus FILE` puts their whole archive.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityId, EntityTypeName, EntityUid, Policy, PolicyId,
    PolicySet, Request, Schema,
};
use serde::Deserialize;
use serde_json::Value;
use tpw_access::policy::embedding::{Answer, Invalid, answer, concerns, is_for, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    policies: PathBuf,
    entities: PathBuf,
    schema: PathBuf,
    should_validate: bool,
    requests: Vec<Asked>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    description: String,
    principal: Uid,
    action: Uid,
    resource: Uid,
    context: Value,
    #[serde(default = "yes")]
    validate_request: bool,
    decision: String,
    reason: BTreeSet<String>,
    errors: Vec<String>,
}

const fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Uid {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

impl Uid {
    fn uid(&self) -> EntityUid {
        let kind = EntityTypeName::from_str(&self.kind).unwrap();
        EntityUid::from_type_name_and_id(kind, EntityId::new(&self.id))
    }
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    tests: usize,
    requests: usize,
    allowed: usize,
    with_errors: usize,
    denied_for_errors: usize,
    invalid_sets: usize,
    refused_for_a_warning: usize,
    policies: usize,
    policies_in_slices: usize,
    smaller_slices: usize,
    left_out_for_their_group: usize,
}

struct Corpus {
    root: PathBuf,
    authorizer: Authorizer,
    count: Count,
    wrong: Vec<String>,
}

impl Corpus {
    fn at(root: &Path) -> Self {
        let (root, authorizer) = (root.to_owned(), Authorizer::new());
        Self { root, authorizer, count: Count::default(), wrong: Vec::new() }
    }

    fn text(&self, path: &Path) -> String {
        let path = self.root.join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn all(mut self) -> Self {
        let mut folders = vec![self.root.clone()];
        let mut tests = BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                match path.is_dir() {
                    true => folders.push(path),
                    false if name.ends_with(".json") && !name.ends_with("entities.json") => {
                        tests.insert(path);
                    }
                    false => {}
                }
            }
        }
        for path in &tests {
            let test: Test = serde_json::from_str(&self.text(path)).unwrap();
            self.test(&path.display().to_string(), &test);
        }
        self
    }

    fn test(&mut self, name: &str, test: &Test) {
        let (schema, _warnings) = Schema::from_cedarschema_str(&self.text(&test.schema)).unwrap();
        let set = PolicySet::from_str(&self.text(&test.policies)).unwrap();
        let entities = Entities::from_json_str(&self.text(&test.entities), Some(&schema)).unwrap();
        self.count.tests += 1;
        self.count.policies += set.policies().count();
        match (test.should_validate, validate(&schema, &set)) {
            (true, Ok(())) => {}
            // Of what is valid with a warning, this product loads nothing either.
            (true, Err(Invalid::Warning(_))) => self.count.refused_for_a_warning += 1,
            (false, Err(_)) => self.count.invalid_sets += 1,
            (_, found) => self.wrong.push(format!("{name}: validation says {found:?}")),
        }
        let actions = schema.action_entities().unwrap();
        let mut slices = BTreeMap::new();
        for (number, asked) in test.requests.iter().enumerate() {
            let action = asked.action.uid();
            let slice = slices.entry(action.to_string()).or_insert_with(|| {
                let groups: HashSet<EntityUid> =
                    actions.ancestors(&action).into_iter().flatten().cloned().collect();
                let concerned = set.policies().filter(|policy| concerns(policy, &action, &groups));
                PolicySet::from_policies(concerned.cloned()).unwrap()
            });
            let place = format!("{name}, request {number} ({})", asked.description);
            self.request(&place, asked, &schema, (&set, slice), &entities);
        }
    }

    fn request(
        &mut self,
        place: &str,
        asked: &Asked,
        schema: &Schema,
        (set, slice): (&PolicySet, &PolicySet),
        entities: &Entities,
    ) {
        let action = asked.action.uid();
        let checked = asked.validate_request.then_some(schema);
        let context =
            Context::from_json_value(asked.context.clone(), checked.map(|s| (s, &action)));
        let request = Request::new(
            asked.principal.uid(),
            action,
            asked.resource.uid(),
            context.unwrap(),
            checked,
        );
        let request = request.unwrap();
        let whole = answer(&self.authorizer, &request, set, entities);
        let sliced = answer(&self.authorizer, &request, slice, entities);
        let smallest = self.for_the_groups_of(&asked.principal.uid(), slice, entities);
        let smallest = answer(&self.authorizer, &request, &smallest, entities);
        self.count.requests += 1;
        self.count.policies_in_slices += slice.policies().count();
        self.count.smaller_slices += usize::from(slice.policies().count() < set.policies().count());
        for slice in [&sliced, &smallest] {
            if !same(&whole, slice) {
                self.wrong
                    .push(format!("{place}: {whole:?} of the whole set, {slice:?} of the slice"));
            }
        }
        let said_allow = asked.decision.eq_ignore_ascii_case("allow");
        let allowed = said_allow && asked.errors.is_empty();
        self.count.allowed += usize::from(allowed);
        self.count.with_errors += usize::from(!asked.errors.is_empty());
        let reasons: BTreeSet<String> = sliced.reasons.iter().map(ToString::to_string).collect();
        let failed =
            |id: &String| sliced.errors.iter().any(|error| error.contains(&format!("`{id}`")));
        let errors = sliced.errors.len() == asked.errors.len() && asked.errors.iter().all(failed);
        if (sliced.allowed, &reasons, errors) != (allowed, &asked.reason, true) {
            let (decision, errors) = (&asked.decision, &asked.errors);
            let wanted = format!("{decision} for {:?} with errors of {errors:?}", asked.reason);
            self.wrong.push(format!("{place}: wanted {wanted}, got {sliced:?}"));
        }
        self.with_a_permit_for_everybody(place, asked, &request, slice, entities);
    }

    /// A slice without the policies for groups that whoever asks is not in: of every kind but their own.
    fn for_the_groups_of(
        &mut self,
        principal: &EntityUid,
        slice: &PolicySet,
        entities: &Entities,
    ) -> PolicySet {
        let above: HashSet<&EntityUid> =
            entities.ancestors(principal).into_iter().flatten().collect();
        let mut kinds: HashSet<EntityTypeName> =
            entities.iter().map(|entity| entity.uid().type_name().clone()).collect();
        kinds.remove(principal.type_name());
        let can_apply = |policy: &&Policy| {
            let mut groups = kinds.iter().filter_map(|kind| is_for(policy, kind));
            groups.all(|group| above.contains(&group))
        };
        let kept = PolicySet::from_policies(slice.policies().filter(can_apply).cloned()).unwrap();
        self.count.left_out_for_their_group += slice.policies().count() - kept.policies().count();
        kept
    }

    /// Beside a policy that permits everything, Cedar allows what no policy forbids; this product only if all could be evaluated.
    fn with_a_permit_for_everybody(
        &mut self,
        place: &str,
        asked: &Asked,
        request: &Request,
        slice: &PolicySet,
        entities: &Entities,
    ) {
        let everybody = "permit (principal, action, resource);";
        let everybody = Policy::parse(Some(PolicyId::new("everybody")), everybody).unwrap();
        let mut open = slice.clone();
        open.add(everybody).unwrap();
        let forbidden = !asked.decision.eq_ignore_ascii_case("allow") && !asked.reason.is_empty();
        let cedar = self.authorizer.is_authorized(request, &open, entities).decision();
        let ours = answer(&self.authorizer, request, &open, entities);
        let denied_for_errors = !forbidden && !asked.errors.is_empty();
        self.count.denied_for_errors += usize::from(denied_for_errors);
        let wanted = !forbidden && !denied_for_errors;
        if ((cedar == Decision::Allow) == forbidden) || ours.allowed != wanted {
            self.wrong.push(format!("{place}, with a permit for everybody: {cedar:?}, {ours:?}"));
        }
    }
}

/// Errors come in no order.
fn same(one: &Answer, other: &Answer) -> bool {
    let errors = |answer: &Answer| answer.errors.iter().cloned().collect::<BTreeSet<_>>();
    let sets = one.reasons == other.reasons && errors(one) == errors(other);
    one.allowed == other.allowed && one.errors.len() == other.errors.len() && sets
}

/// Unpacks the sample below the folder of the tests' own files.
fn sample() -> PathBuf {
    let archive =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/cedar/corpus-sample.tar.gz");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cedar-corpus");
    let _earlier = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&folder).status();
    assert!(unpacked.expect("`tar` and `gzip` unpack the sample; install them").success());
    folder
}

#[test]
fn cedars_own_cases_are_decided_as_its_authors_say() {
    // Set by `cargo xtask cedar-corpus`.
    let whole = std::env::var_os("TPW_CEDAR_CORPUS").map(PathBuf::from);
    let Corpus { count, wrong, .. } = Corpus::at(&whole.clone().unwrap_or_else(sample)).all();
    let shown = wrong.len().min(20);
    assert!(wrong.is_empty(), "{} of {count:?}:\n{}", wrong.len(), wrong[..shown].join("\n"));
    assert!(
        count.allowed > 0
            && count.denied_for_errors > 0
            && count.smaller_slices > 0
            && count.left_out_for_their_group > 0,
        "{count:?}"
    );
    match whole {
        Some(_) => println!("{count:#?}"),
        None => assert_eq!(count.tests, 301 + 22, "{count:?}"),
    }
}
