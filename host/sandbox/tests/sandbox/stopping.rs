//! Calls that their caller stops.
//!
//! Invariant: a stop ends the call wherever the guest is, and what was seen and said until
//! then is kept. Guests that never end by themselves are in `exhausting.rs`.

use idumb_sandbox::Broken;

use crate::world::{World, misbehaving_builder, task};

#[test]
fn a_call_whose_stop_was_given_does_not_begin() {
    let world = World::new(&[]).stopped();
    let attempt = world.build(misbehaving_builder(), &task(&[], &[], &[("do", "ask")]));
    assert_eq!(attempt.ended.result.unwrap_err(), Broken::Stopped);
    assert!(world.desk.questions.lock().unwrap().is_empty(), "it asked");
}

#[test]
fn a_guest_that_waits_for_an_answer_is_stopped() {
    let world = World::new(&[]).stopped_at_a_word();
    let attempt = world.misbehave(&task(&[], &[], &[("do", "ask")]));
    assert_eq!(attempt.ended.result.unwrap_err(), Broken::Stopped);
    assert_eq!(world.desk.questions.lock().unwrap().len(), 1);
}

#[test]
fn what_was_said_until_the_stop_is_kept() {
    let world = World::new(&[]).stopped_at_a_word();
    let attempt = world.misbehave(&task(&[], &[], &[("do", "flood_log")]));
    assert_eq!(attempt.ended.result.unwrap_err(), Broken::Stopped);
    let said = |text: &str| attempt.ended.log.iter().any(|line| line.message == text);
    assert!(said("again"), "{:?}", attempt.ended.log.last());
}
