#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shadowcat::fuzzing::check("lines", bytes));
