#[expect(dead_code, unused_imports, reason = "wired by the command line")]
mod demo;

fn main() {}
