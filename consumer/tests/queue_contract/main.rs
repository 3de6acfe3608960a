//! What the engine relies on, the same for every queue: each test runs against the in-memory queue under paused time
//! and against SQS as LocalStack has it. Where LocalStack is not like SQS, [`broker::Broker`] says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Makes a test of each of these functions for one broker.
macro_rules! contract {
    ($broker:ident, #[$test:meta]) => {
        contract!(@module standard, $broker, #[$test], [
            what_was_sent_is_received_with_its_attributes_and_receive_count_1,
            a_message_is_invisible_during_its_lease_and_then_comes_back_counted,
            an_extension_keeps_a_message_invisible,
            a_visibility_of_0_brings_a_message_back_at_once,
            a_release_can_come_with_a_delay,
            a_deleted_message_never_comes_back,
            ten_are_deleted_in_one_batch_in_which_only_the_bad_receipt_fails,
            deleting_again_is_no_error,
            a_bad_receipt_cannot_change_visibility_and_the_rest_of_the_batch_does,
            visibility_cannot_be_changed_once_the_lease_has_ended,
            no_more_come_than_asked_for,
            a_long_poll_returns_when_a_message_arrives,
            an_empty_poll_returns_nothing_after_its_wait,
            a_message_received_too_often_ends_in_the_dead_letter_queue,
            a_rejected_message_is_copied_to_the_dead_letter_queue_with_the_reason,
            a_rejected_message_with_ten_attributes_goes_without_the_reason,
            rejecting_without_a_redrive_policy_is_an_error,
            info_tells_the_queues_settings,
            every_request_to_a_missing_queue_fails_as_not_found,
        ]);
        contract!(@module fifo, $broker, #[$test], [
            a_group_comes_in_order_and_knows_its_name,
            a_group_is_blocked_while_one_of_it_is_in_flight_and_others_go_on,
            a_released_message_comes_again_before_those_behind_it,
            deleting_the_head_frees_the_rest,
            a_receipt_is_invalid_once_its_lease_has_ended,
            a_repeated_attempt_brings_the_same_messages,
            a_message_sent_twice_comes_once,
            a_rejected_message_keeps_its_group,
            a_poison_head_ends_in_the_dead_letter_queue_and_frees_its_group,
        ]);
    };
    (@module $module:ident, $broker:ident, #[$test:meta], [$($name:ident,)*]) => {
        mod $module {
            $(
                #[$test]
                async fn $name() {
                    crate::$module::$name::<super::$broker>().await;
                }
            )*
        }
    };
}

mod broker;
mod fifo;
mod localstack;
mod memory;
mod standard;
