#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = tpw_fuzz::target("chain_anchor").expect("a target of this name");
    (target.run)(data);
});
