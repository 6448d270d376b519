//! Every cell of the protocol: each state of a record against each command. The table is the specification, written by hand;
//! the rules below it hold over all of its cells.

use super::*;

const WALL: u64 = 1_000_000;
const NOW: Now = Now { wall: Timestamp::from_millis(WALL), monotonic_ms: 50_000, holder: HERE };
const HERE: Holder = Holder { incarnation: 7, is_remote: false };
const CURRENT: FencingToken = FencingToken::new(40);
const STALE: FencingToken = FencingToken::new(39);
const NEXT: FencingToken = FencingToken::new(90);
const ATTEMPT: u32 = 3;
const LEASE: Duration = Duration::from_millis(700);
const RETENTION: Duration = Duration::from_secs(60);

/// A cell is the answer's letter and what becomes of the record: kept `=`, written `+`, deleted `-`.
///
/// F fresh, T takeover, R replay, I in flight, M mismatch, X too many attempts, E ended, D released, N renewed, C checkpoint
/// stored, L lease lost, V resolved, H attempt changed, A already ended, 0 not found, S swept, K kept.
///
/// The two columns of a begin: attempts below and at their maximum. The four of an end: current token with the stored and with
/// another payload, stale token likewise. The two of the others: current and stale token. Resolve: completed, failed, released; and
/// released with the current and with a stale token.
const TABLE: &str = "
                        | same  | other | complete    | fail        |release| renew | mark  | resolve        |sweep
absent                  | F+ F+ | F+ F+ | L= L= L= L= | L= L= L= L= | L= L= | L= L= | L= L= | 0= 0= 0= 0= 0= | 0=
live                    | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
live overdue            | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
live marked             | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
live marked overdue     | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
lapsed                  | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
lapsed overdue          | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | S-
lapsed marked           | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
lapsed marked overdue   | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
orphan                  | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
orphan overdue          | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | S-
orphan marked           | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
orphan marked overdue   | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
remote                  | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
remote overdue          | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
remote marked           | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
remote marked overdue   | I= I= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | I= I= I= I= H= | K=
remote lapsed           | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
remote lapsed overdue   | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | S-
remote lapsed marked    | T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
remote lapsed marked overdue| T+ X= | M= M= | E+ E+ L= L= | E+ E+ L= L= | D- L= | N+ L= | C+ L= | V+ V+ V- V- H= | K=
completed               | R= R= | M= M= | E= L= L= L= | L= L= L= L= | L= L= | L= L= | L= L= | A= A= A= A= H= | K=
completed overdue       | F+ F+ | F+ F+ | E= L= L= L= | L= L= L= L= | L= L= | L= L= | L= L= | 0= 0= 0= 0= 0= | S-
failed                  | R= R= | M= M= | L= L= L= L= | E= L= L= L= | L= L= | L= L= | L= L= | A= A= A= A= H= | K=
failed overdue          | F+ F+ | F+ F+ | L= L= L= L= | E= L= L= L= | L= L= | L= L= | L= L= | 0= 0= 0= 0= 0= | S-
";
const STATES: usize = 25;
const COMMANDS: usize = 24;

/// One cell: what was asked of what, and what was decided.
struct Cell {
    name: String,
    record: Option<Record>,
    command: Command,
    expected: String,
    decision: Decision,
}

impl Cell {
    fn written(&self) -> Option<&Record> {
        match &self.decision.change {
            Change::Put(record) => Some(record),
            Change::Keep | Change::Delete => None,
        }
    }

    fn is_kept(&self) -> bool {
        self.decision.change == Change::Keep
    }

    /// The token that the command proves, if it is one that has to.
    fn proof(&self) -> Option<FencingToken> {
        match self.command {
            Command::End { token, .. }
            | Command::Release { token }
            | Command::Renew { token, .. }
            | Command::Checkpoint { token, .. } => Some(token),
            Command::Begin { .. } | Command::Resolve { .. } | Command::Sweep => None,
        }
    }
}

fn request(name: &str) -> Fingerprint {
    Fingerprint::of(&[name.as_bytes()])
}

