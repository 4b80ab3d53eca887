#[expect(dead_code, reason = "wired by the command line")]
mod demo;

fn main() {}
