//! The connection to the Runtime API, as ureq's transport: what ureq's own does beyond a socket on
//! this machine, its first request would pay for.
//!
//! A request leaves in one write, an address in numbers is not looked up, the buffers are as large
//! as what comes, and a connection in use is not asked whether it is open. Knows HTTP's blank line,
//! no more.

mod buffers;

use buffers::Halves;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Agent, Error};

/// A connection that has been used within this time is not looked at: the other side has no reason
/// to close it, and after a freeze, or a handler that took its time, it is.
const FRESH: Duration = Duration::from_secs(1);

/// What a write may take, of which no request here has more than a few.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// An agent whose connections are such; `address` is a host and a port.
pub fn agent(config: Config, address: &str) -> Agent {
    Agent::with_parts(config, Tcp, Numeric(address.parse().ok()))
}

/// The address that was given in numbers, as Lambda gives it; else the system's answer.
#[derive(Debug)]
struct Numeric(Option<SocketAddr>);

impl Resolver for Numeric {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let Some(address) = self.0 else {
            return DefaultResolver::default().resolve(uri, config, timeout);
        };
        let mut addresses = self.empty();
        addresses.push(address);
        Ok(addresses)
    }
}

#[derive(Debug)]
struct Tcp;

impl Connector for Tcp {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let stream = TcpStream::connect(&details.addrs[..])?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        Ok(Some(Connection {
            stream,
            buffers: Halves::default(),
            read_timeout: None,
            used: Instant::now(),
        }))
    }
}

struct Connection {
    stream: TcpStream,
    buffers: Halves,
    /// As the socket has it.
    read_timeout: Option<Duration>,
    used: Instant,
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        match self.buffers.hold_head(amount) {
            true => Ok(()),
            false => self.write(amount, timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.buffers.holds_head() {
            self.write(0, timeout)?;
        }
        self.set_read_timeout(timeout)?;
        let amount = loop {
            match self.stream.read(self.buffers.input_append_buf()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error, timeout)),
                Ok(amount) => break amount,
            }
        };
        self.used = Instant::now();
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        !self.buffers.holds_head() && (self.used.elapsed() < FRESH || self.is_silent())
    }
}

impl Connection {
    /// Sends what was held back and, behind it, so many bytes of the output buffer.
    fn write(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let message = self.buffers.take_output(amount);
        let written = self.stream.write_all(message);
        written.map_err(|error| timed_out(error, timeout))
    }

    /// In whole seconds, so that a request that has used up a little of them costs no system call.
    fn set_read_timeout(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let left = timeout
            .not_zero()
            .map(|left| Duration::from_secs(left.as_secs() + 1));
        if left != self.read_timeout {
            self.stream.set_read_timeout(left)?;
            self.read_timeout = left;
        }
        Ok(())
    }

    /// Whether there is nothing to read: neither an end nor what nobody has asked for.
    fn is_silent(&self) -> bool {
        let peek = || {
            self.stream.set_nonblocking(true)?;
            let peeked = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            peeked
        };
        peek().is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

fn timed_out(error: std::io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

/// Without the buffers: they hold events.
impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        self.stream.fmt(out)
    }
}
