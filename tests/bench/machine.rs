//! The machine: the CPU that a candidate runs on, the share of it that the candidate gets, the page
//! cache, and the machine's description. Knows no candidate.

use crate::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// A function of 128 MB has a fourteenth of a CPU: 1.4 ms of every 20 ms.
const QUOTA_US: u32 = 1_400;
const PERIOD_US: u32 = 20_000;

/// The share of the machine that a candidate gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    /// One CPU for the harness and the candidate together, as in a small function.
    Shared,
    /// One CPU for the harness and one for the candidate.
    TwoCpus,
    /// A fourteenth of a CPU for the candidate.
    Small,
    /// Like `Shared`, with an empty page cache.
    Cold,
}

/// The CPUs and limits of a mode.
pub(crate) struct Machine {
    /// The mode.
    pub mode: Mode,
    function: usize,
    other: usize,
    /// The control group that limits a candidate.
    limited: Option<PathBuf>,
}

impl Mode {
    /// All modes with their names on the command line.
    pub(crate) const ALL: [(&'static str, Mode); 4] = [
        ("shared", Mode::Shared),
        ("two-cpus", Mode::TwoCpus),
        ("128mb", Mode::Small),
        ("cold", Mode::Cold),
    ];
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let named = Mode::ALL.iter().find(|(_, mode)| mode == self);
        out.write_str(named.expect("all modes are listed").0)
    }
}

impl Machine {
    /// Pins this thread to one of two CPUs and prepares the limits of the mode.
    ///
    /// # Errors
    /// When the mode needs root or a second CPU, and has it not.
    pub(crate) fn prepare(mode: Mode, (first, last): (usize, usize)) -> Result<Machine> {
        if mode == Mode::TwoCpus && first == last {
            return Err("there is only one CPU".into());
        }
        let needs_root = matches!(mode, Mode::Small | Mode::Cold);
        if needs_root && !rustix::process::geteuid().is_root() {
            return Err("it needs root".into());
        }
        pin(if mode == Mode::TwoCpus { first } else { last })?;
        let limited = match mode {
            Mode::Small => Some(limited_group()?),
            _ => None,
        };
        Ok(Machine {
            mode,
            function: last,
            other: first,
            limited,
        })
    }

    /// Runs a closure that starts a candidate on the candidate's CPU; children inherit the CPU.
    pub(crate) fn beside<T: Send>(&self, start: impl FnOnce() -> T + Send) -> Result<T> {
        match self.mode {
            Mode::TwoCpus => on(self.function, start),
            _ => Ok(start()),
        }
    }

    /// Runs a closure that starts a server on the other CPU, if there is one.
    pub(crate) fn away<T: Send>(&self, start: impl FnOnce() -> T + Send) -> Result<T> {
        on(self.other, start)
    }

    /// Limits a process, also after it executes another program.
    pub(crate) fn limit(&self, pid: u32) -> Result<()> {
        match &self.limited {
            Some(group) => Ok(fs::write(group.join("cgroup.procs"), pid.to_string())?),
            None => Ok(()),
        }
    }

    /// In mode `Cold`, drops every file from the page cache that no process has mapped.
    pub(crate) fn forget_files(&self) -> Result<()> {
        if self.mode == Mode::Cold {
            rustix::fs::sync();
            fs::write("/proc/sys/vm/drop_caches", "3")?;
        }
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(group) = &self.limited {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Returns the CPU, the number of cores and the kernel.
pub(crate) fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let cores = info.lines().filter(|line| line.starts_with("processor"));
    let cores = cores.count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// Returns the load averages of the last 1, 5 and 15 minutes.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Returns the first and the last CPU that this process may use. Call it before pinning.
pub(crate) fn cpus() -> Result<(usize, usize)> {
    let allowed = sched_getaffinity(None)?;
    let mut known = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let first = known.next().ok_or("there is no CPU")?;
    Ok((first, known.next_back().unwrap_or(first)))
}

/// Pins the calling thread.
fn pin(cpu: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

fn on<T: Send>(cpu: usize, work: impl FnOnce() -> T + Send) -> Result<T> {
    thread::scope(|scope| {
        let pinned = scope.spawn(move || {
            pin(cpu).map_err(|error| error.to_string())?;
            Ok::<T, String>(work())
        });
        Ok(pinned.join().expect("the closure does not panic")?)
    })
}

fn limited_group() -> Result<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let name = "plain-lambda-bench";
    if root.join("cgroup.controllers").exists() {
        fs::write(root.join("cgroup.subtree_control"), "+cpu")?;
        let group = made(root.join(name))?;
        fs::write(group.join("cpu.max"), format!("{QUOTA_US} {PERIOD_US}"))?;
        return Ok(group);
    }
    let group = made(root.join("cpu").join(name))?;
    fs::write(group.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
    fs::write(group.join("cpu.cfs_quota_us"), QUOTA_US.to_string())?;
    Ok(group)
}

fn made(group: PathBuf) -> Result<PathBuf> {
    fs::create_dir_all(&group)
        .map_err(|error| format!("failed to make `{}`: {error}", group.display()))?;
    Ok(group)
}
