//! The memory: a block of fixed size, handed out piece by piece. Only the last piece can be taken back.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Size in bytes, several times what the program needs.
const SIZE: usize = 128 * 1024;

#[global_allocator]
static HEAP: Heap = Heap { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

struct Heap {
    memory: UnsafeCell<[u8; SIZE]>,
    /// Number of bytes from the start that are handed out.
    used: AtomicUsize,
}

// SAFETY: `used` is atomic, and only the address of `memory` is taken here; each byte of it is handed out to one owner.
unsafe impl Sync for Heap {}

// SAFETY: a block that is handed out lies within `memory`, is aligned, and overlaps no block in use: `used` moves past
// it in one atomic step, and moves back only if the end of the block is the end of all blocks in use.
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
        // If another block was handed out after this one, this one is not the last and stays.
        let _ = self.used.compare_exchange(start + layout.size(), start, Relaxed, Relaxed);
    }
}
