//! Goal: an operation is carried out only with the word of enough different people who had nothing to do with asking for it, and
//! once. Method: each rule by its name, beside the nearest case that is allowed.

#![expect(clippy::unwrap_used, reason = "helpers of the tests, outside their functions")]

use tpw_access::approval::{
    Approval, ApprovalError, Cast, Operation, OperationKind, Quorum, SIDES_MAX, Stage, Standing,
    VOTES_MAX, Voter,
};
use tpw_access::{RecordKey, RecordKind, RecordWrite, Role};
use tpw_core::{ApprovalId, Consent, DeviceId, Hash32, Instant, Name, PersonId, Vote};

const ASKER: u8 = 1;
const PAYEE: u8 = 2;

fn at(seconds: u64) -> Instant {
    Instant::from_unix_ms(1_795_342_500_000 + seconds * 1000).unwrap()
}

fn person(n: u8) -> PersonId {
    PersonId::from_bytes([n; 16])
}

fn operation() -> Operation {
    Operation { kind: OperationKind::Release, resource: [9; 16], bytes: vec![7; 32] }
}

fn asked(needed: u8) -> Approval {
    let id = ApprovalId::from_bytes([5; 16]);
    let quorum = Quorum { needed, role: Role::Approver, expires: at(3600) };
    Approval::ask(id, operation(), person(ASKER), vec![person(PAYEE)], quorum).unwrap()
}

/// The voter `n` with their first device.
fn voter(n: u8) -> Voter {
    with_device(n, n)
}

fn with_device(n: u8, device: u8) -> Voter {
    let (device, key) = (DeviceId::from_bytes([device; 16]), Hash32::new([device; 32]));
    Voter { person: person(n), device, key, standing: Standing::Good }
}

fn word(voter: &Voter, consent: Consent, created: Instant) -> Vote {
    Vote {
        approval: ApprovalId::from_bytes([5; 16]),
        device: voter.device,
        operation: operation().hash(),
        consent,
        created,
        audience: Name::new("tpw.example").unwrap(),
    }
}

fn says(
    approval: &Approval,
    voter: &Voter,
    consent: Consent,
    now: Instant,
) -> Result<Approval, ApprovalError> {
    let vote = word(voter, consent, now);
    approval.clone().vote(&vote, b"statement", voter, operation().hash(), now)
}

fn approves(approval: &Approval, voter: &Voter) -> Result<Approval, ApprovalError> {
    says(approval, voter, Consent::Approve, at(1))
}

fn all_good(_cast: &Cast) -> Standing {
    Standing::Good
}

#[test]
fn m_different_people_carry_it() {
    let one = approves(&asked(2), &voter(3)).unwrap();
    assert_eq!(one.carried(all_good), None);
    let two = approves(&one, &voter(4)).unwrap();
    let people: Vec<_> =
        two.carried(all_good).unwrap().iter().map(|cast| (cast.person, cast.at)).collect();
    assert_eq!(people, [(person(3), at(1)), (person(4), at(1))]);
}

#[test]
fn nobody_approves_what_they_initiated() {
    assert_eq!(approves(&asked(1), &voter(ASKER)), Err(ApprovalError::OwnOperation));
    // Nor with another device.
    assert_eq!(approves(&asked(1), &with_device(ASKER, 9)), Err(ApprovalError::OwnOperation));
}

#[test]
fn nobody_approves_in_their_own_favour() {
    assert_eq!(approves(&asked(1), &voter(PAYEE)), Err(ApprovalError::OwnOperation));
}

#[test]
fn one_person_counts_once_also_with_two_devices() {
    let one = approves(&asked(2), &with_device(3, 3)).unwrap();
    assert_eq!(approves(&one, &with_device(3, 3)), Err(ApprovalError::Again));
    assert_eq!(approves(&one, &with_device(3, 8)), Err(ApprovalError::Again));
}

#[test]
fn expired_ones_cannot_be_approved() {
    let in_time = says(&asked(1), &voter(3), Consent::Approve, at(3599));
    assert!(in_time.is_ok());
    assert_eq!(says(&asked(1), &voter(3), Consent::Approve, at(3600)), Err(ApprovalError::Expired));
    assert_eq!(in_time.unwrap().executed(at(3600)), Err(ApprovalError::Expired));
}

