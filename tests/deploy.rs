//! The deploy scripts and targets, with the real AWS CLI against moto. The functions that they invoke
//! run under `local` with a real Postgres, and images are pushed to a real registry.
//!
//! docs/deploy.md lists what moto cannot prove. `AWS_CLI=/path/aws` uses another CLI.

mod account;
mod watch;

use crate::image::check_answers;
use crate::support::podman::{self, podman};
use crate::support::{bootstrap, migrations, needs, root, run, said, script};
use account::{Account, ECR, PASSWORD, TOKEN};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use watch::Watch;

#[test]
fn the_same_files_make_the_same_zip() {
    needs!(Shipped, Zip);
    let dir = tempfile::tempdir().expect("there is room");
    let zip = |name: &str| {
        let path = dir.path().join(name);
        run(Command::new(root().join("deploy/zip.sh")).args([&bootstrap(), &migrations(), &path]));
        fs::read(path).expect("it was made")
    };
    let first = zip("first.zip");
    // Times in a zip have a resolution of two seconds, so that two zips made at once would not differ.
    run(Command::new("touch")
        .args(["-d", "2001-01-01"])
        .arg(migrations().join("seed.sql")));
    assert!(first == zip("second.zip"), "two zips differ");
}

#[test]
fn the_bill_of_materials_names_every_crate_of_the_executable() {
    needs!(Shipped);
    let dir = tempfile::tempdir().expect("there is room");
    let bill = |name: &str| {
        let path = dir.path().join(name);
        run(Command::new("make")
            .current_dir(root())
            .arg("sbom")
            .arg(format!("SBOM={}", path.display())));
        fs::read_to_string(path).expect("it was made")
    };
    let listed = bill("first.json");
    assert_eq!(
        listed,
        bill("second.json"),
        "the same sources, the same bill"
    );
    let listed: Value = serde_json::from_str(&listed).expect("CycloneDX is JSON");
    let listed = listed["components"].as_array().expect("it has some");
    let has = |name: &str, version: &str| {
        listed.iter().any(|crate_| {
            crate_["name"] == name && crate_["version"] == version && crate_["licenses"].is_array()
        })
    };
    let tree = [
        "tree",
        "--locked",
        "--package",
        "bootstrap",
        "--edges",
        "normal",
    ];
    let tree = run(Command::new(env!("CARGO"))
        .current_dir(root())
        .args(tree)
        .args(["--prefix", "none", "--format", "{p}"]));
    let crates: Vec<&str> = tree.lines().filter(|line| !line.is_empty()).collect();
    assert!(crates.len() > 100, "{tree}");
    for line in &crates[1..] {
        let mut words = line.split(' ');
        let (name, version) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        assert!(has(name, version.trim_start_matches('v')), "{line}");
    }
}

