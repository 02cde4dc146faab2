//! Sends a request's head and the beginning of its body in one write.
//!
//! ureq flushes the head before it asks for the body: two packets, and two wake-ups of a Runtime
//! API that may answer a write with a delayed acknowledgement. Knows HTTP's blank line, no more.

use std::mem;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};

/// Wraps the transport that the connector before it made.
#[derive(Debug)]
pub struct OneWrite;

/// A transport that keeps the head of a POST back until its body comes.
#[derive(Debug)]
pub struct HeadWithBody<T> {
    transport: T,
    head: Vec<u8>,
}

/// A plain TCP connector whose requests leave in one write.
pub fn connector() -> impl Connector {
    TcpConnector::default().chain(OneWrite)
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
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.head.is_empty() && self.transport.is_open()
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
