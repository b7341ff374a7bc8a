//! What names the contents of a table: encodings are shared under it.

use super::*;

/// SUBSCRIBE and UNSUBSCRIBE of a VNI that no other peer uses make a table and drop it, and peers may do that for years.
#[test]
fn tables_that_come_and_go_use_up_one_number_each() {
    const TABLES: u64 = 1000;
    let mut rib = Rib::new(7, usize::MAX);
    let subscriber = rib.add_subscriber(Viewer::ANYBODY);
    for _ in 0..TABLES {
        rib.subscribe(subscriber, Vni(1));
        rib.unsubscribe(subscriber, Vni(1));
    }
    assert!(rib.by_vni.is_empty(), "each time the table is dropped");
    let per_table = rib.next_layout / TABLES;
    let seconds = u64::MAX / per_table / 10_000_000;
    assert!(seconds > 1000 * 365 * 86_400, "at ten million a second, numbers last for {seconds} s");
}

#[test]
fn no_two_tables_and_no_two_states_of_a_table_have_the_same_version() {
    let mut rib = Rib::new(7, usize::MAX);
    let origin = rib.add_origin(false, SmallVec::new());
    let subscriber = rib.add_subscriber(Viewer::ANYBODY);
    let mut seen = Vec::new();
    let mut see = |rib: &Rib| {
        let version = rib.version(rib.find_table(Vni(1)).unwrap());
        assert!(!seen.contains(&version), "{version:?} after {seen:?}");
        seen.push(version);
    };
    for dest in 0..8 {
        // The table is another one each time, in the place of the one before it.
        rib.subscribe(subscriber, Vni(1));
        see(&rib);
        for hop in 0..dest {
            rib.announce(origin, &route(1, dest, hop));
            see(&rib);
        }
        for hop in 0..dest {
            rib.withdraw(origin, &route(1, dest, hop));
            see(&rib);
            rib.wake(0, &mut usize::MAX.clone(), |_| {});
        }
        rib.unsubscribe(subscriber, Vni(1));
        while rib.needs_maintenance() {
            rib.maintain(&mut 10);
        }
        assert!(rib.by_vni.is_empty());
    }
}
