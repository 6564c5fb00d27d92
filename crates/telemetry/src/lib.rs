//! CloudWatch Logs, metrics, batch history.