#[test]
fn a_function_goes_from_nothing_to_production_and_back() {
    needs!(Shipped, Moto, AwsCli, Registry, Zip, Curl);
    let files = tempfile::tempdir().expect("there is room");
    let migration = |name: &str, text: &str| {
        fs::write(files.path().join(name), text).expect("there is room");
    };
    migration("1_create_items.sql", "CREATE TABLE items (id int);");
    let account = Account::new(files.path());
    account.settings("MEMORY=256");
    // AWS refuses a function whose role was just made, until the role is known everywhere.
    fs::write(account.path("new-role"), "").expect("there is room");

    let first = deployed(&account, files.path());
    assert!(!account.path("new-role").exists(), "AWS refused it once");
    assert!(first.contains("/up\nup\n"), "{first}");
    assert!(account.database.has("items"), "migrated before");
    check_rights(&account);
    check_environment(&account, &first);
    let words = refused(account.script("rollback.sh"));
    assert!(
        words.contains("is the first"),
        "the version before does not know its own address: {words}"
    );

    let again = deployed(&account, files.path());
    assert!(again.contains("nothing changed"), "{again}");
    assert!(
        again.contains("in account 123456789012, eu-west-1"),
        "{again}"
    );
    assert!(
        !again.contains("update-") && !again.contains("create-"),
        "{again}"
    );

    account.settings("MEMORY=512");
    let planned = run(deploy(&account, files.path()).env("PLAN", "1"));
    for command in ["publish-version", "--name live", "--name former"] {
        let line = planned
            .lines()
            .find(|line| line.starts_with('$') && line.contains(command));
        assert!(line.is_some(), "no {command}: {planned}");
    }
    let watch = Watch::of(
        "update-function-configuration",
        vec![PASSWORD.to_string(), account.secret()],
    );
    let setting = deployed(&account, files.path());
    watch.end();
    assert!(setting.contains("--memory-size 512"), "{setting}");
    assert!(!setting.contains("update-function-code"), "{setting}");

    let good = account.live();
    migration("2_fail.sql", "CREATE TABLE items (id int);");
    let failed = refused(deploy(&account, files.path()));
    assert!(failed.contains("2_fail.sql"), "{failed}");
    assert!(
        failed.contains("already exists"),
        "Postgres's own words: {failed}"
    );
    assert_eq!(account.live(), good, "the new code has no traffic");

    migration("2_fail.sql", "CREATE TABLE parts (id int);");
    for (name, seconds) in [("3_slow", 3), ("4_slow", 3), ("5_fast", 0)] {
        migration(
            &format!("{name}.sql"),
            &format!("SELECT pg_sleep({seconds})"),
        );
    }
    fs::write(account.path("mute"), "").expect("there is room");
    let mute = refused(deploy(&account, files.path()));
    assert!(
        mute.contains("asleep") && mute.contains("it takes no traffic"),
        "{mute}"
    );
    assert_eq!(account.live(), good, "what does not answer has no traffic");
    assert!(
        mute.contains("going on") && mute.contains(r#""pending":[]"#),
        "all invocations: {mute}"
    );
    fs::remove_file(account.path("mute")).expect("it is ours");
    fs::write(account.path("broken"), "").expect("there is room");
    let broken = refused(deploy(&account, files.path()));
    assert!(broken.contains("failed to get /up"), "{broken}");
    assert_eq!(account.live(), good, "what gives no page has no traffic");
    fs::remove_file(account.path("broken")).expect("it is ours");

    let mended = deployed(&account, files.path());
    assert!(account.database.has("parts"));
    let newest = account.live();
    assert_ne!(newest, good);
    run(&mut account.script("rollback.sh"));
    assert_eq!(
        account.live(),
        good,
        "not the version that gave no page, either"
    );
    let listed = run(&mut account.script("versions.sh"));
    let live = listed.lines().find(|line| line.contains(" live"));
    assert!(live.is_some_and(|line| line.starts_with(&good)), "{listed}");
    let words = refused(account.script("rollback.sh"));
    assert!(words.contains("has the traffic already"), "{words}");
    let back = run(account.script("rollback.sh").env("TO", &newest));
    assert_eq!(account.live(), newest, "{back}");
    let mut nowhere = account.script("rollback.sh");
    nowhere.env("TO", "99");
    assert!(refused(nowhere).contains("failed to find version `99`"));

    let zip = fs::read(account.zip(files.path())).expect("it is there");
    let zip = String::from_utf8_lossy(&zip).into_owned();
    for text in [first, again, setting, failed, broken, mended, zip] {
        check_no_secret(&account, &text);
    }
    check_no_secret(&account, &account.local.log());
    check_destroy(&account);
}

#[test]
fn invalid_settings_are_refused_before_aws_is_called() {
    let files = tempfile::tempdir().expect("there is room");
    let settings = files.path().join("deploy.env");
    for (text, word) in [
        ("FUNCTION=--help\n", "--help"),
        ("FUNCTION=shop *\n", "shop *"),
        ("FUNCTION=Shop\n", "Shop"),
        ("PACKAGE=tar\n", "zip or image"),
        ("FUNCTION=shop\r\n", "a carriage return"),
        ("FUNCTION=shop\nexport A=b\n", "line 2 is not NAME=value"),
        ("FUNCTION=shop\nA = b\n", "line 2 is not NAME=value"),
        ("# Mine\nA=b\n\nA=c\n", "line 4 has A, as line 2 has"),
        ("AWS_PROFILE=me\n", "line 1 has AWS_PROFILE"),
        ("A=\"b\"\n", "quotes"),
        ("A=b \n", "a space at an end"),
    ] {
        fs::write(&settings, text).expect("there is room");
        for (shell, script) in [
            ("dash", "deploy.sh"),
            ("bash --posix", "push.sh"),
            ("busybox sh", "destroy.sh"),
            ("sh", "logs.sh"),
        ] {
            let mut words = shell.split(' ');
            let mut command = Command::new(words.next().expect("it is a shell"));
            command.args(words).arg(root().join("deploy").join(script));
            let nowhere = [
                ("PATH", "/usr/bin:/bin"),
                ("AWS_ENDPOINT_URL", "http://[::1]:1"),
            ];
            command.env("DEPLOY_ENV", &settings).envs(nowhere);
            let words = refused(command);
            assert!(words.contains("failed to read"), "{words}");
            assert!(words.contains(word), "{words}");
        }
    }
}

#[test]
fn a_program_that_lambda_cannot_start_is_not_packed() {
    needs!(Shipped, Zip);
    let dir = tempfile::tempdir().expect("there is room");
    let zip = dir.path().join("a.zip");
    let pack = |program: &Path, arch: &str| {
        let mut command = Command::new(root().join("deploy/zip.sh"));
        command.arg(program).args([&migrations(), &zip]);
        command.env("ARCH", arch);
        command
    };
    let words = refused(pack(Path::new("/bin/sh"), "x86_64"));
    assert!(words.contains("this machine's libraries"), "{words}");
    let words = refused(pack(&root().join("Makefile"), "x86_64"));
    assert!(words.contains("no Linux program"), "{words}");
    let words = refused(pack(&bootstrap(), "s390x"));
    assert!(words.contains("no program for s390x"), "{words}");
    assert!(!zip.exists(), "nothing was packed");
    run(&mut pack(&bootstrap(), std::env::consts::ARCH));
}

#[test]
fn a_container_builds_the_program_where_this_is_no_linux() {
    needs!(Shipped, Podman);
    let dir = tempfile::tempdir().expect("there is room");
    let darwin = "#!/bin/sh\n[ \"$1\" = -s ] && echo Darwin || exec /bin/uname \"$@\"\n";
    script(&dir.path().join("uname"), darwin);
    let path = std::env::var("PATH").unwrap_or_default();
    let mut build = Command::new(root().join("deploy/build.sh"));
    podman::be_known_to(&mut build);
    build
        .env("PATH", format!("{}:{path}", dir.path().display()))
        .envs([
            ("ARCH", std::env::consts::ARCH),
            ("HOST", std::env::consts::ARCH),
        ])
        .env("CONTAINER", "podman");
    let built = run(&mut build);
    let built = built.lines().last().expect("it prints the path");
    assert!(built.starts_with("target/deploy/"), "{built}");
    let zip = dir.path().join("a.zip");
    let mut pack = Command::new(root().join("deploy/zip.sh"));
    run(pack.args([&root().join(built), &migrations(), &zip]));
}

#[test]
fn a_lost_connection_rolls_back_one_migration_and_no_second() {
    needs!(Moto, AwsCli, Registry, Curl);
    let files = tempfile::tempdir().expect("there is room");
    for name in ["1_a", "2_b", "3_c"] {
        let table = &name[2..];
        let write = |end: &str, text: String| {
            fs::write(files.path().join(format!("{name}{end}")), text).expect("there is room");
        };
        write(".sql", format!("CREATE TABLE {table} (id int)"));
        write(".down.sql", format!("DROP TABLE {table}"));
    }
    let account = Account::new(files.path());
    account.settings("");
    run(account.make("migrate").arg("ON=aws"));
    // It sends the request on, and closes the connection instead of answering.
    let dropped = account.drops_answers();
    let said = run(account.make("rollback").arg("ON=aws"));
    assert_eq!(
        dropped.join().expect("it only sends"),
        1,
        "requests of the CLI"
    );
    assert!(said.contains(r#""version":"3""#), "{said}");
    assert!(
        account.database.has("b") && !account.database.has("c"),
        "{said}"
    );
}

#[test]
fn an_image_goes_to_the_registry_and_into_production() {
    needs!(Shipped, Moto, AwsCli, Registry, Zip, Curl, Podman);
    let account = Account::new(&migrations());
    account.settings("PACKAGE=image");
    let words = refused(account.make("plan"));
    assert!(words.contains("make push writes it"), "{words}");

    let watch = Watch::of(
        "create-function",
        vec![PASSWORD.to_string(), TOKEN.to_string()],
    );
    let first = run(&mut account.make("deploy"));
    watch.end();
    assert!(first.contains("/up\nup\n"), "{first}");
    let pushed = fs::read_to_string(account.path("image")).expect("push has written it");
    let address = format!("{ECR}/shop@sha256:");
    assert!(pushed.starts_with(&address), "{pushed}");
    assert!(is_at_aws(&account, pushed.trim()), "{first}");
    check_pulled(&account, pushed.trim());

    let again = run(&mut account.make("deploy"));
    assert!(again.contains("nothing changed"), "{again}");
    let planned = run(&mut account.make("plan"));
    assert!(planned.contains("nothing changed"), "{planned}");
    let url = run(&mut account.make("url"));
    assert!(first.ends_with(&url), "{url}");
    let status = run(account.make("status").arg("ON=aws"));
    assert!(status.contains(r#""pending":[]"#), "{status}");
    let checked = account.make("doctor").output().expect("make is there");
    assert!(said(&checked).contains(r#""check":"#), "{}", said(&checked));
    check_logs(&account);

    let good = account.live();
    let changed = run(account.make("deploy").arg("BASE=scratch"));
    assert!(changed.contains("update-function-code"), "{changed}");
    assert_ne!(account.live(), good);
    run(&mut account.make("rollback-code"));
    assert_eq!(account.live(), good);

    let mut zip = account.script("deploy.sh");
    zip.env("PACKAGE", "zip").arg(account.zip(&migrations()));
    let words = refused(zip);
    assert!(words.contains("AWS cannot make it PACKAGE=zip"), "{words}");
    check_destroy(&account);
}

fn deploy(account: &Account, migrations: &Path) -> Command {
    let mut command = account.script("deploy.sh");
    command.arg(account.zip(migrations));
    command
}

/// Deploys; returns the output.
#[track_caller]
fn deployed(account: &Account, migrations: &Path) -> String {
    run(&mut deploy(account, migrations))
}

/// Runs a command that has to fail; returns its output.
#[track_caller]
fn refused(mut command: Command) -> String {
    let output: Output = command.output().expect("it starts");
    assert!(!output.status.success(), "{}", said(&output));
    said(&output)
}

/// Checks that the URL is public, and that the role may write logs and nothing else.
fn check_rights(account: &Account) {
    let web = ["--function-name", "shop-web", "--qualifier", "live"];
    let policy = account.aws(&[&["lambda", "get-policy"][..], &web].concat());
    for statement in ["public-url", "public-invoke"] {
        assert!(policy.contains(statement), "{policy}");
    }
    let role = ["--role-name", "shop-eu-west-1", "--policy-name", "logs"];
    let query = ["--query", "PolicyDocument.Statement[].[Effect,Action]"];
    let rights = account.aws(&[&["iam", "get-role-policy"][..], &role, &query].concat());
    let rights: Vec<&str> = rights.split_whitespace().collect();
    assert!(
        rights.ends_with(&["Allow", "logs:CreateLogStream", "logs:PutLogEvents"])
            && rights.iter().filter(|word| **word == "Allow").count() == 1,
        "{rights:?}"
    );
}

/// Checks that the function's environment has its own address and the complete secrets.
fn check_environment(account: &Account, printed: &str) {
    let url = printed.lines().rfind(|line| line.starts_with("https://"));
    let function = ["--function-name", "shop-web", "--query", "Environment"];
    let environment =
        account.aws(&[&["lambda", "get-function-configuration"][..], &function].concat());
    for known in [url.expect("it says where"), PASSWORD, &account.secret()] {
        assert!(environment.contains(known), "AWS has to know all of it");
    }
}

#[track_caller]
fn check_no_secret(account: &Account, text: &str) {
    assert!(!text.contains(PASSWORD), "{text}");
    assert!(!text.contains(&account.secret()), "{text}");
}

fn is_at_aws(account: &Account, image: &str) -> bool {
    let functions = ["shop-web", "shop-migrations"];
    functions.iter().all(|function| {
        let query = ["--function-name", function, "--query", "Code.ImageUri"];
        let said = account.aws(&[&["lambda", "get-function"][..], &query].concat());
        said.contains(image)
    })
}

/// Pulls the image by the address that AWS has, and checks that it answers and holds no secret.
fn check_pulled(account: &Account, image: &str) {
    let empty_store = tempfile::tempdir().expect("there is room");
    let store = empty_store.path().display().to_string();
    let known = |arguments: &[&str]| {
        let mut command = podman(&["--root", &store, "--runroot", &store]);
        account.registry.be_known_to(&mut command);
        command.args(arguments);
        command
    };
    fs::write(account.path("nobody.json"), "{}").expect("there is room");
    let mut stranger = known(&["pull", image]);
    stranger.env("REGISTRY_AUTH_FILE", account.path("nobody.json"));
    let words = refused(stranger);
    assert!(words.contains("authentication required"), "{words}");
    run(&mut known(&["pull", "--quiet", image]));
    let saved = known(&["save", image]).output().expect("podman is there");
    assert!(saved.status.success(), "{}", said(&saved));
    check_no_secret(account, &String::from_utf8_lossy(&saved.stdout));
    check_answers(known(&[]), image);
}

fn check_logs(account: &Account) {
    let group = ["--log-group-name", "/aws/lambda/shop-web"];
    let stream = ["--log-stream-name", "2026/11/23/[1]a"];
    account.aws(&[&["logs", "create-log-stream"][..], &group, &stream].concat());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("it is after 1970").as_millis();
    let event = format!("timestamp={now},message=REPORT RequestId: 8f5");
    let events = ["--log-events", &event];
    account.aws(&[&["logs", "put-log-events"][..], &group, &stream, &events].concat());
    let logs = run(&mut account.make("logs"));
    assert_eq!(logs, "REPORT RequestId: 8f5\n");
    let none = run(account.make("logs").arg("FIND=nobody"));
    assert_eq!(none, "");
}

fn check_destroy(account: &Account) {
    let refused = account.destroy("another\n");
    assert!(!refused.status.success(), "{}", said(&refused));
    assert!(!account.live().is_empty(), "nothing was removed");
    let done = account.destroy("shop\n");
    assert!(done.status.success(), "{}", said(&done));
    for (list, query) in [
        (["lambda", "list-functions"], "Functions[].FunctionName"),
        (["iam", "list-roles"], "Roles[].RoleName"),
        (["logs", "describe-log-groups"], "logGroups[].logGroupName"),
        (
            ["ecr", "describe-repositories"],
            "repositories[].repositoryName",
        ),
    ] {
        let left = account.aws(&[&list[..], &["--query", query]].concat());
        assert!(!left.contains("shop"), "{left}");
    }
    assert!(
        account.database.has("items") || account.database.has("orders"),
        "it stays"
    );
}
