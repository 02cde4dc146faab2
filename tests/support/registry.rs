//! A registry of images under the host name of the account's ECR: Debian's `docker-registry` with TLS and
//! a password, and a proxy that connects the host name to it. Knows no image.

use super::proxy::{clone, copy};
use super::{Part, Program, free_port, wait_for};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

/// The user `AWS` with the password that moto's `ecr get-login-password` returns, hashed with bcrypt as the
/// registry needs it.
const USERS: &str = "AWS:$2y$05$abcdefghijklmnopqrstuu/4ofrUS75HrKu6f.iuRo0I/XlrmpqlC";

/// A running registry.
pub(crate) struct Registry {
    _program: Program,
    dir: tempfile::TempDir,
    port: u16,
    proxy: u16,
}

impl Registry {
    /// Starts a registry with the host name `host`.
    #[track_caller]
    pub(crate) fn start(host: &'static str) -> Registry {
        let dir = tempfile::tempdir().expect("there is room");
        let key = rcgen::generate_simple_self_signed([host.to_string()]).expect("a valid name");
        let port = free_port();
        let path = dir.path().display();
        let configuration = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {path}}}}}\n\
             http: {{addr: '127.0.0.1:{port}', tls: {{certificate: {path}/cert.pem, key: {path}/key.pem}}}}\n\
             auth: {{htpasswd: {{realm: ECR, path: {path}/users}}}}\n"
        );
        for (name, text) in [
            ("cert.pem", key.cert.pem()),
            ("key.pem", key.signing_key.serialize_pem()),
            ("users", USERS.to_string()),
            ("registry.yml", configuration),
        ] {
            fs::write(dir.path().join(name), text).expect("there is room");
        }
        let mut command = Command::new(Part::Registry.path());
        let mut program = Program::start(command.arg("serve").arg(dir.path().join("registry.yml")));
        program.ignore_output();
        wait_for("docker-registry to listen", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Registry {
            _program: program,
            dir,
            port,
            proxy: lead(host, port),
        }
    }

    /// Configures a command to reach the registry and to trust its certificate.
    pub(crate) fn be_known_to(&self, command: &mut Command) {
        command
            .env("HTTPS_PROXY", format!("http://127.0.0.1:{}", self.proxy))
            .env("SSL_CERT_FILE", self.dir.path().join("cert.pem"))
            .env("REGISTRY_AUTH_FILE", self.dir.path().join("auth.json"));
    }

    /// Returns the address of the registry by its port, for `curl --insecure`.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

/// Starts a proxy for CONNECT (RFC 9110, §9.3.6) that connects `host` to a port of this machine; returns the
/// port of the proxy.
fn lead(host: &'static str, port: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    let proxy = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || tunnel(client, host, port));
        }
    });
    proxy
}

fn tunnel(mut client: TcpStream, host: &str, port: u16) {
    let mut head = BufReader::new(clone(&client)).lines().map_while(Result::ok);
    let request = head.next().unwrap_or_default();
    head.find(String::is_empty);
    let target = request.split(' ').nth(1).unwrap_or_default();
    let server = match target == format!("{host}:443") {
        true => TcpStream::connect(("127.0.0.1", port)),
        false => TcpStream::connect(target),
    };
    let Ok(server) = server else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
        return;
    };
    let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    let (from_server, to_client) = (clone(&server), clone(&client));
    thread::spawn(move || copy(from_server, to_client));
    copy(client, server);
}
