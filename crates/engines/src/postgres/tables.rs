//! The tables as batches are written to them. The columns stand in the order in which a batch gives them.

use super::sheet::{Kind, Table};

pub(super) const META: Table = Table {
    name: "meta",
    columns: &[("key", Kind::Text), ("value", Kind::Bytes)],
    conflict: "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
};
pub(super) const PERSON: Table = Table {
    name: "person",
    columns: &[("id", Kind::Uuid), ("name", Kind::Text), ("added", Kind::Time)],
    conflict: "",
};
pub(super) const DEVICE: Table = Table {
    name: "device",
    columns: &[
        ("id", Kind::Uuid),
        ("person", Kind::Uuid),
        ("algorithm", Kind::Text),
        ("key", Kind::Bytes),
        ("enrolled", Kind::Time),
        ("revoked", Kind::Time),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET revoked = excluded.revoked",
};
pub(super) const CODE: Table = Table {
    name: "code",
    columns: &[
        ("hash", Kind::Bytes),
        ("person", Kind::Uuid),
        ("expires", Kind::Time),
        ("used_by", Kind::Uuid),
    ],
    conflict: "ON CONFLICT (hash) DO UPDATE SET used_by = excluded.used_by",
};
pub(super) const ACCOUNT: Table = Table {
    name: "account",
    columns: &[
        ("id", Kind::Uuid),
        ("asset", Kind::Text),
        ("kind", Kind::Int2),
        ("owner", Kind::Uuid),
        ("state", Kind::Int2),
        ("frozen", Kind::Int2),
        ("debit_max", Kind::Numeric),
        ("balance_max", Kind::Numeric),
        ("debits_posted", Kind::Numeric),
        ("credits_posted", Kind::Numeric),
        ("debits_pending", Kind::Numeric),
        ("credits_pending", Kind::Numeric),
        ("transfers", Kind::Int8),
        ("last", Kind::Int8),
        ("chain", Kind::Bytes),
        ("opened", Kind::Time),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET state = excluded.state, frozen = excluded.frozen,
        debit_max = excluded.debit_max, balance_max = excluded.balance_max,
        debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
        debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending,
        transfers = excluded.transfers, last = excluded.last, chain = excluded.chain",
};
pub(super) const OWNER: Table = Table {
    name: "owner",
    columns: &[("account", Kind::Uuid), ("person", Kind::Uuid), ("label", Kind::Text)],
    conflict: "",
};
pub(super) const CHAIN: Table = Table {
    name: "chain",
    columns: &[
        ("device", Kind::Uuid),
        ("account", Kind::Uuid),
        ("sequence", Kind::Int8),
        ("hash", Kind::Bytes),
    ],
    conflict: "ON CONFLICT (device, account)
        DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash",
};
pub(super) const TRANSFER: Table = Table {
    name: "transfer",
    columns: &[
        ("number", Kind::Int8),
        ("prev_debit", Kind::Int8),
        ("prev_credit", Kind::Int8),
        ("pending", Kind::Int8),
        ("at", Kind::Time),
        ("effective", Kind::Time),
        ("id", Kind::Uuid),
        ("debit", Kind::Uuid),
        ("credit", Kind::Uuid),
        ("kind", Kind::Int2),
        ("asset", Kind::Text),
        ("amount", Kind::Numeric),
        ("released", Kind::Numeric),
        ("debit_chain", Kind::Bytes),
        ("credit_chain", Kind::Bytes),
        ("order_digest", Kind::Bytes),
    ],
    conflict: "",
};
pub(super) const HOLD: Table = Table {
    name: "hold",
    columns: &[
        ("id", Kind::Uuid),
        ("number", Kind::Int8),
        ("debit", Kind::Uuid),
        ("credit", Kind::Uuid),
        ("asset", Kind::Text),
        ("amount", Kind::Numeric),
        ("expires", Kind::Time),
    ],
    conflict: "",
};
pub(super) const MARK: Table = Table {
    name: "mark",
    columns: &[
        ("account", Kind::Uuid),
        ("transfers", Kind::Int8),
        ("number", Kind::Int8),
        ("at", Kind::Time),
        ("debits_posted", Kind::Numeric),
        ("credits_posted", Kind::Numeric),
        ("debits_pending", Kind::Numeric),
        ("credits_pending", Kind::Numeric),
    ],
    conflict: "",
};
pub(super) const VELOCITY: Table = Table {
    name: "velocity",
    columns: &[
        ("account", Kind::Uuid),
        ("place", Kind::Int2),
        ("window_ms", Kind::Int8),
        ("amount_max", Kind::Numeric),
        ("count_max", Kind::Int8),
        ("since", Kind::Time),
        ("amount", Kind::Numeric),
        ("count", Kind::Int8),
    ],
    conflict: "ON CONFLICT (account, place) DO UPDATE SET window_ms = excluded.window_ms,
        amount_max = excluded.amount_max, count_max = excluded.count_max, since = excluded.since,
        amount = excluded.amount, count = excluded.count",
};
/// By which a limit is found.
pub(super) const VELOCITY_KEY: Table = Table {
    name: "velocity",
    columns: &[("account", Kind::Uuid), ("place", Kind::Int2)],
    conflict: "",
};
pub(super) const WATCH: Table = Table {
    name: "watch",
    columns: &[
        ("account", Kind::Uuid),
        ("tier", Kind::Int2),
        ("action", Kind::Int2),
        ("below", Kind::Numeric),
        ("above", Kind::Numeric),
    ],
    conflict: "ON CONFLICT (account) DO UPDATE SET tier = excluded.tier,
        action = excluded.action, below = excluded.below, above = excluded.above",
};
pub(super) const ACCOUNT_SET: Table = Table {
    name: "account_set",
    columns: &[("id", Kind::Uuid), ("asset", Kind::Text), ("opened", Kind::Time)],
    conflict: "",
};
pub(super) const CROSSING: Table = Table {
    name: "crossing",
    columns: &[
        ("account", Kind::Uuid),
        ("number", Kind::Int8),
        ("tier", Kind::Int2),
        ("edge", Kind::Int2),
        ("threshold", Kind::Numeric),
        ("balance", Kind::Text),
        ("at", Kind::Time),
        ("action", Kind::Int2),
    ],
    conflict: "",
};
pub(super) const BACKDATED: Table = Table {
    name: "backdated",
    columns: &[("account", Kind::Uuid), ("effective", Kind::Time), ("number", Kind::Int8)],
    conflict: "",
};
pub(super) const BURNT: Table = Table {
    name: "burnt",
    columns: &[
        ("id", Kind::Uuid),
        ("why", Kind::Int2),
        ("fingerprint", Kind::Bytes),
        ("at", Kind::Time),
    ],
    conflict: "",
};
pub(super) const REVERSAL: Table = Table {
    name: "reversal",
    columns: &[("original", Kind::Int8), ("reversal", Kind::Int8)],
    conflict: "",
};
pub(super) const ORDER_BATCH: Table = Table {
    name: "order_batch",
    columns: &[
        ("first", Kind::Int8),
        ("count", Kind::Int8),
        ("leaf", Kind::Int8),
        ("key", Kind::Bytes),
        ("at", Kind::Time),
        ("salt", Kind::Bytes),
    ],
    conflict: "",
};
pub(super) const EVENT: Table = Table {
    name: "event",
    columns: &[
        ("seq", Kind::Int8),
        ("position", Kind::Int8),
        ("at", Kind::Time),
        ("kind", Kind::Int2),
        ("subject", Kind::Uuid),
    ],
    conflict: "",
};
pub(super) const MEMBERSHIP: Table = Table {
    name: "membership",
    columns: &[("parent", Kind::Uuid), ("member", Kind::Uuid), ("kind", Kind::Int2)],
    conflict: "ON CONFLICT DO NOTHING",
};
/// A payment's time of receipt never changes. Should a second payment come under the same id, the state would become
/// NULL, and the batch fail.
pub(super) const PAYMENT: Table = Table {
    name: "payment",
    columns: &[
        ("id", Kind::Uuid),
        ("status", Kind::Int2),
        ("received", Kind::Time),
        ("payer", Kind::Uuid),
        ("payee", Kind::Uuid),
        ("asset", Kind::Text),
        ("amount", Kind::Numeric),
        ("device", Kind::Uuid),
        ("state", Kind::Bytes),
    ],
    conflict: "ON CONFLICT (id) DO UPDATE SET status = excluded.status,
        state = CASE WHEN payment.received = excluded.received THEN excluded.state END",
};
pub(super) const LEAF: Table = Table {
    name: "leaf",
    columns: &[("idx", Kind::Int8), ("leaf", Kind::Bytes), ("payment", Kind::Uuid)],
    conflict: "",
};
pub(super) const TOKEN: Table = Table {
    name: "token",
    columns: &[("serial", Kind::Bytes), ("leaf", Kind::Int8)],
    conflict: "",
};
pub(super) const DECISION: Table = Table {
    name: "decision",
    columns: &[
        ("number", Kind::Int8),
        ("id", Kind::Uuid),
        ("owner", Kind::Uuid),
        ("actor", Kind::Text),
        ("resource", Kind::Text),
        ("action", Kind::Text),
        ("salt", Kind::Bytes),
        ("record", Kind::Bytes),
    ],
    conflict: "",
};
pub(super) const RECORD: Table = Table {
    name: "record",
    columns: &[("key", Kind::Bytes), ("value", Kind::Bytes)],
    conflict: "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
};
/// By which a record is found.
pub(super) const RECORD_KEY: Table =
    Table { name: "record", columns: &[("key", Kind::Bytes)], conflict: "" };
pub(super) const RAIL: Table = Table {
    name: "rail",
    columns: &[
        ("payment", Kind::Uuid),
        ("account", Kind::Uuid),
        ("asset", Kind::Text),
        ("amount", Kind::Numeric),
        ("purpose", Kind::Text),
        ("at", Kind::Time),
    ],
    conflict: "",
};
pub(super) const FUNDING: Table = Table {
    name: "funding",
    columns: &[("id", Kind::Uuid), ("account", Kind::Uuid), ("amount", Kind::Numeric)],
    conflict: "",
};
pub(super) const ALARM: Table = Table {
    name: "alarm",
    columns: &[
        ("kind", Kind::Text),
        ("at", Kind::Time),
        ("device", Kind::Uuid),
        ("payment", Kind::Uuid),
        ("size", Kind::Int8),
        ("root", Kind::Bytes),
    ],
    conflict: "",
};
