//! The whole product on real parts: the real executable, `local`, a real Postgres, AWS's own
//! emulator and command line, and a real image.
//!
//! One module for each thing that a person does with it; `support` starts and stops the parts.

#[path = "bench/statistics.rs"]
mod statistics;
mod support;

mod arm64;
mod aws_cli;
mod browser;
mod cargo_lambda;
mod cold_start;
mod command_line;
mod conformance;
mod connection;
mod container;
mod contract;
mod deploy;
mod doctor;
mod emulator;
mod environments;
mod histories;
mod image;
mod invoke;
mod lexer;
mod load;
mod migrate;
mod private_postgres;
mod records;
mod senders;
mod sign_in;
mod troubleshooting;
mod web;
