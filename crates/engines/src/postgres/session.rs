//! How a connection is set up, and what a server has to promise.

use super::error::PostgresError;
use super::link::Link;
use crate::books::StoreError;

/// The newest format that this program knows.
const FORMAT: i32 = 5;
/// The oldest one that it reads. Format 1 does not say what an order asked for beyond its rows, and nobody can tell it afterwards.
const OLDEST: i32 = 2;
/// What leads to the oldest format from nothing, and from each format to the next.
const STEPS: [&str; 4] = [
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
    include_str!("schema_5.sql"),
];

/// The writer's plans are pinned: statistics of a young table would send a batch through all of it. It has no time
/// limit on the server, for one that strikes during a commit ends the wait for the standbys and not the commit.
const WRITER: &str = "
    SET search_path = tpw;
    SET client_min_messages = warning;
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = '30s';
    SET tcp_keepalives_idle = 5;
    SET tcp_keepalives_interval = 3;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '15s';
    SET jit = off;
    SET plan_cache_mode = force_generic_plan;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;
    SET enable_hashjoin = off;
    SET enable_mergejoin = off";

const READER: &str = "
    SET search_path = tpw;
    SET client_min_messages = warning;
    SET default_transaction_read_only = on;
    SET statement_timeout = '30s';
    SET tcp_keepalives_idle = 5;
    SET tcp_keepalives_interval = 3;
    SET tcp_keepalives_count = 3;
    SET tcp_user_timeout = '15s';
    SET jit = off";

/// Settings without which an answered commit could be lost, or a name changed.
const DEMANDED: [(&str, &[&str], &str); 4] = [
    ("fsync", &["on"], "on"),
    ("full_page_writes", &["on"], "on"),
    ("synchronous_commit", &["on", "remote_apply"], "on"),
    ("server_encoding", &["UTF8"], "UTF8"),
];

/// Sets a connection up for writing, on a server that keeps what it has committed.
pub(super) fn to_write(link: &Link) -> Result<(), PostgresError> {
    demand_settings(link)?;
    // What the session was accepted with stays, whatever the server is told meanwhile.
    let pin = "SELECT pg_catalog.set_config('synchronous_commit',
                   pg_catalog.current_setting('synchronous_commit'), false)";
    link.rows("set up the session", pin, &[])?;
    if setting(link, "data_checksums")? != "on" {
        tracing::warn!(
            "the database cluster has no data checksums: damage on its disk goes unnoticed for longer"
        );
    }
    link.script("set up the session", WRITER)
}

/// Demands that the server keeps what it has committed. Some of it can be changed while the server runs.
pub(super) fn demand_settings(link: &Link) -> Result<(), PostgresError> {
    let names: Vec<&str> = DEMANDED.iter().map(|(name, ..)| *name).collect();
    let sql = "SELECT coalesce(pg_catalog.current_setting(name, true), '')
               FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)
               ORDER BY place";
    let rows = link.rows("read the settings", sql, &[&names])?;
    for (place, (name, accepted, wanted)) in DEMANDED.into_iter().enumerate() {
        let found: Option<String> = rows.get(place).and_then(|row| row.try_get(0).ok());
        let found = found.unwrap_or_default();
        if !accepted.contains(&found.as_str()) {
            return Err(PostgresError::Setting { name, found, wanted });
        }
    }
    Ok(())
}

/// Sets a connection up for reading.
pub(super) fn to_read(link: &Link) -> Result<(), PostgresError> {
    link.script("set up the session", READER)
}

fn setting(link: &Link, name: &str) -> Result<String, PostgresError> {
    let rows =
        link.rows("read a setting", "SELECT pg_catalog.current_setting($1, true)", &[&name])?;
    Ok(rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default())
}

/// Brings the tables to the present format. To be called with the lock.
pub(super) fn bring_up(link: &Link) -> Result<(), StoreError> {
    let doing = "make the tables";
    link.script(
        doing,
        "CREATE SCHEMA IF NOT EXISTS tpw;
         CREATE TABLE IF NOT EXISTS tpw.format (
             number integer PRIMARY KEY,
             since  timestamptz NOT NULL DEFAULT now()
         )",
    )?;
    let found = format(link)?;
    for (number, step) in (OLDEST..).zip(STEPS).filter(|(number, _)| *number > found) {
        // All or nothing: a crash in between leaves the old format.
        let record = format!("INSERT INTO format (number) VALUES ({number})");
        link.script(doing, &format!("BEGIN; {step}; {record}; COMMIT"))?;
    }
    Ok(())
}

/// The format of the tables; 0 for none. One that this program does not read is refused.
pub(super) fn format(link: &Link) -> Result<i32, StoreError> {
    let rows = link.rows("read the format", "SELECT coalesce(max(number), 0) FROM format", &[])?;
    let found: i32 = rows.first().and_then(|row| row.try_get(0).ok()).unwrap_or_default();
    if found > FORMAT {
        return Err(StoreError::Newer { found: found.into(), known: FORMAT.into() });
    }
    if (1..OLDEST).contains(&found) {
        return Err(StoreError::Older { found: found.into(), known: FORMAT.into() });
    }
    Ok(found)
}
