//! `IncreaseStreamRetentionPeriod` and `DecreaseStreamRetentionPeriod`.

use millstream_iam::RequestContext;
use millstream_types::limits::RETENTION_HOURS;
use millstream_wire::kinesis::error::{DecreaseStreamRetentionPeriodError, IncreaseStreamRetentionPeriodError};
use millstream_wire::kinesis::{DecreaseStreamRetentionPeriodInput, IncreaseStreamRetentionPeriodInput};

use crate::errors::{InUse, Internal, InvalidArgument, LimitExceeded, LookupError, TargetError, Validation};
use crate::model::{Intent, Status};
use crate::names::StreamTarget;
use crate::service::Streams;

#[derive(Clone, Copy)]
enum Direction {
    Increase,
    Decrease,
}

impl Streams {
    /// Records that were trimmed do not come back. The present value is accepted and changes nothing.
    pub async fn increase_stream_retention_period(
        &self,
        context: &RequestContext,
        input: IncreaseStreamRetentionPeriodInput,
    ) -> Result<(), IncreaseStreamRetentionPeriodError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        self.change_retention(context, target, input.retention_period_hours, Direction::Increase).await
    }

    /// Older records cannot be read any more when this returns. The present value is accepted and changes nothing.
    pub async fn decrease_stream_retention_period(
        &self,
        context: &RequestContext,
        input: DecreaseStreamRetentionPeriodInput,
    ) -> Result<(), DecreaseStreamRetentionPeriodError> {
        let target = StreamTarget::new(input.stream_name.as_ref(), input.stream_arn.as_ref());
        self.change_retention(context, target, input.retention_period_hours, Direction::Decrease).await
    }

    async fn change_retention<E>(
        &self,
        context: &RequestContext,
        target: StreamTarget<'_>,
        hours: i32,
        direction: Direction,
    ) -> Result<(), E>
    where
        E: From<TargetError> + From<LookupError> + From<Validation> + From<InvalidArgument> + From<InUse>,
        E: From<Internal> + From<LimitExceeded>,
    {
        let action = match direction {
            Direction::Increase => "IncreaseStreamRetentionPeriod",
            Direction::Decrease => "DecreaseStreamRetentionPeriod",
        };
        let hours = check_range(hours)?;
        let name = target.resolve(context, action)?;
        self.admit(context, action, &name)?;
        let mut changed = false;
        self.inner
            .registry
            .change(&name, |header| {
                if hours < *RETENTION_HOURS.start() {
                    return Err(E::from(InvalidArgument(format!(
                        "Minimum allowed retention period is {} hours. Requested retention period ({hours} hours) is \
                         too short.",
                        RETENTION_HOURS.start(),
                    ))));
                }
                if header.status != Status::Active {
                    return Err(name.not_active(header.status).into());
                }
                check_direction(&name.name, direction, hours, header.retention_hours)?;
                changed = hours != header.retention_hours;
                header.retention_hours = hours;
                header.status = Status::Updating;
                header.intent = Some(Intent::Configure);
                Ok(changed)
            })
            .await?;
        if changed {
            self.finish_in_background(&name);
            self.settle(&name).await?;
        }
        Ok(())
    }
}

fn check_range(hours: i32) -> Result<u32, Validation> {
    let violation = |bound: &str, limit: u32| {
        Validation(format!(
            "1 validation error detected: Value '{hours}' at 'retentionPeriodHours' failed to satisfy constraint: \
             Member must have value {bound} than or equal to {limit}"
        ))
    };
    match u32::try_from(hours) {
        Err(_) | Ok(0) => Err(violation("greater", 1)),
        Ok(hours) if hours > *RETENTION_HOURS.end() => Err(violation("less", *RETENTION_HOURS.end())),
        Ok(hours) => Ok(hours),
    }
}

fn check_direction(stream: &str, direction: Direction, hours: u32, existing: u32) -> Result<(), InvalidArgument> {
    let (wrong, comparison, other) = match direction {
        Direction::Increase => (hours < existing, "shorter", "Decrease"),
        Direction::Decrease => (hours > existing, "longer", "Increase"),
    };
    if !wrong {
        return Ok(());
    }
    Err(InvalidArgument(format!(
        "Requested retention period ({hours} hours) for stream {stream} can not be {comparison} than existing \
         retention period ({existing} hours). Use {other}RetentionPeriod API."
    )))
}
