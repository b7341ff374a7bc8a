//! `metalbond demo`.

use crate::process::run;

#[test]
fn the_demonstration_shows_every_table_and_ends_by_itself() {
    let ended = run(&["demo"]);
    assert_eq!(ended.code, Some(0), "{:#?}", ended.stderr);
    assert_eq!(ended.stderr, [""; 0]);
    let text = ended.stdout.join("\n");
    for part in ["h1 knows", "h2 knows", "h3 knows", "LB", "NAT 1024-2047", "fd00:23::1/128", "10.0.23.4/32"] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let (_, lost) = text.split_once("h3 is lost").unwrap();
    assert!(!lost.contains("h3 knows"));
    assert_eq!(lost.matches("| - | 10.0.23.3/32").count(), 2, "{lost}");
}
