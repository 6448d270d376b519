//! The program's HTTP contract, from outside: one file per promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod begin;
mod client;
mod contract;
mod crowds;
mod full;
mod guard;
mod full_house;
mod hostile;
mod http;
mod in_process;
mod impatient;
mod invalid;
mod killed;
mod limits;
mod lists;
mod load;
mod load_worker;
mod memory;
mod mutations;
mod payloads;
mod program;
mod resolve;
mod start;
mod stop;
mod unix;
mod resolve_attempt;
mod waiting;
mod waits;
