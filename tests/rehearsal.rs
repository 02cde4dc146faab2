//! The unedited deploy scripts with the real AWS CLI against ministack, which runs the functions'
//! code: from an empty account to a page at the Function URL's host, and back to nothing.
//!
//! docs/deploy.md lists what neither ministack nor moto can show.

use crate::support::{
    Database, Part, Program, bootstrap, free_port, needs, root, run, said, script, wait_for,
};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// An account on ministack, and the machine that deploys to it.
struct Rehearsal {
    _ministack: Program,
    port: u16,
    database: Database,
    dir: tempfile::TempDir,
}

impl Rehearsal {
    fn new() -> Rehearsal {
        let dir = tempfile::tempdir().expect("there is room");
        for folder in ["bin", "migrations"] {
            fs::create_dir(dir.path().join(folder)).expect("there is room");
        }
        let port = free_port();
        let python = Part::Ministack.path();
        let mut command = Command::new(&python);
        command
            .arg(python.with_file_name("ministack"))
            .current_dir(dir.path())
            .env("GATEWAY_PORT", port.to_string());
        let mut ministack = Program::start(&mut command);
        ministack.ignore_output();
        let health = format!("http://127.0.0.1:{port}/_ministack/health");
        wait_for("ministack to listen", || ureq::get(&health).call().ok());
        let rehearsal = Rehearsal {
            _ministack: ministack,
            port,
            database: Database::new(),
            dir,
        };
        let cli = Part::AwsCli.path();
        let aws = format!(
            "#!/bin/sh\nexec {} {} \"$@\"\n",
            cli.display(),
            cli.with_file_name("aws").display()
        );
        script(&rehearsal.path("bin/aws"), &aws);
        // The URL's host is in no DNS, and ministack has no certificate.
        let curl = format!(
            "#!/bin/sh\nfor url; do :; done\nhost=${{url#https://}}\nexec {} --silent --fail \
             --header \"Host: ${{host%%/*}}\" \"http://127.0.0.1:{port}/${{host#*/}}\"\n",
            Part::Curl.path().display()
        );
        script(&rehearsal.path("bin/curl"), &curl);
        rehearsal
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn migration(&self, name: &str, text: &str) {
        let path = self.path("migrations").join(name);
        fs::write(path, text).expect("there is room");
    }

    /// Writes `deploy.env`; keeps the secret that a deploy has made.
    fn settings(&self, lines: &str) {
        let path = self.path("deploy.env");
        let old = fs::read_to_string(&path).unwrap_or_default();
        let mut old = old.lines();
        let secret = old.find(|line| line.starts_with("SECRET_KEY_BASE="));
        let text = format!(
            "FUNCTION=shop\nDATABASE_URL={}\n{lines}\n{}\n",
            self.database.url(),
            secret.unwrap_or_default()
        );
        fs::write(path, text).expect("there is room");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("DEPLOY_ENV", self.path("deploy.env"))
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://127.0.0.1:{}", self.port),
            )
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "eu-west-1");
        for setting in ["PACKAGE", "ARCH", "PLAN", "MAKEFLAGS", "MAKELEVEL"] {
            command.env_remove(setting);
        }
        command
    }

    fn script(&self, name: &str) -> Command {
        let path = root().join("deploy").join(name);
        self.command(path.to_str().expect("it is UTF-8"))
    }

    /// Packs the migrations as they are now, and deploys; returns whether it went well, and what it
    /// said.
    fn deploy(&self) -> (bool, String) {
        let zip = self.path("shop.zip");
        let migrations = self.path("migrations");
        run(self
            .script("zip.sh")
            .args([&bootstrap(), &migrations, &zip]));
        let output = self.script("deploy.sh").arg(zip).output();
        let output = output.expect("it starts");
        (output.status.success(), said(&output))
    }

    /// Requests a page at the URL's host; returns the status and the body.
    fn page(&self, path: &str) -> (u16, String) {
        let url = run(&mut self.script("url.sh"));
        let host = url
            .trim()
            .trim_start_matches("https://")
            .trim_end_matches('/');
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .into();
        let request = agent
            .get(format!("http://127.0.0.1:{}{path}", self.port))
            .header("Host", host);
        let mut response = request.call().expect("ministack answers");
        let body = response.body_mut().read_to_string().expect("it is text");
        (response.status().as_u16(), body)
    }

    fn aws(&self, words: &str) -> String {
        let mut command = self.command("aws");
        // Version 1 of the CLI does not read the other name, which the scripts have to know.
        command.env("AWS_DEFAULT_REGION", "eu-west-1");
        run(command.args(words.split(' ')).args(["--output", "text"]))
    }

    /// Returns the version that has the traffic.
    fn live(&self) -> String {
        let alias = "lambda get-alias --function-name shop-web --name live --query FunctionVersion";
        self.aws(alias).trim().to_string()
    }
}

