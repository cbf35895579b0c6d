//! What is kept of an output: its beginning and its end.
//!
//! Invariant: what is kept never takes more memory than the cap says, whatever is written.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What was kept of an output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Captured {
    /// The first bytes: all of them, if `left_out` is 0 and `tail` is empty.
    pub head: Vec<u8>,
    /// How many bytes came between `head` and `tail`.
    pub left_out: u64,
    /// The last bytes.
    pub tail: Vec<u8>,
}

impl Captured {
    /// The text, with a line in the middle that says what was left out.
    pub fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.head).into_owned();
        if self.left_out > 0 {
            text.push_str(&format!("\n… {} bytes left out …\n", self.left_out));
        }
        text.push_str(&String::from_utf8_lossy(&self.tail));
        text
    }
}

/// Takes an output in.
#[derive(Debug)]
pub(crate) struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
    half: usize,
}

#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "nothing is run there"))]
impl Capture {
    pub(crate) fn new(cap: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), left_out: 0, half: cap / 2 }
    }

    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(head);
        let (skipped, rest) = rest.split_at(rest.len().saturating_sub(self.half));
        let over = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..over);
        self.tail.extend(rest);
        self.left_out += (skipped.len() + over) as u64;
    }

    pub(crate) fn finish(self) -> Captured {
        Captured { head: self.head, left_out: self.left_out, tail: self.tail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept_however_it_is_cut() {
        let whole: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for cap in [0, 1, 2, 7, 100, 999, 1000, 2000] {
            for piece in [1, 3, 50, 1000] {
                let mut capture = Capture::new(cap);
                for bytes in whole.chunks(piece) {
                    capture.take(bytes);
                    assert!(capture.head.len() + capture.tail.len() <= cap);
                }
                let kept = capture.finish();
                let left_out = usize::try_from(kept.left_out).expect("small");
                assert_eq!(kept.head.len() + left_out + kept.tail.len(), whole.len());
                assert!(whole.starts_with(&kept.head) && whole.ends_with(&kept.tail));
                assert_eq!(kept.head.len(), (cap / 2).min(whole.len()));
                assert_eq!(kept.tail.len(), (cap / 2).min(whole.len() - kept.head.len()));
            }
        }
    }

    #[test]
    fn the_text_says_what_is_missing() {
        let mut capture = Capture::new(4);
        capture.take(b"abcdefg");
        assert_eq!(capture.finish().text(), "ab\n… 3 bytes left out …\nfg");
    }
}
