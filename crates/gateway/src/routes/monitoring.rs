//! CloudWatch. None of its metrics has an ARN, so that all actions are on `*`.

use std::future::ready;

use millstream_wire::monitoring::{SERVICE, op};

use crate::operation::{Need, Table};
use crate::services::Services;

macro_rules! on_everything {
    ($table:ident, $metrics:ident: $($operation:ident => $method:ident;)*) => {
        $({
            let metrics = $metrics.clone();
            $table.add::<op::$operation, _, _>(
                |_, _| vec![Need::new(concat!("cloudwatch:", stringify!($operation)), "*")],
                move |context, input| ready(metrics.$method(&context, input)),
            );
        })*
    };
}

pub(crate) fn table(services: &Services) -> Table {
    let metrics = &services.metrics;
    let mut table = Table::new(&SERVICE);
    on_everything! { table, metrics:
        GetMetricData => get_metric_data;
        GetMetricStatistics => get_metric_statistics;
        ListMetrics => list_metrics;
        PutMetricData => put_metric_data;
    }
    table
}
