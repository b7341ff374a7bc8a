//! The settings of a [`Kernel`](crate::Kernel).

use std::ops::RangeInclusive;

use crate::OpenError;

/// The length of the longest device name, in bytes.
const NAME_MAX: usize = 15;

/// The part of the kernel's state that belongs to this program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The name of the tunnel device.
    pub device: String,
    /// The protocol number of this program's routes and objects, from 1.
    pub protocol: u8,
    /// The metric of this program's routes, from 1. The kernel prefers a route with a lower metric.
    pub metric: u32,
    /// The ids that this program's objects may have, from 1.
    pub ids: RangeInclusive<u32>,
    /// The tables of this program's routes, from 1.
    pub tables: Vec<u32>,
    /// Whether nexthop objects are used if the kernel has them.
    pub nexthop_objects: bool,
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let what = if self.device.is_empty() || self.device.len() > NAME_MAX || self.device.contains(['\0', '/']) {
            "no device can have that name"
        } else if self.protocol == 0 {
            "protocol 0 marks nothing"
        } else if self.metric == 0 {
            "metric 0 is none"
        } else if self.ids.is_empty() || *self.ids.start() == 0 {
            "the range of object ids is empty or contains 0"
        } else if self.tables.is_empty() || self.tables.contains(&0) {
            "there is no table, or it is table 0"
        } else {
            return Ok(());
        };
        Err(OpenError::Settings(what))
    }
}
