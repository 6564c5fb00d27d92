//! What the Kinesis operations do, without HTTP.
