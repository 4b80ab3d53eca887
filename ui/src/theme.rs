//! Colours and signs. Only the sixteen colours of the terminal's own palette; never the only sign of anything.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// Which palette is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Palette {
    /// For a dark background.
    #[default]
    Dark,
    /// For a light background.
    Light,
    /// No colours: bold, dim, underlined and reversed only.
    Mono,
}

impl Palette {
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Mono,
            Self::Mono => Self::Dark,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }

    /// The palette called `name`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Dark, Self::Light, Self::Mono]
            .into_iter()
            .find(|palette| palette.name() == name)
    }
}

/// What a piece of text is, for choosing its look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Text,
    Dim,
    Strong,
    Title,
    Border,
    BorderFocus,
    Key,
    Good,
    Warn,
    Bad,
    Wait,
    Client,
    Server,
    Accent,
    JsonKey,
    JsonString,
    JsonNumber,
    JsonWord,
    Hit,
    Tab,
    TabOn,
    Bar,
}

/// How everything looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Theme {
    pub(crate) palette: Palette,
    /// Signs and borders of ASCII only.
    pub(crate) is_ascii: bool,
}

impl Theme {
    pub(crate) fn style(self, role: Role) -> Style {
        match self.palette {
            Palette::Mono => mono(role),
            Palette::Dark => coloured(role, Color::Cyan, Color::Yellow, Color::DarkGray),
            Palette::Light => coloured(role, Color::Blue, Color::Magenta, Color::DarkGray),
        }
    }

    /// Look of the row under the cursor, laid over the row's own; weaker if its pane has no focus.
    pub(crate) fn cursor(self, has_focus: bool) -> Style {
        let base = Style::new();
        match (self.palette, has_focus) {
            (_, true) => base.add_modifier(Modifier::REVERSED),
            (Palette::Mono, false) => base.add_modifier(Modifier::UNDERLINED),
            (Palette::Dark, false) => base.bg(Color::DarkGray).fg(Color::White),
            (Palette::Light, false) => base.bg(Color::Gray).fg(Color::Black),
        }
    }

    pub(crate) const fn borders(self) -> border::Set<'static> {
        if self.is_ascii {
            ASCII_BORDER
        } else {
            border::PLAIN
        }
    }

    /// `unicode`, or `ascii` where only that may be used.
    pub(crate) const fn sign(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        if self.is_ascii { ascii } else { unicode }
    }

    pub(crate) const fn ellipsis(self) -> &'static str {
        self.sign("…", "~")
    }
}

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

fn coloured(role: Role, accent: Color, warn: Color, dim: Color) -> Style {
    let base = Style::new();
    match role {
        Role::Text => base,
        Role::Dim | Role::Border | Role::Tab => base.fg(dim),
        Role::Strong => base.add_modifier(Modifier::BOLD),
        Role::Title | Role::BorderFocus | Role::Accent | Role::JsonKey => base.fg(accent),
        Role::Key | Role::TabOn => base.fg(accent).add_modifier(Modifier::BOLD),
        Role::Good | Role::JsonString | Role::Bar => base.fg(Color::Green),
        Role::Warn | Role::Wait | Role::JsonNumber => base.fg(warn),
        Role::Bad => base.fg(Color::Red).add_modifier(Modifier::BOLD),
        Role::Client => base.fg(Color::Blue),
        Role::Server | Role::JsonWord => base.fg(Color::Magenta),
        Role::Hit => base.fg(Color::Black).bg(warn),
    }
}

fn mono(role: Role) -> Style {
    let base = Style::new();
    match role {
        Role::Dim | Role::Border | Role::Tab => base.add_modifier(Modifier::DIM),
        Role::Strong | Role::Title | Role::BorderFocus | Role::Key | Role::Bad | Role::JsonKey => {
            base.add_modifier(Modifier::BOLD)
        }
        Role::Warn => base.add_modifier(Modifier::UNDERLINED),
        Role::TabOn | Role::Hit => base.add_modifier(Modifier::REVERSED),
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_no_role_has_one() {
        let theme = Theme {
            palette: Palette::Mono,
            is_ascii: false,
        };
        for role in [
            Role::Text,
            Role::Bad,
            Role::Hit,
            Role::Bar,
            Role::Client,
            Role::TabOn,
        ] {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
        assert_eq!(theme.cursor(true).bg, None);
    }

    #[test]
    fn a_palette_is_found_by_its_name() {
        assert_eq!(Palette::named("light"), Some(Palette::Light));
        assert_eq!(Palette::named("pink"), None);
    }
}
