//! A Runtime API that does what a test says, down to the bytes: what no honest server sends, the
//! real executable has to meet too. Plain sockets; checks nothing by itself.

use super::program::Program;
use super::{PATIENCE, wait_for};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// The API's side, and the process that asks it.
pub struct RuntimeApi {
    listener: TcpListener,
    connection: Option<BufReader<TcpStream>>,
    program: Option<Program>,
}

/// A request as it came.
#[derive(Debug)]
pub struct Request {
    /// Method and target.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, by its Content-Length.
    pub body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl RuntimeApi {
    /// An API, and an executable that is told of it.
    pub fn with(executable: &Path, handler: &str, variables: &[(&str, &str)]) -> RuntimeApi {
        let mut api = RuntimeApi::listen();
        let address = api.listener.local_addr().expect("it is bound").to_string();
        api.start(executable, handler, &address, variables);
        api
    }

    /// An API that nobody has been told of.
    pub fn listen() -> RuntimeApi {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        listener.set_nonblocking(true).expect("it is ours");
        RuntimeApi {
            listener,
            connection: None,
            program: None,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.listener.local_addr().expect("it is bound").port()
    }

    /// Starts the executable with an address of this API.
    pub fn start(
        &mut self,
        executable: &Path,
        handler: &str,
        address: &str,
        variables: &[(&str, &str)],
    ) {
        let mut command = Command::new(executable);
        command
            .env("AWS_LAMBDA_RUNTIME_API", address)
            .env("_HANDLER", handler);
        command.envs(variables.iter().copied());
        self.program = Some(Program::start(&mut command));
    }

    /// The next request, on the connection at hand or, when that is closed, on a new one.
    #[track_caller]
    pub fn request(&mut self) -> Request {
        loop {
            let connection = self
                .connection
                .get_or_insert_with(|| accept(&self.listener));
            match read(connection) {
                Some(request) => return request,
                None => self.connection = None,
            }
        }
    }

    /// What one read of the connection at hand gives: what the other side wrote in one write.
    pub fn one_read(&mut self) -> Vec<u8> {
        let connection = self.connection.as_mut().expect("there was a request");
        connection
            .fill_buf()
            .expect("the other side writes")
            .to_vec()
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let connection = self.connection.as_mut().expect("there was a request");
        connection
            .get_mut()
            .write_all(bytes.as_ref())
            .expect("the other side listens");
    }

    /// Closes the connection at hand.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// Answers a request with a status and a JSON body.
    pub fn reply(&mut self, status: u16, body: &str) {
        let length = body.len();
        self.send(format!(
            "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
    }

    /// Waits for the `/next` that is asked for, and hands an event over.
    #[track_caller]
    pub fn hand(&mut self, id: &str, event: impl AsRef<[u8]>) {
        self.hand_with(id, "", event);
    }

    /// The same with more headers, each ending in CR LF.
    #[track_caller]
    pub fn hand_with(&mut self, id: &str, headers: &str, event: impl AsRef<[u8]>) {
        self.expect_next();
        let event = event.as_ref();
        self.send(format!(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n{headers}\
             Content-Length: {}\r\n\r\n",
            event.len()
        ));
        self.send(event);
    }

    /// The next request has to be `/next`.
    #[track_caller]
    pub fn expect_next(&mut self) -> Request {
        let request = self.request();
        assert_eq!(
            request.line,
            "GET /2018-06-01/runtime/invocation/next HTTP/1.1"
        );
        request
    }

    /// The next request has to be the answer to an invocation; takes it.
    #[track_caller]
    pub fn expect_answer(&mut self, id: &str, what: &str) -> Request {
        let request = self.request();
        let line = format!("POST /2018-06-01/runtime/invocation/{id}/{what} HTTP/1.1");
        assert_eq!(
            request.line,
            line,
            "{}",
            String::from_utf8_lossy(&request.body)
        );
        self.reply(202, r#"{"status":"OK"}"#);
        request
    }

    /// Hands an event over to a `/next` that has been read.
    pub fn hand_over(&mut self, id: &str, event: &str) {
        let length = event.len();
        self.send(format!(
            "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n\
             Content-Length: {length}\r\n\r\n{event}"
        ));
    }

    /// Answers every request with the same bytes, until the executable ends.
    #[track_caller]
    pub fn answer_all_with(&mut self, bytes: &str) -> (ExitStatus, String) {
        let program = self.program.as_mut().expect("it was started");
        wait_for("the executable to end", || {
            if let Ok((connection, _)) = self.listener.accept() {
                connection.set_nonblocking(false).expect("it is ours");
                let mut connection = BufReader::new(connection);
                read(&mut connection);
                // Who has heard enough hangs up.
                let _ = connection.get_mut().write_all(bytes.as_bytes());
            }
            program.has_ended().then_some(())
        });
        self.end()
    }

    /// Another connection to the same API, as an API of its own.
    #[track_caller]
    pub fn take_connection(&self) -> RuntimeApi {
        let listener = self.listener.try_clone().expect("it is ours");
        let connection = Some(accept(&listener));
        RuntimeApi {
            listener,
            connection,
            program: None,
        }
    }

    /// From now on, nobody can connect.
    pub fn stop_listening(&mut self) {
        let other = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        self.listener = other;
    }

    /// Whether somebody wants another connection.
    pub fn is_called(&self) -> bool {
        self.listener.accept().is_ok()
    }

    /// What the executable has logged.
    pub fn log(&self) -> String {
        self.program().log()
    }

    /// The executable.
    pub fn program(&self) -> &Program {
        self.program.as_ref().expect("it was started")
    }

    /// Waits for the executable's end; its status and its whole log.
    #[track_caller]
    pub fn end(&mut self) -> (ExitStatus, String) {
        let program = self.program.as_mut().expect("it was started");
        (program.wait(), program.whole_log())
    }
}

#[track_caller]
fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (connection, _) = wait_for("the runtime to connect", || listener.accept().ok());
    connection.set_nonblocking(false).expect("it is ours");
    connection
        .set_read_timeout(Some(PATIENCE))
        .expect("it is ours");
    // Two small writes in a row cost 40 ms without it.
    connection.set_nodelay(true).expect("it is ours");
    BufReader::new(connection)
}

/// A request; none when the connection is closed.
#[track_caller]
fn read(connection: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = Vec::new();
        match connection.read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) if line == b"\r\n" => break,
            Ok(_) => lines.push(String::from_utf8_lossy(line.trim_ascii_end()).into_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no request: {error}"),
        }
    }
    let mut lines = lines.into_iter();
    let line = lines.next().expect("a request has a first line");
    let headers: Vec<(String, String)> = lines
        .map(|header| {
            let (name, value) = header.split_once(':').expect("a header has a colon");
            (name.to_ascii_lowercase(), value.trim().to_string())
        })
        .collect();
    let mut request = Request {
        line,
        headers,
        body: Vec::new(),
    };
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().expect("it is a number"));
    request.body.resize(length, 0);
    connection
        .read_exact(&mut request.body)
        .expect("the body is whole");
    Some(request)
}
