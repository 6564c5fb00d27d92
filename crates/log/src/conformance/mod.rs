//! What every form of the log must pass, as one macro over a way to make an empty log.
//!
//! ```ignore
//! millstream_log::conformance_suite!(|settings| async move { fixture_with(settings) });
//! ```
//!
//! Each file holds the cases of one promise of [`crate::contract`]. Time is the fixture's virtual clock; nothing sleeps.

pub mod admission;
pub mod appends;
pub mod concurrency;
pub mod lifecycle;
pub mod model;
pub mod reads;
pub mod retention;
pub mod seals;
pub mod support;
pub mod tags;
pub mod tails;

pub use support::{Fixture, Settings};

/// Makes one test of every case. `$make` is called as `make(Settings) -> impl Future<Output = Fixture>`. `without_tags`
/// leaves out what a log that gives the tags itself does not promise.
#[macro_export]
macro_rules! conformance_suite {
    ($make:expr) => {
        $crate::conformance_suite!($make, without_tags);
        $crate::conformance_suite!(@cases $make; tags: tags_are_kept,);
    };
    ($make:expr, without_tags) => {
        $crate::conformance_suite!(@cases $make;
            appends: positions_are_dense_and_arrivals_never_go_back results_keep_the_order_of_the_entries,
            appends: void_records_are_invisible_but_take_their_place a_dropped_reservation_is_void,
            appends: unfilled_slots_are_void_beside_filled_ones base64_is_decoded_into_place,
            appends: an_unknown_shard_refuses_only_its_own_entries readers_never_pass_an_unsettled_record,
            appends: large_and_empty_records_are_kept,
            seals: nothing_follows_a_seal a_seal_repeated_gives_the_first_answer an_empty_shard_can_be_sealed,
            seals: a_seal_waits_for_reservations_before_it a_seal_closes_no_earlier_than_the_last_record,
            tails: an_append_wakes_every_tail a_tail_is_told_what_came_between_its_waits a_seal_wakes_tails,
            tails: a_tail_follower_sees_everything an_unknown_shard_has_no_tail,
            reads: limits_hold one_record_is_always_returned reads_by_time the_tip_returns_nothing,
            reads: behind_tells_the_newest_arrival reading_past_the_end_waits_there,
            retention: records_expire_by_service_time a_longer_retention_brings_nothing_back,
            retention: a_shorter_retention_hides_at_once expired_positions_are_not_used_again,
            lifecycle: creating_twice_changes_nothing a_deleted_shard_is_unknown unknown_shards_are_named,
            lifecycle: shards_are_independent,
            admission: more_than_the_budget_waits_then_is_throttled a_batch_beyond_the_budget_is_admitted_alone,
            concurrency: concurrent_writers_fill_shards_without_holes,
            model: random_operations_match_the_model,
        );
    };
    (@cases $make:expr; $($module:ident: $($case:ident)+,)+) => {
        $($(
            #[tokio::test]
            async fn $case() {
                $crate::conformance::$module::$case($make).await;
            }
        )+)+
    };
}
