//! The viewers that may see a next hop: the export rule of docs/wire.md ('What a subscriber receives') as one pure function.

use core::fmt;

/// A reader of the table, as the rule sees it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Viewer {
    /// A peer that only dials, by its key.
    Client(u64),
    /// A peer that listens itself.
    Server,
    /// This node, for what it subscribed to.
    Local,
}

impl Viewer {
    /// A client that announces nothing.
    pub(crate) const ANYBODY: Self = Self::Client(NOBODY);

    /// The viewer that stands for all of its kind that announce nothing themselves.
    pub(crate) fn anybody(self) -> Self {
        match self {
            Self::Client(_) => Self::ANYBODY,
            other => other,
        }
    }
}

/// A key that no peer ever has.
const NOBODY: u64 = u64::MAX >> 4;

/// An announcer of a next hop, as the rule sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Announcer {
    pub(super) key: u64,
    pub(super) is_server: bool,
}

/// The viewers to which a next hop is visible. Clients: none, all but one, or all. Servers: none or all, since what a server
/// announced is not for them. This node: unless it announces the same itself.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Visibility(u64);

impl Visibility {
    const CLIENTS: u64 = 1 << 0;
    const ALL_CLIENTS: u64 = 1 << 1;
    const SERVERS: u64 = 1 << 2;
    const LOCAL: u64 = 1 << 3;
    const KEY_SHIFT: u32 = 4;

    /// Visible to no viewer.
    pub(super) const NONE: Self = Self(0);

    /// The export rule: View(s) holds r if some p other than s announces r, not both p and s being servers. `is_local`: this
    /// node is among the announcers. Looks at no more of them than it needs.
    pub(super) fn of(announcers: impl Iterator<Item = Announcer>, is_local: bool) -> Self {
        const SEEN_BY_ALL: u64 = Visibility::CLIENTS | Visibility::ALL_CLIENTS | Visibility::SERVERS;
        let mut bits = 0;
        for announcer in announcers {
            let servers = if announcer.is_server { bits & Self::SERVERS } else { Self::SERVERS };
            bits = servers
                | match bits & Self::CLIENTS {
                    0 => Self::CLIENTS | announcer.key << Self::KEY_SHIFT,
                    _ => Self::CLIENTS | Self::ALL_CLIENTS,
                };
            if bits == SEEN_BY_ALL {
                break;
            }
        }
        if bits != 0 && !is_local {
            bits |= Self::LOCAL;
        }
        Self(bits)
    }

    /// Whether `viewer` may see it.
    pub(super) fn is_visible_to(self, viewer: Viewer) -> bool {
        match viewer {
            Viewer::Client(key) => {
                self.0 & Self::ALL_CLIENTS != 0 || (self.0 & Self::CLIENTS != 0 && self.0 >> Self::KEY_SHIFT != key)
            }
            Viewer::Server => self.0 & Self::SERVERS != 0,
            Viewer::Local => self.0 & Self::LOCAL != 0,
        }
    }

    /// Whether the two differ for none but the one client that each may except.
    pub(super) fn differs_by_exceptions(self, other: Self) -> bool {
        let kinds = Self::CLIENTS | Self::SERVERS | Self::LOCAL;
        self.0 & Self::CLIENTS != 0 && self.0 & kinds == other.0 & kinds
    }

    /// The one client that doesn't see it, if it is just one.
    pub(super) fn exception(self) -> Option<u64> {
        (self.0 & (Self::CLIENTS | Self::ALL_CLIENTS) == Self::CLIENTS).then_some(self.0 >> Self::KEY_SHIFT)
    }
}

impl fmt::Debug for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.exception() {
            Some(key) => write!(f, "all but {key}")?,
            None if self.0 & Self::CLIENTS != 0 => f.write_str("all")?,
            None => f.write_str("none")?,
        }
        write!(f, " ({:04b})", self.0 & 0b1111)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_export_rule_is_the_models(
            announcers in prop::collection::vec((1u64..4, any::<bool>()), 0..4), local in any::<bool>(), viewer in 1u64..5
        ) {
            // A key is one peer, and it is a server or not.
            let mut peers: Vec<(u64, bool)> = Vec::new();
            for (key, is_server) in announcers {
                if peers.iter().all(|p| p.0 != key) {
                    peers.push((key, is_server));
                }
            }
            let mut all: Vec<_> = peers.iter().map(|&(key, is_server)| Announcer { key, is_server }).collect();
            if local {
                all.push(Announcer { key: 0, is_server: false });
            }
            let visibility = Visibility::of(all.iter().copied(), local);
            let is_server = peers.contains(&(viewer, true));
            let model = all.iter().any(|p| p.key != viewer && !(p.is_server && is_server));
            let viewer = if is_server { Viewer::Server } else { Viewer::Client(viewer) };
            prop_assert_eq!(visibility.is_visible_to(viewer), model);
            prop_assert_eq!(visibility.is_visible_to(Viewer::Local), !all.is_empty() && !local);
            prop_assert_eq!(visibility == Visibility::NONE, all.is_empty());
        }
    }
}
