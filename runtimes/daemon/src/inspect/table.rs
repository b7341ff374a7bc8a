//! Tables for people: text is aligned left, numbers right, and units are easy to read.

use std::fmt::Write as _;

/// Formats a table without lines. Columns whose names begin with `>` contain numbers. Written by hand because a table
/// may have a million rows, and comfy-table needs more than a kilobyte for each.
pub(crate) fn table<const N: usize>(columns: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let header = columns.map(|name| name.trim_start_matches('>').to_owned());
    let rows: Vec<_> = [header].into_iter().chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::with_capacity(rows.len() * (widths.iter().sum::<usize>() + 2 * N));
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            let space = if column == 0 { "" } else { "  " };
            // Writing to a String can't fail.
            let _ = match columns[column].starts_with('>') {
                true => write!(text, "{space}{cell:>width$}"),
                false => write!(text, "{space}{cell:<width$}"),
            };
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

/// Formats a duration: `1.5 s`, `3 min`, `2 d 4 h`.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{minutes} min {} s", whole % 60),
        3600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Formats a size: `512 B`, `1.5 kB`, `20 MB`.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" || value >= 100.0 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// Formats a count or a rate: `0`, `3.1`, `950`, `41 k`, `2.1 M`.
pub(crate) fn count(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        ..9.95 => format!("{number:.1}"),
        ..9999.5 => format!("{number:.0}"),
        ..999_500.0 => format!("{:.0} k", number / 1e3),
        _ => format!("{:.1} M", number / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_shown_in_the_largest_unit_that_fits() {
        let durations = [0.04, 9.96, 59.9, 60.0, 3_700.0, 90_000.0].map(duration);
        assert_eq!(durations, ["0.0 s", "10.0 s", "59 s", "1 min 0 s", "1 h 1 min", "1 d 1 h"]);
        assert_eq!(
            [0, 999, 1_000, 123_456, 5_000_000_000_000].map(bytes),
            ["0 B", "999 B", "1.0 kB", "123 kB", "5.0 TB"]
        );
    }

    #[test]
    fn counts_are_short() {
        let counts = [0.0, 0.25, 9.96, 9_999.0, 41_260.0, 999_700.0, 12_345_678.0].map(count);
        assert_eq!(counts, ["0", "0.2", "10", "9999", "41 k", "1.0 M", "12.3 M"]);
    }

    #[test]
    fn numbers_are_aligned_right() {
        let rows = [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), "1000".to_owned()]];
        assert_eq!(table(["NAME", ">ROUTES"], rows), "NAME    ROUTES\na            1\nlonger    1000\n");
    }
}
