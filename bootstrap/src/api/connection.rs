//! The connection to the Runtime API: a request leaves in one write, and an address is not looked up.
//!
//! ureq flushes the head before it asks for the body: two packets, and two wake-ups of a Runtime
//! API that may answer a write with a delayed acknowledgement. And it looks at the socket, with three
//! system calls, before and after every use. Knows HTTP's blank line, no more.

use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};
use ureq::{Agent, Error};

/// A connection that has been used within this time is not looked at: the other side has no reason
/// to close it, and after a freeze, or a handler that took its time, it is.
const FRESH: Duration = Duration::from_secs(1);

/// An agent whose connections are such.
pub fn agent(config: Config, address: &str) -> Agent {
    let address = address.parse().ok();
    Agent::with_parts(
        config,
        TcpConnector::default().chain(OneWrite),
        Numeric(address),
    )
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

/// Wraps the transport that the connector before it made.
#[derive(Debug)]
struct OneWrite;

/// A transport that keeps the head of a POST back until its body comes.
#[derive(Debug)]
struct HeadWithBody<T> {
    transport: T,
    head: Vec<u8>,
    used: Instant,
}

impl<T: Transport> Connector<T> for OneWrite {
    type Out = HeadWithBody<T>;

    fn connect(
        &self,
        _: &ConnectionDetails,
        chained: Option<T>,
    ) -> Result<Option<Self::Out>, Error> {
        Ok(chained.map(|transport| HeadWithBody {
            transport,
            head: Vec::new(),
            used: Instant::now(),
        }))
    }
}

impl<T: Transport> Transport for HeadWithBody<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let sent = &self.transport.buffers().output()[..amount];
        if self.head.is_empty() && sent.starts_with(b"POST ") && sent.ends_with(b"\r\n\r\n") {
            self.head.extend_from_slice(sent);
            return Ok(());
        }
        match self.head.is_empty() {
            true => self.transport.transmit_output(amount, timeout),
            false => self.transmit_behind_head(amount, timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.head.is_empty() {
            self.transmit_behind_head(0, timeout)?;
        }
        let answer = self.transport.await_input(timeout);
        self.used = Instant::now();
        answer
    }

    fn is_open(&mut self) -> bool {
        self.head.is_empty() && (self.used.elapsed() < FRESH || self.transport.is_open())
    }
}

impl<T: Transport> HeadWithBody<T> {
    /// Sends the head and, behind it, the first `amount` bytes of the output buffer, in as few
    /// writes as the buffer's size allows.
    fn transmit_behind_head(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut message = mem::take(&mut self.head);
        message.extend_from_slice(&self.transport.buffers().output()[..amount]);
        let size = self.transport.buffers().output().len();
        for part in message.chunks(size) {
            self.transport.buffers().output()[..part.len()].copy_from_slice(part);
            self.transport.transmit_output(part.len(), timeout)?;
        }
        Ok(())
    }
}
