//! The only place that touches the real world: time, randomness, disk and tasks.
//!
//! Everything else takes these by parameter (a [`ServiceClock`], a [`HostClock`], a [`Random`], an `Arc<dyn Disk>`,
//! a [`Tasks`]), so that tests and simulations can put their own in place. Clippy bans the direct calls elsewhere.
//!
//! - [`time`]: the two clocks of the design: service time (may be virtual) and host time (always real).
//! - [`virtual_time`]: time that is moved by hand. [`activity`]: who has to be at rest before it is moved on.
//!   [`clock_control`]: moves it through every timer in order, and waits for rest.
//! - [`random`]: random bytes and identifiers, from the system or from a seed.
//! - [`disk`]: files by position, with the operations durable storage needs.
//! - [`open_files`]: the limit on open files.
//! - [`tasks`]: one task tree with cancellation and a bounded shutdown.

pub mod activity;
pub mod clock_control;
pub mod disk;
pub mod open_files;
pub mod random;
pub mod tasks;
pub mod time;
pub mod virtual_time;

pub use activity::Activity;
pub use clock_control::ClockControl;
pub use disk::{Access, Disk, DiskFile, ReadPart, RealDisk};
pub use open_files::OpenFiles;
pub use random::Random;
pub use tasks::Tasks;
pub use time::{HostClock, ServiceClock, Timestamp};
pub use virtual_time::VirtualTime;

/// A boxed future, the form in which the traits of this workspace are asynchronous.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
