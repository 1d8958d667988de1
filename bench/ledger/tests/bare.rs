//! Goal: the bare server answers the whole flow's own load, and the payers' chains are as they were.
//!
//! Method: a server of the product and a bare one, as processes, with a few payers: a part on the one, on the other, and on the first again.

use bench_ledger::bare;
use replay::bench::Flow;
use replay::server::find_tpw;
use std::path::Path;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn it_takes_the_load_and_keeps_nothing() {
    const PART: Duration = Duration::from_millis(60);
    let folder = tempfile::tempdir().unwrap();
    let flow = Flow {
        tpw: find_tpw().unwrap(),
        rate: 0,
        part: PART,
        rounds: 0,
        payers: 4,
        closed: Vec::new(),
    };
    let stage = flow.set_up(folder.path()).await.unwrap();
    assert!(stage.receipt_len > 4_000, "{} bytes", stage.receipt_len);
    let program = Path::new(env!("CARGO_BIN_EXE_bench-ledger"));
    let bare = bare::start(program, &stage, &folder.path().join("bare")).unwrap();
    for _ in 0..2 {
        let part = stage.closed_at(&bare, 2, PART).await.unwrap();
        assert!(part.booked > 0 && part.other == 0, "{part:?}");
        assert_eq!(part.receipt_len, stage.receipt_len);
        let part = stage.closed(2, PART).await.unwrap();
        assert!(part.booked > 0 && part.other == 0, "{part:?}");
    }
    stage.server.stop().unwrap();
}
