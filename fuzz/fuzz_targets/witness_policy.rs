#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = tpw_fuzz::target("witness_policy").expect("a target of this name");
    (target.run)(data);
});
