//! The commands about people, devices and accounts.

use super::orders::made_after;
use super::{
    Answer, Archive, ArchiveError, CodeGrant, Desk, DeskFault, Device, EventKind, Frozen, Funding,
    NewAccountOrder, NewPerson, Outcome, Owner, Person, Rejection,
};
use crate::step::SKEW_MAX;
use std::collections::hash_map::Entry;
use tpw_core::{AccountId, DeviceId, Hash32, Instant, Money, PersonId, TransferId};
use tpw_crypto::PublicKey;
use tpw_ledger::{
    AccountKind, FreezeReason, FundedAccount, LedgerError, NewAccount, Operation, TransferRequest,
};

/// A device's key and, if it is hybrid, the one of ML-DSA-44 beside it.
type Keys = (PublicKey, Option<PublicKey>);

impl Desk {
    fn find_funding(
        &self,
        id: TransferId,
        archive: &dyn Archive,
    ) -> Result<Option<Funding>, ArchiveError> {
        match self.unstored().find_map(|recent| recent.fundings.get(&id)) {
            Some(known) => Ok(Some(*known)),
            None => archive.funding(id),
        }
    }

    /// Whether the transfers with which accounts open have ids of their own, not made in the future.
    fn check_transfers(
        &self,
        orders: &[NewAccountOrder],
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Result<(), Rejection>, ArchiveError> {
        let funded = |order: &&NewAccountOrder| !order.opening.is_zero();
        for (place, order) in orders.iter().enumerate().filter(|(_, order)| funded(order)) {
            if made_after(order.transfer, now.plus(SKEW_MAX)) {
                return Ok(Err(Rejection::FromFuture));
            }
            let mut before = orders.iter().take(place).filter(funded);
            let twice = before.any(|other| other.transfer == order.transfer);
            if twice || self.use_of(order.transfer, archive)?.is_some() {
                return Ok(Err(Rejection::IdInUse { what: "transfer" }));
            }
        }
        Ok(Ok(()))
    }

    pub(super) fn add_person(
        &mut self,
        person: NewPerson,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let fresh = self.check_transfers(&person.accounts, now, archive)?;
        Ok(self.enter_person(person, fresh, now))
    }

    fn enter_person(
        &mut self,
        new: NewPerson,
        fresh: Result<(), Rejection>,
        now: Instant,
    ) -> Outcome {
        if self.registry.people.contains_key(&new.id) {
            return Err(Rejection::IdInUse { what: "person" });
        }
        for (place, order) in new.accounts.iter().enumerate() {
            self.check_order(Some(new.id), order)?;
            let twice = new.accounts.iter().take(place).any(|other| other.id == order.id);
            if twice || self.ledger.account(&order.id).is_some() {
                return Err(Rejection::IdInUse { what: "account" });
            }
        }
        fresh?;
        if new.code.is_some_and(|(code, _)| self.registry.codes.contains_key(&code)) {
            return Err(Rejection::IdInUse { what: "code" });
        }
        let position = self.ledger.next_number();
        self.open_all(Some(new.id), &new.accounts, now)?;
        // From here on nothing is refused any more.
        let person = Person { id: new.id, name: new.name, added: now };
        self.registry.people.insert(person.id, person.clone());
        self.tell_at(position, EventKind::PersonAdded, *person.id.as_bytes(), now);
        self.changes.people.push(person);
        self.note_opened(Some(new.id), new.accounts, position, now);
        match new.code {
            Some((code, expires)) => self.issue_code(new.id, code, expires),
            None => Ok(Answer::Done),
        }
    }

    /// What the ledger does not know of: whose accounts of a kind are, and which assets are set up here.
    fn check_order(
        &self,
        person: Option<PersonId>,
        order: &NewAccountOrder,
    ) -> Result<(), Rejection> {
        if order.kind.is_operators() == person.is_some() {
            return Err(Rejection::WrongOwner { kind: order.kind });
        }
        let known = self.issuance.get(&order.asset);
        match (order.kind, known) {
            // One for each asset: of two, a start could take the other one.
            (AccountKind::Issuance, Some(known)) if *known != order.id => {
                Err(Rejection::IssuanceExists(order.asset))
            }
            (AccountKind::Issuance, _) | (_, Some(_)) => Ok(()),
            (_, None) => Err(Rejection::UnknownAsset(order.asset)),
        }
    }

    pub(super) fn open_account(
        &mut self,
        person: Option<PersonId>,
        order: NewAccountOrder,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        let fresh = self.check_transfers(core::slice::from_ref(&order), now, archive)?;
        Ok(self.enter_account(person, order, fresh, now))
    }

    fn enter_account(
        &mut self,
        person: Option<PersonId>,
        order: NewAccountOrder,
        fresh: Result<(), Rejection>,
        now: Instant,
    ) -> Outcome {
        if person.is_some_and(|person| !self.registry.people.contains_key(&person)) {
            return Err(Rejection::UnknownPerson);
        }
        self.check_order(person, &order)?;
        if self.ledger.account(&order.id).is_none() {
            // An account that is there already is the better reason, and the ledger gives it.
            fresh?;
        }
        let position = self.ledger.next_number();
        self.open_all(person, core::slice::from_ref(&order), now)?;
        self.note_opened(person, vec![order], position, now);
        Ok(Answer::Done)
    }

    /// Opens accounts with their money, all or none.
    fn open_all(
        &mut self,
        owner: Option<PersonId>,
        orders: &[NewAccountOrder],
        now: Instant,
    ) -> Result<(), Rejection> {
        let mut accounts = Vec::with_capacity(orders.len());
        for order in orders {
            let NewAccountOrder { id, asset, kind, limits, .. } = *order;
            let account = NewAccount { id, asset, kind, owner, limits };
            accounts.push(FundedAccount { account, funding: self.funding_of(order)? });
        }
        self.ledger.apply(Operation::OpenFunded(&accounts), now)?;
        Ok(())
    }

    fn funding_of(&self, order: &NewAccountOrder) -> Result<Option<TransferRequest>, Rejection> {
        let NewAccountOrder { id: credit, asset, opening: amount, transfer: id, .. } = *order;
        if amount.is_zero() {
            return Ok(None);
        }
        if order.kind == AccountKind::Issuance {
            return Err(LedgerError::SameAccount(credit).into());
        }
        let debit = *self.issuance.get(&asset).ok_or(Rejection::UnknownAsset(asset))?;
        let money = Money { amount, asset };
        Ok(Some(TransferRequest { id, debit, credit, money, effective: None }))
    }

    /// Keeps what the ledger does not know of accounts that it has opened.
    fn note_opened(
        &mut self,
        person: Option<PersonId>,
        orders: Vec<NewAccountOrder>,
        position: u64,
        now: Instant,
    ) {
        for order in orders {
            let NewAccountOrder { id, asset, kind, label, opening, transfer, .. } = order;
            self.tell_at(position, EventKind::AccountOpened, *id.as_bytes(), now);
            self.changes.owners.push((id, Owner { person, label }));
            if kind == AccountKind::Issuance {
                self.issuance.insert(asset, id);
            }
            if !opening.is_zero() {
                self.note_funding(transfer, Funding { account: id, amount: opening });
            }
        }
    }

    /// The same order under the same id again moves nothing.
    pub(super) fn bring_in(
        &mut self,
        funding: Funding,
        id: TransferId,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        if made_after(id, now.plus(SKEW_MAX)) {
            return Ok(Err(Rejection::FromFuture));
        }
        let taken = Err(Rejection::IdInUse { what: "transfer" });
        Ok(match self.find_funding(id, archive)? {
            Some(known) if known == funding => Ok(Answer::Done),
            Some(_) => taken,
            None if self.use_of(id, archive)?.is_some() => taken,
            None => self.fund(funding, id, now).map(|()| Answer::Done),
        })
    }

    fn fund(&mut self, funding: Funding, id: TransferId, now: Instant) -> Result<(), Rejection> {
        let Funding { account, amount } = funding;
        let credit = self.ledger.account(&account).ok_or(Rejection::UnknownAccount)?;
        let asset = credit.asset;
        let debit = *self.issuance.get(&asset).ok_or(Rejection::UnknownAsset(asset))?;
        let money = Money { amount, asset };
        let request = [TransferRequest { id, debit, credit: account, money, effective: None }];
        self.ledger.apply(Operation::Transfer(&request), now)?;
        self.note_funding(id, funding);
        Ok(())
    }

    fn note_funding(&mut self, id: TransferId, funding: Funding) {
        self.recent.fundings.insert(id, funding);
        self.changes.fundings.push((id, funding));
    }

    pub(super) fn issue_code(
        &mut self,
        person: PersonId,
        code: Hash32,
        expires: Instant,
    ) -> Outcome {
        if !self.registry.people.contains_key(&person) {
            return Err(Rejection::UnknownPerson);
        }
        if self.registry.codes.contains_key(&code) {
            return Err(Rejection::IdInUse { what: "code" });
        }
        self.keep_code(code, CodeGrant { person, expires, used_by: None });
        Ok(Answer::Done)
    }

    fn keep_code(&mut self, code: Hash32, grant: CodeGrant) {
        self.registry.codes.insert(code, grant);
        self.changes.codes.push((code, grant));
    }

    /// The same enrolment again, by the same key, gets the same answer: the first may have been lost.
    pub(super) fn enrol(
        &mut self,
        code: Hash32,
        device: DeviceId,
        keys: Keys,
        now: Instant,
    ) -> Outcome {
        let grant = self.registry.codes.get(&code).copied().ok_or(Rejection::CodeInvalid)?;
        if let Some(used_by) = grant.used_by {
            let same = |device: &&Device| (&device.key, &device.post_quantum) == (&keys.0, &keys.1);
            let known = self.registry.devices.get(&used_by).filter(same);
            return known.cloned().map(Answer::Device).ok_or(Rejection::CodeInvalid);
        }
        if grant.expires <= now {
            return Err(Rejection::CodeInvalid);
        }
        let device = self.new_device(grant.person, device, keys, now)?;
        self.keep_code(code, CodeGrant { used_by: Some(device.id), ..grant });
        Ok(Answer::Device(device))
    }

    pub(super) fn enrol_operator(
        &mut self,
        person: Person,
        device: DeviceId,
        key: PublicKey,
        now: Instant,
    ) -> Outcome {
        let id = person.id;
        let keys = (key, None);
        self.check_device(device, &keys)?;
        if let Entry::Vacant(vacant) = self.registry.people.entry(id) {
            self.changes.people.push(person.clone());
            vacant.insert(person);
        }
        self.new_device(id, device, keys, now).map(Answer::Device)
    }

    fn check_device(&self, id: DeviceId, (key, post_quantum): &Keys) -> Result<(), Rejection> {
        if self.registry.devices.contains_key(&id) {
            return Err(Rejection::IdInUse { what: "device" });
        }
        if self.registry.by_jwk.contains_key(&Hash32::new(key.jwk_thumbprint())) {
            return Err(Rejection::KeyInUse);
        }
        let known = |key: &PublicKey| Hash32::new(key.cose_key_thumbprint());
        if post_quantum.as_ref().is_some_and(|key| self.registry.by_cose.contains_key(&known(key)))
        {
            return Err(Rejection::KeyInUse);
        }
        Ok(())
    }

    fn new_device(
        &mut self,
        person: PersonId,
        id: DeviceId,
        keys: Keys,
        now: Instant,
    ) -> Result<Device, Rejection> {
        self.check_device(id, &keys)?;
        let (key, post_quantum) = keys;
        let device = Device { id, person, key, post_quantum, enrolled: now, revoked: None };
        self.registry.add_device(device.clone());
        self.tell(EventKind::DeviceEnrolled, *id.as_bytes(), now);
        self.changes.devices.push(device.clone());
        Ok(device)
    }

    pub(super) fn revoke(&mut self, id: DeviceId, now: Instant) -> Outcome {
        let device = self.registry.devices.get_mut(&id).ok_or(Rejection::UnknownDevice)?;
        device.revoked.get_or_insert(now);
        let device = device.clone();
        self.changes.devices.push(device.clone());
        self.tell(EventKind::DeviceRevoked, *id.as_bytes(), now);
        Ok(Answer::Device(device))
    }

    pub(super) fn freeze(&mut self, account: AccountId, frozen: Frozen, now: Instant) -> Outcome {
        self.is_kept_here(&account)?;
        let why = FreezeReason::Operator;
        let operation = match frozen {
            Frozen::Yes => Operation::Freeze { account, why },
            Frozen::No => Operation::Unfreeze { account, why },
        };
        self.ledger.apply(operation, now)?;
        self.tell(EventKind::AccountChanged, *account.as_bytes(), now);
        Ok(Answer::Done)
    }
}
