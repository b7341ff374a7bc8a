//! What the standard library would provide for the linker: a panic handler, and symbols that the compiled `core` and
//! `alloc` name for unwinding, which never happens here.

use core::panic::PanicInfo;

// The C library, which the standard library would link otherwise.
#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    abort()
}

/// Named by the unwinding tables of `core` and `alloc`.
// SAFETY: the only symbol of this name. With `panic = "abort"` no code calls it.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    abort()
}
