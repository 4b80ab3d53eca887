mod budget;
mod packed;
mod plain;
mod rows;
mod running;
mod states;
mod tables;
mod verdicts;
