//! A stream to Postgres that stops waiting when its time is over, whatever the network does.
//!
//! The driver has no limit of its own for a read, and `TCP_USER_TIMEOUT` is about sent data only.
//! When the time is over, a request to cancel the statement is sent from a thread that ends with
//! it; a server that is only slow answers that at once. When no answer comes, the stream fails, and
//! with it the connection. Knows no statement.

use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use postgres::{CancelToken, Socket};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The time in which a request to cancel a statement has to be sent.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// The time until which a connection may wait. Its clones are of the same connection.
#[derive(Clone, Default)]
pub(crate) struct Limit(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// When the running statement is cancelled; `None` when it is not, or was.
    cancel_at: Option<Instant>,
    /// When the stream fails; `None` while it may wait for ever.
    fail_at: Option<Instant>,
    cancel: Option<(CancelToken, Tls)>,
    has_cancelled: bool,
}

/// Runs what may take longer than the page can wait.
pub(crate) fn in_background(run: Box<dyn FnOnce() + Send>) {
    thread::spawn(run);
}

impl Limit {
    /// Lets the stream fail after `left`.
    pub(crate) fn fail_after(&self, left: Duration) {
        let mut state = self.state();
        state.cancel_at = None;
        state.fail_at = Some(Instant::now() + left);
    }

    /// Cancels the statement that runs after `left`, and lets the stream fail after `grace` more.
    pub(crate) fn cancel_after(&self, left: Duration, grace: Duration) {
        let mut state = self.state();
        let at = Instant::now() + left;
        state.cancel_at = Some(at);
        state.fail_at = Some(at + grace);
    }

    /// Lets the stream wait for ever.
    pub(crate) fn remove(&self) {
        let mut state = self.state();
        (state.cancel_at, state.fail_at) = (None, None);
    }

    /// Sets how a statement is cancelled.
    pub(crate) fn set_cancel(&self, token: CancelToken, tls: Tls) {
        self.state().cancel = Some((token, tls));
    }

    /// Returns whether a statement was cancelled. The request may arrive late, and would then hit a
    /// statement of the next page: the connection must not be used again.
    pub(crate) fn has_cancelled(&self) -> bool {
        self.state().has_cancelled
    }

    fn next(&self) -> Option<Instant> {
        let state = self.state();
        state.cancel_at.or(state.fail_at)
    }

    /// Does what is due now. Returns the error of the stream if it fails.
    fn expire(&self) -> Option<io::Error> {
        let mut state = self.state();
        if state.cancel_at.take().is_none() {
            let words = "no answer before the time was over";
            return Some(io::Error::new(io::ErrorKind::TimedOut, words));
        }
        if let Some((token, tls)) = state.cancel.clone() {
            state.has_cancelled = true;
            in_background(Box::new(move || {
                tls.limit.fail_after(CANCEL_LIMIT);
                let _ = token.cancel_query(tls);
            }));
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes streams with a limit, encrypted or not.
#[derive(Clone)]
pub(crate) struct Tls {
    /// `None` for streams that are not encrypted.
    pub rustls: Option<MakeRustlsConnect>,
    pub limit: Limit,
}

impl Tls {
    /// Returns the same with a limit of its own.
    pub(crate) fn with_new_limit(&self) -> Tls {
        let rustls = self.rustls.clone();
        let limit = Limit::default();
        Tls { rustls, limit }
    }
}

type Encrypt = <MakeRustlsConnect as MakeTlsConnect<Limited>>::TlsConnect;
type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Limited>>::Stream;

/// Makes one stream.
pub(crate) struct Connect {
    encrypt: Option<Encrypt>,
    limit: Limit,
}

/// A handshake, if there is one.
pub(crate) enum Handshake {
    Plain(Option<Limited>),
    Tls(<Encrypt as TlsConnect<Limited>>::Future),
}

/// A stream with a limit.
pub(crate) enum Stream {
    Plain(Limited),
    Tls(Box<Encrypted>),
}

/// The driver's stream, and the limit for it.
pub(crate) struct Limited {
    socket: Socket,
    limit: Limit,
    timer: Pin<Box<Sleep>>,
}

impl MakeTlsConnect<Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Connect;
    type Error = io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> io::Result<Connect> {
        let encrypt = match &mut self.rustls {
            Some(rustls) => Some(
                MakeTlsConnect::<Limited>::make_tls_connect(rustls, domain)
                    .map_err(io::Error::other)?,
            ),
            None => None,
        };
        Ok(Connect {
            encrypt,
            limit: self.limit.clone(),
        })
    }
}

impl TlsConnect<Socket> for Connect {
    type Stream = Stream;
    type Error = io::Error;
    type Future = Handshake;

    fn connect(self, socket: Socket) -> Handshake {
        let limited = Limited {
            socket,
            limit: self.limit,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        };
        match self.encrypt {
            Some(encrypt) => Handshake::Tls(encrypt.connect(limited)),
            None => Handshake::Plain(Some(limited)),
        }
    }
}

impl Future for Handshake {
    type Output = io::Result<Stream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Handshake::Plain(limited) => {
                let limited = limited
                    .take()
                    .expect("a future is polled until it is ready");
                Poll::Ready(Ok(Stream::Plain(limited)))
            }
            Handshake::Tls(handshake) => {
                let stream = ready!(Pin::new(handshake).poll(cx));
                Poll::Ready(stream.map(|stream| Stream::Tls(Box::new(stream))))
            }
        }
    }
}

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        match self {
            Stream::Plain(_) => ChannelBinding::none(),
            Stream::Tls(stream) => stream.channel_binding(),
        }
    }
}

/// Calls a function of the stream that is there.
macro_rules! forward {
    ($self:ident.$function:ident($($argument:ident),*)) => {
        match &mut *$self {
            Stream::Plain(stream) => Pin::new(stream).$function($($argument),*),
            Stream::Tls(stream) => Pin::new(stream).$function($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        forward!(self.poll_read(cx, bytes))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }
}

impl Limited {
    /// Waits for the next limit while the socket is not ready.
    fn or_limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            return polled;
        }
        while let Some(at) = self.limit.next() {
            let at = at.into();
            if self.timer.deadline() != at {
                self.timer.as_mut().reset(at);
            }
            ready!(self.timer.as_mut().poll(cx));
            if let Some(error) = self.limit.expire() {
                return Poll::Ready(Err(error));
            }
        }
        Poll::Pending
    }
}

impl AsyncRead for Limited {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.socket).poll_read(cx, bytes);
        self.or_limit(cx, polled)
    }
}

impl AsyncWrite for Limited {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.or_limit(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
