//! The connection to the Runtime API: a transport for ureq that costs the first request less than
//! ureq's own transport does.
//!
//! A request is sent in one write, a numeric address is not resolved, the buffers start small, and
//! a connection that was just used is not checked. Of HTTP, knows only the head of a POST and the
//! blank line that ends it.

mod buffers;

use buffers::IoBuffers;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};
use ureq::{Agent, Error};

/// The time after its last use in which a connection is taken for open, as the Runtime API has no
/// reason to close it. After a freeze or a slow handler, more time has passed, and it is checked.
const FRESH: Duration = Duration::from_secs(1);

/// The timeout of each write to the socket; no request here has more than a few.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Creates an agent with this transport; `address` is `host:port`.
pub(super) fn agent(config: Config, address: &str) -> Agent {
    Agent::with_parts(config, Tcp, Numeric(address.parse().ok()))
}

/// Resolves to the numeric address that Lambda gave; without one, asks the system.
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
            buffers: IoBuffers::default(),
            read_timeout: None,
            used: Instant::now(),
        }))
    }
}

struct Connection {
    stream: TcpStream,
    buffers: IoBuffers,
    /// The timeout that is set on the socket.
    read_timeout: Option<Duration>,
    /// When the connection was made, or was last read from.
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
    /// Sends the head that was held back, if any, and then `amount` bytes of output.
    fn write(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let message = self.buffers.take_output(amount);
        let written = self.stream.write_all(message);
        written.map_err(|error| timed_out(error, timeout))
    }

    /// Sets the timeout of reads, rounded up to whole seconds: a timeout that is only a little
    /// shorter than the last one is then the same, and costs no system call.
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

    /// Returns whether there is nothing to read: neither the end nor bytes that were not requested.
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

/// Leaves the buffers out, because they hold events.
impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        self.stream.fmt(out)
    }
}
