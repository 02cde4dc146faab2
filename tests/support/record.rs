//! What a run leaves in `target/tests` for `tests/summary.sh`: how long each test took, and which did
//! not run. Knows nothing of what is tested.

use super::root;
use std::fs::{self, File};
use std::io::Write;
use std::sync::OnceLock;
use std::thread;
use std::time::Instant;

thread_local! {
    /// libtest runs each test in a thread of its own with the test's name, so a test ends when its
    /// thread does.
    static TEST: Test = Test::begin();
}

struct Test {
    name: Option<String>,
    began: Instant,
}

/// Takes the time from now until the end of the test whose thread this is; the first call counts.
pub(super) fn begin() {
    TEST.with(|_| ());
}

/// Writes down a test that does not run.
pub(super) fn not_run(line: &str) {
    static FILE: OnceLock<File> = OnceLock::new();
    append(&FILE, "not-run.txt", line);
}

impl Test {
    fn begin() -> Test {
        Test {
            name: thread::current().name().map(str::to_string),
            began: Instant::now(),
        }
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        static FILE: OnceLock<File> = OnceLock::new();
        // A thread without a name is one that a test has started.
        if let Some(name) = &self.name {
            let seconds = self.began.elapsed().as_secs_f64();
            append(&FILE, "times.txt", &format!("{seconds:.1} {name}"));
        }
    }
}

/// Appends a line to a file, which the first line of a run empties.
fn append(file: &OnceLock<File>, name: &str, line: &str) {
    let mut file = file.get_or_init(|| {
        let directory = root().join("target/tests");
        fs::create_dir_all(&directory).expect("there is room");
        File::create(directory.join(name)).expect("there is room")
    });
    // In one write, as other tests write too.
    file.write_all(format!("{line}\n").as_bytes())
        .expect("there is room");
}
