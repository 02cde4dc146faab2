//! `local` under clients that are slow, silent or too many, and `local` at its end, when requests are
//! in flight.
//!
//! Raw requests to the real executable.

use crate::support::{
    Database, Local, Program, SECRET, bootstrap, local, resident_kb, run, script, test_handler,
    wait_for,
};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

const UP: &str = "GET /up HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// A public server that may have 1,024 open files, as most systems allow.
struct Server {
    program: Program,
    address: String,
    _database: Database,
}

impl Server {
    #[track_caller]
    fn start() -> Server {
        let database = Database::new();
        let mut program = Program::start(
            Command::new("sh")
                .args(["-c", "ulimit -n 1024; exec \"$@\"", "sh"])
                .arg(local())
                .args(["--public", "127.0.0.1:0", "--attached", "--strict"])
                .arg("--bootstrap")
                .arg(bootstrap())
                .env_remove("APP_ENV")
                .env("SECRET_KEY_BASE", SECRET)
                .env("LAMBDA_FUNCTION_URL", "https://app.example.com")
                .env("DATABASE_URL", database.url()),
        );
        let url = program.first_line();
        let address = url.strip_prefix("http://").expect("it is a URL").to_owned();
        Server {
            program,
            address,
            _database: database,
        }
    }

    #[track_caller]
    fn send(&self, text: &str) -> TcpStream {
        send(&self.address, text)
    }

    /// Sends a whole request, and returns the status of its response.
    #[track_caller]
    fn up(&self) -> u16 {
        status(&read(&mut self.send(UP)))
    }

    fn files(&self) -> usize {
        let files = fs::read_dir(format!("/proc/{}/fd", self.program.pid()));
        files.expect("it runs").count()
    }

    fn threads(&self) -> usize {
        let threads = fs::read_dir(format!("/proc/{}/task", self.program.pid()));
        threads.expect("it runs").count()
    }

    /// Prints the resources that the server takes.
    fn print(&self, when: &str) {
        let (files, threads) = (self.files(), self.threads());
        let memory = resident_kb(self.program.pid());
        let log = self.program.log().len();
        println!("{when}: {files} files, {threads} threads, {memory} kB, {log} bytes of log");
    }
}

#[track_caller]
fn send(address: &str, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let sent = stream.write_all(text.as_bytes());
    sent.expect("it takes a request");
    stream
}

#[track_caller]
fn read(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn status(answer: &str) -> u16 {
    let code = answer.get(9..12).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status: {answer:?}"))
}

#[test]
fn half_requests_above_the_limit_of_connections_delay_others_for_half_a_minute_at_most() {
    let server = Server::start();
    assert_eq!(server.up(), 200);
    server.print("before");
    let half = "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ";
    let slow: Vec<TcpStream> = (0..300).map(|_| server.send(half)).collect();
    let begun = Instant::now();
    wait_for("the connections to be accepted", || {
        (server.threads() > 256).then_some(())
    });
    server.print("under 300 half requests");
    let (files, threads) = (server.files(), server.threads());
    assert!(files < 650 && threads < 320, "{files} and {threads}");
    // Waits in the kernel's queue until the first of them have been silent for too long.
    assert_eq!(server.up(), 200);
    println!("a request behind them took {:?}", begun.elapsed());
    server.print("after it");
    let log = server.program.log();
    assert!(log.len() < 100_000, "{} bytes of log", log.len());
    drop(slow);
}

#[test]
fn a_hundred_unfinished_bodies_take_a_bounded_memory_and_keep_no_form_out() {
    let server = Server::start();
    assert_eq!(server.up(), 200);
    let before = resident_kb(server.program.pid());
    server.print("before");
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6000000\r\n\r\n";
    let part = vec![b'x'; 5_900_000];
    let bodies: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = server.send(head);
            stream.write_all(&part).expect("the server reads it away");
            stream
        })
        .collect();
    server.print("under 100 unfinished bodies");
    let grown = resident_kb(server.program.pid()) - before;
    assert!(grown < 200_000, "{grown} kB");
    let form = format!(
        "POST /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 20000\r\n\r\n{}",
        "x".repeat(20_000)
    );
    let answer = read(&mut server.send(&form));
    assert_eq!(status(&answer), 403, "the tool has seen it: {answer}");
    assert_eq!(server.up(), 200);
    // The last one found no room. It is told so as soon as it has sent the rest.
    let mut last = bodies.into_iter().next_back().expect("there are some");
    last.write_all(&[b'x'; 100_000]).expect("it is open");
    let mut answer = [0; 12];
    last.read_exact(&mut answer).expect("it is answered");
    assert_eq!(status(&String::from_utf8_lossy(&answer)), 503);
    wait_for("the memory of clients that are gone to be free", || {
        let room = resident_kb(server.program.pid()) < before + 60_000;
        room.then_some(())
    });
}

