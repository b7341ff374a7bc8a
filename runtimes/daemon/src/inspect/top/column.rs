//! Sortable columns of a table.

use std::cmp::Ordering;

/// A column: how it shows an item, and how it orders items.
pub(super) struct Column<T: 'static> {
    pub(super) name: &'static str,
    pub(super) width: u16,
    /// Numbers are aligned right and sorted in descending order.
    pub(super) is_number: bool,
    pub(super) shown: fn(&T) -> String,
    pub(super) order: fn(&T, &T) -> Ordering,
}

impl<T> Column<T> {
    pub(super) const fn word(
        name: &'static str,
        width: u16,
        shown: fn(&T) -> String,
        order: fn(&T, &T) -> Ordering,
    ) -> Self {
        Self { name, width, is_number: false, shown, order }
    }

    pub(super) const fn number(
        name: &'static str,
        width: u16,
        shown: fn(&T) -> String,
        order: fn(&T, &T) -> Ordering,
    ) -> Self {
        Self { name, width, is_number: true, shown, order }
    }

    /// Compares two items in this column's default order.
    pub(super) fn sorted(&self, one: &T, other: &T) -> Ordering {
        let order = (self.order)(one, other);
        if self.is_number { order.reverse() } else { order }
    }
}

/// Returns how many columns fit into the width. The first columns are the most important ones.
pub(super) fn fitting<T>(columns: &[Column<T>], width: u16) -> usize {
    let mut left = usize::from(width) + 1;
    let fits = |column: &&Column<T>| {
        let rest = left.checked_sub(usize::from(column.width) + 1);
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    columns.iter().take_while(fits).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column<u8>] = &[
        Column::word("a", 3, |n| n.to_string(), |one, other| one.cmp(other)),
        Column::number("b", 4, |n| n.to_string(), |one, other| one.cmp(other)),
    ];

    #[test]
    fn columns_that_do_not_fit_are_left_out() {
        assert_eq!([2, 3, 7, 8, 80].map(|width| fitting(COLUMNS, width)), [0, 1, 1, 2, 2]);
    }

    #[test]
    fn numbers_are_sorted_descending_and_words_ascending() {
        assert_eq!((COLUMNS[0].sorted(&1, &2), COLUMNS[1].sorted(&1, &2)), (Ordering::Less, Ordering::Greater));
    }
}
