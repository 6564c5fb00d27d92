//! Execution environments: launcher and isolation, Runtime API, pools, log capture.
