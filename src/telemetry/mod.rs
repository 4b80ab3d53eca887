//! What the program tells other programs about itself: metrics that they scrape, spans that it sends them.
//!
//! Nothing here is on the way of the traffic: metrics are read from the engine's state when somebody asks, spans are
//! made by the ledger of calls that have ended.

mod exporter;
pub mod families;
mod server;
mod span;
mod spans;
mod url;

pub(crate) use exporter::Exporter;
pub use exporter::ExporterError;
pub(crate) use families::{MetricsSource, Reading};
pub(crate) use server::{MetricsServer, accept};
pub(crate) use spans::{SpanFeed, SpanQueue};
pub use url::{OtlpUrl, ParseOtlpUrlError};
