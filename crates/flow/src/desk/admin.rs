//! The commands about people, devices and accounts.

use super::{
    Answer, Archive, ArchiveError, CodeGrant, Command, Desk, DeskFault, Device, EventKind, Frozen,
    Funding, NewAccountOrder, NewPerson, Outcome, Owner, Person, Rejection,
};
use std::collections::hash_map::Entry;
use tpw_core::{AccountId, Amount, DeviceId, Hash32, Instant, Money, PersonId, TransferId};
use tpw_crypto::PublicKey;
use tpw_ledger::{AccountKind, FreezeReason, LedgerError, NewAccount, Operation, TransferRequest};

impl Desk {
    pub(super) fn administer(
        &mut self,
        command: Command,
        now: Instant,
        archive: &dyn Archive,
    ) -> Result<Outcome, DeskFault> {
        Ok(match command {
            Command::AddPerson(person) => {
                let fresh = self.check_transfers(&person.accounts, archive)?;
                self.add_person(person, fresh, now)
            }
            Command::OpenAccount { person, order } => {
                let fresh = self.check_transfers(core::slice::from_ref(&order), archive)?;
                self.open_account(person, order, fresh, now)
            }
            Command::IssueCode { person, code, expires } => self.issue_code(person, code, expires),
            Command::Enrol { code, device, key } => self.enrol(code, device, key, now),
            Command::EnrolOperator { person, device, key } => {
                self.enrol_operator(person, device, key, now)
            }
            Command::RevokeDevice { device } => self.revoke(device, now),
            Command::Fund { account, amount, transfer } => {
                match self.find_funding(transfer, archive)? {
                    None if self.use_of(transfer, archive)?.is_some() => {
                        Err(Rejection::IdInUse { what: "transfer" })
                    }
                    None => self.fund(account, amount, transfer, now).map(|()| Answer::Done),
                    Some(known) if known == (Funding { account, amount }) => Ok(Answer::Done),
                    Some(_) => Err(Rejection::IdInUse { what: "transfer" }),
                }
            }
            Command::Freeze { account, frozen } => self.freeze(account, frozen, now),
            // The other commands are about payments; `Desk::apply` has taken them.
            _ => Ok(Answer::Done),
        })
    }

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

    /// Whether the transfers with which accounts open have ids of their own.
    fn check_transfers(
        &self,
        orders: &[NewAccountOrder],
        archive: &dyn Archive,
    ) -> Result<Result<(), Rejection>, ArchiveError> {
        let funded = |order: &&NewAccountOrder| !order.opening.is_zero();
        for (place, order) in orders.iter().enumerate().filter(|(_, order)| funded(order)) {
            let mut before = orders.iter().take(place).filter(funded);
            let twice = before.any(|other| other.transfer == order.transfer);
            if twice || self.use_of(order.transfer, archive)?.is_some() {
                return Ok(Err(Rejection::IdInUse { what: "transfer" }));
            }
        }
        Ok(Ok(()))
    }

    fn add_person(
        &mut self,
        new: NewPerson,
        fresh: Result<(), Rejection>,
        now: Instant,
    ) -> Outcome {
        if self.registry.people.contains_key(&new.id) {
            return Err(Rejection::IdInUse { what: "person" });
        }
        for (place, order) in new.accounts.iter().enumerate() {
            self.check_order(order)?;
            let twice = new.accounts.iter().take(place).any(|other| other.id == order.id);
            if twice || self.ledger.account(&order.id).is_some() {
                return Err(Rejection::IdInUse { what: "account" });
            }
        }
        fresh?;
        self.check_openings(&new.accounts)?;
        if new.code.is_some_and(|(code, _)| self.registry.codes.contains_key(&code)) {
            return Err(Rejection::IdInUse { what: "code" });
        }
        let person = Person { id: new.id, name: new.name, added: now };
        self.registry.people.insert(person.id, person.clone());
        self.tell(EventKind::PersonAdded, *person.id.as_bytes(), now);
        self.changes.people.push(person);
        for order in new.accounts {
            self.open_one(Some(new.id), order, now)?;
        }
        match new.code {
            Some((code, expires)) => self.issue_code(new.id, code, expires),
            None => Ok(Answer::Done),
        }
    }

    /// What could make opening fail, asked before anything is changed.
    fn check_order(&self, order: &NewAccountOrder) -> Result<(), Rejection> {
        let issuance = order.kind == AccountKind::Issuance;
        if !issuance && !self.issuance.contains_key(&order.asset) {
            return Err(Rejection::UnknownAsset(order.asset));
        }
        let most = order.limits.balance_max().unwrap_or(Amount::MAX);
        if order.opening > most {
            return Err(Rejection::Ledger(LedgerError::LimitExceeded {
                limit: tpw_ledger::Limit::Balance,
                max: most,
            }));
        }
        Ok(())
    }