#[test]
fn a_client_without_x_forwarded_for_has_the_address_of_its_own_connection() {
    let server = Server::start();
    let port = server.address.rsplit_once(':').expect("it has a port").1;
    let script = format!(
        "import socket\n\
         for host in ('127.0.0.7', '127.0.0.8'):\n    \
             peer = socket.create_connection(('127.0.0.1', {port}), source_address=(host, 0))\n    \
             peer.sendall(b'GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n')\n    \
             while peer.recv(4096): pass\n"
    );
    run(Command::new("python3").args(["-c", &script]));
    for address in ["127.0.0.7", "127.0.0.8"] {
        let line = format!("GET / 403 for {address}");
        wait_for(&line, || server.program.log().contains(&line).then_some(()));
    }
}

#[test]
fn each_page_request_is_a_line_in_the_log_without_a_token_and_an_address() {
    let database = Database::new();
    let local = Local::start(&database);
    assert_eq!(local.get("/up").0, 200);
    local.response("GET", "/sign%2Din/SECRETTOKEN?q=SECRETQUERY");
    local.response("GET", "/sign-in%2FSECRETTOKEN");
    local.response("GET", "/row/SECRET%40example.com");
    local.expect_log("GET /up 200");
    local.expect_log("GET /sign-in/[filtered] 303");
    local.expect_log("GET /row/[filtered] 303");
    let lines = local.log();
    let lines = lines.lines().filter(|line| line.starts_with("GET "));
    assert_eq!(lines.filter(|line| line.contains("SECRET")).count(), 0);
}

#[test]
fn a_request_for_the_server_itself_is_refused_and_is_no_event() {
    let database = Database::new();
    let local = Local::start(&database);
    let request = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let answer = read(&mut send(&address(&local), request));
    assert_eq!(status(&answer), 400, "{answer}");
    assert!(local.environments().is_empty(), "{}", local.log());
}

#[test]
fn a_reply_that_is_no_response_is_a_line_in_the_log() {
    let database = Database::new();
    let local = Local::with(&database)
        .bootstrap(&test_handler())
        .args(["--functions", "test_handler=test_handler"])
        .start();
    // The handler replies with the event, and so with the request's own fields.
    assert_eq!(local.get("/").0, 200);
    let dir = tempfile::tempdir().expect("there is room");
    let runtime = dir.path().join("bootstrap");
    script(
        &runtime,
        "#!/bin/sh\n\
         api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\n\
         while head=$(curl -s -D - -o /dev/null $api/next); do\n\
         id=$(printf '%s' \"$head\" | tr -d '\\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')\n\
         nonce=$(printf '%s' \"$head\" | tr -d '\\r' | sed -n 's/^Lambda-Runtime-Invocation-Id: //p')\n\
         curl -s -o /dev/null -H 'Content-Type: application/json' \\\n\
         -H \"Lambda-Runtime-Invocation-Id: $nonce\" -d '{\"statusCode\":99}' $api/$id/response\n\
         done\n",
    );
    let local = Local::with(&database).bootstrap(&runtime).start();
    assert_eq!(local.get("/").0, 502);
    local.expect_log("failed to read the reply of `web` as a response: its statusCode is 99");
}

/// Starts a function that hangs until its timeout of two seconds, with one request in flight.
fn local_with_a_request(database: &Database) -> (Local, TcpStream) {
    let local = Local::with(database)
        .bootstrap(&test_handler())
        .args(["--functions", "test_handler=test_handler", "--timeout", "2"])
        .start();
    let event = r#"{"do":"hang"}"#;
    let request = format!(
        "POST /2015-03-31/functions/test_handler/invocations HTTP/1.1\r\n\
         Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{event}",
        event.len()
    );
    let stream = send(&address(&local), &request);
    local.expect_log("START RequestId: ");
    (local, stream)
}

fn address(local: &Local) -> String {
    local.url().replace("http://localhost", "127.0.0.1")
}

#[test]
fn a_request_in_flight_is_answered_before_the_end_and_a_new_one_is_refused() {
    let database = Database::new();
    for signal in ["TERM", "INT"] {
        let (mut local, mut stream) = local_with_a_request(&database);
        local.signal(signal);
        wait_for("a new request to be refused", || {
            let answer = read(&mut send(&address(&local), UP));
            let is_refused = status(&answer) == 503 && answer.contains("retry-after: ");
            is_refused.then_some(())
        });
        let answer = read(&mut stream);
        assert!(answer.contains("Task timed out after 2.00"), "{answer}");
        assert!(local.wait().success(), "{}", local.log());
    }
}

#[test]
fn a_second_signal_does_not_wait_for_requests_in_flight() {
    let database = Database::new();
    let (mut local, mut stream) = local_with_a_request(&database);
    let begun = Instant::now();
    local.signal("TERM");
    wait_for("a new request to be refused", || {
        let answer = read(&mut send(&address(&local), UP));
        (status(&answer) == 503).then_some(())
    });
    local.signal("TERM");
    assert!(local.wait().success(), "{}", local.log());
    assert!(begun.elapsed() < Duration::from_millis(1900));
    let mut answer = Vec::new();
    // The connection may be closed, or the answer says that the process was ended.
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("Task timed out"));
}
