//! TensorBoard event files: scalars only, written by hand because the format is three messages and a checksum.
//!
//! # Source
//! TFRecord framing and `event.proto`, `summary.proto` of TensorFlow.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes one event file.
pub struct Events {
    file: File,
}

impl Events {
    /// Starts an event file that continues after `step`; TensorBoard drops older files' later points.
    ///
    /// `now` is the wall time in seconds since 1970; it also names the file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(folder: &Path, step: u64, now: f64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let name = format!("events.out.tfevents.{:020.6}.{step:010}", now);
        let mut events = Self {
            file: OpenOptions::new()
                .create(true)
                .append(true)
                .open(folder.join(name))?,
        };
        let mut version = Vec::new();
        double(&mut version, 1, now);
        bytes(&mut version, 3, b"brain.Event:2");
        events.record(&version)?;
        // SessionLog { status = START }: purges points after this step.
        let mut session = Vec::new();
        integer(&mut session, 1, 1);
        let mut event = Vec::new();
        double(&mut event, 1, now);
        integer(&mut event, 2, step + 1);
        bytes(&mut event, 7, &session);
        events.record(&event)?;
        Ok(events)
    }

    /// Adds the figures of one step.
    ///
    /// # Errors
    /// The disk is full or gone.
    pub fn write(&mut self, step: u64, now: f64, figures: &[(String, f64)]) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, figure) in figures {
            let mut value = Vec::new();
            bytes(&mut value, 1, tag.as_bytes());
            value.push(2 << 3 | 5);
            value.extend((*figure as f32).to_le_bytes());
            bytes(&mut summary, 1, &value);
        }
        let mut event = Vec::new();
        double(&mut event, 1, now);
        integer(&mut event, 2, step);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend(length);
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        self.file.write_all(&record)
    }
}

/// A protobuf field of type double.
fn double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}

/// A protobuf field of type varint.
fn integer(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

/// A protobuf field of type bytes, string or message.
fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// TFRecord's checksum: CRC-32C, rotated and shifted by a constant.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C (Castagnoli), reflected, bit by bit: event files are small.
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Golden value of RFC 3720, appendix B.4.
    #[test]
    fn checksum_has_the_published_value() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn records_are_framed_and_start_with_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = Events::create(folder.path(), 0, 1.5).unwrap();
        events.write(3, 2.0, &[("loss".to_string(), 0.5)]).unwrap();
        let path = std::fs::read_dir(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let data = std::fs::read(path).unwrap();
        let mut records = Vec::new();
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked_crc(&rest[..8]).to_le_bytes());
            let body = &rest[12..12 + length];
            assert_eq!(
                rest[12 + length..16 + length],
                masked_crc(body).to_le_bytes()
            );
            records.push(body.to_vec());
            rest = &rest[16 + length..];
        }
        assert_eq!(records.len(), 3);
        assert!(records[0].ends_with(b"brain.Event:2"));
        // step = 3, summary { value { tag: "loss", simple_value: 0.5 } }
        let expect = [
            &[0x10, 3, 0x2a, 13, 0x0a, 11, 0x0a, 4][..],
            b"loss",
            &[0x15],
            &0.5_f32.to_le_bytes(),
        ]
        .concat();
        assert_eq!(records[2][9..], expect);
    }
}
