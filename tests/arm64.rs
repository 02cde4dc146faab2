//! The executable for arm64 (Graviton on Lambda), run by `qemu-user`.

use crate::emulator::get;
use crate::support::{Database, Part, RuntimeApi, migrations, needs, script};
use tempfile::TempDir;

/// Starts the executable under qemu, through a script: `support` starts a program without arguments.
fn start(dir: &TempDir, database: &Database) -> RuntimeApi {
    let (qemu, arm64) = (Part::Qemu.path(), Part::Arm64.path());
    let bootstrap = dir.path().join("bootstrap");
    let text = format!(
        "#!/bin/sh\nexec '{}' '{}'\n",
        qemu.display(),
        arm64.display()
    );
    script(&bootstrap, &text);
    let migrations = migrations().display().to_string();
    let variables = [
        ("DATABASE_URL", database.url()),
        ("MIGRATIONS_DIR", migrations),
    ];
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    RuntimeApi::with(&bootstrap, "http", &variables)
}

#[test]
fn the_arm64_executable_answers_an_event_and_reads_postgres() {
    needs!(Arm64, Qemu);
    let dir = tempfile::tempdir().expect("there is room");
    let database = Database::new();
    let mut api = start(&dir, &database);
    for (path, says) in [("/up", "up"), ("/up?db", "migrations are pending")] {
        api.hand("a", get(path).to_string());
        let reply = api.expect_answer("a", "response").json();
        let page = reply["body"].as_str().expect("it is text");
        assert!(page.contains(says), "{page}");
    }
    api.expect_next();
    api.program().signal("TERM");
    api.end();
}
