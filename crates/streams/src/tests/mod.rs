//! The operations over a memory log and a memory catalog, as a client sees them.

mod capacity;
mod consumers;
mod crashes;
mod durable;
mod encryption;
mod fixture;
mod iterators;
mod limits;
mod listing;
mod nonsense;
mod puts;
mod reshard;
mod scripted_log;
mod settings;
mod subscriptions;
