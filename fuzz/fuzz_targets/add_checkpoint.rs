#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let target = tpw_fuzz::target("add_checkpoint").expect("a target of this name");
    (target.run)(data);
});
