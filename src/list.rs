//! Short lists for public types: a few items are stored inline, without an allocation. The library behind them is private, so that it
//! can be replaced without a change of the API.

/// Defines a list of `$item` with room for `$n` inline, and its iterator by value.
macro_rules! list {
    ($(#[$doc:meta])* $list:ident, $(#[$iter_doc:meta])* $iter:ident, $item:ty, $n:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Default, Debug)]
        pub struct $list(pub(crate) smallvec::SmallVec<[$item; $n]>);

        impl $list {
            /// Returns an empty list.
            pub fn new() -> Self {
                Self(smallvec::SmallVec::new())
            }

            /// Returns the number of items.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// Returns true if the list has no item.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }

            /// Returns the items as a slice.
            pub fn as_slice(&self) -> &[$item] {
                &self.0
            }

            /// Returns the items as a mutable slice, to change or sort them in place.
            pub fn as_mut_slice(&mut self) -> &mut [$item] {
                &mut self.0
            }

            /// Iterates over the items, in order.
            pub fn iter(&self) -> core::slice::Iter<'_, $item> {
                self.0.iter()
            }
        }

        impl FromIterator<$item> for $list {
            fn from_iter<I: IntoIterator<Item = $item>>(items: I) -> Self {
                Self(items.into_iter().collect())
            }
        }

        impl Extend<$item> for $list {
            fn extend<I: IntoIterator<Item = $item>>(&mut self, items: I) {
                self.0.extend(items);
            }
        }

        impl IntoIterator for $list {
            type Item = $item;
            type IntoIter = $iter;

            fn into_iter(self) -> $iter {
                $iter(self.0.into_iter())
            }
        }

        impl<'a> IntoIterator for &'a $list {
            type Item = &'a $item;
            type IntoIter = core::slice::Iter<'a, $item>;

            fn into_iter(self) -> Self::IntoIter {
                self.0.iter()
            }
        }

        $(#[$iter_doc])*
        #[derive(Clone, Debug)]
        pub struct $iter(smallvec::IntoIter<[$item; $n]>);

        impl Iterator for $iter {
            type Item = $item;

            fn next(&mut self) -> Option<$item> {
                self.0.next()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
        }

        impl DoubleEndedIterator for $iter {
            fn next_back(&mut self) -> Option<$item> {
                self.0.next_back()
            }
        }

        impl ExactSizeIterator for $iter {}
    };
}
pub(crate) use list;
