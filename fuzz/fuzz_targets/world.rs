#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| {
    metalbond_fuzz::world(data);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    // Sometimes also changes single bytes.
    if seed.is_multiple_of(5) {
        fuzzer_mutate(data, size, max_size)
    } else {
        metalbond_fuzz::mutate::world(data, size, max_size, seed)
    }
});
