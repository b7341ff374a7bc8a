//! Remains: what earlier processes have left in tables, which the marks there tell apart from what belongs to the present settings.
//!
//! Invariant: nothing of a live process is taken over, and of a process that is gone only what is in the way, or was left by this program
//! itself with other settings.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::claim::Part;
use crate::mark::Mark;

/// What this program takes over besides that of its settings, until nothing of it is left.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Remains {
    /// The marks of what is taken over.
    marks: Vec<Mark>,
    /// The tables that the settings do not have.
    tables: BTreeSet<u32>,
    /// Other protocol numbers, by table.
    protocols: BTreeSet<(u32, u8)>,
    /// The ids of objects, with the protocol number, if one of them is not that of the settings.
    objects: Vec<(u8, RangeInclusive<u32>)>,
}

/// What was found at the start.
#[derive(Default, PartialEq, Eq, Debug)]
pub(crate) struct Survey {
    pub(crate) remains: Remains,
    /// Marks in tables of the settings, for VNIs that are not, or no longer, in them.
    pub(crate) other_vnis: Vec<Mark>,
    /// Marks of processes that are gone and had other settings, in other tables. They are none of this program's business.
    pub(crate) left_alone: Vec<Mark>,
}

/// Divides the marks in the kernel. `ours`: the marks of the present settings. `is_live`: whether a running process has what a mark says.
///
/// A process is known by its protocol number and ids. Marks with the present ones were left by this program. With other ones, too, if one of
/// them is for a VNI in the table in which the present settings have it: then only the numbers have changed. What anybody else has left in
/// a table of the settings would serve the routes of another network there.
pub(crate) fn survey(ours: &[Mark], found: Vec<Mark>, is_live: impl Fn(&Mark) -> bool) -> Survey {
    let Some(own) = ours.first() else { return Survey::default() };
    let tables: BTreeSet<u32> = ours.iter().map(|mark| mark.table).collect();
    let is_ours = |mark: &Mark| ours.iter().any(|ours| (ours.table, ours.vni) == (mark.table, mark.vni));
    // Marks with the present numbers cannot be those of another live process, as this one has claimed them.
    let gone: Vec<Mark> = found.into_iter().filter(|mark| mark.is_like(own) || !is_live(mark)).collect();
    let former: Vec<Mark> = gone.iter().filter(|mark| mark.is_like(own) || is_ours(mark)).cloned().collect();
    let mut survey = Survey::default();
    for mark in gone {
        let is_mapped = tables.contains(&mark.table);
        if !is_mapped && !former.iter().any(|former| former.is_like(&mark)) {
            survey.left_alone.push(mark);
            continue;
        }
        let is_of_other_vni = is_mapped && !is_ours(&mark);
        if is_of_other_vni {
            survey.other_vnis.push(mark.clone());
        }
        // Once such a table is empty, nothing is left that the present settings do not find.
        let is_done = is_of_other_vni && mark.is_like(own);
        if !is_done && !ours.contains(&mark) {
            survey.remains.add(mark, own, is_mapped);
        }
    }
    survey
}

