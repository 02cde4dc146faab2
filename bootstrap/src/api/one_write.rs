//! Sends a request's head and the beginning of its body in one write.
//!
//! ureq flushes the head before it asks for the body: two packets, and two wake-ups of a Runtime
//! API that may answer a write with a delayed acknowledgement. Knows HTTP's blank line, no more.

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
        let output = self.transport.buffers().output();
        if output.starts_with(b"POST ") && output[..amount].ends_with(b"\r\n\r\n") {
            self.head.extend_from_slice(&output[..amount]);
            return Ok(());
        }
        let head = self.head.len();
        if head + amount <= output.len() {
            output.copy_within(..amount, head);
            output[..head].copy_from_slice(&self.head);
            self.head.clear();
            return self.transport.transmit_output(head + amount, timeout);
        }
        self.transmit_head(amount, timeout)?;
        self.transport.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.transmit_head(0, timeout)?;
        self.transport.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.head.is_empty() && self.transport.is_open()
    }
}

impl<T: Transport> HeadWithBody<T> {
    /// Sends a head that its body does not fit behind, or that has none; the first `kept` bytes of
    /// the output buffer are as before when it returns.
    fn transmit_head(&mut self, kept: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.head.is_empty() {
            return Ok(());
        }
        let output = self.transport.buffers().output();
        let body = output[..kept].to_vec();
        output[..self.head.len()].copy_from_slice(&self.head);
        self.transport.transmit_output(self.head.len(), timeout)?;
        self.transport.buffers().output()[..kept].copy_from_slice(&body);
        self.head.clear();
        Ok(())
    }
}
