//! STS.

use millstream_wire::sts::{SERVICE, op};

use crate::operation::{Table, call};
use crate::services::Services;

pub(crate) fn table(services: &Services) -> Table {
    let iam = &services.iam;
    let mut table = Table::new(&SERVICE);
    // Allowed to everybody, even against an explicit deny (STS API reference).
    table.add::<op::GetCallerIdentity, _, _>(|_, _| Vec::new(), call!(iam.get_caller_identity));
    // The trust policy of the role takes part in the decision, so the operation makes it.
    table.add::<op::AssumeRole, _, _>(|_, _| Vec::new(), call!(iam.assume_role));
    table
}
