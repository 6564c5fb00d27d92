use proptest::prelude::*;

use super::*;

fn ready() -> Machine {
    let mut machine = Machine::new();
    machine.step(Event::Spawned);
    assert_eq!(machine.step(Event::Next), (Answer::Park, vec![Command::Offer]));
    machine
}

fn invoking(id: &str) -> Machine {
    let mut machine = ready();
    machine.step(Event::Deliver { request_id: id.into() });
    machine
}

fn respond(id: &str) -> Event {
    Event::Response { request_id: id.to_owned(), body: Posted::Whole(Bytes::from_static(b"{}")) }
}

fn report() -> ErrorReport {
    ErrorReport { error_type: "E".to_owned(), body: Bytes::from_static(b"{}") }
}

#[test]
fn a_response_ends_the_invocation_and_the_next_call_offers_the_environment_again() {
    let mut machine = invoking("a");
    let (answer, commands) = machine.step(respond("a"));
    assert_eq!(answer, Answer::Accepted);
    let ending = Ending::Response(Bytes::from_static(b"{}"));
    assert_eq!(commands, [Command::Finish { request_id: "a".into(), ending }]);
    assert_eq!(machine.step(Event::Next), (Answer::Park, vec![Command::Offer]));
}

#[test]
fn wrong_late_and_repeated_answers_are_refused() {
    let mut machine = invoking("a");
    assert_eq!(machine.step(respond("b")), (Answer::InvalidRequestId, vec![]));
    machine.step(respond("a"));
    assert_eq!(machine.step(respond("a")), (Answer::InvalidRequestId, vec![]));
    machine.step(Event::Next);
    let late = Event::Error { request_id: "a".to_owned(), report: report() };
    assert_eq!(machine.step(late), (Answer::InvalidRequestId, vec![]));
}

#[test]
fn calls_out_of_order_get_the_state_transition_error() {
    let mut machine = Machine::new();
    machine.step(Event::Spawned);
    let expected = Answer::InvalidTransition { from: "Started", to: "InvocationResponse" };
    assert_eq!(machine.step(respond("a")), (expected, vec![]));
    let mut machine = invoking("a");
    let expected = Answer::InvalidTransition { from: "Running", to: "Ready" };
    assert_eq!(machine.step(Event::Next), (expected, vec![]));
    let expected = Answer::InvalidTransition { from: "Running", to: "InitError" };
    assert_eq!(machine.step(Event::InitError { report: report() }), (expected, vec![]));
}

#[test]
fn a_timeout_ends_only_its_own_invocation() {
    let mut machine = invoking("a");
    machine.step(respond("a"));
    machine.step(Event::Next);
    machine.step(Event::Deliver { request_id: "b".into() });
    assert_eq!(machine.step(Event::Deadline { request_id: "a".into() }), (Answer::None, vec![]));
    let (_, commands) = machine.step(Event::Deadline { request_id: "b".into() });
    assert_eq!(commands, [Command::Finish { request_id: "b".into(), ending: Ending::TimedOut }, Command::Kill]);
}

#[test]
fn an_exit_before_the_first_event_fails_the_init() {
    let mut machine = Machine::new();
    let (_, commands) = machine.step(Event::Exited(ExitCause::Code(1)));
    assert_eq!(commands, [Command::InitFailed(Ending::Exited(ExitCause::Code(1)))]);
    assert_eq!(machine.step(Event::Exited(ExitCause::Code(1))).1, []);
}

#[test]
fn an_error_answers_the_caller_and_keeps_the_environment() {
    let mut machine = invoking("a");
    let (answer, commands) = machine.step(Event::Error { request_id: "a".to_owned(), report: report() });
    assert_eq!(answer, Answer::Accepted);
    assert_eq!(commands.len(), 1);
    assert_eq!(machine.step(Event::Next), (Answer::Park, vec![Command::Offer]));
}

fn any_event() -> impl Strategy<Value = u8> {
    0..10_u8
}

proptest! {
    /// Whatever a runtime does, every delivered invocation ends exactly once, and nothing is delivered after the end.
    #[test]
    fn every_invocation_ends_exactly_once(choices in prop::collection::vec(any_event(), 0..60)) {
        let mut machine = Machine::new();
        let (mut delivered, mut finished, mut init_failed) = (Vec::<Arc<str>>::new(), Vec::new(), 0);
        for choice in choices.into_iter().chain([8]) {
            let current = delivered.last().map_or_else(|| "none".to_owned(), ToString::to_string);
            let event = match choice {
                0 => Event::Spawned,
                1 | 2 => Event::Next,
                3 | 4 if machine.is_ready() => {
                    let id: Arc<str> = format!("r{}", delivered.len()).into();
                    delivered.push(Arc::clone(&id));
                    Event::Deliver { request_id: id }
                }
                3 => respond("other"),
                4 => Event::Response { request_id: current, body: Posted::TooLarge },
                5 => respond(&current),
                6 => Event::Error { request_id: current, report: report() },
                7 => Event::Deadline { request_id: current.into() },
                8 => Event::Exited(ExitCause::Signal(9)),
                _ => Event::InitError { report: report() },
            };
            for command in machine.step(event).1 {
                match command {
                    Command::Finish { request_id, .. } => finished.push(request_id),
                    Command::InitFailed(_) => init_failed += 1,
                    Command::Offer | Command::Kill => {}
                }
            }
        }
        prop_assert_eq!(delivered, finished);
        prop_assert!(init_failed <= 1);
        prop_assert!(machine.is_stopping());
    }
}
