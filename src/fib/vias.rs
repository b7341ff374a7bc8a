//! Where kernel routes lead: each set of legs once, with the nexthop object that stands for it.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::Key;
use super::op::Legs;

/// A via's number, while it is in use.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct ViaId(u32);

impl ViaId {
    /// Nowhere: there is no route.
    pub(super) const NONE: Self = Self(u32::MAX);
    /// Somewhere that no via of ours leads to.
    pub(super) const UNKNOWN: Self = Self(0);
}

/// Whether the kernel has the object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ViaState {
    Absent,
    Adding,
    Present,
    Removing,
}

/// Who goes on when an object is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiter {
    Route(Key),
    Group(ViaId),
}

#[derive(Debug)]
pub(super) struct Via {
    /// None: an object that is nothing we would make.
    pub(super) legs: Legs,
    /// The object's id; 0: it has none.
    pub(super) object: u32,
    pub(super) state: ViaState,
    /// Routes that are installed with it or about to be, and groups that it is a member of.
    pub(super) users: u32,
    /// Of a group that is not absent.
    pub(super) members: SmallVec<[ViaId; 2]>,
    pub(super) waiters: Vec<Waiter>,
    /// How often in a row the kernel refused it.
    pub(super) failures: u8,
    /// The members that a group waits for.
    pub(super) awaits: SmallVec<[ViaId; 2]>,
    /// It will be looked at when a time has come.
    pub(super) is_retrying: bool,
    /// Found by the dump that is under way.
    pub(super) is_seen: bool,
}

#[derive(Debug)]
pub(super) struct Vias {
    items: Vec<Option<Via>>,
    free: Vec<u32>,
    by_legs: HashMap<Legs, ViaId, FixedState>,
    by_object: HashMap<u32, ViaId, FixedState>,
    ids: RangeInclusive<u32>,
    /// Where to look for a free id.
    next_id: u32,
    /// Ids of objects that others made.
    taken: BTreeSet<u32>,
    /// Those that came to have no user. May name one that has again, or is gone.
    pub(super) idle: Vec<ViaId>,
}

impl Vias {
    pub(super) fn new(seed: FixedState, ids: RangeInclusive<u32>) -> Self {
        let mut vias = Self {
            items: Vec::new(),
            free: Vec::new(),
            by_legs: HashMap::with_hasher(seed.clone()),
            by_object: HashMap::with_hasher(seed),
            next_id: *ids.start(),
            ids,
            taken: BTreeSet::new(),
            idle: Vec::new(),
        };
        let unknown = vias.insert(Legs::new(), 0, ViaState::Present);
        debug_assert_eq!(unknown, ViaId::UNKNOWN);
        vias
    }

    pub(super) fn get(&self, id: ViaId) -> Option<&Via> {
        self.items.get(id.0 as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: ViaId) -> Option<&mut Via> {
        self.items.get_mut(id.0 as usize)?.as_mut()
    }

    /// The via for these legs, which is made if there is none.
    pub(super) fn of_legs(&mut self, legs: &Legs, state: ViaState) -> ViaId {
        match self.by_legs.get(legs) {
            Some(&id) => id,
            None => self.insert(legs.clone(), 0, state),
        }
    }

    pub(super) fn of_object(&self, object: u32) -> Option<ViaId> {
        self.by_object.get(&object).copied()
    }

    fn insert(&mut self, legs: Legs, object: u32, state: ViaState) -> ViaId {
        let via = Via {
            legs,
            object,
            state,
            users: 0,
            members: SmallVec::new(),
            waiters: Vec::new(),
            failures: 0,
            awaits: SmallVec::new(),
            is_retrying: false,
            is_seen: true,
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.items.push(None);
                // More than that do not fit a machine's memory.
                u32::try_from(self.items.len() - 1).expect("fewer than 2^32 vias")
            }
        };
        if !via.legs.is_empty() {
            self.by_legs.entry(via.legs.clone()).or_insert(ViaId(id));
        }
        if object != 0 {
            self.by_object.insert(object, ViaId(id));
        }
        self.items[id as usize] = Some(via);
        ViaId(id)
    }

    /// The kernel has an object that we know nothing of, with these legs if it is one that we would make.
    pub(super) fn adopt(&mut self, object: u32, legs: Legs) -> ViaId {
        self.taken.remove(&object);
        // Who waits for one with these legs has it now.
        if let Some(&id) = self.by_legs.get(&legs)
            && let Some(via) = self.items.get_mut(id.0 as usize).and_then(Option::as_mut)
            && via.state == ViaState::Absent
            && !legs.is_empty()
        {
            (via.object, via.state, via.is_seen) = (object, ViaState::Present, true);
            self.by_object.insert(object, id);
            return id;
        }
        self.insert(legs, object, ViaState::Present)
    }

    /// The id belongs to an object of somebody else.
    pub(super) fn take_id(&mut self, object: u32) {
        self.taken.insert(object);
    }

    /// What others made is to be seen anew.
    pub(super) fn forget_taken(&mut self) {
        self.taken.clear();
    }

    /// Gives an absent via an id for its object. False: all are in use.
    pub(super) fn assign_id(&mut self, id: ViaId) -> bool {
        let (start, end) = (*self.ids.start(), *self.ids.end());
        for _ in 0..=self.by_object.len() + self.taken.len() {
            let object = self.next_id;
            self.next_id = if object >= end { start } else { object + 1 };
            if !self.by_object.contains_key(&object) && !self.taken.contains(&object) {
                if let Some(via) = self.get_mut(id) {
                    via.object = object;
                    self.by_object.insert(object, id);
                }
                return true;
            }
        }
        false
    }

    /// The kernel does not have a via's object (any more). Returns who was waiting for it, and its members.
    pub(super) fn set_absent(&mut self, id: ViaId) -> SmallVec<[ViaId; 2]> {
        let Some(via) = self.get_mut(id) else { return SmallVec::new() };
        via.state = ViaState::Absent;
        let (object, members) = (core::mem::take(&mut via.object), core::mem::take(&mut via.members));
        if self.by_object.get(&object) == Some(&id) {
            self.by_object.remove(&object);
        }
        members
    }

    /// Forgets a via that nobody uses and the kernel does not have.
    pub(super) fn remove(&mut self, id: ViaId) {
        let Some(via) = self.items.get_mut(id.0 as usize).and_then(Option::take) else { return };
        if self.by_legs.get(&via.legs) == Some(&id) {
            self.by_legs.remove(&via.legs);
        }
        if self.by_object.get(&via.object) == Some(&id) {
            self.by_object.remove(&via.object);
        }
        self.free.push(id.0);
    }

    /// One more user.
    pub(super) fn hold(&mut self, id: ViaId) {
        if let Some(via) = self.get_mut(id) {
            via.users += 1;
        }
    }

    /// One user less.
    pub(super) fn let_go(&mut self, id: ViaId) {
        if let Some(via) = self.get_mut(id) {
            debug_assert!(via.users > 0, "whoever lets go has held");
            via.users = via.users.saturating_sub(1);
            if via.users == 0 && id != ViaId::UNKNOWN {
                self.idle.push(id);
            }
        }
    }

    /// All that are there, by number.
    pub(super) fn ids(&self) -> impl Iterator<Item = ViaId> + use<> {
        (1..self.items.len() as u32).map(ViaId)
    }

    /// Objects in the kernel.
    pub(super) fn objects(&self) -> usize {
        self.by_object.len()
    }
}