fn bytes(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

/// Builds the record that a row's name describes.
fn record(row: &str) -> Option<Record> {
    let words: Vec<&str> = row.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    let state = match words[0] {
        "absent" => return None,
        "completed" => State::Completed,
        "failed" => State::Failed,
        "live" | "lapsed" | "orphan" | "remote" => State::InFlight,
        other => panic!("no such state: {other}"),
    };
    Some(Record {
        state,
        fingerprint: request("same"),
        token: CURRENT,
        attempt: ATTEMPT,
        holder: match words[0] {
            "orphan" | "remote" => Holder { incarnation: HERE.incarnation - 1, is_remote: has("remote") },
            _ => HERE,
        },
        first_seen_at: Timestamp::from_millis(WALL - 9000),
        started_at: Timestamp::from_millis(WALL - 8000),
        ended_at: Timestamp::from_millis(if state == State::InFlight { 0 } else { WALL - 7000 }),
        // Only for the remote holder of an earlier open does it say anything, and then the deadline does not. At either itself the
        // lease has lapsed.
        lease_expires_at: Timestamp::from_millis(match (has("remote"), has("lapsed")) {
            (true, false) => WALL + 1,
            (true, true) => WALL,
            (false, _) => WALL - 6000,
        }),
        lease_deadline_ms: if has("lapsed") == has("remote") { NOW.monotonic_ms + 1 } else { NOW.monotonic_ms },
        expires_at: Timestamp::from_millis(if has("overdue") { WALL } else { WALL + 1 }),
        checkpoint: has("marked").then(|| bytes("mark")),
        payload: if state == State::InFlight { Arc::default() } else { bytes("stored") },
    })
}

/// All commands, in the order of the columns.
fn commands() -> Vec<Command> {
    let begin = |name: &str, attempts_max| Command::Begin {
        fingerprint: request(name),
        lease: LEASE,
        retention: RETENTION,
        attempts_max,
    };
    let mut commands = Vec::new();
    for name in ["same", "other"] {
        commands.extend([begin(name, ATTEMPT + 1), begin(name, ATTEMPT)]);
    }
    for kind in [OutcomeKind::Completed, OutcomeKind::Failed] {
        for (token, payload) in [(CURRENT, "stored"), (CURRENT, "new"), (STALE, "stored"), (STALE, "new")] {
            commands.push(Command::End { token, kind, payload: bytes(payload), retention: RETENTION });
        }
    }
    commands.extend([CURRENT, STALE].map(|token| Command::Release { token }));
    commands.extend([CURRENT, STALE].map(|token| Command::Renew { token, lease: LEASE, retention: RETENTION }));
    commands.extend([CURRENT, STALE].map(|token| Command::Checkpoint { token, data: bytes("further") }));
    let ending = |kind| Some(Ending { kind, payload: bytes("resolved"), retention: RETENTION });
    let endings = [ending(OutcomeKind::Completed), ending(OutcomeKind::Failed), None];
    commands.extend(endings.map(|ending| Command::Resolve { token: None, ending }));
    commands.extend([CURRENT, STALE].map(|token| Command::Resolve { token: Some(token), ending: None }));
    commands.push(Command::Sweep);
    commands
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for row in TABLE.lines().filter(|line| !line.trim().is_empty()).skip(1) {
        let (name, columns) = row.split_once('|').unwrap();
        let expected: Vec<&str> = columns.split([' ', '|']).filter(|cell| !cell.is_empty()).collect();
        assert_eq!(expected.len(), COMMANDS, "{name}");
        for (command, expected) in commands().into_iter().zip(expected) {
            let record = record(name);
            let decision = decide(record.as_ref(), &command, NOW, NEXT);
            let name = format!("{} x {command:?}", name.trim());
            cells.push(Cell { name, record, command, expected: expected.to_owned(), decision });
        }
    }
    cells
}

fn code(decision: &Decision) -> String {
    let answer = match decision.answer {
        Answer::Fresh(_) => 'F',
        Answer::Takeover(_) => 'T',
        Answer::Replay(_) => 'R',
        Answer::InFlight { .. } => 'I',
        Answer::Mismatch => 'M',
        Answer::TooManyAttempts { .. } => 'X',
        Answer::Ended(_) => 'E',
        Answer::Released => 'D',
        Answer::Renewed { .. } => 'N',
        Answer::Marked => 'C',
        Answer::LeaseLost => 'L',
        Answer::Resolved { .. } => 'V',
        Answer::AttemptChanged => 'H',
        Answer::AlreadyEnded => 'A',
        Answer::NotFound => '0',
        Answer::Swept => 'S',
        Answer::Kept => 'K',
    };
    let change = match decision.change {
        Change::Keep => '=',
        Change::Put(_) => '+',
        Change::Delete => '-',
    };
    format!("{answer}{change}")
}

#[test]
fn every_state_answers_every_command_as_the_table_says() {
    let cells = cells();
    for cell in &cells {
        assert_eq!(code(&cell.decision), cell.expected, "{}", cell.name);
    }
    assert_eq!(commands().len(), COMMANDS);
    assert_eq!(cells.len(), STATES * COMMANDS);
    let rows: std::collections::BTreeSet<_> = cells.iter().map(|cell| cell.name.split(" x ").next()).collect();
    assert_eq!(rows.len(), STATES, "a state stands in the table twice");
}

#[test]
fn a_stale_token_never_changes_a_record() {
    let stale: Vec<Cell> = cells().into_iter().filter(|cell| cell.proof() == Some(STALE)).collect();
    assert_eq!(stale.len(), STATES * 7);
    for cell in stale {
        assert!(cell.is_kept() && cell.decision.answer == Answer::LeaseLost, "{}", cell.name);
    }
}

#[test]
fn a_grant_has_the_next_token_and_so_has_its_record() {
    let mut grants = 0;
    for cell in cells() {
        let (Answer::Fresh(grant) | Answer::Takeover(grant)) = &cell.decision.answer else { continue };
        let record = cell.written().expect("a grant is written");
        assert_eq!((grant.token, record.token), (NEXT, NEXT), "{}", cell.name);
        assert_eq!((grant.attempt, &grant.checkpoint), (record.attempt, &record.checkpoint), "{}", cell.name);
        assert_eq!((record.state, record.holder), (State::InFlight, HERE), "{}", cell.name);
        assert!(!is_lapsed(record, NOW), "{}", cell.name);
        grants += 1;
    }
    assert_eq!(grants, 3 * 4 + 12);
}

#[test]
fn a_token_never_decreases_and_a_renewal_or_end_keeps_it() {
    for cell in cells() {
        let (Some(before), Some(after)) = (&cell.record, cell.written()) else { continue };
        let granted = matches!(cell.decision.answer, Answer::Fresh(_) | Answer::Takeover(_));
        assert_eq!(after.token, if granted { NEXT } else { before.token }, "{}", cell.name);
        assert!(after.token >= before.token, "{}", cell.name);
    }
}

#[test]
fn a_terminal_record_never_changes_before_it_expires() {
    let mut seen = 0;
    for cell in cells() {
        let Some(record) = &cell.record else { continue };
        if record.state != State::InFlight && record.expires_at > NOW.wall {
            assert!(cell.is_kept(), "{}", cell.name);
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * COMMANDS);
}

#[test]
fn a_key_in_flight_is_freed_only_by_its_holder_an_operator_or_the_end_of_its_time() {
    for cell in cells() {
        let Some(record) = cell.record.as_ref().filter(|record| record.state == State::InFlight) else { continue };
        if cell.decision.change == Change::Delete {
            let rightful = match cell.command {
                Command::Release { token } => token == record.token,
                Command::Resolve { token, .. } => is_lapsed(record, NOW) && token.is_none_or(|token| token == record.token),
                Command::Sweep => record.checkpoint.is_none() && is_lapsed(record, NOW) && record.expires_at <= NOW.wall,
                _ => false,
            };
            assert!(rightful, "{}", cell.name);
        }
        assert!(!matches!(cell.decision.answer, Answer::Fresh(_)), "{}", cell.name);
    }
}

#[test]
fn a_record_with_a_checkpoint_is_never_swept() {
    let held = |cell: &Cell| cell.record.as_ref().is_some_and(Record::is_held) && matches!(cell.command, Command::Sweep);
    let held: Vec<Cell> = cells().into_iter().filter(held).collect();
    assert_eq!(held.len(), 10);
    for cell in held {
        assert_eq!(cell.decision, Answer::Kept.alone(), "{}", cell.name);
    }
}

#[test]
fn a_mismatch_says_nothing_and_changes_nothing() {
    let mut seen = 0;
    for cell in cells().iter().filter(|cell| cell.expected == "M=") {
        assert_eq!(cell.decision, Answer::Mismatch.alone(), "{}", cell.name);
        seen += 1;
    }
    assert_eq!(seen, 22 * 2);
}

#[test]
fn only_a_replay_shows_a_payload_and_it_is_the_stored_one() {
    let mut seen = 0;
    for cell in cells() {
        if let Answer::Replay(outcome) = &cell.decision.answer {
            assert_eq!(Some(outcome), cell.record.as_ref().and_then(Record::outcome).as_ref(), "{}", cell.name);
            assert_eq!(outcome.payload(), b"stored");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * 2);
}

#[test]
fn a_fresh_record_starts_from_nothing() {
    for cell in cells().iter().filter(|cell| cell.expected == "F+") {
        let Command::Begin { fingerprint, .. } = cell.command else { panic!("{}", cell.name) };
        let lease_expires_at = NOW.wall.saturating_add(LEASE);
        let fresh = Record {
            state: State::InFlight,
            fingerprint,
            token: NEXT,
            attempt: 1,
            holder: HERE,
            first_seen_at: NOW.wall,
            started_at: NOW.wall,
            ended_at: Timestamp::default(),
            lease_expires_at,
            lease_deadline_ms: NOW.monotonic_ms + 700,
            expires_at: lease_expires_at.saturating_add(RETENTION),
            checkpoint: None,
            payload: Arc::default(),
        };
        assert_eq!(cell.written(), Some(&fresh), "{}", cell.name);
    }
}

#[test]
fn a_takeover_keeps_the_history_and_a_renewal_only_moves_the_lease() {
    for cell in cells().iter().filter(|cell| ["T+", "N+"].contains(&&cell.expected[..])) {
        let before = cell.record.clone().unwrap();
        let is_takeover = cell.expected == "T+";
        let expected = Record {
            token: if is_takeover { NEXT } else { CURRENT },
            attempt: if is_takeover { ATTEMPT + 1 } else { ATTEMPT },
            started_at: if is_takeover { NOW.wall } else { before.started_at },
            holder: HERE,
            lease_expires_at: NOW.wall.saturating_add(LEASE),
            lease_deadline_ms: NOW.monotonic_ms + 700,
            expires_at: NOW.wall.saturating_add(LEASE).saturating_add(RETENTION),
            ..before
        };
        assert_eq!(cell.written(), Some(&expected), "{}", cell.name);
    }
}

#[test]
fn an_end_stores_the_outcome_and_drops_the_checkpoint() {
    for cell in cells().iter().filter(|cell| ["E+", "V+"].contains(&&cell.expected[..])) {
        let (kind, payload) = match &cell.command {
            Command::End { kind, payload, .. } => (*kind, payload.clone()),
            Command::Resolve { ending: Some(ending), .. } => (ending.kind, ending.payload.clone()),
            other => panic!("{other:?}"),
        };
        let expires_at = NOW.wall.saturating_add(RETENTION);
        let before = cell.record.clone().unwrap();
        let expected = Record { state: kind.into(), ended_at: NOW.wall, expires_at, checkpoint: None, payload, ..before };
        assert_eq!(cell.written(), Some(&expected), "{}", cell.name);
        if let Answer::Ended(ended) = cell.decision.answer {
            assert_eq!(ended, Ended { kind, expires_at }, "{}", cell.name);
        }
    }
}

#[test]
fn an_end_that_is_repeated_tells_the_first_expiry() {
    let repeated: Vec<Cell> = cells().into_iter().filter(|cell| cell.expected == "E=").collect();
    assert_eq!(repeated.len(), 4);
    for cell in repeated {
        let Answer::Ended(ended) = cell.decision.answer else { panic!("{}", cell.name) };
        assert_eq!(ended.expires_at, cell.record.unwrap().expires_at, "{}", cell.name);
    }
}

#[test]
fn in_flight_tells_how_long_the_lease_lasts() {
    for cell in cells().iter().filter(|cell| cell.expected == "I=") {
        let lease_expires_at = cell.record.as_ref().unwrap().lease_expires_at;
        let answer = Answer::InFlight { retry_after: Duration::from_millis(1), lease_expires_at };
        assert_eq!(cell.decision.answer, answer, "{}", cell.name);
    }
}
