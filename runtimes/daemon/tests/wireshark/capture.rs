//! Builds a capture of TCP segments, in the format that `tshark` reads from its standard input.

/// A capture of raw IPv4 packets. The data of each stream has no gaps.
pub(crate) struct Capture {
    file: Vec<u8>,
    seqs: Vec<u32>,
    server_port: u16,
}

impl Capture {
    /// Returns an empty capture of connections to this port.
    pub(crate) fn new(server_port: u16) -> Self {
        let mut file = Vec::new();
        // Magic number, version 2.4, time zone and its accuracy, longest packet, link type 101: raw IP.
        for word in [0xa1b2_c3d4, 4 << 16 | 2, 0, 0, 65535, 101u32] {
            file.extend(word.to_le_bytes());
        }
        Self { file, seqs: Vec::new(), server_port }
    }

    /// Adds a segment of at most 65,000 bytes to the stream of this number. The first segment opens the stream.
    pub(crate) fn segment(&mut self, stream: usize, bytes: &[u8]) {
        self.cut_segment(stream, bytes, 0);
    }

    /// Adds a segment whose last `missing` bytes are not in the capture.
    pub(crate) fn cut_segment(&mut self, stream: usize, bytes: &[u8], missing: usize) {
        self.seqs.resize(self.seqs.len().max(stream + 1), 1);
        let len = (40 + bytes.len()) as u16;
        let [_, high, middle, low] = (stream as u32).to_be_bytes();
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0, 10, high, middle, low, 10, 255, 255, 255]);
        packet.extend(40_000u16.to_be_bytes());
        packet.extend(self.server_port.to_be_bytes());
        packet.extend(self.seqs[stream].to_be_bytes());
        // Acknowledgement number 1; 20 bytes of header, PSH and ACK; window; checksum, which is not checked; no urgent
        // data.
        packet.extend([0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(bytes);
        let captured = packet.len() - missing;
        for word in [0, 0, captured as u32, u32::from(len)] {
            self.file.extend(word.to_le_bytes());
        }
        self.file.extend(&packet[..captured]);
        self.seqs[stream] += bytes.len() as u32;
    }

    /// Returns the contents of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.file
    }
}
