#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = tpw_fuzz::target("ots_proof").expect("a target of this name");
    (target.run)(data);
});
