//! A terminal debugger for Model Context Protocol traffic.

mod app;
mod complete;
mod detail;
mod document;
mod effect;
#[cfg(test)]
mod fake;
mod format;
mod keymap;
mod layout;
mod line_edit;
mod list;
mod model;
mod paint;
mod row_text;
#[cfg(test)]
mod stage;
mod terminal;
mod text;
mod theme;
mod update;
mod view;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (_snapshots, receiver) = tokio::sync::watch::channel(std::sync::Arc::default());
    let (queries, _) = tokio::sync::watch::channel(shadowcat::snapshot::ViewQuery::default());
    let (commands, _) = tokio::sync::mpsc::channel(1);
    let frontend = shadowcat::frontend::Frontend {
        snapshots: receiver,
        queries,
        commands: shadowcat::frontend::Commands::new(commands),
    };
    let palette = std::env::args()
        .nth(1)
        .and_then(|name| theme::Palette::named(&name));
    let options = app::AppOptions {
        palette: palette.unwrap_or_default(),
        ..app::AppOptions::default()
    };
    Ok(app::run(frontend, options).await?)
}
