//! The integration tests, on real parts: the executable, `local`, Postgres, AWS's own emulator and
//! command line, and the image.
//!
//! Each module tests one use of the product; `support` starts and stops the parts.

#[path = "bench/statistics.rs"]
mod statistics;
mod support;

mod access_matrix;
mod architecture;
mod arm64;
mod audit;
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
mod hostile_requests;
mod image;
mod invoke;
mod lexer;
mod load;
mod local_guard;
mod local_limits;
mod managed_instances;
mod migrate;
mod outages;
mod own_pages;
mod private_postgres;
mod records;
mod rehearsal;
mod security;
mod senders;
mod sessions;
mod settings;
mod sign_in;
mod terminal;
mod troubleshooting;
mod web;
