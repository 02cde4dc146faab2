//! The deploy scripts with the real AWS CLI against moto; a function that they invoke is the real
//! executable under `local`, with a real Postgres.
//!
//! What moto cannot show is said in docs/deploy.md.

use crate::stage::{Database, Local, Program, bootstrap, free_port, root, said, tool, wait_for};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// In the database's address, which AWS has to know and nobody else.
const PASSWORD: &str = "geheim%22%5Cgeheim";

/// An account, what it invokes, and somebody's machine.
struct Account {
    _moto: Program,
    local: Local,
    endpoint: String,
    dir: tempfile::TempDir,
    database: Database,
}

impl Account {
    fn new() -> Account {
        let database = Database::new();
        let dir = tempfile::tempdir().expect("there is room");
        for name in ["bin", "migrations"] {
            fs::create_dir(dir.path().join(name)).expect("there is room");
        }
        let migrations = dir.path().join("migrations");
        write(
            &migrations.join("1_create_items.sql"),
            "CREATE TABLE items (id int);",
        );
        let local = Local::with(&database)
            .migrations(&migrations)
            .args(["--functions", "shop-web=http,shop-migrations=migrate"])
            .start();
        let port = free_port();
        let mut command = Command::new(tool("moto/bin/python"));
        command.arg(tool("moto/bin/moto_server")).args([
            "-H",
            "127.0.0.1",
            "-p",
            &port.to_string(),
        ]);
        let moto = Program::start(&mut command);
        let endpoint = format!("http://127.0.0.1:{port}");
        wait_for("moto to listen", || ureq::get(&endpoint).call().ok());
        let config = ureq::post(format!("{endpoint}/moto-api/config"))
            .send(r#"{"lambda":{"use_docker":false}}"#);
        config.expect("moto takes its configuration");
        let account = Account {
            _moto: moto,
            local,
            endpoint,
            dir,
            database,
        };
        account.stand_in();
        account
    }

    /// The real CLI; `local` for what is invoked and for the address that moto made up.
    fn stand_in(&self) {
        let (python, aws) = (tool("awscli/bin/python"), tool("awscli/bin/aws"));
        let aws = format!(
            "#!/bin/sh\ncase \"$2\" in invoke) export AWS_ENDPOINT_URL={} ;; esac\nexec '{}' '{}' \"$@\"\n",
            self.local.url(),
            python.display(),
            aws.display()
        );
        self.program("aws", &aws);
        let curl = format!(
            "#!/bin/sh\nfor url; do :; done\nexec /usr/bin/env -i /usr/bin/curl -sf {}/\"${{url##*/}}\"\n",
            self.local.url()
        );
        self.program("curl", &curl);
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        write(&path, text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn settings(&self, memory: u32) {
        let old = fs::read_to_string(self.path("deploy.env")).unwrap_or_default();
        let secret = old
            .lines()
            .find(|line| line.starts_with("SECRET_KEY_BASE="));
        let text = format!(
            "FUNCTION=shop\nMEMORY={memory}\nDATABASE_URL=postgres://u:{PASSWORD}@h/db\n{}\n",
            secret.unwrap_or_default()
        );
        write(&self.path("deploy.env"), &text);
    }

    fn secret(&self) -> String {
        let text = fs::read_to_string(self.path("deploy.env")).expect("it is there");
        let secret = text
            .lines()
            .find_map(|line| line.strip_prefix("SECRET_KEY_BASE="));
        secret.expect("a deploy has made one").to_string()
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(root().join("deploy").join(name));
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("DEPLOY_ENV", self.path("deploy.env"))
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env_remove("AWS_REGION")
            .env_remove("PACKAGE")
            .env_remove("ARCH")
            .env_remove("PLAN");
        command
    }

    fn zip(&self) -> PathBuf {
        let zip = self.path("shop.zip");
        let packed = self
            .script("zip.sh")
            .args([&bootstrap(), &self.path("migrations"), &zip])
            .output()
            .expect("sh is there");
        assert!(packed.status.success(), "{}", said(&packed));
        zip
    }

    fn deploy(&self) -> Output {
        let zip = self.zip();
        self.script("deploy.sh")
            .arg(zip)
            .output()
            .expect("sh is there")
    }

    /// What it prints, when it succeeds.
    #[track_caller]
    fn deployed(&self) -> String {
        let output = self.deploy();
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    fn aws(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(self.path("bin/aws"));
        command
            .args(arguments)
            .args(["--output", "text"])
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_DEFAULT_REGION", "eu-west-1");
        said(&command.output().expect("the CLI starts"))
    }

    fn live(&self) -> String {
        let alias = ["lambda", "get-alias", "--function-name", "shop-web"];
        let query = ["--name", "live", "--query", "FunctionVersion"];
        let said = self.aws(&[alias, query].concat());
        said.lines().nth(1).unwrap_or_default().to_string()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("there is room");
}

/// Looks at every command line of the machine until it is dropped; fails if it saw one of `secrets`.
struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<(usize, Option<String>)>>,
}

impl Watch {
    fn of(secrets: Vec<String>) -> Watch {
        let ended = Arc::new(AtomicBool::new(false));
        let until = ended.clone();
        let look = move || {
            let (mut calls, mut found) = (0, None);
            while !until.load(Ordering::Relaxed) {
                for entry in fs::read_dir("/proc").expect("this is Linux").flatten() {
                    let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line);
                    calls += usize::from(line.contains("update-function-configuration"));
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

    fn end(mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        let (calls, found) = thread.join().expect("it only looks");
        assert!(calls > 0, "no command was seen");
        assert_eq!(found, None, "a secret in a command line");
    }
}

#[test]
fn a_zip_of_the_same_files_is_the_same() {
    let dir = tempfile::tempdir().expect("there is room");
    let zip = |name: &str| {
        let path = dir.path().join(name);
        let mut command = Command::new(root().join("deploy/zip.sh"));
        command.args([&bootstrap(), &root().join("migrations"), &path]);
        let output = command.output().expect("sh is there");
        assert!(output.status.success(), "{}", said(&output));
        fs::read(path).expect("it was made")
    };
    let first = zip("first.zip");
    // A zip's times have steps of two seconds.
    let touched = Command::new("touch")
        .args(["-d", "2001-01-01"])
        .arg(root().join("migrations/seed.sql"))
        .status();
    assert!(touched.expect("touch is there").success());
    assert!(first == zip("second.zip"), "two zips differ");
}

#[test]
fn a_function_goes_from_nothing_to_production_and_back() {
    let account = Account::new();
    account.settings(256);

    let first = account.deployed();
    assert!(first.contains("/up\nup\n"), "{first}");
    assert!(account.database.has("items"), "migrated before");
    let url = first.lines().rfind(|line| line.starts_with("https://"));
    let url = url.expect("it says where").to_string();
    for statement in ["public-url", "public-invoke"] {
        let policy = account.aws(&[
            "lambda",
            "get-policy",
            "--function-name",
            "shop-web",
            "--qualifier",
            "live",
        ]);
        assert!(policy.contains(statement), "{policy}");
    }
    let environment = [
        "lambda",
        "get-function-configuration",
        "--function-name",
        "shop-web",
    ];
    let environment = account.aws(&[&environment[..], &["--query", "Environment"]].concat());
    for known in [url.as_str(), PASSWORD, &account.secret()] {
        assert!(environment.contains(known), "AWS has to know all of it");
    }

    let nowhere = account.script("rollback.sh").output().expect("sh is there");
    let words = said(&nowhere);
    assert!(
        !nowhere.status.success() && words.contains("is the oldest there is"),
        "the version before does not know its own address: {words}"
    );

    let again = account.deployed();
    assert!(again.contains("nothing changed"), "{again}");
    assert!(
        !again.contains("update-") && !again.contains("create-"),
        "{again}"
    );

    account.settings(512);
    let watch = Watch::of(vec![PASSWORD.to_string(), account.secret()]);
    let setting = account.deployed();
    watch.end();
    assert!(setting.contains("--memory-size 512"), "{setting}");
    assert!(!setting.contains("update-function-code"), "{setting}");

    let good = account.live();
    write(
        &account.path("migrations/2_fail.sql"),
        "CREATE TABLE items (id int);",
    );
    let failed = account.deploy();
    let words = said(&failed);
    assert!(
        !failed.status.success() && words.contains("2_fail.sql"),
        "{words}"
    );
    assert!(
        words.contains("already exists"),
        "Postgres's own words: {words}"
    );
    assert_eq!(account.live(), good, "the new code has no traffic");

    write(
        &account.path("migrations/2_fail.sql"),
        "CREATE TABLE parts (id int);",
    );
    let mended = account.deployed();
    assert!(mended.contains("update-function-code"), "{mended}");
    assert!(account.database.has("parts"));
    assert_ne!(account.live(), good);
    let back = account.script("rollback.sh").output().expect("sh is there");
    assert!(back.status.success(), "{}", said(&back));
    assert_eq!(account.live(), good);

    for printed in [first, again, setting, words, mended, account.local.log()] {
        assert!(!printed.contains(PASSWORD), "{printed}");
        assert!(!printed.contains(&account.secret()), "{printed}");
    }
    destroy(&account);
}

fn destroy(account: &Account) {
    let asked = |name: &str| {
        let mut shell = account.script("destroy.sh");
        let input = account.path("answer");
        write(&input, name);
        shell.stdin(fs::File::open(input).expect("it was written"));
        shell.output().expect("sh is there")
    };
    let refused = asked("another\n");
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(!account.live().is_empty(), "nothing was removed");
    let done = asked("shop\n");
    assert!(done.status.success(), "{}", said(&done));
    for (list, query) in [
        (["lambda", "list-functions"], "Functions[].FunctionName"),
        (["iam", "list-roles"], "Roles[].RoleName"),
        (["logs", "describe-log-groups"], "logGroups[].logGroupName"),
    ] {
        let left = account.aws(&[&list[..], &["--query", query]].concat());
        assert!(!left.contains("shop"), "{left}");
    }
    assert!(account.database.has("items"), "the database stays");
}
