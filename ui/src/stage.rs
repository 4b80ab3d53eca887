//! A model and a made-up engine joined together, for tests: keys in, effects carried out, screens out.

use std::sync::Arc;
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use shadowcat::clock::Timestamp;

use crate::effect::{Effect, Purpose};
use crate::fake::Fake;
use crate::keymap::Keymap;
use crate::model::Model;
use crate::theme::Theme;
use crate::update::{Event, update};
use crate::view;

/// A frontend in front of a made-up engine.
pub(crate) struct Stage {
    pub(crate) model: Model,
    pub(crate) fake: Fake,
    /// What `update` wanted, other than queries and details.
    pub(crate) effects: Vec<Effect>,
    now: Timestamp,
}

impl Stage {
    pub(crate) fn new(fake: Fake, columns: u16, rows: u16) -> Self {
        let model = Model::new(Keymap::new(&[]).unwrap(), Theme::default(), TimeZone::UTC);
        let now = fake.now().plus(Duration::from_secs(1));
        let mut stage = Self {
            model,
            fake,
            effects: Vec::new(),
            now,
        };
        stage.event(Event::Resize(columns, rows));
        stage.publish();
        stage.draw();
        stage
    }

    /// Lets something happen and does what follows from it, until nothing more does.
    pub(crate) fn event(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in update(&mut self.model, event, self.now) {
                match effect {
                    Effect::Query(query) => {
                        events.push(Event::Snapshot(Arc::new(self.fake.snapshot(&query))));
                    }
                    Effect::Ask(purpose, command) => {
                        if !matches!(
                            purpose,
                            Purpose::Detail(_) | Purpose::HeldText(_) | Purpose::LastGood(_)
                        ) {
                            self.effects.push(Effect::Ask(purpose, command.clone()));
                        }
                        let reply = self.fake.answer(command);
                        events.push(Event::Reply(purpose, Ok(reply)));
                    }
                    other => self.effects.push(other),
                }
            }
        }
    }

    /// The engine publishes what it has.
    pub(crate) fn publish(&mut self) {
        let snapshot = self.fake.snapshot(&self.model.query);
        self.event(Event::Snapshot(Arc::new(snapshot)));
    }

    /// So many calls pass; the engine publishes them.
    pub(crate) fn traffic(&mut self, calls: u64) {
        for number in 0..calls {
            self.fake.call(
                "tools/call",
                &format!("passing {number}"),
                2,
                shadowcat::snapshot::Outcome::Ok,
            );
        }
        self.publish();
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.now = self.now.plus(Duration::from_millis(millis));
        self.event(Event::Tick);
    }

    /// Presses keys: names in angle brackets, all else as it is typed: `jj<enter>/tool<esc>`. Draws after each.
    pub(crate) fn keys(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            let name: String = match character {
                '<' => rest.by_ref().take_while(|c| *c != '>').collect(),
                plain => plain.to_string(),
            };
            self.press(&name);
            self.draw();
        }
    }

    /// Presses one key without drawing.
    pub(crate) fn press(&mut self, name: &str) {
        let (modifiers, name) = match name.strip_prefix("ctrl-") {
            Some(rest) => (KeyModifiers::CONTROL, rest),
            None => (KeyModifiers::NONE, name),
        };
        let code = match name {
            "enter" => KeyCode::Enter,
            "esc" => KeyCode::Esc,
            "tab" => KeyCode::Tab,
            "shift-tab" => KeyCode::BackTab,
            "up" => KeyCode::Up,
            "space" => KeyCode::Char(' '),
            "down" => KeyCode::Down,
            "backspace" => KeyCode::Backspace,
            other => KeyCode::Char(other.chars().next().unwrap()),
        };
        self.event(Event::Key(KeyEvent::new(code, modifiers)));
    }

    /// Draws the screen.
    pub(crate) fn draw(&mut self) -> Buffer {
        let (width, height) = self.model.size;
        let mut buffer = Buffer::empty(Rect {
            x: 0,
            y: 0,
            width,
            height,
        });
        view::draw(&self.model, &mut buffer);
        self.model.now = self.now;
        self.model.note_drawn();
        buffer
    }

    /// The text on the screen.
    pub(crate) fn text(&mut self) -> String {
        let buffer = self.draw();
        text_of(&buffer)
    }

    /// The text on the screen, and below it which looks are where.
    pub(crate) fn text_and_looks(&mut self) -> String {
        let buffer = self.draw();
        format!("{}\n{}", text_of(&buffer), looks_of(&buffer))
    }
}

fn lines(buffer: &Buffer) -> impl Iterator<Item = &[Cell]> {
    buffer.content.chunks(usize::from(buffer.area.width))
}

fn text_of(buffer: &Buffer) -> String {
    let line = |cells: &[Cell]| {
        let mut skipped = 0;
        let mut text = String::new();
        for cell in cells {
            if skipped > 0 {
                skipped -= 1;
                continue;
            }
            text.push_str(cell.symbol());
            skipped = unicode_width::UnicodeWidthStr::width(cell.symbol()).saturating_sub(1);
        }
        text.trim_end().to_owned()
    };
    lines(buffer).map(line).collect::<Vec<_>>().join("\n")
}

/// A letter for each look and where it is: `TestBackend`'s text has no colours.
fn looks_of(buffer: &Buffer) -> String {
    let mut legend: Vec<String> = Vec::new();
    let mut map = Vec::new();
    for cells in lines(buffer) {
        let letters = cells.iter().map(|cell| letter(cell, &mut legend));
        map.push(letters.collect::<String>().trim_end().to_owned());
    }
    let legend = legend
        .iter()
        .enumerate()
        .map(|(number, look)| format!("{} {look}", sign(number)));
    format!("{}\n{}", map.join("\n"), legend.collect::<Vec<_>>().join("\n"))
}

fn letter(cell: &Cell, legend: &mut Vec<String>) -> char {
    let style = cell.style();
    let mut look = Vec::new();
    if let Some(colour) = style.fg.filter(|colour| *colour != ratatui::style::Color::Reset) {
        look.push(format!("{colour}"));
    }
    if let Some(colour) = style.bg.filter(|colour| *colour != ratatui::style::Color::Reset) {
        look.push(format!("on {colour}"));
    }
    if !style.add_modifier.is_empty() {
        look.push(format!("{:?}", style.add_modifier));
    }
    if look.is_empty() {
        return ' ';
    }
    let look = look.join(" ");
    let known = legend.iter().position(|other| *other == look);
    let number = known.unwrap_or_else(|| {
        legend.push(look);
        legend.len() - 1
    });
    sign(number)
}

fn sign(number: usize) -> char {
    char::from(b'a' + u8::try_from(number % 26).unwrap())
}
