//! The output of an environment's process: passes it on to standard error as it comes, and keeps
//! its end for a caller who asks for it (`X-Amz-Log-Type: Tail`).
//!
//! Knows pipes, but neither processes nor invocations.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, PipeReader, Read, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// The size of the tail that Lambda returns ("Invoke", AWS Lambda API Reference).
const TAIL_BYTES: usize = 4096;

/// The size of a read: what a pipe holds by default, so that one read empties it.
const CHUNK_BYTES: usize = 64 * 1024;

/// One environment's log.
pub(crate) struct Log {
    pipe: Mutex<Pipe>,
}

struct Pipe {
    reader: PipeReader,
    /// The last bytes since the tail was taken.
    tail: Vec<u8>,
    /// Whether the output so far ends without a line feed.
    in_line: bool,
}

impl Log {
    /// Follows the output that is written into the other end, until all writers have closed it.
    pub(crate) fn follow(reader: PipeReader) -> io::Result<Arc<Log>> {
        let waited = reader.try_clone()?;
        let log = Arc::new(Log {
            pipe: Mutex::new(Pipe {
                reader,
                tail: Vec::new(),
                in_line: false,
            }),
        });
        let followed = log.clone();
        thread::spawn(move || {
            // Waits without the lock, so that `read` can take the output meanwhile.
            while is_readable(&waited, None) && followed.lock().read() != Some(0) {}
        });
        Ok(log)
    }

    /// Adds a line of the platform's own.
    pub(crate) fn line(&self, line: &str) {
        let mut pipe = self.lock();
        // The process's last output may have no line feed at its end.
        let end = if pipe.in_line { "\n" } else { "" };
        pipe.take(format!("{end}{line}\n").as_bytes());
    }

    /// Reads the output that has been written by now.
    pub(crate) fn read(&self) {
        // Once, because output that is written meanwhile, perhaps without end, belongs to the next
        // invocation.
        self.lock().read();
    }

    /// Takes the end of the output since the last call.
    pub(crate) fn take_tail(&self) -> Vec<u8> {
        mem::take(&mut self.lock().tail)
    }

    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().expect("no holder of this lock panics")
    }
}

impl Pipe {
    /// Takes the output that is there, and returns its size, which is 0 at the end of the pipe.
    /// Returns `None` when there is no output yet.
    fn read(&mut self) -> Option<usize> {
        if !is_readable(&self.reader, Some(&Timespec::default())) {
            return None;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = self.reader.read(&mut chunk).unwrap_or(0);
        self.take(&chunk[..count]);
        Some(count)
    }

    fn take(&mut self, output: &[u8]) {
        // Standard error may be closed.
        let _ = io::stderr().write_all(output);
        self.in_line = output.last().map_or(self.in_line, |last| *last != b'\n');
        self.tail.extend_from_slice(output);
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
    }
}

fn is_readable(pipe: &PipeReader, timeout: Option<&Timespec>) -> bool {
    let mut polled = [PollFd::new(pipe, PollFlags::IN)];
    loop {
        match poll(&mut polled, timeout) {
            Err(Errno::INTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}
