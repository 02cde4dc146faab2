//! The process of one execution environment: started, frozen, thawed, killed, watched.
//!
//! Knows signals and process ids; nothing of invocations. Its owner sends no signal once the
//! process is reaped, so that none can reach a stranger who got the same id.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// A process that leads a process group of its own; signals go to the whole group.
///
/// Nothing stays behind if `local` itself is killed: a running process loses its Runtime API, and
/// the kernel sends SIGHUP and SIGCONT to a stopped group that has become an orphan
/// (POSIX, `_exit`: "newly-orphaned process group").
pub struct Process {
    pid: Pid,
}

impl Process {
    /// Starts `command`; the child is what `reap` wants.
    pub fn start(command: &mut Command) -> io::Result<(Process, Child)> {
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        Ok((Process { pid }, child))
    }

    /// Lambda freezes an environment that waits for its next event.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Undoes `freeze`.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks the group to end.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the group at once, frozen or not.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether it has ended, even if nobody has noticed yet.
    pub fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Blocks until it has ended, and leaves it to be reaped.
    pub fn await_end(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(self.pid), options), Err(Errno::INTR)) {}
    }

    /// Its largest resident set so far, in MB; none where there is no `/proc`.
    pub fn max_memory_mb(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes.div_ceil(1024))
    }

    fn signal(&self, signal: Signal) {
        // The only failure is a group that has ended: its watcher is about to say so.
        let _ = kill_process_group(self.pid, signal);
    }
}
