//! The operations of each service: one file per service, one line per operation.

pub(crate) mod iam;
pub(crate) mod kinesis;
pub(crate) mod lambda;
pub(crate) mod logs;
pub(crate) mod millstream;
pub(crate) mod monitoring;
pub(crate) mod sns;
pub(crate) mod sqs;
pub(crate) mod sts;

use crate::operation::Table;
use crate::services::Services;

/// All operations, by service.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) kinesis: Table,
    pub(crate) lambda: Table,
    pub(crate) iam: Table,
    pub(crate) sts: Table,
    pub(crate) logs: Table,
    pub(crate) monitoring: Table,
    pub(crate) millstream: Table,
    pub(crate) sqs: Table,
    pub(crate) sns: Table,
}

impl Tables {
    pub(crate) fn new(services: &Services) -> Self {
        Self {
            kinesis: kinesis::table(services),
            lambda: lambda::table(services),
            iam: iam::table(services),
            sts: sts::table(services),
            logs: logs::table(services),
            monitoring: monitoring::table(services),
            millstream: millstream::table(services),
            sqs: sqs::table(services),
            sns: sns::table(services),
        }
    }

    /// Operations whose types exist but that nothing serves, with their service.
    pub(crate) fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let tables = [
            &self.kinesis,
            &self.lambda,
            &self.sqs,
            &self.sns,
            &self.iam,
            &self.sts,
            &self.logs,
            &self.monitoring,
            &self.millstream,
        ];
        tables.iter().flat_map(|table| table.missing().into_iter().map(|name| (table.service.name, name))).collect()
    }
}
