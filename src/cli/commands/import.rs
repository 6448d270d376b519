use super::read;
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{Bar, note, print, print_json},
        service::{Service, Source},
        target::Target,
    },
    server::{Body, reports::Added},
};
use clap::Args;
use hyper::body::Bytes;
use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    thread,
};
use tokio::sync::mpsc::Sender;

const PIECES_MAX: usize = 8;
const PIECE_BYTES: usize = 64 * 1024;

/// Add the records of an export.
#[derive(Debug, Args)]
#[command(
    after_help = "What the store knows already is never overwritten. Records are added piece by piece, each of them durable; \
                        importing the same lines again is harmless. Attempts in flight can be taken over at once."
)]
pub(in crate::cli) struct Import {
    #[command(flatten)]
    target: Target,
    /// A file that `export` wrote, or - for stdin.
    file: PathBuf,
}

impl Import {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let from: Box<dyn Read + Send> = if self.file.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            let opened = File::open(&self.file);
            Box::new(opened.map_err(|error| Failure::io(format_args!("opening {}", self.file.display()), &error))?)
        };
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let json = service.work("/v1/import", Source::Lines(lines(from)), Bar::counting("importing"), |_| Ok(())).await?;
        let report: Added = read(&json)?;
        if report.conflicts > 0 {
            let conflicts = report.conflicts;
            note(format_args!("{conflicts} records were left out: the store uses their keys for something else"));
        }
        if self.target.json {
            return print_json(json);
        }
        let Added { imported, known, conflicts } = report;
        print(format!("imported {imported} records, {known} were known already, {conflicts} left out\n"))
    }
}

/// Reads on a thread of its own, which may wait for stdin for ever without keeping the command from ending.
fn lines(from: impl Read + Send + 'static) -> Body {
    let (pieces, body) = Body::channel(PIECES_MAX);
    thread::spawn(move || pass_on(from, &pieces));
    body
}

fn pass_on(mut from: impl Read, to: &Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let read = from.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece);
        let is_end = !matches!(read, Ok(1..));
        // An error breaks the body off, so that half of a file is not taken for all of it.
        let piece = match read {
            Ok(0) => return,
            read => read.map(|_| Bytes::from(piece)),
        };
        if to.blocking_send(piece).is_err() || is_end {
            return;
        }
    }
}
