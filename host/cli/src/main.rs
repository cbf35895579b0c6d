//! idumb
fn main() {}
