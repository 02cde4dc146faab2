//! Counts the requests that are being answered, so that a shutdown can wait for their end.
//!
//! Knows neither HTTP nor functions.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// The requests in flight. Clones share one count.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<Shared>);

/// One request in flight. The request has ended when all clones are dropped.
#[derive(Clone)]
pub(crate) struct Entered {
    _counted: Arc<Counted>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    count: usize,
    is_closed: bool,
}

struct Counted(InFlight);

impl InFlight {
    /// Counts a request. Returns `None` once `close` has been called.
    pub(crate) fn enter(&self) -> Option<Entered> {
        let mut state = self.lock();
        if state.is_closed {
            return None;
        }
        state.count += 1;
        let counted = Counted(self.clone());
        Some(Entered {
            _counted: Arc::new(counted),
        })
    }

    /// Refuses further requests, and waits until all others have ended.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        while state.count > 0 {
            let changed = &self.0.changed;
            state = changed.wait(state).expect("no holder of this lock panics");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no holder of this lock panics")
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lock().count -= 1;
        self.0.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn closing_waits_for_each_request_and_refuses_the_next() {
        let in_flight = InFlight::default();
        let one = in_flight.enter().expect("it is open");
        let (other, clone) = (in_flight.enter().expect("it is open"), one.clone());
        let closing = in_flight.clone();
        let closed = thread::spawn(move || closing.close());
        while in_flight.enter().is_some() {
            thread::yield_now();
        }
        drop((one, other));
        assert!(!closed.is_finished(), "a clone is left");
        drop(clone);
        closed.join().expect("it only waits");
        assert!(in_flight.enter().is_none());
    }
}
