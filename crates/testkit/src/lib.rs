//! Fixtures shared by the tests of several crates: the simulated disk, free ports, temporary folders.
