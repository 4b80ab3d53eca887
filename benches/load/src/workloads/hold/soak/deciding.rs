//! Who decides: a script through the control door, and somebody who presses keys.

use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::proxies::{Desk, Proxy};

use super::Dice;

/// Decides about each message that comes up, until the watching ends; how many there were.
pub(super) async fn decide(desk: Desk, mut news: BufReader<tokio::process::ChildStdout>) -> Result<u64> {
    let (mut dice, mut decided, mut line) = (Dice(7), 0, String::new());
    while news.read_line(&mut line).await? > 0 {
        let event: Value = serde_json::from_str(&line)?;
        line.clear();
        if event["gap"].is_number() {
            // What came up meanwhile would wait for ever.
            desk.held(&["forward", "--all"]).await?;
        }
        if event["event"] != "held" {
            continue;
        }
        let id = event["id"].to_string();
        let is_call = event["kind"] == "request";
        decide_one(&desk, &id, is_call, dice.roll(100)).await?;
        decided += 1;
    }
    Ok(decided)
}

/// Most messages go on; the others are spread over all that can be done. What has gone meanwhile is nothing to decide about.
async fn decide_one(desk: &Desk, id: &str, is_call: bool, dice: u64) -> Result<()> {
    let arguments: &[&str] = match (dice, is_call) {
        (0..10, true) => &["answer", id, "--result", "{\"content\":[]}"],
        (10..15, true) => &["refuse", id, "--code", "-32050", "--message", "no"],
        (15..20, true) => &["refuse", id, "--tool-error", "no"],
        (20..25, _) => &["drop", id],
        (25..35, _) => {
            desk.held(&["edit", id, "--set", "$.by=\"hand\""]).await?;
            &["forward", id]
        }
        _ => &["forward", id],
    };
    if desk.held(arguments).await?.is_none() {
        // What cannot be done with this message can be left undone.
        desk.held(&["forward", id]).await?;
    }
    Ok(())
}

/// Keys of the Held screen. None of them switches rules off, changes the order of a lane or leaves the program.
const KEYS: [&str; 18] = [
    "f", "f", "f", "f", "F", "s", "W", "u", "j", "k", "gg", "G", "e", "D", "m\r", "x\r", "d\r", " ",
];
/// After so many keys it is seen to it that they are pressed on the Held screen.
const BEARINGS: u64 = 12;
/// Between two keys. An escape that something follows at once would be another key.
const PAUSE: Duration = Duration::from_millis(60);

/// Somebody at the keyboard.
#[derive(Debug)]
pub(super) struct Keys {
    dice: Dice,
    pressed: u64,
    /// Keys that lead to the Held screen, the next one last.
    to_press: Vec<&'static str>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            dice: Dice(11),
            pressed: 0,
            to_press: Vec::new(),
        }
    }
}

impl Keys {
    pub(super) fn pressed(&self) -> u64 {
        self.pressed
    }

    /// Until the next key is due.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(PAUSE).await;
    }

    /// Presses the next key.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) fn press(&mut self, proxy: &mut Proxy) -> Result<()> {
        if self.pressed.is_multiple_of(BEARINGS) && self.to_press.is_empty() {
            self.to_press = vec!["7", "\x1b", "\x1b"];
        }
        let next = self.to_press.pop();
        let key = next.or_else(|| self.dice.pick(&KEYS).copied()).unwrap_or("f");
        self.pressed += u64::from(next.is_none() || self.to_press.is_empty());
        proxy.press(key.as_bytes())
    }

    /// Leaves whatever is open.
    ///
    /// # Errors
    /// The terminal is gone.
    pub(super) async fn leave(&self, proxy: &mut Proxy) -> Result<()> {
        for _ in 0..2 {
            proxy.press(b"\x1b")?;
            self.pause().await;
        }
        Ok(())
    }
}
