use crate::cli::{args::Args as Whole, failure::Failure, output::print};
use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "For example: idemstore completions bash > /etc/bash_completion.d/idemstore")]
pub(in crate::cli) struct Completions {
    shell: Shell,
}

impl Completions {
    #[expect(clippy::unused_async, reason = "as all commands are")]
    pub(in crate::cli) async fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Whole::command(), "idemstore", &mut script);
        print(script)
    }
}
