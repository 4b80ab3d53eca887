//! A terminal debugger for Model Context Protocol traffic.

mod app;
mod complete;
mod demo;
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

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let config = shadowcat::config::Config {
        listen: vec!["127.0.0.1:0".parse()?],
        ..Default::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tasks = shadowcat::tasks::Tasks::new(1000);
    let server = runtime.block_on(demo::DemoServer::start(&tasks))?;
    let mut config = config;
    config.upstreams = vec![format!("everything=http://{}/mcp", server.address()).parse()?];
    if args.len() > 1 {
        config.record = Some(shadowcat::config::RecordConfig {
            path: Some(args[1].clone().into()),
        });
    }
    let engine = shadowcat::engine::Engine::start(config)?;
    let url = format!("http://{}/everything", engine.addresses()[0]);
    let stop = tasks.stopping().child_token();
    let frontend = engine.frontend()?;
    let own = tasks.clone();
    runtime.block_on(async {
        tokio::select! {
            r = app::run(frontend, app::AppOptions::default()) => { r.ok(); }
            () = demo::run_clients(url, demo::Pace::Human, stop, &own) => {}
        }
    });
    tasks.stop();
    eprintln!("{}", engine.shut_down());
    Ok(())
}
