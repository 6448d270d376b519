//! The lines that a child writes: an intent before each operation, an acknowledgment after it. A line that is in the pipe
//! survives the child.

use std::{io::Write, str::FromStr};

/// Every line of the journal starts so; whatever else the test harness prints does not.
pub(crate) const MARK: &str = "@ ";

/// Writes one line, whole, whatever other threads write.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The line break first ends whatever the harness has left unfinished.
    let written = out.write_all(format!("\n{MARK}{line}\n").as_bytes()).and_then(|()| out.flush());
    if written.is_err() {
        // Nobody listens any more.
        std::process::exit(0);
    }
}

/// How an attempt is ended, with what it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    Fail,
}

/// What the holder of a token asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    End(End),
    Release,
    Checkpoint(String),
    Renew,
}

/// An operation that is about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// With a lease so short that it may lapse in the same process, or one that outlives it.
    Begin {
        key: String,
        is_short: bool,
    },
    Change {
        key: String,
        token: u64,
        change: Change,
    },
}

/// What the store answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    Fresh { token: u64 },
    Takeover { token: u64, attempt: u32, checkpoint: Option<String> },
    Replay { end: End, payload: String },
    InFlight,
    Done,
    LeaseLost,
    Error(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Intent(String, Intent),
    Ack(String, Ack),
    /// The child is killed, or its power is cut, here.
    Cut,
    Other(String),
}

/// The payload that an attempt is ended with: nobody but that attempt has it.
pub(crate) fn payload(key: &str, token: u64, end: End) -> String {
    let filler = usize::try_from(token * 37 % 900).unwrap();
    format!("{}:{key}:{token}:{}", end.name(), "x".repeat(filler))
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Fail => "fail",
        }
    }
}

impl Intent {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Begin { key, is_short } => format!("begin {key} {is_short}"),
            Self::Change { key, token, change } => {
                let (name, data) = match change {
                    Change::End(end) => (end.name(), "-"),
                    Change::Release => ("release", "-"),
                    Change::Checkpoint(data) => ("checkpoint", data.as_str()),
                    Change::Renew => ("renew", "-"),
                };
                format!("change {key} {token} {name} {data}")
            }
        }
    }
}

impl Ack {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Fresh { token } => format!("fresh {token}"),
            Self::Takeover { token, attempt, checkpoint } => {
                format!("takeover {token} {attempt} {}", checkpoint.as_deref().unwrap_or("-"))
            }
            Self::Replay { end, payload } => format!("replay {} {payload}", end.name()),
            Self::InFlight => "in-flight".to_owned(),
            Self::Done => "done".to_owned(),
            Self::LeaseLost => "lease-lost".to_owned(),
            Self::Error(kind) => format!("error {kind}"),
        }
    }
}

/// Reads one line of a child's output; `None` for what is not of the journal.
pub(crate) fn parse(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.strip_prefix(MARK)?.split(' ').collect();
    Some(match words.as_slice() {
        ["I", op, rest @ ..] => Line::Intent((*op).to_owned(), parse_intent(rest)?),
        ["A", op, rest @ ..] => Line::Ack((*op).to_owned(), parse_ack(rest)?),
        ["CUT"] => Line::Cut,
        words => Line::Other(words.join(" ")),
    })
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parse_end(name: &str) -> Option<End> {
    [End::Complete, End::Fail].into_iter().find(|end| end.name() == name)
}

fn parse_intent(words: &[&str]) -> Option<Intent> {
    Some(match *words {
        ["begin", key, is_short] => Intent::Begin { key: key.to_owned(), is_short: number(is_short)? },
        ["change", key, token, name, data] => {
            let change = match name {
                "release" => Change::Release,
                "checkpoint" => Change::Checkpoint(data.to_owned()),
                "renew" => Change::Renew,
                end => Change::End(parse_end(end)?),
            };
            Intent::Change { key: key.to_owned(), token: number(token)?, change }
        }
        _ => return None,
    })
}

fn parse_ack(words: &[&str]) -> Option<Ack> {
    Some(match *words {
        ["fresh", token] => Ack::Fresh { token: number(token)? },
        ["takeover", token, attempt, checkpoint] => {
            let checkpoint = (checkpoint != "-").then(|| checkpoint.to_owned());
            Ack::Takeover { token: number(token)?, attempt: number(attempt)?, checkpoint }
        }
        ["replay", end, payload] => Ack::Replay { end: parse_end(end)?, payload: payload.to_owned() },
        ["in-flight"] => Ack::InFlight,
        ["done"] => Ack::Done,
        ["lease-lost"] => Ack::LeaseLost,
        ["error", kind] => Ack::Error(kind.to_owned()),
        _ => return None,
    })
}

#[test]
fn every_line_reads_back_as_it_was_written() {
    let change = |change| Intent::Change { key: "k".into(), token: 7, change };
    let intents = [
        Intent::Begin { key: "k".into(), is_short: true },
        change(Change::End(End::Complete)),
        change(Change::End(End::Fail)),
        change(Change::Release),
        change(Change::Renew),
        change(Change::Checkpoint("c".into())),
    ];
    for intent in intents {
        let line = format!("{MARK}I 1.2.3 {}", intent.text());
        assert_eq!(parse(&line), Some(Line::Intent("1.2.3".into(), intent)));
    }
    let takeover = |checkpoint| Ack::Takeover { token: 7, attempt: 2, checkpoint };
    let replay = Ack::Replay { end: End::Fail, payload: payload("k", 7, End::Fail) };
    let error = Ack::Error("Indeterminate".into());
    let acks = [Ack::Fresh { token: 7 }, takeover(None), takeover(Some("c".into())), replay, error];
    for ack in acks.into_iter().chain([Ack::InFlight, Ack::Done, Ack::LeaseLost]) {
        let line = format!("{MARK}A 1.2.3 {}", ack.text());
        assert_eq!(parse(&line), Some(Line::Ack("1.2.3".into(), ack)));
    }
    assert_eq!(parse("test jobs::does_nothing ... ok"), None);
    assert_eq!(parse("@ A 1.2.3 takeover 7"), None);
}
