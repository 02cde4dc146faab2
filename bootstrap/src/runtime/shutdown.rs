//! An orderly end: on SIGTERM what was begun is finished, and the database is left in order.
//!
//! Lambda sends SIGTERM only to environments with an extension, so we register one. Opt-in, because
//! it costs a request and two threads before the first invocation.

use super::{End, Worker};
use crate::api::Api;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

/// Sends `End::Terminated` after SIGTERM, when the worker has finished what it had begun.
///
/// Without an extension, as under an emulator that has none, it only listens.
pub fn watch(api: &Api, address: &str, worker: Arc<Worker>, ended: Sender<End>) {
    match Signals::new([SIGTERM]) {
        Ok(mut signals) => {
            thread::spawn(move || {
                if signals.forever().next().is_some() {
                    worker.finish();
                    let _ = ended.send(End::Terminated);
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
