//! The machine under the candidates: which CPU they run on, how much of it they get, what is in
//! the page cache, and what the machine is called. Knows nothing of what runs.

use crate::Result;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// 1.4 ms of every 20 are what a function of 128 MB has: a fourteenth of a CPU.
const QUOTA_US: u32 = 1_400;
const PERIOD_US: u32 = 20_000;

/// What a candidate has of the machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// One CPU for the harness and the candidate, as in a small function.
    Shared,
    /// A CPU for each.
    TwoCpus,
    /// A fourteenth of a CPU.
    Small,
    /// One CPU, and nothing in the page cache.
    Cold,
}

/// CPUs and limits, as a mode wants them.
pub struct Machine {
    /// The mode.
    pub mode: Mode,
    function: usize,
    other: usize,
    /// The control group of a limited candidate.
    limited: Option<PathBuf>,
}

impl Mode {
    /// All of them by their names on the command line.
    pub const ALL: [(&'static str, Mode); 4] = [
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
    /// Pins this thread to one of two CPUs, and prepares what the mode needs.
    ///
    /// # Errors
    /// When the mode cannot be had here: it needs root, or a second CPU.
    pub fn prepare(mode: Mode, (first, last): (usize, usize)) -> Result<Machine> {
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

    /// Runs what starts a candidate where the candidate belongs: children inherit the CPU.
    pub fn beside<T: Send>(&self, start: impl FnOnce() -> T + Send) -> Result<T> {
        match self.mode {
            Mode::TwoCpus => on(self.function, start),
            _ => Ok(start()),
        }
    }

    /// Runs what starts a server, away from the candidates if there is another CPU.
    pub fn away<T: Send>(&self, start: impl FnOnce() -> T + Send) -> Result<T> {
        on(self.other, start)
    }

    /// Limits a process and all that it becomes.
    pub fn limit(&self, pid: u32) -> Result<()> {
        match &self.limited {
            Some(group) => Ok(fs::write(group.join("cgroup.procs"), pid.to_string())?),
            None => Ok(()),
        }
    }

    /// In the mode that wants it: forgets every file that nobody has mapped.
    pub fn forget_files(&self) -> Result<()> {
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

/// CPU, cores and kernel.
pub fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model);
    let cores = info.lines().filter(|line| line.starts_with("processor"));
    let cores = cores.count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// The load averages of the last minutes.
pub fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The first and the last CPU that we may use, before we are pinned to one.
pub fn cpus() -> Result<(usize, usize)> {
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
        Ok(pinned.join().expect("what it runs does not panic")?)
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
