//! A connection's two buffers: what goes out, and what came in. Knows no socket.
//!
//! Every page of them that is touched is a page fault of the first request, so they are small, and
//! grow with what comes.

use std::mem;
use std::ops::Range;
use ureq::unversioned::transport::Buffers;

/// ureq sends no head that is larger.
const OUTPUT_BYTES: usize = 8 * 1024;

/// An event of a browser with its head has some 2 KB.
const INPUT_BYTES: usize = 4 * 1024;

/// From here on, more in one system call saves nothing. ureq takes no head that is larger, either.
const LARGEST_INPUT_BYTES: usize = 128 * 1024;

/// Both directions.
#[derive(Default)]
pub struct Halves {
    output: Vec<u8>,
    /// So many bytes at the beginning of the output are a head that waits for its body.
    held: usize,
    input: Vec<u8>,
    /// What has come and is not consumed.
    unconsumed: Range<usize>,
    /// Whether the last look at the input made use of some of it.
    progress: bool,
}

impl Halves {
    /// Keeps the head of a POST back: it leaves with the beginning of its body, in one packet.
    pub fn hold_head(&mut self, amount: usize) -> bool {
        let head = &self.output[self.held..][..amount];
        let waits = self.held == 0
            && amount < OUTPUT_BYTES / 2
            && head.starts_with(b"POST ")
            && head.ends_with(b"\r\n\r\n");
        if waits {
            self.held = amount;
        }
        waits
    }

    /// Whether there is a head that has not left.
    pub fn holds_head(&self) -> bool {
        self.held > 0
    }

    /// What was held back and, behind it, so many bytes of the output.
    pub fn take_output(&mut self, amount: usize) -> &[u8] {
        let held = mem::take(&mut self.held);
        &self.output[..held + amount]
    }

    fn make_output(&mut self) {
        if self.output.is_empty() {
            self.output = vec![0; OUTPUT_BYTES];
        }
    }

    /// Makes room: at the front, where all or much was consumed, or behind a full buffer.
    fn make_room(&mut self) {
        let Range { start, end } = self.unconsumed;
        if start == end || end == self.input.len() {
            self.input.copy_within(start..end, 0);
            self.unconsumed = 0..end - start;
        }
        let full = self.unconsumed.end == self.input.len();
        // The last read filled it, so there is more to come.
        let filled = end == self.input.len();
        if full || (filled && self.input.len() < LARGEST_INPUT_BYTES) {
            // Zeroed by the allocator, which knows what is zero already.
            let mut larger = vec![0; (self.input.len() * 2).max(INPUT_BYTES)];
            larger[..self.input.len()].copy_from_slice(&self.input);
            self.input = larger;
        }
    }
}

impl Buffers for Halves {
    fn output(&mut self) -> &mut [u8] {
        self.make_output();
        &mut self.output[self.held..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.unconsumed.clone()]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.input[self.unconsumed.end..]
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.make_room();
        self.make_output();
        let free = &mut self.input[self.unconsumed.end..];
        (free, &mut self.output[self.held..])
    }

    fn input_appended(&mut self, amount: usize) {
        self.unconsumed.end += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.unconsumed.start += amount;
    }

    fn can_use_input(&self) -> bool {
        self.progress && !self.unconsumed.is_empty()
    }
}
