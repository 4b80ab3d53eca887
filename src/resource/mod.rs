//! Budgets and counters: what keeps the engine bounded and what shows that it is.

pub mod queue;
