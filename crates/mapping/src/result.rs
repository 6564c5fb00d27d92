//! What `LastProcessingResult` says about the last thing a mapping did.

/// The result of the last invocation or read of a mapping.
///
/// AWS publishes the texts of the first three; for the others only the form `PROBLEM: …` is known
/// (event source mapping reference 1.4), so their words are ours and chosen here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessingResult {
    NothingYet,
    Ok,
    FunctionFailed,
    Throttled,
    NotReady,
    /// The function could not run: its execution role cannot be assumed.
    NotPermitted,
    /// The function is not there when a batch is sent.
    FunctionMissing,
    ServiceError,
    /// A record that cannot travel in an event of 6 MB was passed over.
    RecordTooLarge,
    ReadFailed,
    Damaged,
    /// From here on: what suspends the mapping as a whole until it is over.
    NoStream,
    /// The consumer that is the event source was deregistered.
    NoConsumer,
    NoAccess,
    NoRole,
    NoFunction,
    /// Kept by another version of Millstream.
    UnknownFilters,
}

impl ProcessingResult {
    pub const fn text(self) -> &'static str {
        match self {
            Self::NothingYet => "No records processed",
            Self::Ok => "OK",
            Self::FunctionFailed => "PROBLEM: Function call failed",
            Self::Throttled => "PROBLEM: Function call was throttled",
            Self::NotReady => "PROBLEM: Function is not ready to be invoked",
            Self::NotPermitted | Self::NoRole => {
                "PROBLEM: The execution role of the function cannot be assumed by Lambda"
            }
            Self::FunctionMissing | Self::NoFunction => "PROBLEM: Function does not exist",
            Self::ServiceError => "PROBLEM: internal Lambda error. Please contact Lambda customer support.",
            Self::RecordTooLarge => "PROBLEM: A record was larger than the maximum event size and was discarded",
            Self::NoStream => "PROBLEM: Stream not found",
            Self::NoConsumer => "PROBLEM: Stream consumer not found",
            Self::NoAccess => {
                "PROBLEM: Cannot access stream. Please ensure the role can perform the GetRecords, GetShardIterator, \
                 DescribeStream, ListShards, and ListStreams Actions on your stream in IAM."
            }
            Self::UnknownFilters => "PROBLEM: This version of Millstream does not understand the filter criteria",
            Self::ReadFailed => "PROBLEM: The stream cannot be read at the moment",
            Self::Damaged => "PROBLEM: Stored records of the stream are damaged",
        }
    }

    /// Whether the mapping as a whole cannot work as long as it is so.
    pub const fn is_suspension(self) -> bool {
        matches!(
            self,
            Self::NoStream | Self::NoConsumer | Self::NoAccess | Self::NoRole | Self::NoFunction | Self::UnknownFilters
        )
    }

    /// The result that a stored text stands for; texts of other versions count as nothing yet. Where a batch's result
    /// and a suspension share a text, it is taken for the suspension, which the next look at the mapping settles.
    pub fn from_text(text: &str) -> Self {
        const ALL: [ProcessingResult; 14] = [
            ProcessingResult::Ok,
            ProcessingResult::FunctionFailed,
            ProcessingResult::Throttled,
            ProcessingResult::NotReady,
            ProcessingResult::NoRole,
            ProcessingResult::NoFunction,
            ProcessingResult::ServiceError,
            ProcessingResult::RecordTooLarge,
            ProcessingResult::NoStream,
            ProcessingResult::NoConsumer,
            ProcessingResult::NoAccess,
            ProcessingResult::UnknownFilters,
            ProcessingResult::ReadFailed,
            ProcessingResult::Damaged,
        ];
        ALL.into_iter().find(|result| result.text() == text).unwrap_or(Self::NothingYet)
    }
}
