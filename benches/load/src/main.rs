//! Drives the proxy with load and says what it costs.

fn main() {}
