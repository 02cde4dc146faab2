//! A connection's two buffers: the bytes to send, and the bytes received. Knows no socket.
//!
//! Each page of a buffer costs a page fault when the first request touches it, so the buffers start
//! small, and the input grows with the messages that arrive.

use std::mem;
use std::ops::Range;
use ureq::unversioned::transport::Buffers;

/// The size of the output buffer; ureq sends no head that is larger.
const OUTPUT_BYTES: usize = 8 * 1024;

/// The first size of the input buffer; a browser's event and its head have some 2 KB.
const INPUT_BYTES: usize = 4 * 1024;

/// The size above which the input buffer grows only when it has no room left: more bytes in one
/// system call save nothing. ureq takes no head that is larger, either.
const LARGEST_INPUT_BYTES: usize = 128 * 1024;

/// The output and the input buffer of one connection.
#[derive(Default)]
pub(super) struct IoBuffers {
    output: Vec<u8>,
    /// The length of the head, at the beginning of the output, that waits for its body; 0 for none.
    held: usize,
    input: Vec<u8>,
    /// The part of the input that is received and not consumed.
    unconsumed: Range<usize>,
    /// Whether ureq has consumed anything of the input that it looked at last.
    progress: bool,
}

impl IoBuffers {
    /// Holds the head of a POST back, to be sent with the beginning of its body in one packet, and
    /// returns whether it did.
    pub(super) fn hold_head(&mut self, amount: usize) -> bool {
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

    /// Returns whether a head is held back.
    pub(super) fn holds_head(&self) -> bool {
        self.held > 0
    }

    /// Returns the head that was held back, if any, followed by `amount` bytes of output.
    pub(super) fn take_output(&mut self, amount: usize) -> &[u8] {
        let held = mem::take(&mut self.held);
        &self.output[..held + amount]
    }

    fn make_output(&mut self) {
        if self.output.is_empty() {
            self.output = vec![0; OUTPUT_BYTES];
        }
    }

    /// Makes room for input: moves the unconsumed bytes to the front when there are none or when
    /// they reach the buffer's end, and enlarges a buffer that was filled.
    fn make_room(&mut self) {
        let Range { start, end } = self.unconsumed;
        if start == end || end == self.input.len() {
            self.input.copy_within(start..end, 0);
            self.unconsumed = 0..end - start;
        }
        let full = self.unconsumed.end == self.input.len();
        // The last read filled the buffer, so there is probably more to read.
        let filled = end == self.input.len();
        if full || (filled && self.input.len() < LARGEST_INPUT_BYTES) {
            // `vec!` has the allocator zero the memory, which skips what the kernel gave as zeros.
            let mut larger = vec![0; (self.input.len() * 2).max(INPUT_BYTES)];
            larger[..self.input.len()].copy_from_slice(&self.input);
            self.input = larger;
        }
    }
}

impl Buffers for IoBuffers {
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