#[test]
fn an_empty_account_gets_pages_survives_bad_versions_and_is_empty_again() {
    needs!(Shipped, Ministack, AwsCli, Zip, Curl);
    let rehearsal = Rehearsal::new();
    rehearsal.settings("");
    rehearsal.migration("1_items.sql", "CREATE TABLE items (id int)");
    let (is_done, first) = rehearsal.deploy();
    assert!(is_done && first.contains("/up\nup\n"), "{first}");
    assert!(rehearsal.database.has("items"));
    let (status, page) = rehearsal.page("/sign-in");
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Password"), "{page}");
    let good = rehearsal.live();
    let (is_done, again) = rehearsal.deploy();
    assert!(is_done && again.contains("nothing changed"), "{again}");

    rehearsal.migration("2_parts.sql", "CREATE TABLE items (id int)");
    let (is_done, failed) = rehearsal.deploy();
    assert!(!is_done && failed.contains("already exists"), "{failed}");
    assert_eq!(rehearsal.live(), good, "{failed}");

    rehearsal.settings("MIGRATIONS_TIMEOUT=6");
    rehearsal.migration("2_parts.sql", "CREATE TABLE parts (id int)");
    rehearsal.migration("3_slow.sql", "SELECT pg_sleep(4)");
    rehearsal.migration("4_slow.sql", "SELECT pg_sleep(4)");
    let (is_done, partial) = rehearsal.deploy();
    assert!(is_done && partial.contains("going on"), "{partial}");

    // The function does not start with it.
    rehearsal.settings("SECRET_KEY_BASE_PREVIOUS=short");
    let before = rehearsal.live();
    let (is_done, broken) = rehearsal.deploy();
    assert!(!is_done && broken.contains("traffic"), "{broken}");
    assert_eq!(rehearsal.live(), before, "{broken}");
    assert_eq!(rehearsal.page("/up?db").0, 200, "the former version serves");

    rehearsal.settings("MEMORY=256");
    let (is_done, mended) = rehearsal.deploy();
    assert!(is_done, "{mended}");
    let newest = rehearsal.live();
    let versions = run(&mut rehearsal.script("versions.sh"));
    assert!(
        versions.contains(" live") && versions.contains(" former"),
        "{versions}"
    );
    run(rehearsal.script("rollback.sh").env("TO", &good));
    assert_eq!(rehearsal.live(), good);
    assert_eq!(rehearsal.page("/up").0, 200);
    run(rehearsal.script("rollback.sh").env("TO", &newest));

    fs::write(rehearsal.path("answer"), "shop\n").expect("there is room");
    let answer = fs::File::open(rehearsal.path("answer")).expect("it was written");
    run(rehearsal.script("destroy.sh").stdin(answer));
    for list in [
        "lambda list-functions --query Functions[].FunctionName",
        "iam list-roles --query Roles[].RoleName",
        "logs describe-log-groups --query logGroups[].logGroupName",
    ] {
        let left = rehearsal.aws(list);
        assert!(!left.contains("shop"), "{list}: {left}");
    }
    assert!(rehearsal.database.has("items"), "the database stays");
}
