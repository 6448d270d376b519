use super::{now_ms, read, records::Row, work};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{age, bytes, escaped, escaped_text, facts, instant, print, print_json, quoted},
        service::{Service, query},
        target::Target,
    },
};
use clap::Args;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Show one record.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The key that the client sent.
    key: String,
    #[command(flatten)]
    target: Target,
    /// The key's scope. Without it all records are looked through; that is enough when one scope has the key.
    #[arg(long)]
    scope: Option<String>,
    /// Show the payload as well.
    #[arg(long)]
    payload: bool,
}

#[derive(Deserialize)]
struct Found {
    scopes: Vec<String>,
    damaged: u64,
}

/// What a record holds, if it was asked for.
#[derive(Deserialize)]
struct Contents {
    fingerprint: Option<String>,
    payload: Option<Box<RawValue>>,
    payload_base64: Option<String>,
    checkpoint: Option<Box<RawValue>>,
    checkpoint_base64: Option<String>,
}

impl Show {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let scope = match self.scope {
            Some(scope) => scope,
            None => only_scope(&mut service, &self.key).await?,
        };
        let record = record(&mut service, &scope, &self.key, self.payload).await?;
        if self.target.json { print_json(record) } else { print(shown(&record)?) }
    }
}

/// Returns the one scope that has a key.
async fn only_scope(service: &mut Service, key: &str) -> Result<String, Failure> {
    let order = serde_json::json!({ "key": key });
    let Found { scopes, damaged } = read(work(service, "/v1/find", order, "looking for the key").await?)?;
    match &scopes[..] {
        [scope] => Ok(scope.clone()),
        [] if damaged > 0 => Err(Failure::new(format_args!("no scope has this key, but {damaged} records are damaged"))),
        [] => Err(Failure::new("no scope has this key")),
        several => {
            let named: Vec<String> = several.iter().map(|scope| format!("--scope {}", quoted(scope))).collect();
            Err(Failure::new(format_args!("more than one scope has this key, add one of: {}", named.join(", "))))
        }
    }
}

/// Asks for a record.
pub(super) async fn record(service: &mut Service, scope: &str, key: &str, with_payload: bool) -> Result<Bytes, Failure> {
    let payload = with_payload.then_some("true");
    service.get(&query("/v1/record", &[("scope", Some(scope)), ("key", Some(key)), ("payload", payload)])).await
}

/// Lays out a record.
pub(super) fn shown(record: &[u8]) -> Result<String, Failure> {
    let (row, contents): (Row, Contents) = (read(record)?, read(record)?);
    let now = now_ms();
    let moment = |then: u64| format!("{} ({})", instant(then), age(now, then));
    let mut rows = vec![
        ("scope", escaped(&row.scope)),
        ("key", escaped(&row.key)),
        ("state", if row.is_lapsed { "in flight, lapsed".to_owned() } else { row.shown_state().to_owned() }),
        ("attempt", row.attempt.to_string()),
        ("token", row.token.to_string()),
        ("first seen", moment(row.first_seen_at)),
        ("started", moment(row.started_at)),
    ];
    if let Some(ended) = row.ended_at {
        rows.push(("ended", moment(ended)));
        rows.push(("payload", bytes(row.payload_bytes)));
    } else {
        let is_early = row.is_lapsed && row.lease_expires_at > now;
        let lapsed = if is_early { ", lapsed already: its process is gone" } else { "" };
        rows.push(("lease until", moment(row.lease_expires_at) + lapsed));
        let checkpoint = if row.has_checkpoint { "set: its effect may have begun" } else { "none" };
        rows.push(("checkpoint", checkpoint.to_owned()));
    }
    rows.push(("known until", row.expires_at.map_or_else(|| "it is ended or resolved".to_owned(), moment)));
    rows.extend(contents.fingerprint.map(|fingerprint| ("fingerprint", fingerprint)));
    let mut text = facts(&rows);
    for (name, json, base64) in
        [("payload", contents.payload, contents.payload_base64), ("checkpoint", contents.checkpoint, contents.checkpoint_base64)]
    {
        let value = match (json, base64) {
            (_, Some(base64)) => format!("{base64} (base64)"),
            (Some(json), None) if json.get() != "null" => escaped_text(json.get()),
            _ => continue,
        };
        text.extend(["\n", name, ":\n", &value, "\n"]);
    }
    Ok(text)
}
