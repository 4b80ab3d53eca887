//! Budgets and counters: what keeps the engine bounded and what shows that it is.

pub mod breaker;
pub mod log_ring;
pub mod meters;
pub mod queue;
