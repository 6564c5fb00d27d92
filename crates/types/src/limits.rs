//! The numbers AWS documents, each with its source. Bytes unless a name says otherwise.

/// Largest request and response payload of a synchronous invocation (Lambda quotas).
pub const INVOKE_PAYLOAD_BYTES_MAX: usize = 6_291_456;
/// What the service really enforces for responses: 100 bytes more (recorded answer).
pub const INVOKE_RESPONSE_BYTES_MAX: usize = 6_291_556;
/// Largest payload of an asynchronous invocation (Lambda quotas, raised in 2025).
pub const ASYNC_PAYLOAD_BYTES_MAX: usize = 1_048_576;
/// Records in one `PutRecords` call (Kinesis model).
pub const PUT_RECORDS_COUNT_MAX: usize = 500;
/// Records that one `GetRecords` call returns at most (Kinesis model).
pub const GET_RECORDS_COUNT_MAX: usize = 10_000;
/// Bytes that one `GetRecords` call returns at most (Kinesis developer guide).
pub const GET_RECORDS_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Default largest record of a stream, data and partition key (Kinesis developer guide).
pub const RECORD_BYTES_MAX_DEFAULT: usize = 1024 * 1024;
/// Shortest and longest retention (Kinesis developer guide).
pub const RETENTION_HOURS: std::ops::RangeInclusive<u32> = 24..=8760;
