//! Writes the gzip format (RFC 1952): a header, the deflated bytes, a checksum and a size.
//!
//! flate2 would do it too, but its checksum detects the CPU's features by about twenty CPUID
//! instructions, each of which traps to the hypervisor, in the first page of a cold start. Knows no
//! HTTP.

use miniz_oxide::deflate::compress_to_vec;

/// The fastest level: a page is compressed for every request.
const LEVEL: u8 = 1;

/// The header: deflate, no file name, no time, unknown operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compresses bytes.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = HEADER.to_vec();
    gzip.extend(compress_to_vec(bytes, LEVEL));
    gzip.extend(crc32(bytes).to_le_bytes());
    // The size modulo 2^32, as the format requires.
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

/// The CRC of each byte ("Sample CRC Code", RFC 1952, section 8).
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
    fn flate2_decompresses_the_same_bytes() {
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
