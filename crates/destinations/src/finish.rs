//! Work that is finished also when its caller goes away.

use millstream_env::Tasks;
use millstream_env::activity::Activity;

/// The task that did the work ended before it: it panicked, or the process stops.
#[derive(Debug, thiserror::Error)]
#[error("the work was not finished: {0}")]
pub(crate) struct Unfinished(String);

/// Runs work of several steps to its end even when the caller goes away, with the connection of a client for instance: what
/// is stored must not stop half-way. It counts as a request that is worked on as long as it runs.
pub(crate) async fn finish<T, E>(
    tasks: &Tasks,
    activity: &Activity,
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Unfinished> + Send + 'static,
{
    let request = activity.request();
    let counted = async move {
        let _request = request;
        work.await
    };
    tasks.spawn(counted).await.unwrap_or_else(|error| Err(Unfinished(error.to_string()).into()))
}
