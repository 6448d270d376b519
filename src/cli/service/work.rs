//! Long work, and what it tells while it goes on.

use super::{
    Service,
    request::{self, Problem, broken, whole},
};
use crate::{
    cli::{failure::Failure, output::Bar},
    server::Body,
};
use http::Method;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What work is given.
pub(in crate::cli) enum Source {
    /// An order, as JSON.
    Order(serde_json::Value),
    /// Lines.
    Lines(Body),
}

/// A line of what work tells.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<'l> {
    Progress {
        records: u64,
        total: u64,
    },
    #[serde(borrow)]
    Record(&'l RawValue),
    #[serde(borrow)]
    Report(&'l RawValue),
    Error(Problem),
}

impl Service {
    /// Has work done, with a bar on the terminal; gives its records to `on_record`, and returns its report as JSON.
    pub(in crate::cli) async fn work(
        &mut self,
        path: &str,
        source: Source,
        bar: Bar,
        mut on_record: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<String, Failure> {
        let request = match source {
            Source::Order(order) => request::post(path, &order)?,
            Source::Lines(body) => request::build(Method::POST, path, body)?,
        };
        let answer = self.send(request).await?;
        if !answer.status().is_success() {
            return whole(answer).await.and_then(|_| Err(cut_off()));
        }
        let mut body = answer.into_body();
        let (mut line, mut report) = (Vec::new(), None);
        // To its very end, so that the connection can be used again.
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| broken(&*error))?.into_data() else { continue };
            for part in data.split_inclusive(|&byte| byte == b'\n') {
                line.extend_from_slice(part);
                if !line.ends_with(b"\n") {
                    continue;
                }
                match read(&line)? {
                    Line::Progress { records, total } => bar.show(records, total),
                    Line::Record(record) => on_record(record.get())?,
                    Line::Report(json) => report = Some(json.get().to_owned()),
                    Line::Error(problem) => return Err(problem.into()),
                }
                line.clear();
            }
        }
        report.ok_or_else(cut_off)
    }
}

fn read(line: &[u8]) -> Result<Line<'_>, Failure> {
    serde_json::from_slice(line).map_err(|error| Failure::new(format_args!("the owner's answer is not understood: {error}")))
}

fn cut_off() -> Failure {
    Failure::new("the work was cut off, because the owner stopped or failed: do it again")
}
