//! A TCP proxy in front of Postgres that fails on demand, as a network does. Knows no test.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

/// A fault of the proxy with the bytes on their way to the server. A piece is what one read returns.
pub(crate) enum Fault {
    /// Forwards bytes that contain these words, and cuts the connection before the answer.
    CutAfter(&'static str),
    /// Does so once: with `true` behind the words, with `false` before them. Then forwards everything.
    CutOnceAt(&'static str, bool, AtomicBool),
    /// Refuses a number of connections with an SQLSTATE and a message, as Neon's proxy and a server
    /// that starts up do.
    Refuse(AtomicUsize, &'static str, &'static str),
    /// Forwards a number of pieces, and then cuts the connection on both sides.
    CutAt(usize),
    /// Forwards everything, and sends `()` after a number of pieces.
    TellAt(usize, Sender<()>),
    /// Forwards everything, and sends `()` after every piece.
    TellAll(Sender<()>),
    /// Forwards a number of pieces, and then nothing on any connection; leaves them open.
    SilentAfter(Arc<AtomicUsize>),
    /// Forwards a number of pieces, then cuts one connection, and forwards everything again.
    CutOnceAfter(Arc<AtomicUsize>),
    /// Forwards nothing on the open connections once the flag is set, and leaves them open.
    Mute(Arc<AtomicBool>),
}

/// The number of pieces after which there is no fault.
pub(crate) const NO_FAULT: usize = usize::MAX;

/// Starts a proxy to a port of this machine; returns the port of the proxy.
pub(crate) fn start(server: u16, fault: Fault) -> u16 {
    start_at(0, server, fault)
}

/// Starts a proxy at a port; 0 is any.
pub(crate) fn start_at(port: u16, server: u16, fault: Fault) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let fault = Arc::new(fault);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if refuse(&client, &fault) {
                continue;
            }
            // While the server is down, the client's connection is closed at once.
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                continue;
            };
            let (client_out, server_out) = (clone(&client), clone(&server));
            let fault = Arc::clone(&fault);
            // Only connections made before the flag was set become mute; a later one works.
            let made_later = matches!(&*fault, Fault::Mute(mute) if mute.load(Ordering::Relaxed));
            thread::spawn(move || forward(client, server_out, &fault, made_later));
            thread::spawn(move || copy(server, client_out));
        }
    });
    port
}

/// Answers the startup packet with an error if the fault refuses the connection ("Message Formats",
/// PostgreSQL's manual).
fn refuse(mut client: &TcpStream, fault: &Fault) -> bool {
    let Fault::Refuse(left, code, words) = fault else {
        return false;
    };
    let counted = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    });
    if counted.is_err() {
        return false;
    }
    let fields = format!("SERROR\0VERROR\0C{code}\0M{words}\0\0");
    let length = u32::try_from(fields.len() + 4).expect("it is short");
    let _ = client.read(&mut [0; 1024]);
    let _ = client.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat());
    true
}

fn forward(mut from: TcpStream, mut to: TcpStream, fault: &Fault, made_later: bool) {
    let mut bytes = [0; 64 * 1024];
    let mut passed = 0;
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        let sent = &bytes[..length];
        passed += 1;
        match fault {
            Fault::CutAt(point) if passed > *point => {
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
            Fault::TellAt(point, told) if passed == *point => {
                let _ = to.write_all(sent);
                let _ = told.send(());
            }
            Fault::TellAll(told) => {
                let _ = to.write_all(sent);
                let _ = told.send(());
            }
            Fault::SilentAfter(left) if !may_pass(left) => {}
            Fault::CutOnceAfter(left) if !may_pass(left) => {
                left.store(NO_FAULT, Ordering::Relaxed);
                let _ = from.shutdown(Shutdown::Both);
                break;
            }
            Fault::Mute(mute) if !made_later && mute.load(Ordering::Relaxed) => {}
            Fault::CutAfter(words) if holds(sent, words) => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.write_all(sent);
                return;
            }
            Fault::CutOnceAt(words, pass, is_done)
                if holds(sent, words) && !is_done.swap(true, Ordering::Relaxed) =>
            {
                let _ = from.shutdown(Shutdown::Both);
                if *pass {
                    let _ = to.write_all(sent);
                }
                break;
            }
            _ if to.write_all(sent).is_err() => break,
            _ => {}
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Counts a piece; returns whether it may pass.
fn may_pass(left: &AtomicUsize) -> bool {
    let counted = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
        NO_FAULT => Some(NO_FAULT),
        left => left.checked_sub(1),
    });
    counted.is_ok()
}

/// Forwards all bytes, and then the end of the stream.
pub(crate) fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn holds(bytes: &[u8], words: &str) -> bool {
    bytes
        .windows(words.len())
        .any(|window| window == words.as_bytes())
}

/// Clones a stream, for one thread per direction.
pub(crate) fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("there are descriptors")
}
