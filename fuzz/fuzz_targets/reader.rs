//! Every target under libFuzzer: the variable `TPW_FUZZ_TARGET` names the one to run.

#![no_main]

use std::env;
use std::sync::LazyLock;

use tpw_fuzz::Target;

static CHOSEN: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = env::var("TPW_FUZZ_TARGET").expect("TPW_FUZZ_TARGET names a target");
    tpw_fuzz::target(&name).expect("a target of this name: `smoke list` shows them")
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| (CHOSEN.run)(data));