#[test]
fn an_operation_whose_bytes_changed_is_refused() {
    let (voter, now) = (voter(3), at(1));
    let mut changed = operation();
    changed.bytes.push(0);
    // What was signed is another operation.
    let mut vote = word(&voter, Consent::Approve, now);
    vote.operation = changed.hash();
    let refused = asked(1).vote(&vote, b"", &voter, changed.hash(), now);
    assert_eq!(refused, Err(ApprovalError::Mismatch("operation")));
    // What was signed is the operation, and what would be carried out now is another one.
    let vote = word(&voter, Consent::Approve, now);
    let refused = asked(1).vote(&vote, b"", &voter, changed.hash(), now);
    assert_eq!(refused, Err(ApprovalError::Changed));
    // A change does not keep anybody from ending it.
    let vote = word(&voter, Consent::Reject, now);
    assert!(asked(1).vote(&vote, b"", &voter, changed.hash(), now).is_ok());
}

#[test]
fn the_hash_is_over_kind_resource_and_bytes() {
    let hash = operation().hash();
    let kind = Operation { kind: OperationKind::Limits, ..operation() };
    let resource = Operation { resource: [8; 16], ..operation() };
    let bytes = Operation { bytes: vec![7; 31], ..operation() };
    for other in [kind, resource, bytes] {
        assert_ne!(other.hash(), hash);
    }
}

#[test]
fn who_lost_the_role_no_longer_counts_when_it_is_carried_out() {
    let two = approves(&approves(&asked(2), &voter(3)).unwrap(), &voter(4)).unwrap();
    let lost = |cast: &Cast| {
        if cast.person == person(3) { Standing::NoRole } else { Standing::Good }
    };
    assert_eq!(two.carried(lost), None);
    // A third person takes the place.
    let three = approves(&two, &voter(6)).unwrap();
    let people: Vec<_> = three.carried(lost).unwrap().iter().map(|cast| cast.person).collect();
    assert_eq!(people, [person(4), person(6)]);
}

#[test]
fn a_device_revoked_meanwhile_no_longer_counts() {
    let one = approves(&asked(1), &voter(3)).unwrap();
    assert!(one.carried(all_good).is_some());
    assert_eq!(one.carried(|_| Standing::DeviceRevoked), None);
}

#[test]
fn whoever_may_not_vote_does_not() {
    let no_role = Voter { standing: Standing::NoRole, ..voter(3) };
    assert_eq!(approves(&asked(1), &no_role), Err(ApprovalError::NoRole(Role::Approver)));
    let revoked = Voter { standing: Standing::DeviceRevoked, ..voter(3) };
    assert_eq!(approves(&asked(1), &revoked), Err(ApprovalError::DeviceRevoked));
}

#[test]
fn rejection_by_one_ends_it() {
    let one = approves(&asked(2), &voter(3)).unwrap();
    let ended = says(&one, &voter(4), Consent::Reject, at(2)).unwrap();
    assert_eq!(ended.stage(), Stage::Rejected { by: person(4), at: at(2) });
    assert_eq!(ended.votes().len(), 2, "the signed rejection is kept");
    assert_eq!(approves(&ended, &voter(6)), Err(ApprovalError::Ended("rejected")));
    assert_eq!(ended.executed(at(3)), Err(ApprovalError::Ended("rejected")));
}

#[test]
fn whoever_asked_may_withdraw_it() {
    let asker = Voter { standing: Standing::NoRole, ..voter(ASKER) };
    let ended = says(&asked(1), &asker, Consent::Reject, at(2)).unwrap();
    assert_eq!(ended.stage().code(), "rejected");
    let stranger = Voter { standing: Standing::NoRole, ..voter(6) };
    let refused = says(&asked(1), &stranger, Consent::Reject, at(2));
    assert_eq!(refused, Err(ApprovalError::NoRole(Role::Approver)));
}

#[test]
fn one_rejection_counts_for_nothing_but_the_end() {
    let ended = says(&asked(1), &voter(4), Consent::Reject, at(2)).unwrap();
    assert_eq!(ended.carried(all_good), None);
}

#[test]
fn double_execution_is_impossible() {
    let done = approves(&asked(1), &voter(3)).unwrap().executed(at(2)).unwrap();
    assert_eq!(done.stage(), Stage::Executed { at: at(2) });
    assert_eq!(approves(&done, &voter(4)), Err(ApprovalError::Ended("executed")));
    assert_eq!(done.executed(at(3)), Err(ApprovalError::Ended("executed")));
}

