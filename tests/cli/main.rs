//! The program's commands, as a person or a script runs them: on a closed file, and through the process that has it open.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod arguments;
mod backup;
mod both_ways;
mod completions;
mod confirm;
mod damage;
mod hostile;
mod http;
mod owner;
mod service;
mod stuck;
mod support;
mod transfer;
mod under_load;