impl Remains {
    fn add(&mut self, mark: Mark, own: &Mark, is_mapped: bool) {
        if !is_mapped {
            self.tables.insert(mark.table);
        }
        if mark.protocol != own.protocol {
            self.protocols.insert((mark.table, mark.protocol));
        }
        let objects = (mark.protocol, mark.ids.clone());
        if !mark.is_like(own) && !self.objects.contains(&objects) {
            self.objects.push(objects);
        }
        self.marks.push(mark);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub(crate) fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Returns the tables that the settings do not have, in order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = u32> {
        self.tables.iter().copied()
    }

    pub(crate) fn has_table(&self, table: u32) -> bool {
        self.tables.contains(&table)
    }

    /// Returns the other protocol numbers in a table.
    pub(crate) fn protocols(&self, table: u32) -> impl Iterator<Item = u8> {
        self.protocols.range((table, 0)..=(table, u8::MAX)).map(|(_, protocol)| *protocol)
    }

    pub(crate) fn has_protocol(&self, table: u32, protocol: u8) -> bool {
        !self.protocols.is_empty() && self.protocols.contains(&(table, protocol))
    }

    /// Returns whether an object with this protocol number and id is part of the remains, which the settings would not find.
    pub(crate) fn has_object(&self, protocol: u8, id: u32) -> bool {
        self.objects.iter().any(|(other, ids)| *other == protocol && ids.contains(&id))
    }

    /// Returns whether an object with this id may be part of the remains.
    pub(crate) fn has_id(&self, id: u32) -> bool {
        self.objects.iter().any(|(_, ids)| ids.contains(&id))
    }

    /// Returns the settings of earlier processes.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for Mark { table, protocol, ids, .. } in &self.marks {
            match parts.iter_mut().find(|part| (part.protocol, &part.ids) == (*protocol, ids)) {
                Some(part) if part.tables.contains(table) => {}
                Some(part) => part.tables.push(*table),
                None => parts.push(Part { protocol: *protocol, ids: ids.clone(), tables: vec![*table] }),
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use metalbond::Vni;

    use super::*;

    const IDS: RangeInclusive<u32> = 100..=199;

    fn mark(table: u32, vni: u32, protocol: u8, ids: RangeInclusive<u32>) -> Mark {
        Mark { table, vni: Vni(vni), protocol, ids }
    }

    /// The settings are VNI 23 in table 1000 and VNI 24 in table 1001, protocol number 254 and ids 100 to 199.
    fn divided(found: &[Mark], live: &[Mark]) -> Survey {
        let ours = [mark(1000, 23, 254, IDS), mark(1001, 24, 254, IDS)];
        survey(&ours, found.to_vec(), |mark| live.contains(mark))
    }

    #[test]
    fn what_is_of_the_present_settings_is_no_remains() {
        assert_eq!(divided(&[], &[]), Survey::default());
        assert_eq!(divided(&[mark(1000, 23, 254, IDS), mark(1001, 24, 254, IDS)], &[]), Survey::default());
    }

    #[test]
    fn a_table_that_is_no_longer_mapped_is_taken_over_and_its_vni_is_no_matter() {
        let found = [mark(1000, 23, 254, IDS), mark(1002, 25, 254, IDS)];
        let survey = divided(&found, &[]);
        assert_eq!(survey.remains.marks(), &found[1..]);
        assert!(survey.remains.tables().eq([1002]) && survey.other_vnis.is_empty() && survey.left_alone.is_empty());
        assert_eq!(survey.remains.parts(), [Part { protocol: 254, ids: IDS, tables: vec![1002] }]);
    }

    #[test]
    fn a_table_with_another_vni_is_named() {
        // Also if it has the present one, too.
        let other = mark(1000, 22, 254, IDS);
        for found in [&[other.clone()][..], &[mark(1000, 23, 254, IDS), other.clone()]] {
            assert_eq!(divided(found, &[]), Survey { other_vnis: vec![other.clone()], ..Survey::default() });
        }
    }

    #[test]
    fn after_a_change_of_the_numbers_all_that_was_left_with_the_former_ones_is_taken_over() {
        let found = [mark(1000, 23, 77, 1..=9), mark(1002, 25, 77, 1..=9)];
        let survey = divided(&found, &[]);
        let remains = &survey.remains;
        assert_eq!(remains.marks(), found);
        assert!(remains.tables().eq([1002]) && remains.protocols(1000).eq([77]) && remains.protocols(1002).eq([77]));
        assert!(remains.has_object(77, 9) && !remains.has_object(254, 9) && !remains.has_object(77, 100));
        assert_eq!(remains.parts(), [Part { protocol: 77, ids: 1..=9, tables: vec![1000, 1002] }]);
        // Only the ids have changed.
        let survey = divided(&[mark(1000, 23, 254, 1..=9)], &[]);
        assert!(survey.remains.protocols(1000).next().is_none() && survey.remains.has_object(254, 1));
    }

    #[test]
    fn what_a_live_process_has_is_left_to_it() {
        let found = [mark(1000, 23, 77, 1..=9), mark(1002, 25, 77, 1..=9)];
        assert_eq!(divided(&found, &found), Survey::default());
    }

    #[test]
    fn what_another_process_has_left_is_taken_over_in_our_tables_only() {
        let found = [mark(1000, 30, 77, 1..=9), mark(1002, 25, 77, 1..=9), mark(1003, 26, 254, 1..=9)];
        let survey = divided(&found, &[]);
        assert_eq!(survey.remains.marks(), &found[..1]);
        assert_eq!(survey.other_vnis, &found[..1]);
        assert_eq!(survey.left_alone, &found[1..]);
    }
}
