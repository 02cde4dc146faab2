//! What a machine may lack: each part's name, how it is found, and the one command that brings it.
//!
//! A test names the parts that it needs in its first line. When one is missing, the test does not run:
//! this is said at once, and `make test` says it again at the end. With STRICT=1 the test fails.

use super::{record, root};
use std::env::{self, consts::ARCH};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread;

/// Ends the test here unless the machine has all of these parts.
macro_rules! needs {
    ($($part:ident),+) => {
        if !$crate::support::are_there(&[$($crate::support::Part::$part),+]) {
            return;
        }
    };
}
pub(crate) use needs;

/// What a test may need besides Rust, a C compiler, Python and Postgres, which are always there.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// The static executable, which `bootstrap()` then is.
    Shipped,
    /// The same for arm64.
    Arm64,
    /// What runs it on any machine.
    Qemu,
    AwsCli,
    Moto,
    /// Runs the functions of an account.
    Ministack,
    /// AWS's Runtime Interface Emulator.
    Emulator,
    CargoLambda,
    /// Speaks direct TLS, which the machine's own may be too old for.
    Postgres18,
    PgBouncer,
    Chromium,
    Playwright,
    Squawk,
    /// With stand-ins for the base images, and root.
    Podman,
    /// The right to mount a file system.
    Mounts,
    /// A registry of images.
    Registry,
    Valgrind,
    Strace,
    /// `nm` and `objdump`.
    Binutils,
    Zip,
    Curl,
}

/// A part's name for people, where it is, and what brings it.
type Row = (&'static str, Option<PathBuf>, String);

impl Part {
    fn row(self) -> Row {
        match self {
            Part::Shipped => {
                let built = by_make("BOOTSTRAP");
                let command = match built {
                    None => "make test".to_string(),
                    Some(_) => format!("rustup target add {ARCH}-unknown-linux-musl"),
                };
                let is_static = |path: &PathBuf| path.to_string_lossy().contains("-musl/");
                ("the shipped executable", built.filter(is_static), command)
            }
            Part::Arm64 => {
                let built = by_make("ARM64");
                let command = match built {
                    None => "make test",
                    Some(_) => "sudo apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
                };
                let built = built.filter(|path| path.exists());
                ("the executable for arm64", built, command.to_string())
            }
            Part::Podman => {
                let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
                let prepared = tool("podman/ready").and_then(|_| tool("podman"));
                let command = "make test, as root".to_string();
                ("podman as root", prepared.filter(|_| is_root), command)
            }
            Part::Mounts => {
                let command = "make test, as root outside of a container".to_string();
                let right = may_mount().then(|| PathBuf::from("/"));
                ("the right to mount", right, command)
            }
            Part::AwsCli => fetched("the AWS CLI", "awscli", "awscli/bin/python"),
            Part::Moto => fetched("moto", "moto", "moto/bin/python"),
            Part::Ministack => fetched("ministack", "ministack", "ministack/bin/python"),
            Part::Playwright => fetched("Playwright", "browser", "browser/bin/python"),
            Part::Squawk => fetched("squawk", "squawk", "squawk/bin/squawk"),
            Part::Emulator => fetched("AWS's emulator", "aws-lambda-rie", "aws-lambda-rie"),
            Part::CargoLambda => fetched("cargo-lambda", "cargo-lambda", "cargo-lambda"),
            Part::Postgres18 => fetched("Postgres 18", "postgresql", "postgresql-18"),
            Part::PgBouncer => package("PgBouncer", "pgbouncer", "pgbouncer"),
            Part::Chromium => package("Chromium", "chromium", "chromium"),
            Part::Registry => package("docker-registry", "docker-registry", "docker-registry"),
            Part::Qemu => package("qemu", "qemu-aarch64-static", "qemu-user-static"),
            Part::Valgrind => package("valgrind", "valgrind", "valgrind"),
            Part::Strace => package("strace", "strace", "strace"),
            Part::Binutils => package("binutils", "objdump", "binutils"),
            Part::Zip => package("zip", "zip", "zip"),
            Part::Curl => package("curl", "curl", "curl"),
        }
    }

    /// Where it is.
    #[track_caller]
    pub(crate) fn path(self) -> PathBuf {
        let (name, path, command) = self.row();
        path.unwrap_or_else(|| panic!("{name} is missing: {command}"))
    }
}

/// Whether all of these are there. Says it when one is not, and with STRICT=1 fails the test.
#[track_caller]
pub(crate) fn are_there(parts: &[Part]) -> bool {
    record::begin();
    let test = thread::current().name().unwrap_or_default().to_string();
    let mut missing = Vec::new();
    for part in parts {
        let (name, None, command) = part.row() else {
            continue;
        };
        // Not by `eprintln!`, which is captured and shown only when a test fails; in one write, as
        // others write too.
        let said = format!("NOT RUN: {test}: {name} is missing: {command}\n");
        let _ = io::stderr().write_all(said.as_bytes());
        record::not_run(&format!("{test} | {name} | {command}"));
        missing.push(format!("{name} is missing: {command}"));
    }
    let is_strict = env::var("STRICT").is_ok_and(|value| value == "1");
    assert!(!is_strict || missing.is_empty(), "{}", missing.join("\n"));
    missing.is_empty()
}

/// The executable that `make test` or its like has built and names.
pub(super) fn by_make(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(|path| root().join(path))
}

/// A row of what `tests/tools/` fetches, which copies its requirements last.
fn fetched(name: &'static str, requirements: &str, path: &str) -> Row {
    let whole = tool(&format!("{requirements}.txt"));
    (
        name,
        whole.and_then(|_| tool(path)),
        "make tools".to_string(),
    )
}

/// A row of a program that a package of Debian has.
fn package(name: &'static str, program: &str, package: &str) -> Row {
    let command = format!("sudo apt-get install {package}");
    (name, on_path(program), command)
}

/// Whether the process has CAP_SYS_ADMIN, which is bit 21.
fn may_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> 21 & 1 == 1)
}

fn tool(name: &str) -> Option<PathBuf> {
    let path = root().join("target/tools").join(name);
    path.exists().then_some(path)
}

/// A program of the system. Debian has PgBouncer where only root looks.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut programs = folders.map(|folder| folder.join(name));
    programs.find(|program| program.exists())
}
