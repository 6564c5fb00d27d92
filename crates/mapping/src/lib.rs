//! Event source mappings: control plane, the pure shard machine, its driver.
