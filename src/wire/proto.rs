//! The protobuf messages for prost. Enums are plain numbers: the modules that use them decide which numbers are valid.

use alloc::vec::Vec;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Hello {
    #[prost(uint32, tag = "1")]
    pub(crate) keepalive_interval: u32,
    #[prost(bool, tag = "2")]
    pub(crate) is_server: bool,
    #[prost(uint32, tag = "100")]
    pub(crate) capabilities: u32,
    #[prost(uint32, tag = "101")]
    pub(crate) restart_time: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Subscription {
    #[prost(uint32, tag = "1")]
    pub(crate) vni: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Update {
    #[prost(int32, tag = "1")]
    pub(crate) action: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) vni: u32,
    #[prost(message, optional, tag = "3")]
    pub(crate) destination: Option<Destination>,
    #[prost(message, optional, tag = "4")]
    pub(crate) next_hop: Option<NextHop>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Destination {
    #[prost(int32, tag = "1")]
    pub(crate) ip_version: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) prefix: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub(crate) prefix_length: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NextHop {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) target_address: Vec<u8>,
    #[prost(uint32, tag = "2")]
    pub(crate) target_vni: u32,
    #[prost(int32, tag = "3")]
    pub(crate) kind: i32,
    #[prost(uint32, tag = "4")]
    pub(crate) nat_port_range_from: u32,
    #[prost(uint32, tag = "5")]
    pub(crate) nat_port_range_to: u32,
}
