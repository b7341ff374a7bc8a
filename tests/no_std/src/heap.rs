//! The memory: a block of fixed size, handed out piece by piece, of which only the last piece can be taken back.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes; several times what the program needs.
const SIZE: usize = 128 * 1024;

#[global_allocator]
static HEAP: Heap = Heap { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

struct Heap {
    memory: UnsafeCell<[u8; SIZE]>,
    /// How many bytes from the start are handed out.
    used: AtomicUsize,
}

// SAFETY: `used` is atomic, and of `memory` only the address is taken here; each byte of it is handed out to one owner.
unsafe impl Sync for Heap {}

// SAFETY: what is handed out lies within `memory`, is aligned, and overlaps nothing that is in use: `used` moves on past
// it in one atomic step, and back only when its end is the end of all that is in use.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.memory.get().cast::<u8>();
        let place = |used: usize| {
            let start = used.checked_add(base.wrapping_add(used).align_offset(layout.align()))?;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE).then_some((start, end))
        };
        match self.used.fetch_update(Relaxed, Relaxed, |used| place(used).map(|(_, end)| end)) {
            Ok(before) => place(before).map_or(ptr::null_mut(), |(start, _)| base.wrapping_add(start)),
            Err(_) => ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let start = at.addr() - self.memory.get().addr();
        // If something else was handed out behind it, it is not the last, and stays.
        let _ = self.used.compare_exchange(start + layout.size(), start, Relaxed, Relaxed);
    }
}
