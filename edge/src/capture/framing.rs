//! Cuts a byte stream into lines of bounded length.
//!
//! A line that is too long is skipped up to its end and counted; the next line is read as usual.

/// Longest line in bytes: 33 joints of three numbers with 17 digits each, confidences and names, four times over.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// Collects bytes and gives back whole lines.
#[derive(Debug, Default)]
pub struct Framing {
    partial: Vec<u8>,
    skipping: bool,
    too_long: u64,
}

impl Framing {
    /// Feeds `bytes` and calls `on_line` for every line that they complete, without its line end. Empty lines are left out.
    pub fn push(&mut self, mut bytes: &[u8], mut on_line: impl FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            self.take(head);
            self.finish(&mut on_line);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.take(bytes);
    }

    /// The stream is over: gives back a last line that had no line end.
    pub fn close(&mut self, mut on_line: impl FnMut(&[u8])) {
        self.finish(&mut on_line);
    }

    /// How many lines were too long.
    #[must_use]
    pub fn too_long(&self) -> u64 {
        self.too_long
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.skipping {
            return;
        }
        if self.partial.len() + bytes.len() > MAX_LINE_BYTES {
            self.skipping = true;
            self.too_long += 1;
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn finish(&mut self, on_line: &mut impl FnMut(&[u8])) {
        let line = self.partial.trim_ascii();
        if !self.skipping && !line.is_empty() {
            on_line(line);
        }
        self.partial.clear();
        self.skipping = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<String>, u64) {
        let mut framing = Framing::default();
        let mut out = Vec::new();
        for chunk in chunks {
            framing.push(chunk, |line| {
                out.push(String::from_utf8_lossy(line).into_owned())
            });
        }
        framing.close(|line| out.push(String::from_utf8_lossy(line).into_owned()));
        (out, framing.too_long())
    }

    #[test]
    fn joins_chunks_and_splits_lines() {
        assert_eq!(
            lines(&[b"a", b"b\r\nc\n\n", b"d"]),
            (vec!["ab".into(), "c".into(), "d".into()], 0)
        );
    }

    #[test]
    fn skips_a_line_that_is_too_long_and_reads_on() {
        let long = vec![b'x'; MAX_LINE_BYTES + 1];
        assert_eq!(lines(&[&long, &long, b"\nok\n"]), (vec!["ok".into()], 1));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_lines(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
            let cut = cut.min(bytes.len());
            let (head, tail) = bytes.split_at(cut);
            prop_assert_eq!(lines(&[head, tail]), lines(&[&bytes]));
        }
    }
}
