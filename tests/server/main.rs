//! The program's HTTP contract, from outside: one file per promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod answers;
mod begin;
mod client;
mod contract;
mod crowds;
mod full;
mod full_house;
mod guard;
mod hostile;
mod http;
mod impatient;
mod in_process;
mod invalid;
mod killed;
mod limits;
mod lists;
mod load;
mod load_worker;
mod memory;
mod mutations;
mod payloads;
mod poisoned;
mod program;
mod resolve;
mod resolve_attempt;
mod start;
mod stop;
mod unix;
mod waiting;
mod waits;