    /// Whether the money with which accounts open can come in, all of it: once an account is open, its
    /// funding may not fail any more.
    fn check_openings(&self, orders: &[NewAccountOrder]) -> Result<(), LedgerError> {
        for (place, order) in orders.iter().enumerate() {
            if order.opening.is_zero() {
                continue;
            }
            if order.kind == AccountKind::Issuance {
                return Err(LedgerError::SameAccount(order.id));
            }
            let issuance = self.issuance.get(&order.asset).and_then(|id| self.ledger.account(id));
            if let Some(issuance) = issuance {
                if issuance.frozen.is_frozen() {
                    return Err(LedgerError::PayerFrozen);
                }
                if let Some(max) = issuance.limits.debit_max_per_transfer()
                    && order.opening > max
                {
                    let limit = tpw_ledger::Limit::DebitPerTransfer;
                    return Err(LedgerError::LimitExceeded { limit, max });
                }
            }
            let so_far = orders.iter().take(place).filter(|other| other.asset == order.asset);
            let sum = so_far.map(|other| other.opening).try_fold(order.opening, Amount::plus);
            if sum.is_none_or(|sum| sum > self.ledger.room(order.asset)) {
                return Err(LedgerError::Overflow);
            }
        }
        Ok(())
    }

    fn open_account(
        &mut self,
        person: Option<PersonId>,
        order: NewAccountOrder,
        fresh: Result<(), Rejection>,
        now: Instant,
    ) -> Outcome {
        if person.is_some_and(|person| !self.registry.people.contains_key(&person)) {
            return Err(Rejection::UnknownPerson);
        }
        self.check_order(&order)?;
        if self.ledger.account(&order.id).is_none() {
            // An account that is there already is the better reason, and the ledger gives it.
            fresh?;
        }
        self.check_openings(core::slice::from_ref(&order))?;
        self.open_one(person, order, now).map(|()| Answer::Done)
    }

    fn open_one(
        &mut self,
        person: Option<PersonId>,
        order: NewAccountOrder,
        now: Instant,
    ) -> Result<(), Rejection> {
        let NewAccountOrder { id, asset, kind, label, opening, transfer, limits } = order;
        let new = NewAccount { id, asset, kind, owner: person, limits };
        self.ledger.apply(Operation::Open(new), now)?;
        self.tell(EventKind::AccountOpened, *id.as_bytes(), now);
        self.changes.owners.push((id, Owner { person, label }));
        if kind == AccountKind::Issuance {
            self.issuance.entry(asset).or_insert(id);
        }
        if opening.is_zero() { Ok(()) } else { self.fund(id, opening, transfer, now) }
    }

    fn fund(
        &mut self,
        account: AccountId,
        amount: Amount,
        id: TransferId,
        now: Instant,
    ) -> Result<(), Rejection> {
        let credit = self.ledger.account(&account).ok_or(Rejection::UnknownAccount)?;
        let asset = credit.asset;
        let debit = *self.issuance.get(&asset).ok_or(Rejection::UnknownAsset(asset))?;
        let money = Money { amount, asset };
        let request = [TransferRequest { id, debit, credit: account, money, effective: None }];
        self.ledger.apply(Operation::Transfer(&request), now)?;
        let funding = Funding { account, amount };
        self.recent.fundings.insert(id, funding);
        self.changes.fundings.push((id, funding));
        Ok(())
    }

    fn issue_code(&mut self, person: PersonId, code: Hash32, expires: Instant) -> Outcome {
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
    fn enrol(&mut self, code: Hash32, device: DeviceId, key: PublicKey, now: Instant) -> Outcome {
        let grant = self.registry.codes.get(&code).copied().ok_or(Rejection::CodeInvalid)?;
        if let Some(used_by) = grant.used_by {
            let known = self.registry.devices.get(&used_by).filter(|d| d.key == key);
            return known.cloned().map(Answer::Device).ok_or(Rejection::CodeInvalid);
        }
        if grant.expires <= now {
            return Err(Rejection::CodeInvalid);
        }
        let device = self.new_device(grant.person, device, key, now)?;
        self.keep_code(code, CodeGrant { used_by: Some(device.id), ..grant });
        Ok(Answer::Device(device))
    }

    fn enrol_operator(
        &mut self,
        person: Person,
        device: DeviceId,
        key: PublicKey,
        now: Instant,
    ) -> Outcome {
        let id = person.id;
        if let Entry::Vacant(vacant) = self.registry.people.entry(id) {
            self.changes.people.push(person.clone());
            vacant.insert(person);
        }
        self.new_device(id, device, key, now).map(Answer::Device)
    }

    fn new_device(
        &mut self,
        person: PersonId,
        id: DeviceId,
        key: PublicKey,
        now: Instant,
    ) -> Result<Device, Rejection> {
        if self.registry.devices.contains_key(&id) {
            return Err(Rejection::IdInUse { what: "device" });
        }
        if self.registry.by_jwk.contains_key(&Hash32::new(key.jwk_thumbprint())) {
            return Err(Rejection::KeyInUse);
        }
        let device = Device { id, person, key, enrolled: now, revoked: None };
        self.registry.add_device(device.clone());
        self.tell(EventKind::DeviceEnrolled, *id.as_bytes(), now);
        self.changes.devices.push(device.clone());
        Ok(device)
    }

    fn revoke(&mut self, id: DeviceId, now: Instant) -> Outcome {
        let device = self.registry.devices.get_mut(&id).ok_or(Rejection::UnknownDevice)?;
        device.revoked.get_or_insert(now);
        let device = device.clone();
        self.changes.devices.push(device.clone());
        self.tell(EventKind::DeviceRevoked, *id.as_bytes(), now);
        Ok(Answer::Device(device))
    }

    fn freeze(&mut self, account: AccountId, frozen: Frozen, now: Instant) -> Outcome {
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
