//! From the start of the process until clients can connect.

use anyhow::Result;

use crate::clock::{now_ns, since};
use crate::proxies::{Kind, Mock, Proxy};
use crate::report::{Bar, Cell, Table, progress};
use crate::stats::{median, smallest};

use super::Context;

const KINDS: [Kind; 4] = [Kind::Bare, Kind::Nginx, Kind::Headless, Kind::Tui];
const STARTS: usize = 10;

/// Starts each proxy some times.
///
/// # Errors
/// One does not start.
pub(crate) async fn start(context: &mut Context) -> Result<()> {
    progress("start");
    let mock = Mock::start().await?;
    let mut table = Table::new("start", &["proxy", "median ms", "least ms"]);
    for kind in context.kinds(&KINDS) {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let started = now_ns();
            let proxy = Proxy::start(kind, &context.programs, mock.address).await?;
            times.push(since(started).as_secs_f64() * 1e3);
            drop(proxy);
        }
        let middle = Cell::figure(median(&times));
        let middle = if kind == Kind::Headless {
            middle.barred(Bar::AtMost(50.0))
        } else {
            middle
        };
        table.row([Cell::text(kind), middle, Cell::figure(smallest(&times))]);
    }
    table.note(format_args!(
        "{STARTS} starts each, until the line that names the address, or the first connection."
    ));
    context.report.table(table);
    Ok(())
}
