//! Counts the frames in a byte stream as cheaply as possible: it reads only their headers.

/// The counts so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Frames {
    pub(crate) hellos: u64,
    pub(crate) keepalives: u64,
    pub(crate) updates: u64,
    /// UPDATEs that are longer than those of IPv4 destinations.
    pub(crate) marks: u64,
    /// An incomplete header.
    header: [u8; 4],
    /// Number of bytes of `header` that have arrived.
    there: usize,
    /// Remaining bytes of the current payload.
    rest: usize,
}

impl Frames {
    pub(crate) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let taken = self.rest.min(bytes.len());
                self.rest -= taken;
                bytes = &bytes[taken..];
            } else if self.there == 0 && bytes.len() >= 4 {
                self.header.copy_from_slice(&bytes[..4]);
                bytes = &bytes[4..];
                self.count();
            } else {
                self.header[self.there] = bytes[0];
                self.there += 1;
                bytes = &bytes[1..];
                if self.there == 4 {
                    self.there = 0;
                    self.count();
                }
            }
        }
    }

    fn count(&mut self) {
        let [version, high, low, kind] = self.header;
        assert_eq!(version, 1, "the stream is out of step");
        self.rest = usize::from(u16::from_be_bytes([high, low]));
        match kind {
            1 => self.hellos += 1,
            2 => self.keepalives += 1,
            5 => {
                self.updates += 1;
                self.marks += u64::from(self.rest > 40);
            }
            other => panic!("a frame of type {other}"),
        }
    }
}
