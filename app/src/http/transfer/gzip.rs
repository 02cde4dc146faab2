//! gzip's frame (RFC 1952) around a deflated body.
//!
//! Our own, because flate2's checksum asks the CPU what it can do: some twenty CPUID instructions,
//! each of which traps to the hypervisor, in the first page of a cold start.

use miniz_oxide::deflate::compress_to_vec;

/// Fast: a page is compressed for every request.
const LEVEL: u8 = 1;

/// Deflate, no name, no time, by a system that is not said.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// The bytes, compressed.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = HEADER.to_vec();
    gzip.extend(compress_to_vec(bytes, LEVEL));
    gzip.extend(crc32(bytes).to_le_bytes());
    // Modulo 2^32, as the format has it.
    gzip.extend((bytes.len() as u32).to_le_bytes());
    gzip
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let index = (crc ^ u32::from(*byte)) & 0xff;
        TABLE[index as usize] ^ (crc >> 8)
    };
    !bytes.iter().fold(!0, step)
}

/// "Sample CRC Code", RFC 1952, section 8.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    #[test]
    fn what_is_compressed_comes_back_as_it_was() {
        let long = "ü<td>".repeat(999);
        for text in [&b""[..], b"a", &[0; 5000], long.as_bytes()] {
            let mut back = Vec::new();
            GzDecoder::new(&*compress(text))
                .read_to_end(&mut back)
                .expect("it is gzip");
            assert_eq!(back, text);
        }
    }
}
