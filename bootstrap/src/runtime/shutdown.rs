//! Ends the process in order on SIGTERM: finishes the invocations that have begun, and closes the
//! application's connections.
//!
//! Lambda sends SIGTERM only to environments with an extension, so the runtime registers one.
//! Opt-in (`GRACEFUL_SHUTDOWN`), because that costs a request and two threads before the first
//! invocation.

use super::{End, Worker};
use crate::api::Api;
use handler::Application;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

/// Sends `End::Terminated` after SIGTERM, when the worker has finished the invocations under way.
///
/// Where no extension can be registered, as under an emulator without the Extensions API, it only
/// listens for SIGTERM.
pub(super) fn watch<A: Application>(
    api: &Api,
    address: &str,
    worker: Arc<Worker<A>>,
    ended: Sender<End>,
) {
    match Signals::new([SIGTERM]) {
        Ok(mut signals) => {
            thread::spawn(move || {
                if signals.forever().next().is_some() {
                    // Kept until the end of the process, so that no loop begins an invocation
                    // that the end would cut off.
                    let _idle = worker.finish();
                    let _ = ended.send(End::Terminated);
                    loop {
                        thread::park();
                    }
                }
            });
        }
        Err(error) => log::warn!("failed to listen for SIGTERM: {error}"),
    }
    match api.register_extension() {
        Ok(extension) => {
            let api = Api::new(address);
            thread::spawn(move || api.await_shutdown(extension));
        }
        Err(refused) => log::warn!("{refused}"),
    }
}
