//! The wire: AWS types and shape tables generated from the service models, and one runtime per protocol. No I/O.
