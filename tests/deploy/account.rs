//! An AWS account on moto, its functions under `local`, and the machine that deploys to it. Asserts
//! nothing.

use crate::support::{
    Database, Local, Part, Program, Registry, bootstrap, free_port, podman, root, run, said,
    script, wait_for,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The database's password. Only AWS may get it.
pub(super) const PASSWORD: &str = "geheim%22%5Cgeheim";

/// The host of moto's ECR.
pub(super) const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com";

/// The password for ECR that moto gives.
pub(super) const TOKEN: &str = "123456789012-auth-token";

/// A new account.
pub(super) struct Account {
    _moto: Program,
    pub local: Local,
    pub database: Database,
    pub registry: Registry,
    endpoint: String,
    dir: tempfile::TempDir,
}

impl Account {
    /// Starts moto, `local` with these migrations, and a registry.
    pub(super) fn new(migrations: &Path) -> Account {
        let dir = tempfile::tempdir().expect("there is room");
        fs::create_dir(dir.path().join("bin")).expect("there is room");
        let database = Database::new();
        let local = Local::with(&database)
            .migrations(migrations)
            .args(["--functions", "shop-web=http,shop-migrations=migrate"])
            .args(["--timeout", "5"])
            .start();
        let port = free_port();
        let python = Part::Moto.path();
        let mut command = Command::new(&python);
        command
            .arg(python.with_file_name("moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .env("MOTO_LAMBDA_STUB_ECR", "false");
        let moto = Program::start(&mut command);
        let endpoint = format!("http://127.0.0.1:{port}");
        wait_for("moto to listen", || ureq::get(&endpoint).call().ok());
        let config = ureq::post(format!("{endpoint}/moto-api/config"))
            .send(r#"{"lambda":{"use_docker":false}}"#);
        config.expect("moto takes its configuration");
        let account = Account {
            _moto: moto,
            local,
            database,
            registry: Registry::start(ECR),
            endpoint,
            dir,
        };
        account.stand_in();
        account
    }

    /// Writes an `aws` and a `curl` that redirect what moto only simulates: invocations and requests to
    /// the function's address go to `local`, and an image in the registry is listed in moto's ECR.
    fn stand_in(&self) {
        let cli = std::env::var("AWS_CLI").unwrap_or_else(|_| {
            let python = Part::AwsCli.path();
            format!(
                "{} {}",
                python.display(),
                python.with_file_name("aws").display()
            )
        });
        let (local, registry, dir) = (self.local.url(), self.registry.url(), self.dir.path());
        let (dir, curl) = (dir.display(), Part::Curl.path());
        let curl = curl.display();
        let netrc = format!("machine 127.0.0.1 login AWS password {TOKEN}");
        fs::write(self.path("netrc"), netrc).expect("there is room");
        self.program(
            "aws",
            &format!(
                r#"#!/bin/sh
case "$1 $2" in
"lambda invoke")
    export AWS_ENDPOINT_URL={local}
    if [ -e {dir}/dropped ]; then
        AWS_ENDPOINT_URL=$(cat {dir}/dropped)
        rm {dir}/dropped
    fi
    case "$* $(ls {dir})" in
    *--qualifier*mute*)
        for file; do :; done
        echo '{{"statusCode":503,"body":"asleep"}}' >"$file"
        printf 'None\t\n'
        exit ;;
    esac ;;
"lambda create-function")
    if rm {dir}/new-role 2>/dev/null; then
        echo 'InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda.' >&2
        exit 254
    fi ;;
"ecr describe-images")
    tag=$(echo "$@" | sed 's/.*imageTag=\([^ ]*\).*/\1/')
    curl --insecure --silent --fail --netrc-file {dir}/netrc --dump-header {dir}/head \
        --header 'Accept: application/vnd.oci.image.manifest.v1+json' \
        --header 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
        {registry}/v2/shop/manifests/"$tag" >{dir}/manifest
    "$0" ecr put-image --repository-name shop --image-tag "$tag" --image-manifest file://{dir}/manifest \
        --image-digest "$(sed -n 's/\r$//; s/^docker-content-digest: //Ip' {dir}/head)" >/dev/null 2>&1 ;;
esac
exec {cli} "$@"
"#
            ),
        );
        self.program(
            "curl",
            &format!(
                r#"#!/bin/sh
case "$*" in *--insecure*) exec {curl} "$@" ;; esac
[ ! -e {dir}/broken ] || exit 22
for url; do :; done
exec /usr/bin/env -i {curl} -sf {local}/"${{url##*/}}"
"#
            ),
        );
    }

    fn program(&self, name: &str, text: &str) {
        script(&self.path("bin").join(name), text);
    }

    /// Returns the path of a file on the machine that deploys.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `deploy.env`; keeps the secret that a deploy has made.
    pub(super) fn settings(&self, lines: &str) {
        let path = self.path("deploy.env");
        let old = fs::read_to_string(&path).unwrap_or_default();
        let secret = old
            .lines()
            .find(|line| line.starts_with("SECRET_KEY_BASE="));
        let text = format!(
            "FUNCTION=shop\n{lines}\nDATABASE_URL=postgres://u:{PASSWORD}@h/db\n{}\n",
            secret.unwrap_or_default()
        );
        fs::write(path, text).expect("there is room");
    }

    /// Returns the secret that the first deploy has made.
    pub(super) fn secret(&self) -> String {
        let text = fs::read_to_string(self.path("deploy.env")).expect("it is there");
        let secret = text
            .lines()
            .find_map(|line| line.strip_prefix("SECRET_KEY_BASE="));
        secret.expect("a deploy has made one").to_string()
    }

    /// Has the next invocation lose its connection when the answer comes. The thread returns how many
    /// requests the CLI has sent there until another invocation was answered.
    pub(super) fn drops_answers(&self) -> JoinHandle<usize> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("it listens");
        fs::write(self.path("dropped"), format!("http://{address}")).expect("there is room");
        let local = self.local.url().replace("http://", "");
        thread::spawn(move || {
            let (mut client, _) = listener.accept().expect("the CLI connects");
            let mut server = TcpStream::connect(local).expect("it listens");
            let mut request = [0; 64 * 1024];
            // The answer comes when the request has been sent whole.
            let length = client.read(&mut request).expect("the CLI sends");
            server.write_all(&request[..length]).expect("it reads");
            client
                .set_read_timeout(Some(Duration::from_millis(500)))
                .expect("it is open");
            while let Ok(length @ 1..) = client.read(&mut request) {
                server.write_all(&request[..length]).expect("it reads");
            }
            let answered = server.read(&mut request).expect("it answers");
            assert!(answered > 0, "it answers");
            drop(client);
            listener.set_nonblocking(true).expect("it is open");
            let deadline = Instant::now() + Duration::from_secs(6);
            let mut requests = 1;
            while Instant::now() < deadline {
                requests += usize::from(listener.accept().is_ok());
                thread::sleep(Duration::from_millis(50));
            }
            requests
        })
    }

    /// Returns the command for a script of `deploy/`.
    pub(super) fn script(&self, name: &str) -> Command {
        self.here(&root().join("deploy").join(name))
    }

    /// Returns the command for a target of `make`, which builds an image with podman.
    pub(super) fn make(&self, target: &str) -> Command {
        let mut command = self.here(Path::new("make"));
        podman::be_known_to(&mut command);
        self.registry.be_known_to(&mut command);
        command
            .current_dir(root())
            .args([target, "CONTAINER=podman", "IMAGE=plain-lambda-deploy"])
            .arg(format!("PUSHED={}", self.path("image").display()))
            .arg(format!("ZIP={}", self.path("made.zip").display()));
        command
    }

    fn here(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("DEPLOY_ENV", self.path("deploy.env"))
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_DEFAULT_REGION", "eu-west-1");
        // Removes the user's settings, and those of the `make` that runs the tests, under which an inner
        // `make` prints more.
        for setting in [
            "AWS_REGION",
            "PACKAGE",
            "ARCH",
            "PLAN",
            "MAKEFLAGS",
            "MAKELEVEL",
        ] {
            command.env_remove(setting);
        }
        command
    }

    /// Makes a zip of the executable and these migrations.
    pub(super) fn zip(&self, migrations: &Path) -> PathBuf {
        let zip = self.path("shop.zip");
        run(self.script("zip.sh").args([&bootstrap(), migrations, &zip]));
        zip
    }

    /// Runs the CLI; returns its output.
    pub(super) fn aws(&self, arguments: &[&str]) -> String {
        let mut command = self.here(&self.path("bin/aws"));
        command.args(arguments).args(["--output", "text"]);
        said(&command.output().expect("the CLI starts"))
    }

    /// Returns the version that has the traffic.
    pub(super) fn live(&self) -> String {
        let alias = ["lambda", "get-alias", "--function-name", "shop-web"];
        let query = ["--name", "live", "--query", "FunctionVersion"];
        let said = self.aws(&[alias, query].concat());
        said.lines().nth(1).unwrap_or_default().to_string()
    }

    /// Runs `destroy.sh` and answers its question.
    pub(super) fn destroy(&self, answer: &str) -> Output {
        let input = self.path("answer");
        fs::write(&input, answer).expect("there is room");
        let mut command = self.script("destroy.sh");
        command.stdin(fs::File::open(input).expect("it was written"));
        command.output().expect("sh is there")
    }
}
