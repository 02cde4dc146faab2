//! What an environment says: passed on to standard error as it comes, and the end of it kept for
//! the caller who wants it (`X-Amz-Log-Type: Tail`).
//!
//! Knows pipes, neither processes nor invocations.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, PipeReader, Read, Write};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// As much as Lambda gives back ("Invoke", AWS Lambda API Reference).
const TAIL_BYTES: usize = 4096;

/// As much as a pipe holds by default, so that one read empties it.
const CHUNK_BYTES: usize = 64 * 1024;

/// One environment's log.
pub struct Log {
    pipe: Mutex<Pipe>,
}

struct Pipe {
    reader: PipeReader,
    tail: Vec<u8>,
    in_line: bool,
}

impl Log {
    /// Follows what is written into the other end, until all have closed it.
    pub fn follow(reader: PipeReader) -> io::Result<Arc<Log>> {
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
            // Waits without the lock: `read` may take what has come.
            while is_readable(&waited, None) && followed.lock().read() != Some(0) {}
        });
        Ok(log)
    }

    /// A line of the platform's own.
    pub fn line(&self, line: &str) {
        let mut pipe = self.lock();
        // What was said last may have no end of a line.
        let end = if pipe.in_line { "\n" } else { "" };
        pipe.take(format!("{end}{line}\n").as_bytes());
    }

    /// Reads all that has been said by now.
    pub fn read(&self) {
        // Once: what is said meanwhile, perhaps without end, is the next invocation's.
        self.lock().read();
    }

    /// The end of what was said since the last call.
    pub fn take_tail(&self) -> Vec<u8> {
        mem::take(&mut self.lock().tail)
    }

    fn lock(&self) -> MutexGuard<'_, Pipe> {
        self.pipe.lock().expect("no holder of this lock panics")
    }
}

impl Pipe {
    /// Takes what is there: so many bytes, 0 at the end. None when there is nothing yet.
    fn read(&mut self) -> Option<usize> {
        if !is_readable(&self.reader, Some(&Timespec::default())) {
            return None;
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = self.reader.read(&mut chunk).unwrap_or(0);
        self.take(&chunk[..count]);
        Some(count)
    }

    fn take(&mut self, said: &[u8]) {
        // Nobody may be listening any more.
        let _ = io::stderr().write_all(said);
        self.in_line = said.last().map_or(self.in_line, |last| *last != b'\n');
        self.tail.extend_from_slice(said);
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
