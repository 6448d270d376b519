//! What operators did, as rows that outlive the record.

use super::{NewAuditRow, codec, error::StorageError, meta::Meta, seal::ValueCheck};
use crate::{FencingToken, Key, OutcomeKind, Timestamp, limits::AUDIT_ROWS_MAX};
use serde::{Deserialize, Serialize};

const AUDIT_VERSION: u8 = 1;

/// One act of an operator: an attempt that was ended without its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// Counts the acts on this store, from 0.
    pub number: u64,
    /// When it happened.
    pub at: Timestamp,
    /// On what.
    pub key: Key,
    /// The token of the attempt that was ended; `None` if the record was damaged.
    pub token: Option<FencingToken>,
    /// The outcome that was given; `None`: the key was freed.
    pub outcome: Option<OutcomeKind>,
    /// Why, in the operator's words.
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    at: u64,
    scope: String,
    id: String,
    token: u64,
    outcome: u8,
    reason: String,
}

fn binding(number: u64) -> [u8; 13] {
    let mut binding = *b"audit\0\0\0\0\0\0\0\0";
    binding[5..].copy_from_slice(&number.to_be_bytes());
    binding
}

/// Numbers and seals new rows; the oldest make room.
pub(crate) fn number(
    check: ValueCheck,
    rows: Vec<NewAuditRow>,
    at: Timestamp,
    meta: &mut Meta,
) -> Result<Vec<(u64, Vec<u8>)>, StorageError> {
    let mut numbered = Vec::with_capacity(rows.len());
    for NewAuditRow { key, token, outcome, reason } in rows {
        let row = AuditRow { number: meta.audit_next, at, key, token, outcome, reason };
        numbered.push((row.number, encode(check, &row)?));
        meta.audit_next += 1;
    }
    meta.audit_first = meta.audit_first.max(meta.audit_next.saturating_sub(AUDIT_ROWS_MAX));
    Ok(numbered)
}

/// Encodes a row.
pub(crate) fn encode(check: ValueCheck, row: &AuditRow) -> Result<Vec<u8>, StorageError> {
    let stored = Stored {
        at: row.at.as_millis(),
        scope: row.key.scope().as_str().to_owned(),
        id: row.key.id().to_owned(),
        token: row.token.map_or(0, FencingToken::get),
        outcome: match row.outcome {
            None => 0,
            Some(OutcomeKind::Completed) => 2,
            Some(OutcomeKind::Failed) => 3,
        },
        reason: row.reason.clone(),
    };
    let mut body = vec![AUDIT_VERSION];
    body.extend(codec::encode(&stored)?);
    Ok(check.seal(&binding(row.number), &body))
}

/// Decodes a row.
pub(crate) fn decode(check: ValueCheck, number: u64, frame: &[u8]) -> Result<AuditRow, StorageError> {
    let damaged = || StorageError::Damaged(format!("audit row {number} is damaged"));
    let body = check.open(&binding(number), frame).and_then(<[u8]>::split_first);
    let Some((&AUDIT_VERSION, fields)) = body else { return Err(damaged()) };
    let stored: Stored = codec::decode(fields)?;
    let outcome = match stored.outcome {
        0 => None,
        2 => Some(OutcomeKind::Completed),
        3 => Some(OutcomeKind::Failed),
        _ => return Err(damaged()),
    };
    Ok(AuditRow {
        number,
        at: Timestamp::from_millis(stored.at),
        key: Key::new(stored.scope, stored.id).map_err(|_| damaged())?,
        token: (stored.token > 0).then(|| FencingToken::new(stored.token)),
        outcome,
        reason: stored.reason,
    })
}
