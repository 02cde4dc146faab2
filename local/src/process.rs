//! The process of one execution environment: started, frozen, thawed, killed, watched.
//!
//! Knows signals and process ids, but nothing of invocations. Its owner must send no signal once
//! the process is reaped, because the id may then be another process's.

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// A process that leads a process group of its own; signals go to the whole group.
///
/// No process stays behind if `local` itself is killed: a running process loses its Runtime API,
/// and the kernel sends SIGHUP and SIGCONT to a stopped group that has become an orphan (POSIX,
/// `_exit`: "newly-orphaned process group").
pub(crate) struct Process {
    pid: Pid,
}

impl Process {
    /// Starts `command`, and returns the child too, which the caller has to reap after `await_end`.
    pub(crate) fn start(command: &mut Command) -> io::Result<(Process, Child)> {
        let child = command.process_group(0).spawn()?;
        let pid = Pid::from_child(&child);
        Ok((Process { pid }, child))
    }

    /// Stops the group, as Lambda freezes an environment that waits for its next event.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Undoes `freeze`.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks the group to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends the group at once, frozen or not.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Returns whether the process has ended, reaped or not.
    pub(crate) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        !matches!(waitid(WaitId::Pid(self.pid), options), Ok(None))
    }

    /// Blocks until the process has ended, and does not reap it.
    pub(crate) fn await_end(&self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(self.pid), options), Err(Errno::INTR)) {}
    }

    /// Returns the largest resident set so far, in MB, or `None` where there is no `/proc`.
    pub(crate) fn max_memory_mb(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kilobytes.div_ceil(1024))
    }

    fn signal(&self, signal: Signal) {
        // It fails only for a group that has ended, which the watching thread is about to notice.
        let _ = kill_process_group(self.pid, signal);
    }
}
