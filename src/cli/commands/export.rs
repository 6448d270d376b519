use super::read;
use crate::{
    Options,
    cli::{
        failure::Failure,
        output::{Bar, note, print, print_json},
        service::{Service, Source},
        target::Target,
        whole_file::WholeFile,
    },
    server::reports::Exported,
};
use clap::Args;
use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

/// Write every record as a line of JSON, payloads included.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 1 when damaged records had to be left out, and when whoever reads it went away before its end."
)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    target: Target,
    /// The new file, or - for stdout.
    #[arg(default_value = "-")]
    file: PathBuf,
}

impl Export {
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        if self.file.as_os_str() == "-" {
            let json = self.write(io::stdout().lock(), |error| match error.kind() {
                // Half of an export must not be taken for all of it.
                io::ErrorKind::BrokenPipe => Failure::new("whoever reads the export went away before it was whole"),
                _ => Failure::io("writing the export", error),
            });
            return told(&read(json.await?)?, |text| {
                note(text);
                Ok(())
            });
        }
        let failed = |error: &io::Error| Failure::io(format_args!("writing {}", self.file.display()), error);
        let mut file = WholeFile::create(&self.file).map_err(|error| failed(&error))?;
        let json = self.write(&mut file, failed).await?;
        file.finish().map_err(|error| failed(&error))?;
        told(&read(&json)?, |text| if self.target.json { print_json(&json) } else { print(text + "\n") })
    }

    /// Writes the records, and returns the report.
    async fn write(&self, to: impl Write, failed: impl Fn(&io::Error) -> Failure) -> Result<String, Failure> {
        let mut service = Service::find(&self.target, &Options::new()).await?;
        let mut to = BufWriter::new(to);
        let order = Source::Order(serde_json::json!({}));
        let report = service.work("/v1/export", order, Bar::new("exporting"), |record| {
            to.write_all(record.as_bytes()).and_then(|()| to.write_all(b"\n")).map_err(|error| failed(&error))
        });
        let report = report.await?;
        to.flush().map_err(|error| failed(&error))?;
        Ok(report)
    }
}

fn told(report: &Exported, tell: impl Fn(String) -> Result<(), Failure>) -> Result<(), Failure> {
    let told = tell(format!("exported {} records", report.exported));
    if report.damaged == 0 {
        return told;
    }
    // Whether or not anybody has heard the rest.
    Err(Failure::new(format_args!("{} damaged records are not in the export: see `idemstore verify`", report.damaged)))
}
