#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| staniel_fuzz::head_request(bytes));
