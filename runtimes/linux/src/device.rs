//! The tunnel device, which is identified by its name: it can be removed and come back with another index.

use metalbond::fib::Notice;

use crate::error::Lost;
use crate::link::{self, Link};
use crate::requests::Requests;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Device {
    name: String,
    index: Option<u32>,
    is_up: bool,
}

impl Device {
    pub(crate) fn new(name: String) -> Self {
        Self { name, index: None, is_up: false }
    }

    /// Returns the device's index, or `None` if there is no device with the name.
    pub(crate) fn index(&self) -> Option<u32> {
        self.index
    }

    /// Returns true if the device exists, is up, and has a carrier.
    pub(crate) fn is_up(&self) -> bool {
        self.is_up
    }

    /// Requests the device's state from the kernel.
    pub(crate) fn refresh(&mut self, requests: &mut Requests, notice: impl FnMut(Notice)) -> Result<(), Lost> {
        let name = &self.name;
        let read = |message: &crate::message::Message<'_>| {
            let link = (message.kind == link::RTM_NEWLINK).then(|| Link::parse(message.body))??;
            Some((link.index, link.up, link.name == name.as_bytes()))
        };
        let found = requests.ask(|out, sequence| link::put_get(out, sequence, name), read)?;
        match found {
            // Otherwise it was found by an alternative name, which the kernel's notices do not have.
            Ok((index, is_up, true)) => self.set(Some(index), is_up, notice),
            _ => self.set(None, false, notice),
        }
        Ok(())
    }

    /// Handles the notice that a link was added or has changed.
    pub(crate) fn link(&mut self, link: &Link<'_>, notice: impl FnMut(Notice)) {
        if link.name == self.name.as_bytes() {
            self.set(Some(link.index), link.up, notice);
        } else {
            // The link may be the device, renamed.
            self.link_gone(link.index, notice);
        }
    }

    /// Handles the notice that a link was removed.
    pub(crate) fn link_gone(&mut self, index: u32, notice: impl FnMut(Notice)) {
        if self.index == Some(index) {
            self.set(None, false, notice);
        }
    }

    fn set(&mut self, index: Option<u32>, is_up: bool, mut notice: impl FnMut(Notice)) {
        let before = (self.index, self.is_up);
        (self.index, self.is_up) = (index, is_up);
        if before.1 && before != (index, is_up) {
            notice(Notice::DeviceDown);
        }
        if is_up && before != (index, is_up) {
            notice(Notice::DeviceUp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notices_of(device: &mut Device, links: &[(u32, &str, bool)]) -> Vec<Notice> {
        let mut notices = Vec::new();
        for &(index, name, up) in links {
            device.link(&Link { index, name: name.as_bytes(), up }, |notice| notices.push(notice));
        }
        notices
    }

    #[test]
    fn only_changes_of_the_device_with_the_name_are_reported() {
        let mut device = Device::new("t0".into());
        let notices = notices_of(&mut device, &[(3, "t0", false), (4, "t1", true), (3, "t0", true), (3, "t0", true)]);
        assert_eq!((notices, device.index()), (vec![Notice::DeviceUp], Some(3)));
    }

    #[test]
    fn another_name_is_another_device() {
        let mut device = Device::new("t0".into());
        let notices = notices_of(&mut device, &[(3, "t0", true), (3, "t1", true)]);
        assert_eq!((notices, device.index()), (vec![Notice::DeviceUp, Notice::DeviceDown], None));
    }

    #[test]
    fn another_index_is_another_device() {
        let mut device = Device::new("t0".into());
        let notices = notices_of(&mut device, &[(3, "t0", true), (5, "t0", true)]);
        assert_eq!(notices, [Notice::DeviceUp, Notice::DeviceDown, Notice::DeviceUp]);
        device.link_gone(3, |_| panic!("that was the old one"));
        assert_eq!(device.index(), Some(5));
    }
}
