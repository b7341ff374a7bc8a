//! Linux's TCP_INFO: the numbers of the kernel about a TCP connection. No crate has the whole structure; these are its first bytes.

use std::os::fd::AsFd;
use std::sync::LazyLock;

use nix::sys::socket::{getsockopt, sockopt::GetStruct};

use crate::SendWindow;

/// The length up to `tcpi_snd_wnd`, in words of 32 bits.
const WORDS: usize = 58;
const BYTES_ACKED: usize = 30;
const NOTSENT_BYTES: usize = 36;
const BYTES_SENT: usize = 50;
const BYTES_RETRANS: usize = 52;
const SND_WND: usize = 57;
/// The state of a listener, `TCP_LISTEN`, in the first byte.
const LISTEN: u8 = 10;

#[derive(Clone, Copy)]
struct TcpInfo;

nix::getsockopt_impl!(TcpInfo, libc::IPPROTO_TCP, libc::TCP_INFO, [u32; WORDS], GetStruct<[u32; WORDS]>);

/// Whether the kernel has `tcpi_snd_wnd`. An older one returns fewer bytes, which `GetStruct` takes for a bug.
static HAS_WINDOW: LazyLock<bool> =
    LazyLock::new(|| has_window(rustix::system::uname().release().to_str().unwrap_or_default()));

fn has_window(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (5, 4)
}

pub(super) fn send_window(socket: &impl AsFd) -> Option<SendWindow> {
    if !*HAS_WINDOW {
        return None;
    }
    let words = getsockopt(socket, TcpInfo).ok()?;
    // Of a listener this is another number.
    if words[0].to_ne_bytes()[0] == LISTEN {
        return None;
    }
    let long = |at: usize| {
        let [a, b] = [words[at].to_ne_bytes(), words[at + 1].to_ne_bytes()];
        u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]])
    };
    let under_way = long(BYTES_SENT).saturating_sub(long(BYTES_RETRANS)).saturating_sub(long(BYTES_ACKED));
    let unacknowledged = under_way.saturating_add(words[NOTSENT_BYTES].into());
    Some(SendWindow { window: words[SND_WND], unacknowledged: u32::try_from(unacknowledged).unwrap_or(u32::MAX) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_since_5_4_has_the_window() {
        for new in ["5.4", "5.4.0-rc1+", "5.10.0-8-amd64", "6.18.44", "10.0"] {
            assert!(has_window(new), "{new}");
        }
        for old in ["", "4.19.0", "5.3.18-x", "x"] {
            assert!(!has_window(old), "{old}");
        }
    }
}
