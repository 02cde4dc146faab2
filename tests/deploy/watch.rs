//! Watches the command lines of all processes for secrets. Knows nothing of AWS.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// A thread that reads the command lines of all processes until `end`.
pub(super) struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<(usize, Option<String>)>>,
}

impl Watch {
    /// Starts to watch for secrets, and counts the command lines that contain `command`.
    pub(super) fn of(command: &'static str, secrets: Vec<String>) -> Watch {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let look = move || {
            let (mut calls, mut found) = (0, None);
            while !until.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line);
                    calls += usize::from(line.contains(command));
                    if secrets.iter().any(|secret| line.contains(secret)) {
                        found = Some(line.into_owned());
                    }
                }
            }
            (calls, found)
        };
        Watch {
            ended,
            thread: Some(thread::spawn(look)),
        }
    }

    /// Ends the watch; fails when a secret was seen or the command was not.
    pub(super) fn end(mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        let (calls, found) = thread.join().expect("the thread does not panic");
        assert!(calls > 0, "no command was seen");
        assert_eq!(found, None, "a secret in a command line");
    }
}
