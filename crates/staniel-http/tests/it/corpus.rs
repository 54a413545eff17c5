//! The inputs kept by the fuzzers, through the properties of the fuzz targets.

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "it is the library of the fuzz workspace")]
mod properties;

fn replay(target: &str, property: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut n = 0;
    for entry in fs::read_dir(&dir).unwrap() {
        property(&fs::read(entry.unwrap().path()).unwrap());
        n += 1;
    }
    assert!(n > 0, "{} is empty", dir.display());
}

#[test]
fn the_corpora_hold() {
    replay("head_request", properties::head_request);
    replay("head_response", properties::head_response);
    replay("chunked", properties::chunked);
    replay("path", properties::path);
}
