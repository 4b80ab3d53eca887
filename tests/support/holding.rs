//! Rules that hold, and what a person does with what they hold.

use shadowcat::frontend::Frontend;
use shadowcat::ids::HoldId;
use shadowcat::intercept::filter::Filter;
use shadowcat::intercept::hold::{Actor, HeldRow};
use shadowcat::intercept::interceptor::{InterceptCommand, InterceptReply};
use shadowcat::intercept::rule::{Hits, Rule, Verdict, WhileHeld};
use shadowcat::snapshot::{Command, Reply};

use super::snapshot_when;

/// A rule that holds what matches.
pub fn breakpoint(when: &str) -> Rule {
    Rule {
        name: "test".to_owned(),
        is_on: true,
        when: Filter::parse(when).unwrap(),
        direction: None,
        hits: Hits::Always,
        verdict: Verdict::Hold,
        on_expire: None,
        while_held: WhileHeld::default(),
    }
}

/// Asks as a person at the keyboard does.
pub async fn decide(frontend: &Frontend, what: InterceptCommand) -> InterceptReply {
    let actor = Actor::Key;
    match frontend.commands.ask(Command::Intercept { what, actor }).await {
        Ok(Reply::Intercept(reply)) => reply,
        other => panic!("{other:?}"),
    }
}

/// The held messages once there are `count` of them.
pub async fn held_rows(frontend: &mut Frontend, count: usize) -> Vec<HeldRow> {
    let snapshot = snapshot_when(frontend, "messages are held", |snapshot| {
        snapshot.intercept.rows.len() == count
    })
    .await;
    snapshot.intercept.rows.clone()
}

/// The only held message.
pub async fn held_one(frontend: &mut Frontend) -> HoldId {
    held_rows(frontend, 1).await[0].id
}
