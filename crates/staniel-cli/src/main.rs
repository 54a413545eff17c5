//! The `staniel` binary.
fn main() {}