#[test]
fn statements_about_something_else_are_refused() {
    let (voter, now) = (voter(3), at(1000));
    type Edit = fn(&mut Vote);
    let cases: [(ApprovalError, Edit); 4] = [
        (ApprovalError::Mismatch("request"), |v| v.approval = ApprovalId::from_bytes([6; 16])),
        (ApprovalError::Mismatch("device"), |v| v.device = DeviceId::from_bytes([6; 16])),
        (ApprovalError::Stale, |v| v.created = at(699)),
        (ApprovalError::FromFuture, |v| v.created = at(1061)),
    ];
    for (error, edit) in cases {
        let mut vote = word(&voter, Consent::Approve, now);
        edit(&mut vote);
        let hash = operation().hash();
        assert_eq!(asked(1).vote(&vote, b"", &voter, hash, now), Err(error));
    }
    for created in [at(700), at(1060)] {
        let vote = word(&voter, Consent::Approve, created);
        assert!(asked(1).vote(&vote, b"", &voter, operation().hash(), now).is_ok());
    }
}

#[test]
fn requests_out_of_bounds_are_not_made() {
    let ask = |needed, bytes, sides| {
        let quorum = Quorum { needed, role: Role::Approver, expires: at(1) };
        let operation = Operation { bytes: vec![0; bytes], ..operation() };
        let id = ApprovalId::from_bytes([5; 16]);
        Approval::ask(id, operation, person(1), vec![person(2); sides], quorum)
    };
    assert!(ask(1, 0, 0).is_some() && ask(16, 32 * 1024, SIDES_MAX).is_some());
    assert!(ask(0, 0, 0).is_none() && ask(17, 0, 0).is_none());
    assert!(ask(1, 32 * 1024 + 1, 0).is_none() && ask(1, 0, SIDES_MAX + 1).is_none());
}

#[test]
fn votes_are_bounded_and_one_place_is_kept_for_a_rejection() {
    let mut approval = asked(16);
    for n in 0..VOTES_MAX {
        approval = approves(&approval, &voter(10 + u8::try_from(n).unwrap())).unwrap();
    }
    assert_eq!(approves(&approval, &voter(3)), Err(ApprovalError::Full));
    let ended = says(&approval, &voter(3), Consent::Reject, at(1)).unwrap();
    assert_eq!(Approval::from_bytes(&ended.to_bytes()), Ok(ended));
}

#[test]
fn changes_of_records_are_part_of_what_is_signed() {
    let key = RecordKey::new(RecordKind::Roles, [0; 16], &[3; 16]).unwrap();
    let change = |before: Option<&[u8]>, after: Option<&[u8]>| {
        let change = RecordWrite {
            key: key.clone(),
            before: before.map(<[u8]>::to_vec),
            after: after.map(<[u8]>::to_vec),
        };
        Operation::of_records(OperationKind::Roles, [3; 16], &[change])
    };
    let made = change(None, Some(b"operator"));
    let changes = made.changes().unwrap();
    assert_eq!(Operation::of_records(OperationKind::Roles, [3; 16], &changes), made);
    let others = [
        change(Some(b""), Some(b"operator")),
        change(Some(b"holder"), Some(b"operator")),
        change(None, Some(b"operatoR")),
        change(None, None),
    ];
    for other in others {
        assert_ne!(other.hash(), made.hash());
        assert!(other.changes().is_ok());
    }
    assert!(operation().changes().is_err(), "a release changes no records");
    let many = vec![changes[0].clone(); 5];
    assert!(Operation::of_records(OperationKind::Roles, [3; 16], &many).changes().is_err());
}

#[test]
fn stored_requests_come_back_and_others_do_not() {
    let open = asked(2);
    let one = approves(&open, &voter(3)).unwrap();
    let done = one.clone().executed(at(9)).unwrap();
    let ended = says(&one, &voter(4), Consent::Reject, at(2)).unwrap();
    for approval in [open, one, done, ended] {
        let bytes = approval.to_bytes();
        assert_eq!(Approval::from_bytes(&bytes), Ok(approval));
        for end in 0..bytes.len() {
            assert!(Approval::from_bytes(bytes.get(..end).unwrap()).is_err());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Approval::from_bytes(&longer).is_err());
        let mut other = bytes;
        other[1] = 2;
        assert!(Approval::from_bytes(&other).is_err(), "another format");
    }
}
