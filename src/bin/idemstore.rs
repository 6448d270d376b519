//! The program: a server, a reverse proxy, and commands for whoever looks after them.

fn main() -> std::process::ExitCode {
    idemstore::cli::main()
}
