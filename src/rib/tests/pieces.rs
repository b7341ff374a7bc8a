//! A table that is looked at piece by piece.

use super::*;

#[test]
fn a_table_is_looked_at_in_pieces_until_it_is_rearranged() {
    let mut rib = Rib::new(7, usize::MAX);
    let origin = rib.add_origin(false, SmallVec::new());
    let routes: Vec<_> = (0..100).map(|dest| route(1, dest, 0)).collect();
    for route in &routes {
        rib.announce(origin, route);
    }
    let (mut seen, mut bookmark) = (BTreeSet::new(), Bookmark::default());
    loop {
        let before = seen.len();
        for (behind, entry) in rib.entries(Vni(1), bookmark).unwrap().take(7) {
            assert!(seen.insert(*entry.prefix()), "each once");
            bookmark = behind;
        }
        if seen.len() == before {
            break;
        }
        // One comes meanwhile.
        rib.announce(origin, &route(1, 200, 0));
    }
    assert!(routes.iter().all(|route| seen.contains(&route.prefix)));

    rib.withdraw(origin, &routes[3]);
    rib.wake(0, &mut usize::MAX.clone(), |_| {});
    while rib.needs_maintenance() {
        rib.maintain(&mut 10);
    }
    assert_eq!(rib.entries(Vni(1), bookmark).err(), Some(Moved), "tests compact at every chance");
    assert_eq!(rib.entries(Vni(1), Bookmark::default()).unwrap().count(), 100);
    assert_eq!(rib.entries(Vni(2), bookmark).unwrap().count(), 0, "no table, no places");
}
