//! A network that fails on demand: a TCP proxy in front of Postgres.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

/// What the proxy does to the bytes on their way to the server.
pub enum Fault {
    /// Passes bytes that hold these words on, and cuts the connection before they are answered.
    CutAfter(&'static str),
    /// Refuses so many connections with an SQLSTATE and these words, as Neon's proxy and a server
    /// that starts up do.
    Refuse(AtomicUsize, &'static str, &'static str),
    /// Passes so many pieces on, and then cuts the connection on both sides.
    CutAt(usize),
    /// Tells when it has passed so many pieces on.
    TellAt(usize, Sender<()>),
    /// Tells of every piece.
    TellAll(Sender<()>),
    /// Passes nothing on once it was told to be mute, and closes nothing either.
    Mute(Arc<AtomicBool>),
}

/// Starts a proxy to a port of this machine; its own port.
pub fn start(server: u16, fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    let port = listener.local_addr().expect("it is bound").port();
    let fault = Arc::new(fault);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            if refuse(&client, &fault) {
                continue;
            }
            let server = TcpStream::connect(("127.0.0.1", server)).expect("Postgres listens");
            let (client_out, server_out) = (clone(&client), clone(&server));
            let fault = Arc::clone(&fault);
            // What was connected while the network was up is mute later; a new connection is not.
            let born_mute = matches!(&*fault, Fault::Mute(mute) if mute.load(Ordering::Relaxed));
            thread::spawn(move || forward(client, server_out, &fault, born_mute));
            thread::spawn(move || copy(server, client_out));
        }
    });
    port
}

/// Answers the startup packet with an error ("Message Formats", PostgreSQL's manual).
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

fn forward(mut from: TcpStream, mut to: TcpStream, fault: &Fault, born_mute: bool) {
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
            Fault::Mute(mute) if !born_mute && mute.load(Ordering::Relaxed) => {}
            Fault::CutAfter(words) if holds(sent, words) => {
                let _ = from.shutdown(Shutdown::Both);
                let _ = to.write_all(sent);
                return;
            }
            _ if to.write_all(sent).is_err() => break,
            _ => {}
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Passes all on, and then the end.
pub fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

fn holds(bytes: &[u8], words: &str) -> bool {
    bytes
        .windows(words.len())
        .any(|window| window == words.as_bytes())
}

/// The other end of a thread for each direction.
pub fn clone(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("there are descriptors")
}
