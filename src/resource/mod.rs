//! Budgets and counters: what keeps the engine bounded and what shows that it is.

pub mod breaker;
pub(crate) mod heap;
pub mod histogram;
pub mod lag;
pub mod log_ring;
pub mod meters;
pub mod process;
pub mod queue;
