//! Code generation, checks and the test command.
fn main() {}
