//! The launcher alone, for the tests of this crate: their own programs cannot be executed again under its name.

fn main() {
    millstream_runtime::launcher::maybe_run();
}
