//! The tunnel device, which is identified by its name: it can be removed and come back with another index.

use std::fs;

use metalbond::fib::{DeviceState, Notice};

use crate::error::Lost;
use crate::link::{self, Link};
use crate::requests::Requests;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Device {
    name: String,
    index: Option<u32>,
    state: DeviceState,
}

impl Device {
    pub(crate) fn new(name: String) -> Self {
        Self { name, index: None, state: DeviceState::Missing }
    }

    /// Returns the device's index, or `None` if there is no device with the name.
    pub(crate) fn index(&self) -> Option<u32> {
        self.index
    }

    /// Returns whether the kernel accepts tunnels through it.
    pub(crate) fn state(&self) -> DeviceState {
        self.state
    }

    /// Requests the device's state from the kernel.
    pub(crate) fn refresh(&mut self, requests: &mut Requests, notice: impl FnMut(Notice)) -> Result<(), Lost> {
        let name = &self.name;
        let read = |message: &crate::message::Message<'_>| {
            let link = (message.kind == link::RTM_NEWLINK).then(|| Link::parse(message.body))??;
            Some((link.index, state_of(name, &link), link.name == name.as_bytes()))
        };
        let found = requests.ask(|out, sequence| link::put_get(out, sequence, name), read)?;
        match found {
            // Otherwise it was found by an alternative name, which the kernel's notices do not have.
            Ok((index, state, true)) => self.set(Some(index), state, notice),
            _ => self.set(None, DeviceState::Missing, notice),
        }
        Ok(())
    }

    /// Handles the notice that a link was added or has changed.
    pub(crate) fn link(&mut self, link: &Link<'_>, notice: impl FnMut(Notice)) {
        if link.name == self.name.as_bytes() {
            self.set(Some(link.index), state_of(&self.name, link), notice);
        } else {
            // The link may be the device, renamed.
            self.link_gone(link.index, notice);
        }
    }

    /// Handles the notice that a link was removed.
    pub(crate) fn link_gone(&mut self, index: u32, notice: impl FnMut(Notice)) {
        if self.index == Some(index) {
            self.set(None, DeviceState::Missing, notice);
        }
    }

    fn set(&mut self, index: Option<u32>, state: DeviceState, mut notice: impl FnMut(Notice)) {
        let before = (self.index, self.state);
        (self.index, self.state) = (index, state);
        if before == (index, state) {
            return;
        }
        // A device that has taken the name of another one has nothing of its routes.
        if before.1.is_up() && state.is_up() {
            notice(Notice::Device(DeviceState::Missing));
        }
        if before.1 != state || state.is_up() {
            notice(Notice::Device(state));
        }
    }
}

/// Returns whether the kernel accepts tunnels through a device.
fn state_of(name: &str, link: &Link<'_>) -> DeviceState {
    if !link.is_up {
        DeviceState::Down
    } else if !link.has_carrier {
        DeviceState::NoCarrier
    } else if let Some(mtu) = link.mtu.filter(|mtu| *mtu < DeviceState::MTU_MIN) {
        DeviceState::SmallMtu(mtu)
    } else if is_ipv6_disabled(name) {
        DeviceState::Ipv6Disabled
    } else {
        DeviceState::Up
    }
}

/// Returns whether IPv6 is switched off for a device in this thread's network namespace. The kernel reports no change of that.
fn is_ipv6_disabled(name: &str) -> bool {
    fs::read(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6")).is_ok_and(|text| text.trim_ascii() == b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices_of(device: &mut Device, links: &[(u32, &str, bool)]) -> Vec<DeviceState> {
        let mut states = Vec::new();
        for &(index, name, is_up) in links {
            let link = Link { index, name: name.as_bytes(), is_up, has_carrier: true, mtu: Some(1500) };
            device.link(&link, |notice| match notice {
                Notice::Device(state) => states.push(state),
                other => panic!("{other:?}"),
            });
        }
        states
    }

    #[test]
    fn only_changes_of_the_device_with_the_name_are_reported() {
        let mut device = Device::new("t0".into());
        let states = notices_of(&mut device, &[(3, "t0", false), (4, "t1", true), (3, "t0", true), (3, "t0", true)]);
        assert_eq!((states, device.index()), (vec![DeviceState::Down, DeviceState::Up], Some(3)));
    }

    #[test]
    fn another_name_is_another_device() {
        let mut device = Device::new("t0".into());
        let states = notices_of(&mut device, &[(3, "t0", true), (3, "t1", true)]);
        assert_eq!((states, device.index()), (vec![DeviceState::Up, DeviceState::Missing], None));
    }

    #[test]
    fn another_index_is_another_device() {
        let mut device = Device::new("t0".into());
        let states = notices_of(&mut device, &[(3, "t0", true), (5, "t0", true)]);
        assert_eq!(states, [DeviceState::Up, DeviceState::Missing, DeviceState::Up]);
        device.link_gone(3, |_| panic!("that was the old one"));
        assert_eq!(device.index(), Some(5));
    }

    #[test]
    fn the_state_has_the_first_reason_why_no_tunnel_is_accepted() {
        let state = |is_up, has_carrier, mtu| {
            state_of("no-such-device", &Link { index: 1, name: b"no-such-device", is_up, has_carrier, mtu })
        };
        assert_eq!(state(false, false, Some(68)), DeviceState::Down);
        assert_eq!(state(true, false, Some(68)), DeviceState::NoCarrier);
        assert_eq!(state(true, true, Some(1279)), DeviceState::SmallMtu(1279));
        assert_eq!([state(true, true, Some(1280)), state(true, true, None)], [DeviceState::Up; 2]);
    }
}
