//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::proxies::Kind;

/// Measures shadowcat-tui beside a bare hyper proxy and nginx, and drives it through rising load
///
/// Every message is checked. The exit code is 1 if one was lost, duplicated, out of order or wrong, or if a proxy failed;
/// a missed bar does not change it.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) job: Job,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What all workloads know.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// The proxy's program, if it is not beside this one
    #[arg(long, value_name = "PATH", global = true)]
    pub(crate) bin: Option<PathBuf>,
    /// A short form: fewer cases, less time
    #[arg(long, global = true)]
    pub(crate) quick: bool,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) json: Option<PathBuf>,
    /// Measure these only
    #[arg(long, value_enum, value_name = "PROXY", value_delimiter = ',', global = true)]
    pub(crate) only: Vec<Kind>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Job {
    /// All of them but `soak` and `hold-soak`, one after the other
    All,
    /// Tool calls, one after the other on each connection
    Calls(CallsArgs),
    /// Many sessions with a quiet stream each
    Sse,
    /// A few streams whose events come as fast as they go
    Flood,
    /// What open sessions cost in memory, and what is left once they are closed
    Memory,
    /// A reader that stops in the middle of 256 MiB, and calls beside it
    Stalled,
    /// Clients that leave when they should not: resets, half requests, aborted uploads
    Churn,
    /// One event of some MiB, written in small and in large pieces
    BigEvent,
    /// Calls beside 5,000 events a second, without and with the screen
    Keys,
    /// Tool calls over a command's pipes: direct, wrapped, wrapped and watched; and over HTTP in front of a command
    Stdio,
    /// Tool calls over the two endpoints of 2024-11-05, direct and through the proxy
    LegacySse,
    /// Tool calls over TLS: direct, through a blind tunnel, and looked into
    Tls,
    /// From the start of the process until clients can connect
    Start,
    /// Rising numbers of sessions that call and listen, twice over, in reverse and forward mode
    ///
    /// Stops with exit code 1 if the proxy ends, panics, stands still for ten seconds, harms a message, or holds more
    /// descriptors, tasks or memory after the second pass than it should.
    Ramp(RampArgs),
    /// A steady mix of calls and streams for a long time, at the end of which the recording has to hold every message
    Soak(SoakArgs),
    /// Calls beside 0, 1 and 1,000 held streams, what a held stream takes, and calls under 0 to 100 armed rules
    Hold,
    /// Random traffic over several carriers, all of it held, and random decisions; nothing may be left in the end
    HoldSoak {
        /// How long
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Write a large recording of tool calls, to see how long it takes to open one
    Recording {
        /// The new file
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Its size in MiB
        #[arg(long, value_name = "MIB", default_value_t = 1024)]
        size: u64,
        /// Bytes of text in each answer
        #[arg(long, value_name = "BYTES", default_value_t = 900)]
        answer: usize,
    },
    /// The server that everything is measured against
    #[command(hide = true)]
    Mock {
        /// Serve TLS too, and put the certificate to trust into this folder
        #[arg(long, value_name = "FOLDER")]
        tls: Option<PathBuf>,
    },
    /// The same server as a command
    #[command(hide = true)]
    StdioMock,
    /// The proxy that parses nothing
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        upstream: SocketAddr,
    },
}

#[derive(Debug, Default, Args)]
pub(crate) struct CallsArgs {
    /// Sizes of the answers in bytes
    #[arg(long, value_delimiter = ',')]
    pub(crate) answers: Option<Vec<usize>>,
    /// Numbers of connections
    #[arg(long, value_delimiter = ',')]
    pub(crate) connections: Option<Vec<usize>>,
    /// Rounds, of which the median counts
    #[arg(long)]
    pub(crate) rounds: Option<usize>,
    /// Seconds of each round
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
}

#[derive(Debug, Default, Args)]
pub(crate) struct RampArgs {
    /// Numbers of sessions, rising
    #[arg(long, value_delimiter = ',')]
    pub(crate) levels: Option<Vec<usize>>,
    /// Seconds at each level
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// How often to go through all levels; 2 if not given
    #[arg(long, value_name = "COUNT")]
    pub(crate) passes: Option<usize>,
    /// Up to 500 sessions, half a minute in all: for every change
    #[arg(long)]
    pub(crate) short: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    /// How long
    #[arg(long, default_value_t = 30)]
    pub(crate) minutes: u32,
    /// Record all of it, some 40 MiB a minute, and compare the recording with what was sent
    #[arg(long)]
    pub(crate) record: bool,
}
