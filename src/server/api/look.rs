//! What can be looked at.

use super::{
    super::{Body, Problem, metrics},
    Api,
    query::Query,
    show::{RecordFields, json, read_state},
};
use crate::{Cursor, Error, ErrorKind, Key, ListFilter, OutcomeKind, Page, Scope, limits::LIST_RECORDS_MAX};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use std::time::Duration;

#[derive(Serialize)]
struct PageAnswer<'a> {
    records: Vec<RecordFields<'a>>,
    damaged: Vec<Option<KeyFields<'a>>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct KeyFields<'a> {
    scope: &'a str,
    key: &'a str,
}

#[derive(Serialize)]
struct AuditAnswer<'a> {
    rows: Vec<RowFields<'a>>,
    next: Option<u64>,
}

#[derive(Serialize)]
struct RowFields<'a> {
    number: u64,
    at: u64,
    #[serde(flatten)]
    key: KeyFields<'a>,
    token: Option<u64>,
    outcome: &'static str,
    reason: &'a str,
}

#[derive(Serialize)]
struct HealthAnswer {
    status: &'static str,
}

/// What asks for text of Prometheus is told that it is.
const PROMETHEUS_TEXT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Rows of the audit that one answer looks at, and has at most.
const AUDIT_ROWS: usize = LIST_RECORDS_MAX;

impl Api {
    pub(super) async fn record(&self, query: &Query<'_>) -> Result<Response<Body>, Problem> {
        let key = Key::new(query.required("scope")?, query.required("key")?)?;
        let shows_payload = query.parsed("payload", "true or false")?.unwrap_or(false);
        self.blocking(move |store| {
            let record = store.get(&key)?;
            let record = record.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("{key}: there is no such record")))?;
            let outcome = record.outcome();
            let payload = outcome.as_ref().map(crate::Outcome::payload);
            json(StatusCode::OK, &RecordFields::of_record(&key, &record, store.is_lapsed(&record), payload, shows_payload))
        })
        .await
    }

    pub(super) async fn records(&self, query: &Query<'_>) -> Result<Response<Body>, Problem> {
        const NUMBER: &str = "a whole number";
        let mut filter = ListFilter::new();
        if let Some(state) = query.text("state") {
            filter = filter.state(read_state(state)?);
        }
        if let Some(scope) = query.text("scope") {
            filter = filter.scope(Scope::new(scope)?);
        }
        if let Some(millis) = query.parsed("older_ms", NUMBER)? {
            filter = filter.older_than(Duration::from_millis(millis));
        }
        if let Some(limit) = query.parsed("limit", NUMBER)? {
            filter = filter.limit(limit);
        }
        let after: Option<Cursor> = query.text("after").map(str::parse).transpose()?;
        self.blocking(move |store| page(&store.list(&filter, after.as_ref())?)).await
    }

    pub(super) async fn audit(&self, query: &Query<'_>) -> Result<Response<Body>, Problem> {
        let from = query.parsed("from", "a whole number")?.unwrap_or(0);
        let limit = query.parsed("limit", "a whole number")?.unwrap_or(100);
        if !(1..=AUDIT_ROWS).contains(&limit) {
            return Err(Error::invalid(format!("limit is {limit}: give 1 to {AUDIT_ROWS}")).into());
        }
        let (scope, key) = (query.text("scope").map(str::to_owned), query.text("key").map(str::to_owned));
        self.blocking(move |store| {
            // Filtered after they are read: a page may have fewer rows than asked for, or none, and still a successor.
            let looked_at = if scope.is_none() && key.is_none() { limit } else { AUDIT_ROWS };
            let rows = store.audit(from, looked_at)?;
            let is_wanted = |row: &&crate::AuditRow| {
                scope.as_ref().is_none_or(|scope| row.key.scope().as_str() == scope)
                    && key.as_ref().is_none_or(|key| row.key.id() == key)
            };
            let wanted: Vec<_> = rows.iter().filter(is_wanted).take(limit).map(RowFields::of).collect();
            let is_last = rows.len() < looked_at && wanted.len() < limit;
            let last =
                if wanted.len() == limit { wanted.last().map(|row| row.number) } else { rows.last().map(|row| row.number) };
            let next = last.filter(|_| !is_last).map(|last| last + 1);
            json(StatusCode::OK, &AuditAnswer { rows: wanted, next })
        })
        .await
    }

    pub(super) async fn metrics(&self) -> Result<Response<Body>, Problem> {
        let figures = self.figures.clone();
        self.blocking(move |store| {
            let mut response = Response::new(Body::full(metrics::render(&store.stats()?, &figures)));
            response.headers_mut().insert(header::CONTENT_TYPE, PROMETHEUS_TEXT);
            Ok(response)
        })
        .await
    }

    pub(super) fn health(&self) -> Result<Response<Body>, Problem> {
        // Who asks need not have the token: the store's own words, which name its file, are for others.
        let refused =
            |problem: Problem| Problem::new(problem.status(), problem.kind(), "store takes no writes: /v1/stats says how it is");
        self.store.health().map_err(|error| refused(error.into()))?;
        json(StatusCode::OK, &HealthAnswer { status: "ok" })
    }
}

fn page(page: &Page) -> Result<Response<Body>, Problem> {
    let answer = PageAnswer {
        records: page.records.iter().map(RecordFields::of_info).collect(),
        damaged: page.damaged.iter().map(|key| key.as_ref().map(KeyFields::of)).collect(),
        next: page.next.as_ref().map(Cursor::to_string),
    };
    json(StatusCode::OK, &answer)
}

impl<'a> KeyFields<'a> {
    fn of(key: &'a Key) -> Self {
        Self { scope: key.scope().as_str(), key: key.id() }
    }
}

impl<'a> RowFields<'a> {
    fn of(row: &'a crate::AuditRow) -> Self {
        Self {
            number: row.number,
            at: row.at.as_millis(),
            key: KeyFields::of(&row.key),
            token: row.token.map(crate::FencingToken::get),
            outcome: match row.outcome {
                Some(OutcomeKind::Completed) => "completed",
                Some(OutcomeKind::Failed) => "failed",
                None => "released",
            },
            reason: &row.reason,
        }
    }
}
