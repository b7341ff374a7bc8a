//! What the standard library would bring for the linker: an end for panics, and names that the compiled `core` and
//! `alloc` mention for unwinding, which never happens here.

use core::panic::PanicInfo;

// The C library, which otherwise the standard library would link.
#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    abort()
}

/// Named by the unwinding tables of `core` and `alloc`.
// SAFETY: the one symbol of this name. With `panic = "abort"` nobody calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    abort()
}
