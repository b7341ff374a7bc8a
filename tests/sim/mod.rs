//! The simulator: nodes, byte pipes and virtual time, with a reference model beside them. Roles are kept apart: what
//! can happen (`ops`), what should (`model`), the network (`link`), the system (`world`), the checks (`check`).

pub(crate) mod accepted;
pub(crate) mod act;
pub(crate) mod cases;
pub(crate) mod check;
pub(crate) mod clock;
pub(crate) mod decode;
pub(crate) mod dialled;
pub(crate) mod fleet;
pub(crate) mod host;
pub(crate) mod link;
pub(crate) mod model;
pub(crate) mod ops;
pub(crate) mod plots;
pub(crate) mod policies;
pub(crate) mod quiet;
pub(crate) mod raw;
pub(crate) mod reached;
pub(crate) mod rest;
pub(crate) mod rig;
pub(crate) mod rng;
pub(crate) mod sabotage;
pub(crate) mod seat;
pub(crate) mod servers;
pub(crate) mod silence;
pub(crate) mod soak;
pub(crate) mod window;
pub(crate) mod wire;
pub(crate) mod world;

/// Returns the table of a subscriber that received these messages in this order.
pub(crate) fn fold<'a>(msgs: impl IntoIterator<Item = &'a wire::Msg>) -> model::Routes {
    let mut held = model::Routes::new();
    for msg in msgs {
        match msg {
            wire::Msg::Add(route) => drop(held.insert(*route)),
            wire::Msg::Remove(route) => drop(held.remove(route)),
            _ => {}
        }
    }
    held
}
