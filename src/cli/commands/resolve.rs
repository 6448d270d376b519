use super::{read, records::Row, show};
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{escaped, note, print, print_json},
        service::Service,
        target::Target,
        values,
    },
    limits::{PAYLOAD_BYTES_MAX, REASON_BYTES_MAX},
};
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    time::Duration,
};
use tokio::sync::oneshot;

/// Say how a stuck attempt ended.
#[derive(Debug, Args)]
#[command(
    after_help = "Only an attempt whose lease has lapsed can be resolved. Leaves an audit row with the reason.",
    override_usage = "idemstore resolve --db <PATH> --scope <SCOPE> --reason <WHY> [--token <TOKEN>] [--yes] <KEY>
       <--completed <JSON|@FILE> | --failed <JSON|@FILE> | --released>"
)]
pub(in crate::cli) struct Resolve {
    #[command(flatten)]
    act: Act,
    #[command(flatten)]
    outcome: Outcome,
    /// How long clients get this answer, if no process has the file open: 24h unless given. A running owner has its own setting.
    #[arg(long, value_name = "DURATION", value_parser = values::duration, conflicts_with = "released")]
    retention: Option<Duration>,
}

/// Free the key of a stuck attempt: nothing happened, and the next request runs it.
#[derive(Debug, Args)]
#[command(after_help = "The same as `resolve --released`. Leaves an audit row with the reason.")]
pub(in crate::cli) struct Release {
    #[command(flatten)]
    act: Act,
}

#[derive(Debug, Args)]
struct Act {
    /// The key that the client sent.
    key: String,
    #[command(flatten)]
    target: Target,
    /// The key's scope; `idemstore show KEY` says it.
    #[arg(long)]
    scope: String,
    /// How it is known, for those who ask later. 1 to 1024 bytes.
    #[arg(long, value_name = "WHY", value_parser = reason)]
    reason: String,
    /// Only if it is still the attempt with this token, as `idemstore show KEY` says it. Whoever is asked confirms the one that is shown.
    #[arg(long)]
    token: Option<u64>,
    /// Do it without asking. Where nobody can be asked it is required.
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Outcome {
    /// It happened. Clients get this payload: JSON, or @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON|@FILE")]
    completed: Option<String>,
    /// It did not happen and never will. Clients get this payload: JSON, or @FILE, or @- for stdin.
    #[arg(long, value_name = "JSON|@FILE")]
    failed: Option<String>,
    /// It did not happen, and the next request runs it.
    #[arg(long)]
    released: bool,
}

#[derive(Serialize)]
struct Order<'o> {
    scope: &'o str,
    key: &'o str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    reason: &'o str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<u64>,
}

impl Resolve {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let (outcome, payload) = match (self.outcome.completed, self.outcome.failed) {
            (Some(payload), _) => ("completed", Some(payload)),
            (None, Some(payload)) => ("failed", Some(payload)),
            (None, None) => ("released", None),
        };
        let payload = payload.as_deref().map(json).transpose()?;
        self.act.run(outcome, payload, self.retention).await
    }
}

impl Release {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        self.act.run("released", None, None).await
    }
}

impl Act {
    async fn run(
        self,
        outcome: &'static str,
        payload: Option<Box<RawValue>>,
        retention: Option<Duration>,
    ) -> Result<(), Failure> {
        let can_ask = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !self.yes && !can_ask {
            return Err(Failure::usage("this changes what clients are told, and nobody is there to ask: add --yes"));
        }
        let options = match retention {
            Some(retention) => Options::new().retention(retention).failed_retention(retention),
            None => Options::new(),
        };
        let mut service = Service::find(&self.target, &options).await?;
        if retention.is_some() && service.is_elsewhere() {
            return Err(Failure::usage("the running owner has its own retention: leave --retention out"));
        }
        let mut token = self.token;
        if !self.yes {
            match show::record(&mut service, &self.scope, &self.key, true).await {
                Ok(record) => {
                    note(show::shown(&record)?);
                    // What is confirmed is said about this attempt, and not about one that comes meanwhile.
                    token = token.or(Some(read::<Row>(&record)?.token));
                }
                // A damaged record can be released all the same.
                Err(error) if error.is_kind("corrupted") => note("the record is damaged"),
                Err(error) => return Err(error),
            }
            confirm(&format!("end this attempt as {outcome}?")).await?;
        }
        let order = Order { scope: &self.scope, key: &self.key, outcome, payload, reason: &self.reason, token };
        let answer = service.post("/v1/resolve", &order).await?;
        if self.target.json {
            return print_json(answer);
        }
        let what = if outcome == "released" { "its next request runs it" } else { "clients get this answer from now on" };
        print(format!("{} is {outcome}: {what}\n", escaped(&self.key)))
    }
}

fn reason(text: &str) -> Result<String, String> {
    match text.len() {
        1..=REASON_BYTES_MAX => Ok(text.to_owned()),
        bytes => Err(format!("it has {bytes} bytes: give 1 to {REASON_BYTES_MAX}")),
    }
}

/// Reads a payload: JSON on the command line, in a file, or on stdin.
fn json(text: &str) -> Result<Box<RawValue>, Failure> {
    let json = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some("-") => read_text(io::stdin().lock(), "stdin")?,
        Some(path) => read_text(File::open(path).map_err(|error| Failure::io(format_args!("opening {path}"), &error))?, path)?,
    };
    let hint = "a text needs quotes of its own, as in '\"paid\"'";
    serde_json::from_str(&json).map_err(|error| Failure::usage(format_args!("the payload is not JSON: {error}; {hint}")))
}

fn read_text(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let limit = PAYLOAD_BYTES_MAX as u64 + 1;
    from.take(limit).read_to_string(&mut text).map_err(|error| Failure::io(format_args!("reading {name}"), &error))?;
    if text.len() as u64 == limit {
        return Err(Failure::usage(format_args!("{name} is longer than {PAYLOAD_BYTES_MAX} bytes: no store takes that")));
    }
    Ok(text)
}

/// Asks the person at the terminal.
async fn confirm(question: &str) -> Result<(), Failure> {
    note(format_args!("{question} Type yes:"));
    let (answer, answered) = oneshot::channel();
    // A thread of its own: a signal must be able to end the command while it waits here.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = io::stdin().read_line(&mut line);
        let _ = answer.send(line);
    });
    match answered.await.as_deref().map(str::trim) {
        Ok("yes") => Ok(()),
        _ => Err(Failure::new("nothing was changed")),
    }
}
