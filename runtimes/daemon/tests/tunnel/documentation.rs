//! The commands of docs/data-plane.md, as files for the guest: each indented block of a section, and the example.

const DATA_PLANE: &str = include_str!("../../../../docs/data-plane.md");

/// Returns the names of the files, and their content. `receiving-1` is the first block of "The receiving side". `example` is the whole
/// example, except that it waits for its routes, and `example-functions` its functions.
pub(crate) fn scripts() -> Vec<(String, String)> {
    let mut scripts = Vec::new();
    for (name, heading) in [("table", "A table for each VNI"), ("receiving", "The receiving side")] {
        let blocks = blocks(section(heading));
        scripts.extend(blocks.into_iter().zip(1..).map(|(block, number)| (format!("{name}-{number}"), block)));
    }
    let example = example();
    // Waits for the routes, instead of the number of seconds that is written for people.
    let until = "await_route h1 1023 fd00:a::2; await_route h2 1023 fd00:a::1; await_route h1 1042 fd00:a::2; await_route h2 1042 fd00:a::1";
    assert_eq!(example.matches("\nsleep 3\n").count(), 1);
    scripts.push(("example".to_owned(), example.replace("sleep 3", until)));
    let (functions, _) = example.split_once("hypervisor 1 2\n").unwrap();
    scripts.push(("example-functions".to_owned(), functions.to_owned()));
    scripts
}

/// Returns the script of the example.
fn example() -> &'static str {
    section("An example: two hypervisors").split("```").nth(1).unwrap().strip_prefix("sh\n").unwrap()
}

/// Returns the lines that the example shows as the routes of the first hypervisor.
pub(crate) fn routes_of_the_example() -> Vec<String> {
    let shown = section("An example: two hypervisors").rsplit("```").next().unwrap();
    blocks(shown).concat().lines().map(str::to_owned).collect()
}

fn section(heading: &str) -> &'static str {
    let (_, text) = DATA_PLANE.split_once(&format!("\n## {heading}\n")).unwrap();
    text.split("\n## ").next().unwrap()
}

/// Returns the blocks of indented lines, without the indentation.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut is_in_block = false;
    for line in text.lines() {
        let Some(command) = line.strip_prefix("    ") else {
            is_in_block = false;
            continue;
        };
        if !is_in_block {
            blocks.push(String::new());
        }
        is_in_block = true;
        let block = blocks.last_mut().expect("one was just added");
        *block += command;
        *block += "\n";
    }
    blocks
}
